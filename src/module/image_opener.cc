#include "module/image_opener.h"

#include <system_error>
#include <thread>

#include "module/archive.h"
#include "module/decompress.h"
#include "module/image_keys.h"
#include "module/parallel.h"

namespace proplet::module {
namespace {

// What remains of a tar archive's size for names and padding beside the module itself.
constexpr std::size_t kArchiveOverhead = std::size_t{16} << 20;

bool is_empty_object(const oci::Descriptor& config) {
  static const oci::Digest digest = oci::Digest::of(bytes_of("{}"));
  return config.digest == digest;
}

Result<SecretBytes> unpack(SecretBytes layer, Packing packing, std::size_t limit, const std::stop_token& stop) {
  if (packing == Packing::tar_gzip) return gunzip(layer.view(), limit, stop);
  if (packing == Packing::tar_zstd) return unzstd(layer.view(), limit, stop);
  if (layer.size() > limit) return fail(Code::size_limit, "the image's layers hold more than its module may");
  return layer;
}

// The sizes in a manifest are claims, but claims that pulling enforces: what passes here bounds the memory it takes.
Status check_sizes(const oci::Image& image, const ImagePlan& plan, std::size_t limit) {
  std::size_t left = limit;
  for (const auto& layer : plan.layers) {
    const std::uint64_t size = image.manifest.layers[layer.index].size;
    if (size > left) {
      return fail(Code::size_limit, "the layers of {} have more than {} bytes", image.name, limit);
    }
    left -= static_cast<std::size_t>(size);
  }
  return {};
}

// Core modules and components begin alike (WebAssembly core specification, "Modules", binary format).
Status check_is_wasm(ByteView bytes, const std::string& name) {
  constexpr std::string_view kMagic("\0asm", 4);
  if (text_of(bytes).starts_with(kMagic)) return {};
  return fail(Code::module_invalid, "what {} holds is not a WebAssembly module", name);
}

template <class T>
Result<T> at(Stage stage, Result<T> result) {
  if (result) return result;
  return fail(std::move(result).error().at(stage));
}

std::string source_text(const oci::Image& image) { return image.name + " (" + image.digest.text() + ")"; }

}  // namespace

struct ImageOpener::Content {
  ImageConfig config;
  std::vector<SecretBytes> layers;  // of the plan, as stored; after decryption as packed
};

struct ImageOpener::Layers {
  Content content;
  std::vector<ocicrypt::LayerKeys> keys;  // one for each layer
};

Result<Module> ImageOpener::open(oci::ImageSource& source, Encryption encryption,
                                 const std::optional<kbs::ResourceUri>& wanted, StageObserver* observer,
                                 std::stop_token stop) const {
  StageTimer resolving(Stage::resolve, observer);
  TRY_ASSIGN(const oci::Image image, at(Stage::resolve, oci::resolve_image(source, stop)));
  resolving.stop();
  TRY_ASSIGN(const ImagePlan plan, at(Stage::resolve, plan_image(image.manifest, encryption, image.name)));
  TRY(at(Stage::resolve, check_sizes(image, plan, options_.max_module_bytes)));
  if (!plan.encrypted) return open_plain(source, image, plan, observer, stop);
  return open_encrypted(source, image, plan, wanted, observer, stop);
}

Result<ImageOpener::Content> ImageOpener::pull(oci::ImageSource& source, const oci::Image& image, const ImagePlan& plan,
                                               StageObserver* observer, const std::stop_token& stop) const {
  const StageTimer pulling(Stage::pull, observer);
  Content content;
  content.layers.resize(plan.layers.size());
  const auto pull_layer = [&](std::size_t i, const std::stop_token& token) -> Status {
    const auto& descriptor = image.manifest.layers[plan.layers[i].index];
    TRY_ASSIGN(content.layers[i], source.fetch_blob(descriptor, options_.max_module_bytes, token));
    return {};
  };
  const auto pull_config = [&](const std::stop_token& token) -> Status {
    TRY_ASSIGN(const SecretBytes text, source.fetch_blob(image.manifest.config, oci::kMaxManifestBytes, token));
    TRY_ASSIGN(content.config, parse_image_config(text_of(text.view()), image.manifest.config.media_type,
                                                  image.manifest.layers.size()));
    return {};
  };
  const std::size_t configs = is_empty_object(image.manifest.config) ? 0 : 1;
  TRY(in_parallel(configs + plan.layers.size(), options_.parallel_pulls, stop,
                  [&](std::size_t i, const std::stop_token& token) -> Status {
                    return i < configs ? pull_config(token) : pull_layer(i - configs, token);
                  }));
  return content;
}

Result<Module> ImageOpener::open_plain(oci::ImageSource& source, const oci::Image& image, const ImagePlan& plan,
                                       StageObserver* observer, const std::stop_token& stop) const {
  TRY_ASSIGN(Content content, at(Stage::pull, pull(source, image, plan, observer, stop)));
  TRY_ASSIGN(SecretBytes bytes, at(Stage::pull, assemble(image, plan, std::move(content), stop)));
  std::string digest = oci::Digest::of(bytes.view()).text();
  return Module{
      .bytes = std::move(bytes), .digest = std::move(digest), .source = source_text(image), .confidential = false};
}

Result<ImageOpener::Layers> ImageOpener::pull_and_unwrap(oci::ImageSource& source, const oci::Image& image,
                                                         const ImagePlan& plan, const KeyRules& rules,
                                                         StageObserver* observer, const std::stop_token& stop) const {
  std::stop_source both;
  const std::stop_callback forward(stop, [&both] { both.request_stop(); });
  Result<Content> content = fail(Code::internal, "nothing was pulled");
  Result<std::vector<ocicrypt::LayerKeys>> keys = fail(Code::internal, "no key was asked for");
  try {
    const std::jthread pulling([&] {
      content = at(Stage::pull, pull(source, image, plan, observer, both.get_token()));
      if (!content) both.request_stop();
    });
    keys = at(Stage::key, unwrap_keys(image, plan, rules, observer, both.get_token()));
    if (!keys) both.request_stop();
  } catch (const std::system_error& error) {
    return fail(Code::internal, "cannot start a thread: {}", error.code().message());
  }
  // The one that was cancelled because the other failed is not the cause.
  if (!content && content.error().code() != Code::cancelled) return fail(std::move(content).error());
  if (!keys) return fail(std::move(keys).error());
  if (!content) return fail(std::move(content).error());
  return Layers{*std::move(content), *std::move(keys)};
}

Result<std::vector<ocicrypt::LayerKeys>> ImageOpener::unwrap_keys(const oci::Image& image, const ImagePlan& plan,
                                                                  const KeyRules& rules, StageObserver* observer,
                                                                  const std::stop_token& stop) const {
  KeyRing ring(rules, **broker_, observer, stop);
  std::vector<ocicrypt::LayerKeys> keys;
  for (const auto& layer : plan.layers) {
    TRY_ASSIGN(auto unwrapped, ring.unwrap(image.manifest.layers[layer.index].annotations));
    keys.push_back(std::move(unwrapped));
  }
  return keys;
}

Result<Module> ImageOpener::open_encrypted(oci::ImageSource& source, const oci::Image& image, const ImagePlan& plan,
                                           const std::optional<kbs::ResourceUri>& wanted, StageObserver* observer,
                                           const std::stop_token& stop) const {
  if (!broker_) return fail(Error(broker_.error()));
  const KeyRules rules{.wanted = wanted, .default_key = options_.default_key, .broker_host = options_.broker_host};
  for (const auto& layer : plan.layers) {
    TRY(at(Stage::resolve, check_key_ids(image.manifest.layers[layer.index].annotations, rules)));
  }
  TRY_ASSIGN(Layers layers, pull_and_unwrap(source, image, plan, rules, observer, stop));
  TRY_ASSIGN(SecretBytes bytes, at(Stage::decrypt, decrypt(image, plan, std::move(layers), observer, stop)));
  return Module{
      .bytes = std::move(bytes), .digest = image.digest.text(), .source = source_text(image), .confidential = true};
}

Result<SecretBytes> ImageOpener::decrypt(const oci::Image& image, const ImagePlan& plan, Layers layers,
                                         StageObserver* observer, const std::stop_token& stop) const {
  const StageTimer decrypting(Stage::decrypt, observer);
  for (std::size_t i = 0; i < plan.layers.size(); ++i) {
    if (stop.stop_requested()) return fail(Code::cancelled, "decrypting was stopped");
    auto& blob = layers.content.layers[i];
    const auto& keys = layers.keys[i];
    TRY_ASSIGN(blob, ocicrypt::decrypt_in_place(std::move(blob), keys.public_options, keys.private_options));
  }
  return assemble(image, plan, std::move(layers.content), stop);
}

Result<SecretBytes> ImageOpener::assemble(const oci::Image& image, const ImagePlan& plan, Content content,
                                          const std::stop_token& stop) const {
  const bool bare = plan.layers.front().packing == Packing::bare_module;
  std::size_t left = options_.max_module_bytes + (bare ? 0 : kArchiveOverhead);
  std::vector<SecretBytes> unpacked;
  for (std::size_t i = 0; i < plan.layers.size(); ++i) {
    if (stop.stop_requested()) return fail(Code::cancelled, "unpacking was stopped");
    const LayerPlan& layer = plan.layers[i];
    TRY_ASSIGN(SecretBytes plaintext, unpack(std::move(content.layers[i]), layer.packing, left, stop));
    TRY(content.config.verify_layer(layer.index, image.manifest.layers[layer.index].digest, plaintext.view()));
    left -= plaintext.size();
    unpacked.push_back(std::move(plaintext));
  }
  TRY_ASSIGN(SecretBytes module, bare ? Result<SecretBytes>(std::move(unpacked.front()))
                                      : find_module_in_layers(unpacked, content.config.entry_point));
  if (module.size() > options_.max_module_bytes) {
    return fail(Code::size_limit, "the module in {} has {} bytes; the limit is {}", image.name, module.size(),
                options_.max_module_bytes);
  }
  TRY(check_is_wasm(module.view(), image.name));
  return module;
}

}  // namespace proplet::module
