// Attesters turn report data into evidence that a key broker can verify.
//
// A Tee names a kind of trusted execution environment with the strings of the Key Broker Service protocol
// (Trustee kbs-types). Detection looks only at interfaces that exist inside a guest; it never chooses `sample`.
// What is attested is a ReportData, never bytes: report_data.h says who can make one.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string_view>

#include "attestation/report_data.h"
#include "base/bytes.h"
#include "base/json.h"
#include "base/result.h"

namespace proplet::attestation {

enum class Tee : std::uint8_t { sample, tdx, snp, sgx, cca, csv, se, az_snp_vtpm, az_tdx_vtpm, tpm };

// "sample", "tdx", "az-snp-vtpm", ...
std::string_view tee_name(Tee tee);
std::optional<Tee> tee_from_name(std::string_view name);

// Thread-safe.
class Attester {
 public:
  virtual ~Attester() = default;
  // What the broker is told: the name of a Tee, or the one an operator gave to an external program's.
  [[nodiscard]] virtual std::string_view tee() const = 0;
  // The value of `primary_evidence`. The attester pads or cuts the report data as its TEE wants. Ends within 100 ms
  // of a stop, although the kernel may not. EVIDENCE_FAILED, TEE_UNAVAILABLE, CANCELLED.
  virtual Result<json::value> evidence(const ReportData& report_data, std::stop_token stop) = 0;
};

}  // namespace proplet::attestation
