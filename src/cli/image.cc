// propctl image: encrypts modules and pushes them. What reads images is in image_reading.cc.
#include <algorithm>
#include <filesystem>
#include <memory>

#include "base/encoding.h"
#include "base/fd.h"
#include "cli/cli.h"
#include "cli/image_reading.h"
#include "cli/images.h"
#include "cli/key_broker.h"
#include "crypto/cipher.h"
#include "module/image_opener.h"
#include "ocicrypt/key_wrap.h"
#include "ocicrypt/layer.h"

namespace proplet::cli {
namespace {

// The shape that Propeller pushes and runs (wasm-to-oci): a bare module and an empty config.
constexpr std::string_view kModuleType = "application/vnd.wasm.content.layer.v1+wasm";
constexpr std::string_view kConfigType = "application/vnd.wasm.config.v1+json";
constexpr std::string_view kConfig = "{}";
constexpr std::string_view kTitleKey = "org.opencontainers.image.title";

struct ImageOptions {
  std::string input;
  std::string to;
  bool push = false;
  std::string key_file;
  std::string key_id;
  std::vector<std::string> recipients;
  KeyBrokerFlags broker;
  RegistryFlags registry;
};

bool is_wasm(ByteView bytes) { return bytes.size() >= 8 && text_of(bytes.first(4)) == std::string_view("\0asm", 4); }

// The module in a file, or in a plain image.
Result<SecretBytes> read_module(Cli& cli, Images& images, const std::string& input) {
  if (!Images::is_layout(input) && std::filesystem::is_regular_file(input)) {
    TRY_ASSIGN(const Bytes bytes, read_file(input, kMaxModuleBytes));
    if (!is_wasm(bytes)) return fail(Code::module_invalid, "{} is not a WebAssembly module", input);
    return SecretBytes::copy_of(bytes);
  }
  if (!Images::is_layout(input) && input.ends_with(".wasm")) return fail(Code::io_failed, "there is no file {}", input);
  TRY_ASSIGN(const auto source, images.source(input));
  const module::ImageOpener opener({.max_module_bytes = kMaxModuleBytes, .broker_host = {}, .default_key = {}},
                                   fail(Code::kbs_not_configured, "the input image must be plain"));
  TRY_ASSIGN(module::Module module,
             opener.open(*source, module::Encryption::forbidden, std::nullopt, nullptr, cli.stop));
  return std::move(module.bytes);
}

Status check_target(const ImageOptions& options) {
  if (options.push && Images::is_layout(options.to)) {
    return fail(Code::config_invalid, "--push goes to a registry, and --to {} is a layout on disk", options.to);
  }
  return {};
}

// Pushes layer, config and manifest; the name points at the image only when everything is there.
Result<oci::Descriptor> push_image(Cli& cli, oci::ImageTarget& target, oci::Descriptor layer, ByteView content) {
  TRY_ASSIGN(const oci::Descriptor pushed, target.push_blob(layer.media_type, content, cli.stop));
  layer.digest = pushed.digest;
  layer.size = pushed.size;
  TRY_ASSIGN(const oci::Descriptor config, target.push_blob(std::string(kConfigType), bytes_of(kConfig), cli.stop));
  const oci::Manifest manifest{.media_type = std::string(oci::kOciManifestType),
                               .artifact_type = {},
                               .config = config,
                               .layers = {std::move(layer)},
                               .subject = {},
                               .annotations = {}};
  return target.push_tagged(manifest.media_type, oci::serialize(manifest), cli.stop);
}

struct Keys {
  SecretBytes kek;
  bool is_new = false;
};

Result<Keys> key_encryption_key(Cli& cli, const ImageOptions& options) {
  if (!options.key_file.empty()) {
    TRY_ASSIGN(const SecretBytes resource, read_key_file(options.key_file));
    TRY_ASSIGN(SecretBytes kek, ocicrypt::decode_key_encryption_key(resource.view()));
    return Keys{std::move(kek), false};
  }
  if (options.broker.url.empty()) {
    return fail(Code::config_invalid, "give --key FILE, or --kbs URL so that a new key has somewhere to live");
  }
  Keys keys{SecretBytes(crypto::kAes256KeySize), true};
  cli.random.fill(keys.kek.mutable_view());
  return keys;
}

Result<std::string> recipient_annotation(const ImageOptions& options, const ocicrypt::PrivateOptions& private_options) {
  std::vector<crypto::PublicKey> recipients;
  for (const std::string& recipient : options.recipients) {
    if (!recipient.starts_with("jwe:")) {
      return fail(Code::config_invalid, "--recipient {}: only jwe:FILE with a public key, PEM or JWK, is supported",
                  recipient);
    }
    TRY_ASSIGN(const std::string pem, read_text_file(recipient.substr(4), 65536));
    auto key = crypto::PublicKey::from_any(pem);
    if (!key) return fail(std::move(key).error().because(recipient));
    recipients.push_back(*std::move(key));
  }
  return ocicrypt::wrap_for_recipients(private_options, recipients);
}

Status check_encrypt_options(const ImageOptions& options) {
  TRY(check_target(options));
  if (options.key_id.empty() && options.recipients.empty()) {
    return fail(Code::config_invalid, "give --key-id kbs:///repository/type/tag, or --recipient jwe:FILE, or both");
  }
  if (options.key_id.empty() && !options.key_file.empty()) {
    return fail(Code::config_invalid, "--key needs --key-id, which tells readers where to ask for it");
  }
  return {};
}

// Reads the image back from where it went, and decrypts it, before success is reported.
Status verify_pushed(Cli& cli, Images& images, const ImageOptions& options, const oci::Descriptor& pushed,
                     SecretBytes kek, ByteView plaintext) {
  TRY_ASSIGN(const auto source, images.source(options.to));
  kbs::GivenKey key(std::move(kek));
  const module::ImageOpener opener({.max_module_bytes = kMaxModuleBytes, .broker_host = {}, .default_key = {}}, &key);
  TRY_ASSIGN(const auto opened, opener.open(*source, module::Encryption::required, std::nullopt, nullptr, cli.stop));
  if (opened.digest != pushed.digest.text() || !opened.bytes.equals(plaintext)) {
    return fail(Code::digest_mismatch, "{} does not hold what was pushed a moment ago", options.to);
  }
  return {};
}

Status encrypt(Cli& cli, const ImageOptions& options) {
  TRY(check_encrypt_options(options));
  TRY_ASSIGN(const auto images, Images::make(cli, options.registry));
  TRY_ASSIGN(const SecretBytes module, read_module(cli, *images, options.input));
  const auto encrypted = ocicrypt::encrypt_layer(module.view(), cli.random);

  oci::Descriptor layer = oci::describe(std::string(kModuleType) + std::string(ocicrypt::kEncryptedSuffix), {});
  layer.annotations[std::string(kTitleKey)] = "module.wasm";
  layer.annotations[std::string(ocicrypt::kPublicOptionsKey)] =
      base64_encode(bytes_of(serialize(encrypted.public_options)));
  if (!options.recipients.empty()) {
    TRY_ASSIGN(layer.annotations[std::string(ocicrypt::kJweKeysKey)],
               recipient_annotation(options, encrypted.private_options));
  }
  std::optional<Keys> keys;
  std::optional<kbs::ResourceUri> uri;
  if (!options.key_id.empty()) {
    TRY_ASSIGN(uri, kbs::ResourceUri::parse(options.key_id));
    TRY_ASSIGN(keys, key_encryption_key(cli, options));
    TRY_ASSIGN(const auto packet,
               ocicrypt::wrap_with_kek(keys->kek.view(), uri->text(), encrypted.private_options, cli.random));
    layer.annotations[std::string(ocicrypt::kAttestationAgentKeysKey)] = base64_encode(bytes_of(serialize(packet)));
    // The key is in the broker before the image is anywhere: a published image can always be opened.
    if (!options.broker.url.empty()) TRY(upload_key(cli, options.broker, *uri, keys->kek.view()));
  }
  TRY_ASSIGN(const auto target, images->target(options.to));
  TRY_ASSIGN(const oci::Descriptor pushed, push_image(cli, *target, std::move(layer), encrypted.ciphertext));
  if (keys) TRY(verify_pushed(cli, *images, options, pushed, std::move(keys->kek), module.view()));

  json::object result = {{"image", options.to}, {"digest", pushed.digest.text()}, {"module_bytes", module.size()}};
  std::string text = fmt::format("encrypted {} ({} bytes) to {}\n  digest {}", options.input, module.size(), options.to,
                                 pushed.digest.text());
  if (uri) {
    result["key_id"] = uri->text();
    text += fmt::format("\n  key    {}{}", uri->text(),
                        options.broker.url.empty() ? "" : ", held by " + options.broker.url);
  }
  cli.print(text, result);
  return {};
}

Status push_plain(Cli& cli, const ImageOptions& options) {
  TRY(check_target(options));
  TRY_ASSIGN(const auto images, Images::make(cli, options.registry));
  TRY_ASSIGN(const SecretBytes module, read_module(cli, *images, options.input));
  oci::Descriptor layer = oci::describe(std::string(kModuleType), {});
  layer.annotations[std::string(kTitleKey)] = "module.wasm";
  TRY_ASSIGN(const auto target, images->target(options.to));
  TRY_ASSIGN(const oci::Descriptor pushed, push_image(cli, *target, std::move(layer), module.view()));
  cli.print(fmt::format("pushed {} ({} bytes) to {}\n  digest {}\n  not encrypted", options.input, module.size(),
                        options.to, pushed.digest.text()),
            {{"image", options.to}, {"digest", pushed.digest.text()}, {"module_bytes", module.size()}});
  return {};
}

void add_encrypt(Cli& cli, CLI::App& image) {
  auto options = std::make_shared<ImageOptions>();  // shared: CLI11 keeps callbacks by copy
  CLI::App* command = image.add_subcommand("encrypt", "Encrypt a module into an image");
  command->add_option("input", options->input, "A .wasm file, or a plain image")->required();
  command->add_option("--to", options->to, "Registry reference, or oci:FOLDER[:TAG]")->required();
  command->add_flag("--push", options->push, "Insist on a registry as --to");
  command->add_option("--key", options->key_file,
                      "Key encryption key: 32 bytes, raw, base64 or hex. Default: a new one");
  command->add_option("--key-id", options->key_id, "Where readers ask for the key: kbs:///repository/type/tag");
  command->add_option("--recipient", options->recipients, "jwe:FILE, the public key of a reader; repeatable");
  options->broker.add_to(*command);
  options->registry.add_to(*command);
  command->callback([&cli, options] { cli.action = [&cli, options] { return encrypt(cli, *options); }; });
}

void add_push(Cli& cli, CLI::App& image) {
  auto options = std::make_shared<ImageOptions>();  // shared: CLI11 keeps callbacks by copy
  CLI::App* command = image.add_subcommand("push", "Push a module as a plain image");
  command->add_option("input", options->input, "A .wasm file, or a plain image")->required();
  command->add_option("--to", options->to, "Registry reference, or oci:FOLDER[:TAG]")->required();
  options->registry.add_to(*command);
  command->callback([&cli, options] { cli.action = [&cli, options] { return push_plain(cli, *options); }; });
}

}  // namespace

void add_image_commands(Cli& cli) {
  CLI::App* image = cli.app.add_subcommand("image", "Encrypt, push, copy, open and inspect images");
  image->require_subcommand(1);
  add_encrypt(cli, *image);
  add_push(cli, *image);
  add_image_reading_commands(cli, *image);
}

}  // namespace proplet::cli
