// Evidence of an Intel TDX guest: a quote from the kernel's TSM report interface, with the firmware's event log.
//
// /dev/tdx_guest cannot take its place: TDX_CMD_GET_REPORT0 (linux/tdx-guest.h) gives a TDREPORT, whose MAC only the
// same machine can check. Turning it into a quote needs the host's quoting enclave, and since Linux 6.7 the TSM
// interface is the way the kernel asks it (TDG.VP.VMCALL<GetQuote>). Not run on hardware so far.
#pragma once

#include <memory>

#include "attestation/attester.h"
#include "attestation/guest_files.h"
#include "base/clock.h"

namespace proplet::attestation {

// Evidence {"quote":base64,"cc_eventlog":base64 or null}.
class TdxAttester final : public Attester {
 public:
  // `files` and `random` are shared with calls into the kernel that were given up.
  TdxAttester(std::shared_ptr<GuestFiles> files, std::shared_ptr<Random> random, Bytes init_data_digest)
      : files_(std::move(files)), random_(std::move(random)), init_data_digest_(std::move(init_data_digest)) {}

  [[nodiscard]] std::string_view tee() const override { return tee_name(Tee::tdx); }
  Result<json::value> evidence(const ReportData& report_data, std::stop_token stop) override;

 private:
  const std::shared_ptr<GuestFiles> files_;
  const std::shared_ptr<Random> random_;
  const Bytes init_data_digest_;
};

}  // namespace proplet::attestation
