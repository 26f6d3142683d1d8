#include "attestation/snp_attester.h"

#include <linux/sev-guest.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "attestation/abandonable.h"
#include "attestation/evidence_checks.h"
#include "attestation/little_endian.h"
#include "attestation/snp_report.h"
#include "attestation/tsm_report.h"

namespace proplet::attestation {
namespace {

// Linux UAPI linux/sev-guest.h; the kernel's ABI is these sizes and offsets.
static_assert(sizeof(snp_report_req) == 96 && offsetof(snp_report_req, vmpl) == 64);
static_assert(sizeof(snp_ext_report_req) == 112 && offsetof(snp_ext_report_req, certs_address) == 96 &&
              offsetof(snp_ext_report_req, certs_len) == 104);
static_assert(sizeof(snp_guest_request_ioctl) == 32 && offsetof(snp_guest_request_ioctl, req_data) == 8 &&
              offsetof(snp_guest_request_ioctl, resp_data) == 16 && offsetof(snp_guest_request_ioctl, exitinfo2) == 24);
static_assert(sizeof(snp_report_resp) == 4000);
static_assert(SNP_GET_EXT_REPORT == 0xC0205302 && SNP_GET_REPORT == 0xC0205300);

// What the firmware puts into snp_report_resp: AMD publication 56860, MSG_REPORT_RSP.
constexpr std::size_t kStatusOffset = 0;
constexpr std::size_t kReportSizeOffset = 4;
constexpr std::size_t kReportOffset = 32;

constexpr std::size_t kMaxTableBytes = std::size_t{1} << 20;  // the kernel allows 16 KiB today
constexpr int kAttempts = 3;                                  // the host may replace its table by a larger one

struct Raw {
  Bytes report;
  Bytes certificates;
};

tl::unexpected<Error> refused(int error, std::uint64_t exit_info) {
  return fail(Code::evidence_failed, "{} refused a report: {}, firmware error {:#x}, host error {:#x}", kSevGuestDevice,
              errno_text(error), exit_info & 0xFFFFFFFFU, exit_info >> 32U);
}

Result<Bytes> report_of(const snp_report_resp& response) {
  const ByteView bytes(response.data);
  if (const auto status = little_endian<std::uint32_t>(bytes, kStatusOffset); status != 0) {
    return fail(Code::evidence_failed, "the SEV firmware answered a report request with status {:#x}", status);
  }
  if (const auto size = little_endian<std::uint32_t>(bytes, kReportSizeOffset); size != kSnpReportBytes) {
    return fail(Code::evidence_failed, "the SEV firmware gave a report of {} bytes", size);
  }
  const ByteView report = bytes.subspan(kReportOffset, kSnpReportBytes);
  return Bytes(report.begin(), report.end());
}

// SNP_GET_EXT_REPORT: first without room for certificates, to hear how much they need, then with it. SNP_GET_REPORT
// is what this comes to when the host has none.
Result<Raw> ask_device(GuestDevice& device, ByteView report_data) {
  Bytes table;
  for (int i = 0; i < kAttempts; ++i) {
    snp_ext_report_req request{};
    std::ranges::copy(report_data, std::begin(request.data.user_data));
    request.data.vmpl = 0;
    request.certs_address = table.empty() ? 0 : reinterpret_cast<std::uintptr_t>(table.data());
    request.certs_len = static_cast<std::uint32_t>(table.size());
    const auto response = std::make_unique<snp_report_resp>();
    snp_guest_request_ioctl call{};
    call.msg_version = 1;
    call.req_data = reinterpret_cast<std::uintptr_t>(&request);
    call.resp_data = reinterpret_cast<std::uintptr_t>(response.get());
    const int error = device.control(SNP_GET_EXT_REPORT, &call);
    const bool more_room = (call.exitinfo2 >> 32U) == SNP_GUEST_VMM_ERR_INVALID_LEN;
    if (more_room && request.certs_len > table.size() && request.certs_len <= kMaxTableBytes) {
      table.assign(request.certs_len, 0);
      continue;
    }
    if (error != 0) return refused(error, call.exitinfo2);
    TRY_ASSIGN(auto report, report_of(*response));
    return Raw{.report = std::move(report), .certificates = std::move(table)};
  }
  return fail(Code::evidence_failed, "the host changes the size of its certificate table all the time");
}

}  // namespace

struct SnpAttester::State {
  std::shared_ptr<GuestFiles> files;
  std::shared_ptr<Random> random;
  DeviceOpener open_device;
  Bytes init_data_digest;

  [[nodiscard]] Result<Raw> raw_report(ByteView field) const {
    if (files->exists(std::string(kTsmFolder))) {
      TRY_ASSIGN(auto report,
                 request_tsm_report(*files, *random,
                                    {.provider = "sev_guest", .inblob = field, .most_privileged_level = true}));
      return Raw{.report = std::move(report.outblob), .certificates = std::move(report.auxblob)};
    }
    TRY_ASSIGN(const auto device, open_device(kSevGuestDevice));
    return ask_device(*device, field);
  }

  [[nodiscard]] Result<json::value> make_evidence(const ReportData& report_data) const {
    TRY_ASSIGN(const Raw raw, raw_report(report_data.padded()));
    json::object evidence;
    TRY_ASSIGN(evidence["attestation_report"], snp_report_json(raw.report));
    TRY(check_report_data(snp_report_data(raw.report), report_data));
    TRY(check_init_data("HOST_DATA", snp_host_data(raw.report), init_data_digest));
    TRY_ASSIGN(evidence["cert_chain"], snp_certificates_json(raw.certificates));
    return json::value(std::move(evidence));
  }
};

SnpAttester::SnpAttester(std::shared_ptr<GuestFiles> files, std::shared_ptr<Random> random, DeviceOpener open_device,
                         Bytes init_data_digest)
    : state_(std::make_shared<State>(
          State{std::move(files), std::move(random), std::move(open_device), std::move(init_data_digest)})) {}

Result<json::value> SnpAttester::evidence(const ReportData& report_data, std::stop_token stop) {
  return run_abandonable([state = state_, report_data] { return state->make_evidence(report_data); }, stop);
}

}  // namespace proplet::attestation
