#include "cli/key_broker.h"

#include "base/fd.h"
#include "cli/images.h"
#include "crypto/key.h"
#include "kbs/admin_client.h"

namespace proplet::cli {
namespace {

constexpr std::size_t kMaxCaFile = 1U << 20;  // bytes
constexpr std::size_t kMaxTokenFile = 16384;  // bytes

Result<std::string> admin_token(Cli& cli, const KeyBrokerFlags& flags) {
  if (!flags.admin_key_file.empty() && !flags.admin_token_file.empty()) {
    return fail(Code::config_invalid, "give --kbs-admin-key or --kbs-admin-token, not both");
  }
  if (!flags.admin_token_file.empty()) {
    TRY_ASSIGN(std::string token, read_text_file(flags.admin_token_file, kMaxTokenFile));
    while (!token.empty() && (token.back() == '\n' || token.back() == '\r' || token.back() == ' ')) token.pop_back();
    return token;
  }
  if (flags.admin_key_file.empty()) return std::string();
  TRY_ASSIGN(const SecretBytes pem, read_key_file(flags.admin_key_file));
  TRY_ASSIGN(const auto key, crypto::PrivateKey::from_pem(text_of(pem.view())));
  return kbs::make_admin_token(key, cli.clock);
}

}  // namespace

void KeyBrokerFlags::add_to(CLI::App& command) {
  command.add_option("--kbs", url, "Key broker, for example https://kbs.example:8080")->envname("PROPLET_KBS_URI");
  command.add_option("--kbs-admin-key", admin_key_file, "Ed25519 private key of an administrator, PEM");
  command.add_option("--kbs-admin-token", admin_token_file, "File with an administrator's token, instead of a key");
  command.add_option("--kbs-ca", ca_file, "PEM file of the authorities to trust instead of the system's");
  command.add_flag("--kbs-allow-http", allow_http, "Speak plain HTTP with a key broker that is not on loopback");
}

Result<std::unique_ptr<net::HttpClient>> broker_client(const net::Url& url, const std::string& ca_file,
                                                       bool allow_http) {
  net::HttpClientOptions options;
  if (allow_http) options.insecure_hosts = {url.host()};
  if (!ca_file.empty()) {
    TRY_ASSIGN(options.tls.ca_pem, read_text_file(ca_file, kMaxCaFile));
  }
  return net::make_http_client(std::move(options));
}

Status as_administrator(Cli& cli, const KeyBrokerFlags& flags, const AdminWork& work) {
  if (flags.url.empty()) return fail(Code::config_invalid, "give --kbs URL");
  TRY_ASSIGN(const net::Url url, net::Url::parse(flags.url));
  TRY_ASSIGN(const std::string token, admin_token(cli, flags));
  TRY_ASSIGN(const auto http, broker_client(url, flags.ca_file, flags.allow_http));
  return work(*http, url, token);
}

Status upload_key(Cli& cli, const KeyBrokerFlags& flags, const kbs::ResourceUri& uri, ByteView key) {
  return as_administrator(cli, flags, [&](net::HttpClient& http, const net::Url& url, const std::string& token) {
    return kbs::upload_resource(http, url, token, uri, key, cli.stop);
  });
}

}  // namespace proplet::cli
