// Attestation tokens of the development broker: JWTs in the shape of Trustee's attestation results (EAR), ES256, with
// the signer's public key as `jwk` in the header.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "attestation/attester.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"
#include "crypto/key.h"

namespace proplet::kbs {

struct AttestationMessage {
  std::string nonce;
  json::object tee_pubkey;  // only the members that the protocol knows
  json::value primary_evidence;
  std::string additional_evidence;

  // FORMAT_INVALID for a shape the protocol does not allow.
  static Result<AttestationMessage> parse(std::string_view text);
};

// Checks `sample` evidence: its report data must bind nonce and key. EVIDENCE_FAILED.
Status check_sample_evidence(const AttestationMessage& message);

struct TokenSubject {
  attestation::Tee tee;
  json::object tee_pubkey;
};

// Immutable, any thread.
class TokenIssuer {
 public:
  TokenIssuer(crypto::PrivateKey key, std::chrono::seconds lifetime, const Clock& clock)
      : key_(std::move(key)), lifetime_(lifetime), clock_(clock) {}

  [[nodiscard]] Result<std::string> issue(attestation::Tee tee, const AttestationMessage& message) const;
  // Only tokens of this issuer, with 60 s leeway. JWT_INVALID.
  [[nodiscard]] Result<TokenSubject> verify(std::string_view token) const;

 private:
  crypto::PrivateKey key_;
  std::chrono::seconds lifetime_;
  const Clock& clock_;
};

}  // namespace proplet::kbs
