#include "kbs/handshake.h"

#include <algorithm>
#include <cctype>
#include <optional>

#include "crypto/jwt.h"
#include "kbs/protocol.h"
#include "net/retry.h"

namespace proplet::kbs {
namespace {

constexpr std::size_t kMaxAnswerBytes = std::size_t{1} << 20;
constexpr std::size_t kMaxNonceBytes = 64 << 10;  // for IBM SE the nonce is a whole JSON text
constexpr std::size_t kMaxCookieBytes = 256;

// The client keeps name and value itself: a jar that honours Expires would drop the cookie whenever this machine's
// clock is a few minutes fast.
std::optional<std::string> session_cookie(const net::HttpResponse& response) {
  for (const auto& [name, header] : response.headers) {
    if (name != "set-cookie") continue;
    std::string_view value = header;
    if (!value.starts_with(kSessionCookie) || value.size() <= kSessionCookie.size()) continue;
    value.remove_prefix(kSessionCookie.size());
    if (value.front() != '=') continue;
    value = value.substr(1, value.find(';') == std::string_view::npos ? value.npos : value.find(';') - 1);
    const auto fits = [](unsigned char c) { return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.'; };
    if (value.empty() || value.size() > kMaxCookieBytes || !std::ranges::all_of(value, fits)) continue;
    return std::string(value);
  }
  return std::nullopt;
}

struct Challenge {
  std::string nonce;
  crypto::DigestAlgorithm algorithm = crypto::DigestAlgorithm::sha384;
  std::string cookie;
};

Result<crypto::DigestAlgorithm> selected_algorithm(const json::object& challenge) {
  const auto* extra = challenge.if_contains("extra-params");
  if (extra == nullptr || !extra->is_object()) return crypto::DigestAlgorithm::sha384;
  const auto* selected = extra->get_object().if_contains("selected-hash-algorithm");
  if (selected == nullptr) return crypto::DigestAlgorithm::sha384;
  if (selected->is_string()) {
    std::string name(selected->get_string());
    std::ranges::transform(name, name.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    if (name == "sha256") return crypto::DigestAlgorithm::sha256;
    if (name == "sha384") return crypto::DigestAlgorithm::sha384;
    if (name == "sha512") return crypto::DigestAlgorithm::sha512;
  }
  return fail(Code::kbs_protocol, "the key broker selected a hash algorithm that is not supported");
}

Error refused_request(const net::HttpResponse& response) {
  const auto error = parse_error_information(response.body);
  if (response.status != 401 || !error) return unexpected_answer(response, "auth");
  std::string lower = error->detail;
  std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (lower.find("version") != std::string::npos || error->variant == "ProtocolVersion") {
    return {Code::kbs_protocol, fmt::format("the key broker does not speak protocol version {}, which is all this "
                                            "client speaks: {}",
                                            kProtocolVersion, error->detail)};
  }
  return {Code::kbs_attestation_rejected,
          fmt::format("the key broker refused to begin an attestation: {}: {}", error->variant, error->detail)};
}

Result<net::HttpResponse> post(const HandshakeParts& parts, std::string_view path, const std::string& body,
                               net::HttpHeaders headers, const std::stop_token& stop) {
  TRY_ASSIGN(auto url, endpoint(parts.broker, path));
  headers.emplace_back("Content-Type", "application/json");
  const net::HttpRequest request{.method = "POST",
                                 .url = std::move(url),
                                 .headers = std::move(headers),
                                 .body = bytes_of(body),
                                 .max_response_bytes = kMaxAnswerBytes,
                                 .timeout = kRequestTimeout};
  // Both messages may be repeated: a second request opens a second session, a second attestation repeats the token.
  auto response = net::with_retries({.attempts = 3}, parts.clock, parts.random, stop,
                                    [&] { return parts.http.send(request, stop); });
  if (!response) return fail(transport_error(std::move(response).error()));
  return response;
}

Result<Challenge> ask_for_challenge(const HandshakeParts& parts, const std::stop_token& stop) {
  json::object extra;
  extra["supported-hash-algorithms"] = json::array{"sha256", "sha384", "sha512"};
  json::object request;
  request["version"] = kProtocolVersion;
  request["tee"] = parts.attester.tee();
  request["extra-params"] = std::move(extra);
  TRY_ASSIGN(const auto response, post(parts, "auth", json::serialize(request), {}, stop));
  if (response.status != 200) return fail(refused_request(response));

  const auto body = json::parse_object(text_of(response.body), {.bytes = kMaxAnswerBytes, .depth = 8});
  if (!body) return fail(Error(Code::kbs_protocol, "the challenge is not JSON").caused_by(body.error()));
  auto nonce = json::required_string(*body, "nonce");
  if (!nonce || nonce->empty() || nonce->size() > kMaxNonceBytes) {
    return fail(Code::kbs_protocol, "the challenge has no usable nonce");
  }
  TRY_ASSIGN(const auto algorithm, selected_algorithm(*body));
  auto cookie = session_cookie(response);
  if (!cookie) return fail(Code::kbs_protocol, "the challenge came without a {} cookie", kSessionCookie);
  return Challenge{.nonce = std::move(*nonce), .algorithm = algorithm, .cookie = std::move(*cookie)};
}

json::value init_data_member(std::string_view text) {
  if (text.empty()) return nullptr;
  json::object member;
  member["format"] = "toml";
  member["body"] = text;
  return member;
}

Result<std::string> attestation_message(const HandshakeParts& parts, const Challenge& challenge,
                                        const std::stop_token& stop) {
  const auto report_data =
      attestation::ReportData::for_session(challenge.algorithm, challenge.nonce, parts.tee_pubkey, "");
  TRY_ASSIGN(auto evidence, parts.attester.evidence(report_data, stop));
  json::object runtime_data;
  runtime_data["nonce"] = challenge.nonce;
  runtime_data["tee-pubkey"] = parts.tee_pubkey;
  json::object tee_evidence;
  tee_evidence["primary_evidence"] = std::move(evidence);
  tee_evidence["additional_evidence"] = "";
  json::object message;
  message["init-data"] = init_data_member(parts.init_data);
  message["runtime-data"] = std::move(runtime_data);
  message["tee-evidence"] = std::move(tee_evidence);
  return json::serialize(message);
}

Result<Session> read_token(const net::HttpResponse& response, std::string cookie) {
  const auto body = json::parse_object(text_of(response.body), {.bytes = kMaxAnswerBytes, .depth = 8});
  if (!body)
    return fail(Error(Code::kbs_protocol, "the answer to the attestation is not JSON").caused_by(body.error()));
  auto token = json::required_string(*body, "token");
  if (!token) return fail(Code::kbs_protocol, "the answer to the attestation has no token");
  // The broker issued it to us over this connection; only its expiry concerns us, so nothing is verified.
  const auto parsed = crypto::jwt_parse_unverified(*token);
  if (!parsed) return fail(Error(Code::kbs_protocol, "the attestation token is malformed").caused_by(parsed.error()));
  const auto expires = json::required_integer(parsed->claims, "exp");
  constexpr std::int64_t kLatest = std::int64_t{1} << 33;  // year 2242: far, and safe to convert
  if (!expires || *expires < 0 || *expires > kLatest) {
    return fail(Code::kbs_protocol, "the attestation token has no usable expiry");
  }
  return Session{.cookie = std::move(cookie),
                 .token = std::move(*token),
                 .expires = std::chrono::system_clock::time_point(std::chrono::seconds(*expires))};
}

Result<Session> attempt(const HandshakeParts& parts, const std::stop_token& stop, bool& rejected) {
  TRY_ASSIGN(auto challenge, ask_for_challenge(parts, stop));
  TRY_ASSIGN(const auto message, attestation_message(parts, challenge, stop));
  TRY_ASSIGN(const auto response, post(parts, "attest", message,
                                       {{"Cookie", fmt::format("{}={}", kSessionCookie, challenge.cookie)}}, stop));
  if (response.status == 200) return read_token(response, std::move(challenge.cookie));
  const auto error = parse_error_information(response.body);
  if (response.status != 401 || !error) return fail(unexpected_answer(response, "attest"));
  rejected = true;
  return fail(Code::kbs_attestation_rejected, "the key broker rejected the {} evidence: {}", parts.attester.tee(),
              error->detail);
}

}  // namespace

Result<Session> shake_hands(const HandshakeParts& parts, const std::stop_token& stop) {
  bool rejected = false;
  auto session = attempt(parts, stop, rejected);
  // The broker gives one answer for bad evidence and for a session that it lost between the two messages.
  return rejected ? attempt(parts, stop, rejected) : session;
}

}  // namespace proplet::kbs
