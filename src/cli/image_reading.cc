#include "cli/image_reading.h"

#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "base/fd.h"
#include "cli/images.h"
#include "cli/key_access.h"
#include "module/image_keys.h"
#include "module/image_plan.h"
#include "ocicrypt/key_wrap.h"
#include "ocicrypt/layer.h"

namespace proplet::cli {
namespace {

constexpr std::size_t kMaxBlobBytes = std::size_t{4} << 30;  // of what is copied
constexpr unsigned kPrivateMode = 0600;

struct ReadOptions {
  std::string image;
  std::string to;
  std::string out;
  std::string wanted;
  bool encrypted = false;
  KeyAccessFlags keys;
  RegistryFlags registry;
};

Result<std::optional<kbs::ResourceUri>> wanted_key(const ReadOptions& options) {
  if (options.wanted.empty()) return std::optional<kbs::ResourceUri>();
  TRY_ASSIGN(auto uri, kbs::ResourceUri::parse(options.wanted));
  return std::optional(std::move(uri));
}

// What a worker with these keys would say about a layer, without its blob.
std::string layer_verdict(Cli& cli, const oci::Descriptor& layer, const module::KeyRules& rules,
                          const Result<KeyAccess>& keys) {
  const auto encrypted = ocicrypt::is_encrypted(layer.media_type, layer.annotations);
  if (!encrypted) return "no: " + encrypted.error().text();
  if (!*encrypted) return "not encrypted";
  if (const auto allowed = module::check_key_ids(layer.annotations, rules); !allowed) {
    return "no: " + allowed.error().text();
  }
  if (!keys) return "not tried: give --key or --kbs";
  module::KeyRing ring(rules, *keys->client, nullptr, cli.stop);
  const auto unwrapped = ring.unwrap(layer.annotations);
  return unwrapped ? "yes" : "no: " + unwrapped.error().text();
}

using Row = std::array<std::string, 6>;

// Columns as wide as their widest cell; the last one ends where it ends.
std::string table(const std::vector<Row>& rows) {
  std::array<std::size_t, std::tuple_size_v<Row>> widths{};
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) widths.at(i) = std::max(widths.at(i), row.at(i).size());
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) line += fmt::format("  {:<{}}", row.at(i), widths.at(i));
    line.erase(line.find_last_not_of(' ') + 1);
    text += "\n" + line;
  }
  return text;
}

std::string recipient_name(const ocicrypt::Recipient& recipient) {
  std::string name = recipient.scheme;
  if (!recipient.algorithm.empty()) name += " " + recipient.algorithm;
  return recipient.readable ? name : name + " (not readable here)";
}

void add_rows(std::vector<Row>& rows, std::size_t index, const oci::Descriptor& layer, const std::string& verdict) {
  const auto recipients = ocicrypt::recipients_of(layer.annotations);
  Row row = {std::to_string(index), layer.media_type, std::to_string(layer.size), "-", "-", verdict};
  for (const auto& recipient : recipients) {
    row[3] = recipient_name(recipient);
    row[4] = recipient.key_id.empty() ? "-" : recipient.key_id;
    rows.push_back(row);
    row = {};
  }
  if (recipients.empty()) rows.push_back(std::move(row));
}

json::object describe_layer(const oci::Descriptor& layer, const std::string& verdict) {
  json::array recipients;
  for (const auto& recipient : ocicrypt::recipients_of(layer.annotations)) {
    recipients.push_back(json::object{{"scheme", recipient.scheme},
                                      {"algorithm", recipient.algorithm},
                                      {"key_id", recipient.key_id},
                                      {"readable", recipient.readable}});
  }
  json::object object = {{"media_type", layer.media_type},
                         {"digest", layer.digest.text()},
                         {"size", layer.size},
                         {"recipients", std::move(recipients)},
                         {"opens", verdict}};
  if (const auto key_ids = ocicrypt::provider_key_ids(layer.annotations); key_ids && !key_ids->empty()) {
    object["key_ids"] = json::value(json::array(key_ids->begin(), key_ids->end()));
  }
  if (layer.annotations.contains(std::string(ocicrypt::kJweKeysKey))) object["jwe_recipients"] = true;
  return object;
}

Status inspect(Cli& cli, const ReadOptions& options) {
  TRY_ASSIGN(const auto images, Images::make(cli, options.registry));
  TRY_ASSIGN(const auto source, images->source(options.image));
  TRY_ASSIGN(const oci::Image image, oci::resolve_image(*source, cli.stop));
  const auto keys = KeyAccess::open(cli, options.keys);
  if (!keys && options.keys.given()) return fail(Error(keys.error()));
  module::KeyRules rules{.wanted = {}, .default_key = {}, .broker_host = keys ? keys->broker_host : ""};
  TRY_ASSIGN(rules.wanted, wanted_key(options));
  if (keys) rules.default_key = keys->default_key;

  const auto plan = module::plan_image(image.manifest, module::Encryption::either, image.name);
  const std::string verdict = !plan ? plan.error().text() : plan->encrypted ? "encrypted" : "plain";
  std::vector<Row> rows = {{"LAYER", "MEDIA TYPE", "BYTES", "FOR", "KEY ID", "OPENS HERE"}};
  json::array layers;
  for (std::size_t i = 0; i < image.manifest.layers.size(); ++i) {
    const auto& layer = image.manifest.layers[i];
    const auto opens = layer_verdict(cli, layer, rules, keys);
    add_rows(rows, i, layer, opens);
    layers.emplace_back(describe_layer(layer, opens));
  }
  cli.print(
      fmt::format("{}\n  digest  {}\n  verdict {}{}", image.name, image.digest.text(), verdict, table(rows)),
      {{"image", image.name}, {"digest", image.digest.text()}, {"layers", std::move(layers)}, {"verdict", verdict}});
  return {};
}

