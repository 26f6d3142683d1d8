// Evidence of an Arm CCA realm: the CCA token (CBOR) from the kernel's TSM report interface, Linux 6.13 and newer.
// Not run on hardware so far.
#pragma once

#include <memory>

#include "attestation/attester.h"
#include "attestation/guest_files.h"
#include "base/clock.h"

namespace proplet::attestation {

// Evidence {"token":[210,132,...]}, the token's bytes as numbers. Its personalisation value is not compared with
// init-data here; the broker does.
class CcaAttester final : public Attester {
 public:
  CcaAttester(std::shared_ptr<GuestFiles> files, std::shared_ptr<Random> random)
      : files_(std::move(files)), random_(std::move(random)) {}

  [[nodiscard]] std::string_view tee() const override { return tee_name(Tee::cca); }
  Result<json::value> evidence(const ReportData& report_data, std::stop_token stop) override;

 private:
  const std::shared_ptr<GuestFiles> files_;
  const std::shared_ptr<Random> random_;
};

}  // namespace proplet::attestation
