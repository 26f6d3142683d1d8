// Attesters turn report data into evidence that a key broker can verify.
//
// A Tee names a kind of trusted execution environment with the strings of the Key Broker Service protocol
// (Trustee kbs-types). Detection looks only at interfaces that exist inside a guest; it never chooses `sample`.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string_view>

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
  [[nodiscard]] virtual Tee tee() const = 0;
  // `report_data` is the digest that binds the session (48 bytes for SHA-384); the attester pads it as its TEE wants.
  // Returns the value of `primary_evidence`. Fails with EVIDENCE_FAILED.
  virtual Result<json::value> evidence(ByteView report_data, std::stop_token stop) = 0;
};

}  // namespace proplet::attestation