Result<module::Module> open_image(Cli& cli, const ReadOptions& options, oci::ImageSource& source,
                                  module::Encryption encryption) {
  TRY_ASSIGN(const auto wanted, wanted_key(options));
  const auto keys = KeyAccess::open(cli, options.keys);
  const auto opener = make_opener(keys);
  return opener.open(source, encryption, wanted, nullptr, cli.stop);
}

Status verify(Cli& cli, const ReadOptions& options) {
  TRY_ASSIGN(const auto images, Images::make(cli, options.registry));
  TRY_ASSIGN(const auto source, images->source(options.image));
  const auto encryption = options.encrypted ? module::Encryption::required : module::Encryption::either;
  TRY_ASSIGN(const auto module, open_image(cli, options, *source, encryption));
  const std::string kind = module.confidential ? "encrypted" : "plain";
  cli.print(fmt::format("{} is intact\n  {}, a module of {} bytes", module.source, kind, module.bytes.size()),
            {{"image", module.source},
             {"encrypted", module.confidential},
             {"digest", module.digest},
             {"module_bytes", module.bytes.size()}});
  return {};
}

// A layer as it was before it was encrypted, in `target`.
Result<oci::Descriptor> push_decrypted(Cli& cli, oci::ImageSource& source, oci::ImageTarget& target,
                                       module::KeyRing& ring, const oci::Descriptor& layer) {
  TRY_ASSIGN(const auto keys, ring.unwrap(layer.annotations));
  TRY_ASSIGN(auto blob, source.fetch_blob(layer, kMaxModuleBytes, cli.stop));
  TRY_ASSIGN(const auto plaintext,
             ocicrypt::decrypt_in_place(std::move(blob), keys.public_options, keys.private_options));
  const std::string type(module::plain_media_type(layer.media_type));
  TRY_ASSIGN(auto pushed, target.push_blob(type, plaintext.view(), cli.stop));
  pushed.annotations = layer.annotations;
  std::erase_if(pushed.annotations,
                [](const auto& entry) { return entry.first.starts_with(ocicrypt::kAnnotationPrefix); });
  return pushed;
}

Result<oci::Descriptor> decrypt_to_image(Cli& cli, const ReadOptions& options, Images& images,
                                         oci::ImageSource& source) {
  TRY_ASSIGN(const oci::Image image, oci::resolve_image(source, cli.stop));
  TRY(module::plan_image(image.manifest, module::Encryption::required, image.name));
  TRY_ASSIGN(const auto keys, KeyAccess::open(cli, options.keys));
  module::KeyRules rules{.wanted = {}, .default_key = keys.default_key, .broker_host = keys.broker_host};
  TRY_ASSIGN(rules.wanted, wanted_key(options));
  module::KeyRing ring(rules, *keys.client, nullptr, cli.stop);
  TRY_ASSIGN(const auto target, images.target(options.to));

  oci::Manifest plain = image.manifest;
  TRY_ASSIGN(const auto config, source.fetch_blob(plain.config, oci::kMaxManifestBytes, cli.stop));
  TRY(target->push_blob(plain.config.media_type, config.view(), cli.stop));
  for (auto& layer : plain.layers) {
    TRY_ASSIGN(layer, push_decrypted(cli, source, *target, ring, layer));
  }
  return target->push_tagged(plain.media_type, oci::serialize(plain), cli.stop);
}

Status decrypt(Cli& cli, const ReadOptions& options) {
  if (options.out.empty() == options.to.empty()) {
    return fail(Code::config_invalid, "give either --out FILE for the module, or --to for the whole image");
  }
  TRY_ASSIGN(const auto images, Images::make(cli, options.registry));
  TRY_ASSIGN(const auto source, images->source(options.image));
  // Everything a worker checks is checked here too, before anything is written.
  TRY_ASSIGN(const auto module, open_image(cli, options, *source, module::Encryption::required));
  json::object result = {{"image", module.source}, {"module_bytes", module.bytes.size()}};
  std::string text = fmt::format("decrypted {}", module.source);
  if (!options.out.empty()) {
    TRY(write_file_atomically(options.out, module.bytes.view(), kPrivateMode));
    result["file"] = options.out;
    text += " to " + options.out;
  } else {
    TRY_ASSIGN(const auto pushed, decrypt_to_image(cli, options, *images, *source));
    result["to"] = options.to;
    result["digest"] = pushed.digest.text();
    text += fmt::format(" to {}\n  digest {}\n  not encrypted", options.to, pushed.digest.text());
  }
  cli.print(text, result);
  return {};
}

