// JSON Web Signature, compact serialisation (RFC 7515), and JSON Web Token checks (RFC 7519).
//
// Algorithms: ES256, EdDSA (Ed25519). The verifier's caller names the algorithms it accepts; `none` is never one.
// Failures are JWT_INVALID.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"
#include "crypto/key.h"

namespace proplet::crypto {

enum class JwsAlgorithm : std::uint8_t { es256, eddsa };

struct Jwt {
  json::object header;
  json::object claims;
};

// Signs with the algorithm of the key (P-256: ES256, Ed25519: EdDSA). `alg` is put into the header here.
Result<std::string> jwt_sign(const PrivateKey& key, json::object header, const json::object& claims);

// Splits and parses without checking anything but the format. For reading `exp` of a token one merely forwards.
Result<Jwt> jwt_parse_unverified(std::string_view token);

// Checks the signature and `exp`/`nbf` (integers; `exp` required) with `leeway`.
Result<Jwt> jwt_verify(std::string_view token, const PublicKey& key, const std::vector<JwsAlgorithm>& allowed,
                       const Clock& clock, std::chrono::seconds leeway = std::chrono::seconds(60));

}  // namespace proplet::crypto
