#include "kbs/server/broker.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <ctime>

#include "base/encoding.h"
#include "base/fd.h"
#include "crypto/jwe.h"
#include "crypto/jwt.h"
#include "kbs/protocol.h"

namespace proplet::kbs {
namespace {

using net::ServerRequest;
using net::ServerResponse;

ServerResponse refuse(std::string_view variant, std::string_view detail, int status = 401) {
  json::object body;
  body["type"] = fmt::format("{}{}", kErrorTypePrefix, variant);
  body["detail"] = detail;
  return {.status = status, .headers = {}, .body = json::serialize(body)};
}

ServerResponse refuse_auth(std::string_view cause) {
  return refuse("AttestationError", fmt::format("Attestation error: RCAR handshake Auth failed: {}", cause));
}

// Always the same words: why is for the log.
ServerResponse refuse_attest() { return refuse("AttestationError", "Attestation error: RCAR handshake Attest failed"); }

ServerResponse plugin_error() { return refuse("PluginInternalError", "Plugin internal error"); }

ServerResponse no_plugin(std::string_view name) {
  return refuse("PluginNotFound", fmt::format("Plugin {} not found", name), 404);
}

ServerResponse json_answer(std::string body) {
  return {.status = 200, .headers = {{"Content-Type", "application/json"}}, .body = std::move(body)};
}

std::string http_date(std::chrono::system_clock::time_point time) {
  const auto seconds = std::chrono::system_clock::to_time_t(time);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  std::array<char, 64> text{};
  return {text.data(), std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &parts)};
}

void set_cookie(ServerResponse& response, const BrokerSession& session) {
  response.headers.emplace_back(
      "Set-Cookie", fmt::format("{}={}; Expires={}", kSessionCookie, session.id, http_date(session.expires)));
}

// The session cookie's value among all cookies of the request.
std::optional<std::string_view> session_id(const ServerRequest& request) {
  auto cookies = request.header("cookie").value_or("");
  while (!cookies.empty()) {
    const auto end = std::min(cookies.find(';'), cookies.size());
    auto cookie = cookies.substr(0, end);
    cookies.remove_prefix(std::min(end + 1, cookies.size()));
    while (cookie.starts_with(' ')) cookie.remove_prefix(1);
    if (cookie.starts_with(kSessionCookie) && cookie.substr(kSessionCookie.size()).starts_with('=')) {
      return cookie.substr(kSessionCookie.size() + 1);
    }
  }
  return std::nullopt;
}

std::optional<std::string_view> bearer(const ServerRequest& request) {
  constexpr std::string_view kScheme = "Bearer ";
  const auto header = request.header("authorization");
  if (!header || !header->starts_with(kScheme)) return std::nullopt;
  return header->substr(kScheme.size());
}

// Strict semantic version: three numbers, then perhaps -prerelease and +build.
enum class VersionAnswer : std::uint8_t { accepted, other, malformed };
VersionAnswer judge_version(std::string_view text) {
  const auto core = text.substr(0, text.find_first_of("+-"));
  std::array<std::uint64_t, 3> numbers{};
  const char* at = core.data();
  const char* const end = core.data() + core.size();
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    if (i > 0 && (at == end || *at++ != '.')) return VersionAnswer::malformed;
    const auto [next, error] = std::from_chars(at, end, numbers[i]);
    if (error != std::errc()) return VersionAnswer::malformed;
    at = next;
  }
  if (at != end) return VersionAnswer::malformed;
  // Build metadata is ignored; a pre-release is another version.
  const auto rest = text.substr(core.size());
  return core == kProtocolVersion && !rest.starts_with('-') ? VersionAnswer::accepted : VersionAnswer::other;
}

}  // namespace

std::string policy_file(const std::string& folder) { return folder + "/resource-policy.json"; }

Broker::Broker(const ServerOptions& options, crypto::PrivateKey token_key, Policy policy, const Clock& clock,
               Random& random, Log& log)
    : folder_(options.folder),
      allow_sample_(options.allow_sample),
      admin_key_(options.admin_key),
      max_admin_token_life_(options.max_admin_token_life),
      clock_(clock),
      log_(log),
      sessions_(options.max_sessions, options.session_lifetime, clock, random),
      tokens_(std::move(token_key), options.token_lifetime, clock),
      store_(options.folder),
      policy_(std::move(policy)) {}

