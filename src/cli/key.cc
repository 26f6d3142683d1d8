// propctl key: makes the keys that images are encrypted with and administrators sign with.
#include "crypto/key.h"

#include <filesystem>
#include <map>
#include <memory>

#include "base/encoding.h"
#include "base/fd.h"
#include "cli/cli.h"
#include "cli/key_files.h"
#include "crypto/cipher.h"

namespace proplet::cli {
namespace {

constexpr unsigned kPrivateMode = 0600;
constexpr unsigned kPublicMode = 0644;

struct GenerateOptions {
  std::string type = "kek";
  std::string out;
  std::string public_out;
};

Status generate_key_encryption_key(Cli& cli, const GenerateOptions& options) {
  if (!options.public_out.empty()) {
    return fail(Code::config_invalid, "--public-out does not go with a key encryption key, which is symmetric");
  }
  SecretBytes key(crypto::kAes256KeySize);
  cli.random.fill(key.mutable_view());
  TRY(write_file_atomically(options.out, key.view(), kPrivateMode));
  cli.print("wrote a 256-bit key encryption key to " + options.out, {{"type", "kek"}, {"file", options.out}});
  return {};
}

Status generate_key_pair(Cli& cli, const GenerateOptions& options, crypto::KeyKind kind) {
  TRY_ASSIGN(const auto key, crypto::PrivateKey::generate(kind));
  TRY(write_file_atomically(options.out, key.to_pem().view(), kPrivateMode));
  const std::string public_out = options.public_out.empty() ? options.out + ".pub" : options.public_out;
  TRY(write_file_atomically(public_out, bytes_of(key.public_key().to_pem()), kPublicMode));
  cli.print(fmt::format("wrote the private {0} key to {1} and the public key to {2}", crypto::key_kind_name(kind),
                        options.out, public_out),
            {{"type", options.type}, {"file", options.out}, {"public_file", public_out}});
  return {};
}

Status generate(Cli& cli, const GenerateOptions& options) {
  static const std::map<std::string, crypto::KeyKind> kinds = {{"rsa", crypto::KeyKind::rsa},
                                                               {"p256", crypto::KeyKind::p256},
                                                               {"p384", crypto::KeyKind::p384},
                                                               {"p521", crypto::KeyKind::p521},
                                                               {"ed25519", crypto::KeyKind::ed25519}};
  // With a key goes whatever only this key opens.
  std::error_code unknown;
  if (std::filesystem::exists(options.out, unknown)) {
    return fail(Code::io_failed, "{} exists, and a new key does not replace a file; remove it or choose another name",
                options.out);
  }
  if (options.type == "kek") return generate_key_encryption_key(cli, options);
  return generate_key_pair(cli, options, kinds.at(options.type));
}

}  // namespace

void add_key_commands(Cli& cli) {
  CLI::App* key = cli.app.add_subcommand("key", "Make, convert and show keys");
  key->require_subcommand(1);

  auto options = std::make_shared<GenerateOptions>();  // shared: CLI11 keeps callbacks by copy
  CLI::App* command = key->add_subcommand("generate", "Make a key encryption key, or a key pair");
  command->add_option("--type", options->type, "kek (32 random bytes), or a key pair for recipients or administrators")
      ->check(CLI::IsMember({"kek", "rsa", "p256", "p384", "p521", "ed25519"}))
      ->capture_default_str();
  command->add_option("--out", options->out, "File for the key, readable only by you")->required();
  command->add_option("--public-out", options->public_out, "File for the public key; default: --out with .pub");
  command->callback([&cli, options] { cli.action = [&cli, options] { return generate(cli, *options); }; });
  add_key_file_commands(cli, *key);
}

}  // namespace proplet::cli
