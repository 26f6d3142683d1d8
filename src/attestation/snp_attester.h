// Evidence of an AMD SEV-SNP guest: report and host certificates, from the kernel's TSM report interface or, where that
// is missing, from /dev/sev-guest. Both give the same bytes. Not run on hardware so far.
//
// The report is asked for at privilege level 0 (VMPL 0), because verifiers accept no other: a guest whose kernel runs
// below a paravisor or an SVSM is an error that says so.
#pragma once

#include <memory>

#include "attestation/attester.h"
#include "attestation/guest_device.h"
#include "attestation/guest_files.h"
#include "base/clock.h"

namespace proplet::attestation {

inline constexpr const char* kSevGuestDevice = "/dev/sev-guest";

// Evidence {"attestation_report":{...},"cert_chain":[...] or null}.
class SnpAttester final : public Attester {
 public:
  // `files` and `random` are shared with calls into the kernel that were given up.
  SnpAttester(std::shared_ptr<GuestFiles> files, std::shared_ptr<Random> random, DeviceOpener open_device,
              Bytes init_data_digest);

  [[nodiscard]] std::string_view tee() const override { return tee_name(Tee::snp); }
  Result<json::value> evidence(const ReportData& report_data, std::stop_token stop) override;

 private:
  struct State;
  const std::shared_ptr<State> state_;  // shared with calls that were given up
};

}  // namespace proplet::attestation
