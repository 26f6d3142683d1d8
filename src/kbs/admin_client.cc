#include "kbs/admin_client.h"

#include "base/encoding.h"
#include "crypto/jwt.h"
#include "kbs/handshake.h"
#include "kbs/protocol.h"

namespace proplet::kbs {
namespace {

Error judge(const net::HttpResponse& response, std::string_view what) {
  const auto error = parse_error_information(response.body);
  if (response.status == 413) return {Code::size_limit, fmt::format("{}: larger than the key broker accepts", what)};
  if (!error) return unexpected_answer(response, what);
  if (error->variant.starts_with("AdminAuth")) return {Code::kbs_denied, fmt::format("{}: {}", what, error->detail)};
  if (error->variant == "ParsePolicyError") return {Code::config_invalid, fmt::format("{}: {}", what, error->detail)};
  if (error->variant == "PluginInternalError") {
    return {Code::kbs_resource_unavailable, fmt::format("{}: {}", what, error->detail)};
  }
  return unexpected_answer(response, what);
}

struct Call {
  std::string_view method;
  std::string path;
  std::string_view content_type;
  ByteView body;
  std::string what;
};

Status perform(net::HttpClient& http, const net::Url& broker, std::string_view token, const Call& call,
               const std::stop_token& stop) {
  TRY_ASSIGN(auto url, endpoint(broker, call.path));
  net::HttpRequest request{.method = std::string(call.method),
                           .url = std::move(url),
                           .headers = {},
                           .body = call.body,
                           .max_response_bytes = net::kMaxErrorBytes,
                           .timeout = kRequestTimeout};
  if (!token.empty()) request.headers.emplace_back("Authorization", fmt::format("Bearer {}", token));
  if (!call.content_type.empty()) request.headers.emplace_back("Content-Type", call.content_type);
  auto response = http.send(request, stop);
  if (!response) return fail(transport_error(std::move(response).error()));
  if (response->status != 200) return fail(judge(*response, call.what));
  return {};
}

}  // namespace

Result<std::string> make_admin_token(const crypto::PrivateKey& key, const Clock& clock,
                                     const AdminTokenOptions& options) {
  if (key.kind() != crypto::KeyKind::ed25519) return fail(Code::key_invalid, "the administrator's key is not Ed25519");
  const auto now = unix_seconds(clock.now());
  json::object claims;
  claims["iss"] = options.issuer;
  claims["role"] = options.role;
  claims["aud"] = json::array{json::value(options.audience)};
  claims["iat"] = now;
  claims["exp"] = now + options.lifetime.count();
  json::object header;
  header["typ"] = "JWT";
  return crypto::jwt_sign(key, std::move(header), claims);
}

Status upload_resource(net::HttpClient& http, const net::Url& url, std::string_view token, const ResourceUri& uri,
                       ByteView bytes, std::stop_token stop) {
  return perform(http, url, token,
                 {.method = "POST",
                  .path = "resource/" + uri.path(),
                  .content_type = "application/octet-stream",
                  .body = bytes,
                  .what = "storing " + uri.text()},
                 stop);
}

Status delete_resource(net::HttpClient& http, const net::Url& url, std::string_view token, const ResourceUri& uri,
                       std::stop_token stop) {
  return perform(http, url, token,
                 {.method = "DELETE",
                  .path = "resource/" + uri.path(),
                  .content_type = {},
                  .body = {},
                  .what = "deleting " + uri.text()},
                 stop);
}

Status set_policy(net::HttpClient& http, const net::Url& url, std::string_view token, std::string_view policy,
                  std::stop_token stop) {
  json::object message;
  message["policy"] = base64url_encode(bytes_of(policy));
  const auto body = json::serialize(message);
  return perform(http, url, token,
                 {.method = "POST",
                  .path = "resource-policy",
                  .content_type = "application/json",
                  .body = bytes_of(body),
                  .what = "setting the resource policy"},
                 stop);
}

}  // namespace proplet::kbs