ServerResponse Broker::handle(const ServerRequest& request) {
  const auto& method = request.method;
  if (method != "GET" && method != "POST" && method != "PUT" && method != "DELETE") return {.status = 405};
  auto path = std::string_view(request.path).substr(kPathPrefix.size());
  const auto slash = std::min(path.find('/'), path.size());
  const auto plugin = path.substr(0, slash);
  path.remove_prefix(std::min(slash + 1, path.size()));

  if (plugin == "auth" && method == "POST") return auth(request);
  if (plugin == "attest" && method == "POST") return attest(request);
  if (plugin == "resource-policy" && method == "POST") return set_policy(request);
  if (plugin != "resource") return no_plugin(plugin);
  if (method == "POST" || method == "DELETE") return administer_resource(request, path);
  return release_resource(request, path);
}

ServerResponse Broker::auth(const ServerRequest& request) {
  const auto body = json::parse_object(text_of(request.body));
  if (!body) return refuse_auth("deserialize Request");
  const auto version = json::required_string(*body, "version");
  const auto name = json::required_string(*body, "tee");
  const auto tee = name ? attestation::tee_from_name(*name) : std::nullopt;
  if (!version || !tee || !body->contains("extra-params")) return refuse_auth("deserialize Request");
  switch (judge_version(*version)) {
    case VersionAnswer::accepted:
      break;
    case VersionAnswer::malformed:
      return refuse_auth("failed to parse KBS version");
    case VersionAnswer::other:
      return refuse_auth(fmt::format("KBS Client Protocol Version Mismatch: expect ={} while the request is {}",
                                     kProtocolVersion, *version));
  }
  const auto session = sessions_.open(*tee);
  if (!session) return refuse_auth("too many sessions");
  json::object challenge;
  challenge["nonce"] = session->nonce;
  challenge["extra-params"] = "";
  auto response = json_answer(json::serialize(challenge));
  set_cookie(response, *session);
  return response;
}

ServerResponse Broker::attest(const ServerRequest& request) {
  const auto refuse_because = [&](std::string_view why) {
    log_.warn("attestation refused", {{"reason", why}});
    return refuse_attest();
  };
  const auto id = session_id(request);
  const auto session = id ? sessions_.find(*id) : std::nullopt;
  if (!session) return refuse_because("no such session");
  const auto message = AttestationMessage::parse(text_of(request.body));
  if (!message) return refuse_because(message.error().text());

  std::string token = session->token;
  if (token.empty()) {
    if (message->nonce != session->nonce) return refuse_because("the nonce is another session's");
    if (session->tee != attestation::Tee::sample) {
      return refuse_because(fmt::format("there is no verifier for {}", attestation::tee_name(session->tee)));
    }
    if (!allow_sample_) return refuse_because("sample evidence is not allowed here");
    if (const auto checked = check_sample_evidence(*message); !checked) return refuse_because(checked.error().text());
    auto issued = tokens_.issue(session->tee, *message);
    if (!issued) return refuse_because(issued.error().text());
    auto stored = sessions_.attest(session->id, std::move(*issued));
    if (!stored) return refuse_because("the session has ended");
    token = std::move(*stored);
    log_.info("attested", {{"tee", attestation::tee_name(session->tee)}});
  }
  json::object body;
  body["token"] = token;
  auto response = json_answer(json::serialize(body));
  set_cookie(response, *session);
  return response;
}

std::optional<std::string> Broker::attestation_token(const ServerRequest& request) {
  if (const auto id = session_id(request)) {
    const auto session = sessions_.find(*id);
    if (session && !session->token.empty()) return session->token;
  }
  if (const auto token = bearer(request)) return std::string(*token);
  return std::nullopt;
}

