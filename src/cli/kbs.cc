// propctl kbs: a development key broker, and what an administrator does at one.
#include <filesystem>

#include "base/fd.h"
#include "base/process.h"
#include "cli/cli.h"
#include "cli/images.h"
#include "cli/key_access.h"
#include "cli/key_broker.h"
#include "kbs/admin_client.h"
#include "kbs/server/policy.h"
#include "kbs/server/server.h"

namespace proplet::cli {
namespace {

constexpr std::size_t kMaxPolicyBytes = 1U << 20;
constexpr unsigned kPrivateMode = 0600;

struct ServeOptions {
  std::string listen = "127.0.0.1:8080";
  std::string folder;
  bool allow_sample = false;
  std::string policy_file;
  std::string admin_public_key_file;
  std::string tls_certificate_file;
  std::string tls_key_file;
};

struct GetOptions {
  std::string path;
  std::string out;
  KeyAccessFlags keys;
};

struct ResourceOptions {
  std::string path;
  std::string file;
  KeyBrokerFlags broker;
};

Status parse_listen(const std::string& listen, kbs::ServerOptions& options) {
  const std::size_t colon = listen.rfind(':');
  const std::string port = colon == std::string::npos ? "" : listen.substr(colon + 1);
  const bool digits = !port.empty() && port.size() <= 5 && port.find_first_not_of("0123456789") == std::string::npos;
  if (!digits || std::stoi(port) > 65535) {
    return fail(Code::config_invalid, "--listen {}: not of the form ADDRESS:PORT", listen);
  }
  options.address = listen.substr(0, colon);
  options.port = static_cast<std::uint16_t>(std::stoi(port));
  return {};
}

Status make_private_folder(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return fail(Code::io_failed, "cannot make {}: {}", folder, error.message());
  std::filesystem::permissions(folder, std::filesystem::perms::owner_all, error);
  if (error) return fail(Code::io_failed, "cannot protect {}: {}", folder, error.message());
  return {};
}

// The administrator's key: the one given, or one that is made once and kept in the folder.
Result<crypto::PublicKey> administrator(const ServeOptions& options) {
  if (!options.admin_public_key_file.empty()) {
    TRY_ASSIGN(const std::string pem, read_text_file(options.admin_public_key_file, 65536));
    return crypto::PublicKey::from_pem(pem);
  }
  const std::string file = options.folder + "/admin.key";
  if (!std::filesystem::exists(file)) {
    TRY_ASSIGN(const auto key, crypto::PrivateKey::generate(crypto::KeyKind::ed25519));
    TRY(write_file_atomically(file, key.to_pem().view(), kPrivateMode));
  }
  TRY_ASSIGN(const SecretBytes pem, read_key_file(file));
  TRY_ASSIGN(const auto key, crypto::PrivateKey::from_pem(text_of(pem.view())));
  return key.public_key();
}

Status install_policy(const ServeOptions& options) {
  if (options.policy_file.empty()) return {};
  TRY_ASSIGN(const std::string text, read_text_file(options.policy_file, kMaxPolicyBytes));
  TRY(kbs::Policy::parse(text));
  return write_file_atomically(options.folder + "/resource-policy.json", bytes_of(text), kPrivateMode);
}

Status serve(Cli& cli, const ServeOptions& options) {
  kbs::ServerOptions server_options;
  TRY(parse_listen(options.listen, server_options));
  TRY(make_private_folder(options.folder));
  TRY(install_policy(options));
  TRY_ASSIGN(server_options.admin_key, administrator(options));
  server_options.folder = options.folder;
  server_options.allow_sample = options.allow_sample;
  server_options.tls_certificate_file = options.tls_certificate_file;
  server_options.tls_key_file = options.tls_key_file;
  const std::string scheme = options.tls_certificate_file.empty() ? "http" : "https";
  const std::string address = server_options.address;
  cli.log.set_level(LogLevel::info);
  TRY_ASSIGN(const auto server, kbs::make_server(std::move(server_options), cli.clock, cli.random, cli.log));
  TRY(server->start());
  const std::string url = fmt::format("{}://{}:{}", scheme, address, server->port());
  cli.print("listening on " + url, {{"url", url}});
  wait_for_stop(cli.stop);
  server->stop();
  return {};
}

Status put_resource(Cli& cli, const ResourceOptions& options) {
  TRY_ASSIGN(const auto uri, kbs::ResourceUri::parse(options.path));
  TRY_ASSIGN(const SecretBytes content, read_key_file(options.file));
  TRY(upload_key(cli, options.broker, uri, content.view()));
  cli.print("stored " + uri.text(), {{"resource", uri.text()}});
  return {};
}

Status delete_resource(Cli& cli, const ResourceOptions& options) {
  TRY_ASSIGN(const auto uri, kbs::ResourceUri::parse(options.path));
  TRY(as_administrator(cli, options.broker, [&](net::HttpClient& http, const net::Url& url, const std::string& token) {
    return kbs::delete_resource(http, url, token, uri, cli.stop);
  }));
  cli.print("deleted " + uri.text(), {{"resource", uri.text()}});
  return {};
}

Status set_policy(Cli& cli, const ResourceOptions& options) {
  TRY_ASSIGN(const std::string text, read_text_file(options.file, kMaxPolicyBytes));
  TRY(as_administrator(cli, options.broker, [&](net::HttpClient& http, const net::Url& url, const std::string& token) {
    return kbs::set_policy(http, url, token, text, cli.stop);
  }));
  cli.print("set the resource policy", {{"policy", options.file}});
  return {};
}

// As a worker would: with evidence, under the broker's policy. Administrators cannot read what they stored.
Status get_resource(Cli& cli, const GetOptions& options) {
  if (!options.keys.key_file.empty()) return fail(Code::config_invalid, "--key is not for this command");
  TRY_ASSIGN(const auto uri, kbs::ResourceUri::parse(options.path));
  TRY_ASSIGN(const auto keys, KeyAccess::open(cli, options.keys));
  TRY_ASSIGN(const auto content, keys.client->get_resource(uri, nullptr, cli.stop));
  TRY(write_file_atomically(options.out, content.view(), kPrivateMode));
  cli.print(fmt::format("wrote {} ({} bytes) to {}", uri.text(), content.size(), options.out),
            {{"resource", uri.text()}, {"bytes", content.size()}, {"file", options.out}});
  return {};
}

void add_get(Cli& cli, CLI::App& kbs) {
  auto options = std::make_shared<GetOptions>();  // shared: CLI11 keeps callbacks by copy
  CLI::App* command = kbs.add_subcommand("get", "Prove the TEE and fetch a resource, as a worker does");
  command->add_option("path", options->path, "repository/type/tag")->required();
  command->add_option("--out", options->out, "File for the content, readable only by you")->required();
  options->keys.add_to(*command);
  command->callback([&cli, options] { cli.action = [&cli, options] { return get_resource(cli, *options); }; });
}

void add_serve(Cli& cli, CLI::App& kbs) {
  auto options = std::make_shared<ServeOptions>();  // shared: CLI11 keeps callbacks by copy
  CLI::App* command = kbs.add_subcommand("serve", "Serve a key broker for development and tests");
  command->add_option("--listen", options->listen, "ADDRESS:PORT; port 0 lets the system choose")
      ->capture_default_str();
  command->add_option("--state", options->folder, "Folder for resources, policy and the administrator's key")
      ->required();
  command->add_flag("--allow-sample", options->allow_sample, "Accept the sample TEE, which proves nothing");
  command->add_option("--policy", options->policy_file,
                      "Resource policy: {\"rules\": [{\"tee\": [...], \"path\": ...}]}");
  command->add_option("--admin-public-key", options->admin_public_key_file,
                      "Ed25519 public key, PEM; default: STATE/admin.key is made");
  command->add_option("--tls-cert", options->tls_certificate_file, "Serve HTTPS with this certificate, PEM");
  command->add_option("--tls-key", options->tls_key_file, "and this private key, PEM");
  command->callback([&cli, options] { cli.action = [&cli, options] { return serve(cli, *options); }; });
}

void add_resource_command(Cli& cli, CLI::App& kbs, const std::string& name, const std::string& description,
                          Status (*action)(Cli&, const ResourceOptions&)) {
  auto options = std::make_shared<ResourceOptions>();  // shared: CLI11 keeps callbacks by copy
  CLI::App* command = kbs.add_subcommand(name, description);
  if (name == "put-resource") command->alias("put");
  if (name == "set-policy") command->alias("policy");
  if (name != "set-policy") command->add_option("path", options->path, "repository/type/tag")->required();
  if (name != "delete-resource") command->add_option("file", options->file, "File with the content")->required();
  options->broker.add_to(*command);
  command->callback(
      [&cli, options, action] { cli.action = [&cli, options, action] { return action(cli, *options); }; });
}

}  // namespace

void add_kbs_commands(Cli& cli) {
  CLI::App* kbs = cli.app.add_subcommand("kbs", "Serve a development key broker, administer any");
  kbs->require_subcommand(1);
  add_serve(cli, *kbs);
  add_get(cli, *kbs);
  add_resource_command(cli, *kbs, "put-resource", "Store a resource", put_resource);
  add_resource_command(cli, *kbs, "delete-resource", "Remove a resource", delete_resource);
  add_resource_command(cli, *kbs, "set-policy", "Replace the resource policy", set_policy);
}

}  // namespace proplet::cli
