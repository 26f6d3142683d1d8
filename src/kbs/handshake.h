// One handshake of the Key Broker Service protocol: request, challenge, attestation, token. Private to kbs/.
#pragma once

#include <chrono>
#include <stop_token>
#include <string>
#include <string_view>

#include "attestation/attester.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"
#include "net/http_client.h"

namespace proplet::kbs {

// What a handshake gives. Worthless without the private key that was attested, yet never logged.
struct Session {
  std::string cookie;  // the value
  std::string token;
  std::chrono::system_clock::time_point expires;
};

struct HandshakeParts {
  const net::Url& broker;
  net::HttpClient& http;
  attestation::Attester& attester;
  const Clock& clock;
  Random& random;
  const json::object& tee_pubkey;
  std::string_view init_data = {};  // the TOML text; empty: none is sent
};

// A rejected attestation is repeated once, from a new challenge. KBS_UNREACHABLE, KBS_PROTOCOL,
// KBS_ATTESTATION_REJECTED, EVIDENCE_FAILED, CANCELLED.
Result<Session> shake_hands(const HandshakeParts& parts, const std::stop_token& stop);

// Requests to a key broker end within this time, retries not counted.
inline constexpr std::chrono::seconds kRequestTimeout{30};

}  // namespace proplet::kbs