ServerResponse Broker::release_resource(const ServerRequest& request, std::string_view path) {
  const auto token = attestation_token(request);
  if (!token) return refuse("TokenNotFound", "Attestation Token not found");
  const auto subject = tokens_.verify(*token);
  if (!subject) return refuse("TokenVerifierError", "Token Verifier error");
  {
    const std::lock_guard lock(policy_mutex_);
    if (!policy_.allows(subject->tee, path)) {
      log_.warn("resource denied", {{"path", path}, {"tee", attestation::tee_name(subject->tee)}});
      return refuse("PolicyDeny", "Access denied by policy");
    }
  }
  const auto uri = ResourceUri::parse(fmt::format("kbs:///{}", path));
  const auto secret = uri ? store_.read(*uri) : fail(uri.error());
  if (!secret || request.method != "GET") {
    log_.warn("resource not available", {{"path", path}});
    return plugin_error();
  }
  const auto key = crypto::PublicKey::from_jwk(subject->tee_pubkey);
  const auto wanted = json::required_string(subject->tee_pubkey, "alg");
  // P-384 is not part of the protocol, although JWE knows it.
  if (!key || !wanted || key->kind() == crypto::KeyKind::p384) return refuse("JweError", "JWE failed");
  const auto algorithm =
      key->kind() == crypto::KeyKind::rsa ? crypto::JweAlgorithm::rsa_oaep_256 : crypto::JweAlgorithm::ecdh_es_a256kw;
  if (*wanted != crypto::jwe_algorithm_name(algorithm)) return refuse("JweError", "JWE failed");
  auto jwe = crypto::jwe_encrypt(*key, algorithm, secret->view());
  if (!jwe) return refuse("JweError", "JWE failed");
  log_.info("resource released", {{"path", path}, {"tee", attestation::tee_name(subject->tee)}});
  return json_answer(std::move(*jwe));
}

std::optional<std::string> Broker::refuse_admin(const ServerRequest& request) const {
  const auto token = bearer(request);
  if (!token) return "Failed to parse HTTP Auth Bearer header";
  if (!admin_key_) return "Admin access denied: no administrator is configured";
  const auto jwt = crypto::jwt_verify(*token, *admin_key_, {crypto::JwsAlgorithm::eddsa}, clock_);
  if (!jwt) return "Admin access denied: invalid token";
  const auto latest = unix_seconds(clock_.now()) + max_admin_token_life_.count();
  if (jwt->claims.at("exp").as_int64() > latest) return "Admin access denied: the token lives too long";
  const auto role = json::required_string(jwt->claims, "role");
  if (!role || *role != "admin") return "Admin access denied: the role is not admin";
  const auto* audience = jwt->claims.if_contains("aud");
  const auto is_ours = [](const json::value& value) { return value.is_string() && value.get_string() == "kbs"; };
  if (audience == nullptr ||
      !(is_ours(*audience) || (audience->is_array() && std::ranges::any_of(audience->get_array(), is_ours)))) {
    return "Admin access denied: the audience is not kbs";
  }
  return std::nullopt;
}

ServerResponse Broker::administer_resource(const ServerRequest& request, std::string_view path) {
  if (const auto why = refuse_admin(request)) {
    return refuse("AdminAuthInitialization", "failed to initialize [admin] configuration: " + *why);
  }
  const auto uri = ResourceUri::parse(fmt::format("kbs:///{}", path));
  if (!uri) return plugin_error();
  const auto done = request.method == "POST" ? store_.write(*uri, request.body) : store_.remove(*uri);
  if (!done) {
    log_.warn("resource not changed", {{"path", path}, {"error", done.error().text()}});
    return plugin_error();
  }
  log_.info("resource changed", {{"path", path}, {"method", request.method}});
  return {.status = 200, .headers = {{"Content-Type", "text/xml"}}, .body = {}};
}

ServerResponse Broker::set_policy(const ServerRequest& request) {
  if (const auto why = refuse_admin(request)) {
    return refuse("AdminAuthAccess", "admin access denied for endpoint resource-policy: " + *why);
  }
  const auto refuse_policy = [](std::string_view why) {
    return refuse("ParsePolicyError", fmt::format("Failed to parse policy: {}", why));
  };
  const auto body = json::parse_object(text_of(request.body));
  const auto encoded = body ? json::required_string(*body, "policy") : fail(body.error());
  if (!encoded) return refuse_policy(encoded.error().text());
  const auto text = base64url_decode(*encoded);
  if (!text) return refuse_policy("not base64url");
  auto policy = Policy::parse(text_of(*text));
  if (!policy) return refuse_policy(policy.error().text());

  const std::lock_guard lock(policy_mutex_);
  if (const auto written = write_file_atomically(policy_file(folder_), *text, 0600); !written) {
    return refuse_policy(written.error().text());
  }
  policy_ = std::move(*policy);
  log_.info("resource policy changed");
  return {.status = 200};
}

}  // namespace proplet::kbs
