// What client and server of the Key Broker Service protocol 0.4.0 share: names, report data, error bodies, URLs.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "crypto/digest.h"
#include "crypto/key.h"
#include "net/http_client.h"
#include "net/url.h"

namespace proplet::kbs {

inline constexpr std::string_view kProtocolVersion = "0.4.0";
inline constexpr std::string_view kPathPrefix = "/kbs/v0/";
inline constexpr std::string_view kSessionCookie = "kbs-session-id";
inline constexpr std::string_view kErrorTypePrefix = "https://github.com/confidential-containers/kbs/errors/";

// The tee-pubkey of an attestation: the key's own members and `alg`, nothing else, because the server drops what it
// does not know before it computes the report data. EC keys: ECDH-ES+A256KW; RSA: RSA-OAEP-256.
json::object tee_public_jwk(const crypto::PublicKey& key);

// The digest that the primary TEE's evidence must carry: what a server compares with, and a client's attester is given
// as ReportData::for_session.
Bytes primary_report_data(crypto::DigestAlgorithm algorithm, std::string_view nonce, const json::object& tee_pubkey,
                          std::string_view additional_evidence);

struct ErrorInformation {
  std::string variant;  // the last segment of `type`, which decides; statuses do not
  std::string detail;   // at most 300 bytes
};
// Nothing when `body` is not {"type","detail"}.
std::optional<ErrorInformation> parse_error_information(ByteView body);

// `broker` without a trailing slash, /kbs/v0/, and `path`.
Result<net::Url> endpoint(const net::Url& broker, std::string_view path);

// Errors of the HTTP client as this protocol's: KBS_UNREACHABLE, or KBS_PROTOCOL for an answer above the limit.
Error transport_error(Error error);
// KBS_UNREACHABLE for 5xx, KBS_PROTOCOL for anything else.
Error unexpected_answer(const net::HttpResponse& response, std::string_view to);

}  // namespace proplet::kbs
