#include "crypto/jwt.h"

#include <algorithm>
#include <array>
#include <limits>

#include "base/encoding.h"
#include "crypto/secret_json.h"

namespace proplet::crypto {
namespace {

constexpr std::size_t kMaxToken = std::size_t{1} << 20;  // bytes; evidence inside makes attestation tokens large
constexpr json::Limits kPartLimits = {.bytes = kMaxToken, .depth = 32};

Error invalid(std::string_view reason) { return {Code::jwt_invalid, std::string(reason)}; }

struct Parts {
  std::string_view header;
  std::string_view claims;
  std::string_view signature;
  std::string_view signed_text;  // header "." claims
};

Result<Parts> split(std::string_view token) {
  if (token.size() > kMaxToken) return fail(invalid("token is larger than 1 MiB"));
  const auto first = token.find('.');
  const auto second = first == std::string_view::npos ? first : token.find('.', first + 1);
  if (second == std::string_view::npos || token.find('.', second + 1) != std::string_view::npos) {
    return fail(invalid("token does not consist of three parts"));
  }
  return Parts{token.substr(0, first), token.substr(first + 1, second - first - 1), token.substr(second + 1),
               token.substr(0, second)};
}

Result<json::object> decode_object(std::string_view part, std::string_view name) {
  const auto bytes = base64url_decode(part);
  if (!bytes) return fail(invalid(fmt::format("token {} is not base64url without padding", name)));
  auto object = json::parse_object(text_of(*bytes), kPartLimits);
  if (!object) return fail(invalid(fmt::format("token {} is not a JSON object", name)));
  return std::move(*object);
}

Result<Jwt> parse(const Parts& parts) {
  Jwt jwt;
  TRY_ASSIGN(jwt.header, decode_object(parts.header, "header"));
  TRY_ASSIGN(jwt.claims, decode_object(parts.claims, "payload"));
  return jwt;
}

struct AlgorithmRow {
  JwsAlgorithm algorithm;
  std::string_view name;
  KeyKind kind;
};

constexpr std::array<AlgorithmRow, 2> kAlgorithms = {{
    {JwsAlgorithm::es256, "ES256", KeyKind::p256},
    {JwsAlgorithm::eddsa, "EdDSA", KeyKind::ed25519},
}};

// The algorithm belongs to the key; the token can but confirm it (RFC 8725 section 3.1).
Status check_header(const json::object& header, const PublicKey& key, const std::vector<JwsAlgorithm>& allowed) {
  if (header.contains("crit")) return fail(invalid("token with critical header parameters is not supported"));
  const auto* known = std::ranges::find(kAlgorithms, key.kind(), &AlgorithmRow::kind);
  if (known == kAlgorithms.end()) return fail(invalid("the key cannot verify tokens"));
  if (std::ranges::find(allowed, known->algorithm) == allowed.end()) {
    return fail(invalid("tokens of this key's algorithm are not accepted"));
  }
  const auto name = string_member(header, "alg");
  if (!name || *name != known->name) return fail(invalid("token algorithm is not that of the key"));
  return {};
}

// NumericDate of RFC 7519 section 2, whole seconds only.
Result<std::optional<std::int64_t>> time_claim(const json::object& claims, std::string_view name) {
  const auto* member = claims.if_contains(name);
  if (member == nullptr) return std::optional<std::int64_t>();
  if (const auto* seconds = member->if_int64()) return std::optional<std::int64_t>(*seconds);
  return fail(invalid(fmt::format("token claim {} is not an integer", name)));
}

Status check_times(const json::object& claims, std::int64_t now, std::int64_t leeway) {
  TRY_ASSIGN(const auto expiry, time_claim(claims, "exp"));
  TRY_ASSIGN(const auto not_before, time_claim(claims, "nbf"));
  if (!expiry) return fail(invalid("token has no expiry"));
  // The leeway is added to the clock, never to a claim, which may be as large as an integer gets.
  if (*expiry <= now - leeway) return fail(invalid("token has expired"));
  if (not_before && *not_before > now + leeway) return fail(invalid("token is not valid yet"));
  return {};
}

std::string encoded(const json::object& object) { return base64url_encode(bytes_of(json::serialize(object))); }

}  // namespace

Result<std::string> jwt_sign(const PrivateKey& key, json::object header, const json::object& claims) {
  const auto* known = std::ranges::find(kAlgorithms, key.kind(), &AlgorithmRow::kind);
  if (known == kAlgorithms.end()) {
    return fail(Code::jwt_invalid, "tokens cannot be signed with {} keys", key_kind_name(key.kind()));
  }
  json::object complete = {{"alg", known->name}};
  for (auto& member : header) {
    if (member.key() != "alg") complete.emplace(member.key(), std::move(member.value()));
  }
  auto token = encoded(complete) + "." + encoded(claims);
  TRY_ASSIGN(const auto signature, sign(key, bytes_of(token)));
  return token + "." + base64url_encode(signature);
}

Result<Jwt> jwt_parse_unverified(std::string_view token) {
  TRY_ASSIGN(const auto parts, split(token));
  return parse(parts);
}

Result<Jwt> jwt_verify(std::string_view token, const PublicKey& key, const std::vector<JwsAlgorithm>& allowed,
                       const Clock& clock, std::chrono::seconds leeway) {
  TRY_ASSIGN(const auto parts, split(token));
  TRY_ASSIGN(auto jwt, parse(parts));
  TRY(check_header(jwt.header, key, allowed));
  const auto signature = base64url_decode(parts.signature);
  if (!signature || !verify(key, bytes_of(parts.signed_text), *signature)) {
    return fail(invalid("token signature does not verify"));
  }
  TRY(check_times(jwt.claims, unix_seconds(clock.now()), leeway.count()));
  return jwt;
}

}  // namespace proplet::crypto
