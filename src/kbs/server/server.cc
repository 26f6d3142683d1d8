#include "kbs/server/server.h"

#include <unistd.h>

#include "base/fd.h"
#include "kbs/protocol.h"
#include "kbs/server/broker.h"

namespace proplet::kbs {
namespace {

constexpr std::size_t kMaxFileBytes = std::size_t{1} << 20;

bool file_exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

Result<crypto::PrivateKey> token_key(const ServerOptions& options) {
  const auto path = options.folder + "/token-key.pem";
  if (!options.keep_token_key || !file_exists(path)) {
    TRY_ASSIGN(auto key, crypto::PrivateKey::generate(crypto::KeyKind::p256));
    if (options.keep_token_key) TRY(write_file_atomically(path, key.to_pem().view(), 0600));
    return key;
  }
  TRY_ASSIGN(const auto text, read_secret_file(path, kMaxFileBytes));
  auto key = crypto::PrivateKey::from_pem(text_of(text.view()));
  if (!key || key->kind() != crypto::KeyKind::p256) {
    return fail(Code::config_invalid, "{} is not a P-256 private key in PEM", path);
  }
  return key;
}

Result<Policy> initial_policy(const ServerOptions& options) {
  const auto path = policy_file(options.folder);
  if (!file_exists(path)) {
    return Policy::allow_all_for(options.allow_sample ? std::vector{attestation::Tee::sample}
                                                      : std::vector<attestation::Tee>());
  }
  TRY_ASSIGN(const auto text, read_text_file(path, kMaxFileBytes));
  auto policy = Policy::parse(text);
  if (!policy) return fail(std::move(policy).error().because(path));
  return policy;
}

class HttpBroker final : public Server {
 public:
  HttpBroker(std::unique_ptr<Broker> broker, std::unique_ptr<net::HttpServer> http)
      : broker_(std::move(broker)), http_(std::move(http)) {
    http_->route("GET", "/healthz", [](const net::ServerRequest&) { return net::ServerResponse{}; });
    http_->route("*", std::string(kPathPrefix) + "*",
                 [this](const net::ServerRequest& request) { return broker_->handle(request); });
  }

  Status start() override { return http_->start(); }
  void stop() override { http_->stop(); }
  [[nodiscard]] std::uint16_t port() const override { return http_->port(); }

 private:
  // The HTTP server goes first: its handlers use the broker.
  std::unique_ptr<Broker> broker_;
  std::unique_ptr<net::HttpServer> http_;
};

}  // namespace

Result<std::unique_ptr<Server>> make_server(ServerOptions options, const Clock& clock, Random& random, Log& log) {
  if (options.folder.empty()) return fail(Code::config_invalid, "the key broker needs a folder");
  if (options.max_sessions == 0) return fail(Code::config_invalid, "the key broker needs room for a session");
  if (options.admin_key && options.admin_key->kind() != crypto::KeyKind::ed25519) {
    return fail(Code::config_invalid, "the administrator's public key is not Ed25519");
  }
  TRY(make_private_folder(options.folder));
  TRY_ASSIGN(auto key, token_key(options));
  TRY_ASSIGN(auto policy, initial_policy(options));
  net::HttpServerOptions http_options;
  http_options.address = options.address;
  http_options.port = options.port;
  http_options.max_body_bytes = options.max_body_bytes;
  http_options.tls_certificate_file = options.tls_certificate_file;
  http_options.tls_key_file = options.tls_key_file;
  TRY_ASSIGN(auto http, net::make_http_server(std::move(http_options)));
  auto broker = std::make_unique<Broker>(options, std::move(key), std::move(policy), clock, random, log);
  return std::make_unique<HttpBroker>(std::move(broker), std::move(http));
}

}  // namespace proplet::kbs
