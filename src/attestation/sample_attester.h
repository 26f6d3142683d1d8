// The attester of the `sample` TEE: unsigned evidence for development. It proves nothing, and key brokers refuse it
// unless told otherwise.
#pragma once

#include "attestation/attester.h"

namespace proplet::attestation {

// Evidence {"svn":"1","report_data":base64} over the digest as it is, not padded to 64 bytes as hardware wants it.
class SampleAttester final : public Attester {
 public:
  [[nodiscard]] std::string_view tee() const override { return tee_name(Tee::sample); }
  Result<json::value> evidence(const ReportData& report_data, std::stop_token stop) override;
};

}  // namespace proplet::attestation
