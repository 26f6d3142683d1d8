// propctl key import and key show: keys as others have them, and what a file holds, without showing the key itself.
#include "cli/key_files.h"

#include <functional>
#include <map>
#include <memory>

#include "base/encoding.h"
#include "base/fd.h"
#include "cli/images.h"
#include "crypto/digest.h"
#include "crypto/key.h"
#include "ocicrypt/key_wrap.h"

namespace proplet::cli {
namespace {

constexpr unsigned kPrivateMode = 0600;
constexpr unsigned kPublicMode = 0644;
constexpr std::size_t kCheckValueBytes = 4;

// What a file may hold. One of the three.
struct AnyKey {
  std::optional<SecretBytes> key_encryption_key{};
  std::optional<crypto::PrivateKey> private_key{};
  std::optional<crypto::PublicKey> public_key{};
};

Result<AnyKey> read_any_key(const std::string& path) {
  TRY_ASSIGN(const SecretBytes content, read_key_file(path));
  AnyKey key;
  auto private_key = crypto::PrivateKey::from_any(content.view());
  auto public_key = crypto::PublicKey::from_any(text_of(content.view()));
  auto kek = ocicrypt::decode_key_encryption_key(content.view());
  if (kek)
    key.key_encryption_key = *std::move(kek);
  else if (private_key)
    key.private_key = *std::move(private_key);
  else if (public_key)
    key.public_key = *std::move(public_key);
  else
    return fail(Code::key_invalid,
                "{} holds no key of a known form: 32 bytes as raw, base64, hex or JWK; or PEM, DER, JWK", path);
  return key;
}

struct ImportOptions {
  std::string input;
  std::string out;
  std::string form = "raw";
};

SecretBytes encoded(const SecretBytes& key, const std::string& form) {
  if (form == "raw") return key.clone();
  std::string text = form == "hex" ? hex_encode(key.view()) : base64_encode(key.view());
  if (form == "jwk") text = fmt::format(R"({{"kty":"oct","k":"{}"}})", base64url_encode(key.view()));
  auto bytes = SecretBytes::copy_of(bytes_of(text));
  wipe(text);
  return bytes;
}

Status import_key(Cli& cli, const ImportOptions& options) {
  TRY_ASSIGN(const AnyKey key, read_any_key(options.input));
  std::string what;
  if (key.key_encryption_key) {
    TRY(write_file_atomically(options.out, encoded(*key.key_encryption_key, options.form).view(), kPrivateMode));
    what = "key encryption key as " + options.form;
  } else if (options.form != "raw") {
    return fail(Code::config_invalid, "--form is for key encryption keys; key pairs are written as PEM");
  } else if (key.private_key) {
    TRY(write_file_atomically(options.out, key.private_key->to_pem().view(), kPrivateMode));
    what = fmt::format("private {} key as PEM", crypto::key_kind_name(key.private_key->kind()));
  } else {
    TRY(write_file_atomically(options.out, bytes_of(key.public_key->to_pem()), kPublicMode));
    what = fmt::format("public {} key as PEM", crypto::key_kind_name(key.public_key->kind()));
  }
  cli.print(fmt::format("wrote the {} to {}", what, options.out), {{"file", options.out}, {"key", what}});
  return {};
}

// Tells keys apart without telling anything about them.
std::string check_value(const SecretBytes& key) {
  const auto digest = crypto::hmac_sha256(key.view(), bytes_of("proplet key check value"));
  return hex_encode(ByteView(digest).first(kCheckValueBytes));
}

Status show_public(Cli& cli, const std::string& path, const crypto::PublicKey& key, std::string_view half) {
  const std::string kind(crypto::key_kind_name(key.kind()));
  cli.print(fmt::format("{}: {} {} key\n  thumbprint {}\n{}", path, half, kind, key.thumbprint(), key.to_pem()),
            {{"file", path},
             {"type", fmt::format("{} {}", half, kind)},
             {"thumbprint", key.thumbprint()},
             {"public_jwk", key.to_jwk()}});
  return {};
}

Status show(Cli& cli, const std::string& path) {
  TRY_ASSIGN(const AnyKey key, read_any_key(path));
  if (key.private_key) return show_public(cli, path, key.private_key->public_key(), "private");
  if (key.public_key) return show_public(cli, path, *key.public_key, "public");
  const auto value = check_value(*key.key_encryption_key);
  cli.print(fmt::format("{}: key encryption key of 256 bits\n  check value {}", path, value),
            {{"file", path}, {"type", "kek"}, {"check_value", value}});
  return {};
}

}  // namespace

void add_key_file_commands(Cli& cli, CLI::App& key) {
  auto options = std::make_shared<ImportOptions>();  // shared: CLI11 keeps callbacks by copy
  CLI::App* command = key.add_subcommand("import", "Read a key in any form and write it in one");
  command->add_option("input", options->input, "File with a key encryption key, a private or a public key")->required();
  command->add_option("--out", options->out, "File for the key")->required();
  command->add_option("--form", options->form, "Of a key encryption key; Trustee wants raw")
      ->check(CLI::IsMember({"raw", "base64", "hex", "jwk"}))
      ->capture_default_str();
  command->callback([&cli, options] { cli.action = [&cli, options] { return import_key(cli, *options); }; });

  auto path = std::make_shared<std::string>();
  command = key.add_subcommand("show", "Say what a key file holds, without showing the secret");
  command->add_option("file", *path, "Key file")->required();
  command->callback([&cli, path] { cli.action = [&cli, path] { return show(cli, *path); }; });
}

}  // namespace proplet::cli
