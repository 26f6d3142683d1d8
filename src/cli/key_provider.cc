// propctl keyprovider: the program that skopeo and its relatives start to wrap and unwrap layer keys with ours.
#include "ocicrypt/key_provider.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "base/encoding.h"
#include "base/fd.h"
#include "cli/cli.h"
#include "cli/images.h"
#include "cli/key_access.h"
#include "cli/key_broker.h"
#include "crypto/cipher.h"

namespace proplet::cli {
namespace {

constexpr std::string_view kAlgorithm = "A256GCM";

struct ProviderOptions {
  std::string name = "attestation-agent";
  std::string key_id;
  KeyAccessFlags keys;
  std::string admin_key_file;
  std::string admin_token_file;
};

// All of stdin, in secret memory: it may hold a layer's key, and private keys that were meant for others.
Result<SecretBytes> read_request() {
  SecretBytes request(ocicrypt::kMaxKeyProviderMessage);
  std::size_t filled = 0;
  while (true) {
    const auto rest = request.mutable_view().subspan(filled);
    if (rest.empty()) return fail(Code::size_limit, "the request on stdin has 4 MiB or more");
    const ssize_t count = ::read(STDIN_FILENO, rest.data(), rest.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail(Code::io_failed, "cannot read the request from stdin");
    if (count == 0) break;
    filled += static_cast<std::size_t>(count);
  }
  request.truncate(filled);
  return request;
}

void write_answer(const SecretBytes& answer) {
  std::fwrite(answer.view().data(), 1, answer.size(), stdout);
  std::fflush(stdout);
}

std::string parameter(const ocicrypt::KeyProviderRequest& request, std::string_view name) {
  const auto found = request.parameters.find(name);
  return found == request.parameters.end() ? std::string() : found->second;
}

// Parameters of the client win over flags, which stand in the client's configuration.
struct Choices {
  std::string key_file;
  std::string key_id;
};

Result<Choices> choices(const ProviderOptions& options, const ocicrypt::KeyProviderRequest& request) {
  for (const auto& [name, value] : request.parameters) {
    if (name == "sample") return fail(Code::key_invalid, "the published sample key protects nothing and is not used");
    if (name != "keypath" && name != "keyid" && name != "algorithm") {
      return fail(Code::config_invalid, "the key provider knows the parameters keypath, keyid and algorithm");
    }
  }
  const auto algorithm = parameter(request, "algorithm");
  if (!algorithm.empty() && algorithm != kAlgorithm) {
    return fail(Code::unsupported, "packets are written with {} only", kAlgorithm);
  }
  Choices chosen{.key_file = parameter(request, "keypath"), .key_id = parameter(request, "keyid")};
  if (chosen.key_file.empty()) chosen.key_file = options.keys.key_file;
  if (chosen.key_id.empty()) chosen.key_id = options.key_id;
  return chosen;
}

KeyBrokerFlags broker_of(const ProviderOptions& options) {
  return {.url = options.keys.kbs_url,
          .admin_key_file = options.admin_key_file,
          .admin_token_file = options.admin_token_file,
          .ca_file = options.keys.kbs_ca_file,
          .allow_http = options.keys.kbs_allow_http};
}

Status wrap(Cli& cli, const ProviderOptions& options, const ocicrypt::KeyProviderRequest& request) {
  TRY_ASSIGN(const auto chosen, choices(options, request));
  if (chosen.key_id.empty()) return fail(Code::config_invalid, "no keyid: readers would not know whom to ask");
  TRY_ASSIGN(const auto uri, kbs::ResourceUri::parse(chosen.key_id));
  TRY_ASSIGN(const auto private_options, ocicrypt::parse_private_options(request.options.view(), {}));
  SecretBytes kek(crypto::kAes256KeySize);
  if (!chosen.key_file.empty()) {
    TRY_ASSIGN(const auto resource, read_key_file(chosen.key_file));
    TRY_ASSIGN(kek, ocicrypt::decode_key_encryption_key(resource.view()));
  } else if (options.keys.kbs_url.empty()) {
    return fail(Code::config_invalid,
                "give a key (keypath or --key), or --kbs so that a new key has somewhere to live");
  } else {
    cli.random.fill(kek.mutable_view());
  }
  TRY_ASSIGN(const auto packet, ocicrypt::wrap_with_kek(kek.view(), uri.text(), private_options, cli.random));
  // No packet leaves before its key is where the packet says.
  if (!options.keys.kbs_url.empty()) TRY(upload_key(cli, broker_of(options), uri, kek.view()));
  write_answer(ocicrypt::wrap_answer(ocicrypt::serialize(packet)));
  return {};
}

Status unwrap(Cli& cli, const ProviderOptions& options, const ocicrypt::KeyProviderRequest& request) {
  TRY_ASSIGN(const auto chosen, choices(options, request));
  TRY_ASSIGN(const auto packet, ocicrypt::parse_provider_packet(text_of(request.packet)));
  TRY_ASSIGN(const auto uri, kbs::ResourceUri::parse(packet.key_id));
  KeyAccessFlags flags = options.keys;
  flags.key_file = chosen.key_file;
  TRY_ASSIGN(const auto keys, KeyAccess::open(cli, flags));
  if (!uri.host().empty() && uri.host() != keys.broker_host) {
    return fail(Code::kbs_not_allowed, "the packet names the key broker {}; only the configured one is asked",
                uri.host());
  }
  TRY_ASSIGN(const auto resource, keys.client->get_resource(uri, nullptr, cli.stop));
  TRY_ASSIGN(const auto kek, ocicrypt::decode_key_encryption_key(resource.view()));
  TRY_ASSIGN(const auto private_options, ocicrypt::open_packet(packet, kek.view()));
  // A packet without a tag opens to garbage under a wrong key; that goes no further.
  if (!ocicrypt::parse_private_options(private_options.view(), {})) {
    return fail(Code::unwrap_failed, "the packet does not open with the key {}", uri.path());
  }
  write_answer(ocicrypt::unwrap_answer(private_options.view()));
  return {};
}

Status serve(Cli& cli, const ProviderOptions& options) {
  TRY_ASSIGN(const auto text, read_request());
  TRY_ASSIGN(const auto request, ocicrypt::parse_key_provider_request(text.view(), options.name));
  const bool wraps = request.operation == ocicrypt::KeyProviderRequest::Operation::wrap;
  return wraps ? wrap(cli, options, request) : unwrap(cli, options, request);
}

}  // namespace

void add_key_provider_command(Cli& cli) {
  auto options = std::make_shared<ProviderOptions>();  // shared: CLI11 keeps callbacks by copy
  CLI::App* command = cli.app.add_subcommand(
      "keyprovider", "Key provider of skopeo, buildah and others: one request on stdin, one answer on stdout");
  command->add_option("--name", options->name, "Name of the provider in OCICRYPT_KEYPROVIDER_CONFIG")
      ->capture_default_str();
  command->add_option("--key-id", options->key_id, "Where readers ask for the key; the parameter keyid wins");
  command->add_option("--kbs-admin-key", options->admin_key_file, "Ed25519 private key of an administrator, to upload");
  command->add_option("--kbs-admin-token", options->admin_token_file, "File with an administrator's token, to upload");
  options->keys.add_to(*command);
  command->callback([&cli, options] { cli.action = [&cli, options] { return serve(cli, *options); }; });
}

}  // namespace proplet::cli