Status same_digest(const oci::Descriptor& wanted, const oci::Descriptor& pushed) {
  if (wanted.digest == pushed.digest) return {};
  return fail(Code::unsupported, "{} is not addressed by sha256 and cannot be copied", wanted.digest.text());
}

Status copy_manifest(Cli& cli, oci::ImageSource& source, oci::ImageTarget& target, const oci::Manifest& manifest) {
  std::vector<oci::Descriptor> blobs = manifest.layers;
  blobs.push_back(manifest.config);
  for (const auto& blob : blobs) {
    TRY_ASSIGN(const auto bytes, source.fetch_blob(blob, kMaxBlobBytes, cli.stop));
    TRY_ASSIGN(const auto pushed, target.push_blob(blob.media_type, bytes.view(), cli.stop));
    TRY(same_digest(blob, pushed));
  }
  return {};
}

// Every instance of an index, or the one image; bytes unchanged, and therefore digests, signatures and encryption.
Status copy_document(Cli& cli, oci::ImageSource& source, oci::ImageTarget& target, const oci::RawManifest& raw) {
  TRY_ASSIGN(const auto document, oci::parse_document(raw.bytes, raw.media_type));
  if (const auto* manifest = std::get_if<oci::Manifest>(&document))
    return copy_manifest(cli, source, target, *manifest);
  for (const auto& entry : std::get<oci::Index>(document).manifests) {
    TRY_ASSIGN(const auto instance, source.fetch_manifest(entry, cli.stop));
    TRY_ASSIGN(const auto manifest, oci::parse_manifest(instance.bytes, instance.media_type));
    TRY(copy_manifest(cli, source, target, manifest));
    TRY_ASSIGN(const auto pushed, target.push_manifest(manifest.media_type, instance.bytes, cli.stop));
    TRY(same_digest(entry, pushed));
  }
  return {};
}

std::string media_type_of(const oci::Document& document) {
  return std::visit([](const auto& each) { return each.media_type; }, document);
}

Status copy(Cli& cli, const ReadOptions& options) {
  TRY_ASSIGN(const auto images, Images::make(cli, options.registry));
  TRY_ASSIGN(const auto source, images->source(options.image));
  TRY_ASSIGN(const auto target, images->target(options.to));
  TRY_ASSIGN(const auto raw, source->resolve(cli.stop));
  TRY(copy_document(cli, *source, *target, raw));
  TRY_ASSIGN(const auto document, oci::parse_document(raw.bytes, raw.media_type));
  TRY_ASSIGN(const auto pushed, target->push_tagged(media_type_of(document), raw.bytes, cli.stop));
  cli.print(fmt::format("copied {} to {}\n  digest {}", source->name(), options.to, pushed.digest.text()),
            {{"image", source->name()}, {"to", options.to}, {"digest", pushed.digest.text()}});
  return {};
}

using Action = Status (*)(Cli&, const ReadOptions&);

CLI::App* add(Cli& cli, CLI::App& image, const std::string& name, const std::string& description, Action action,
              const std::shared_ptr<ReadOptions>& options) {
  CLI::App* command = image.add_subcommand(name, description);
  command->add_option("image", options->image, "Registry reference, or oci:FOLDER[:TAG]")->required();
  options->registry.add_to(*command);
  command->callback(
      [&cli, options, action] { cli.action = [&cli, options, action] { return action(cli, *options); }; });
  return command;
}

void add_key_options(CLI::App& command, ReadOptions& options) {
  options.keys.add_to(command);
  command.add_option("--kbs-resource-path", options.wanted, "Key the image must be encrypted with");
}

}  // namespace

void add_image_reading_commands(Cli& cli, CLI::App& image) {
  const auto fresh = [] { return std::make_shared<ReadOptions>(); };  // shared: CLI11 keeps callbacks by copy

  auto options = fresh();
  CLI::App* command = add(cli, image, "inspect",
                          "Show which layers are encrypted, for whom, and whether they open here", inspect, options);
  add_key_options(*command, *options);

  options = fresh();
  command = add(cli, image, "verify", "Check everything that a worker would, and keep nothing", verify, options);
  command->add_flag("--encrypted", options->encrypted, "Refuse an image that is not encrypted");
  add_key_options(*command, *options);

  options = fresh();
  command = add(cli, image, "decrypt", "Write the module, or the image, as it was before encryption", decrypt, options);
  command->add_option("--out", options->out, "File for the module, readable only by you");
  command->add_option("--to", options->to, "Where the decrypted image goes: reference, or oci:FOLDER[:TAG]");
  add_key_options(*command, *options);

  options = fresh();
  command = add(cli, image, "copy", "Copy an image or an index, byte by byte", copy, options);
  command->add_option("to", options->to, "Registry reference, or oci:FOLDER[:TAG]")->required();
}

}  // namespace proplet::cli
