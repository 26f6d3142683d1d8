#include "module/image_opener.h"

#include <future>

#include "module/archive.h"
#include "module/image_keys.h"

namespace proplet::module {
namespace {

// What remains of a tar archive's size for names and padding beside the module itself.
constexpr std::size_t kArchiveOverhead = std::size_t{16} << 20;

bool is_empty_object(const oci::Descriptor& config) {
  static const oci::Digest digest = oci::Digest::of(bytes_of("{}"));
  return config.digest == digest;
}

Result<SecretBytes> unpack(SecretBytes layer, Packing packing, std::size_t limit) {
  if (packing != Packing::tar_gzip) return layer;
  return gunzip(layer.view(), limit);
}

}  // namespace

struct ImageOpener::Content {
  ImageConfig config;
  std::vector<SecretBytes> layers;  // of the plan, as stored; after decryption as packed
};

Result<Module> ImageOpener::open(oci::ImageSource& source, Encryption encryption,
                                 const std::optional<kbs::ResourceUri>& wanted, StageObserver* observer,
                                 std::stop_token stop) const {
  StageTimer resolving(Stage::resolve, observer);
  TRY_ASSIGN(const oci::Image image, oci::resolve_image(source, stop));
  resolving.stop();
  TRY_ASSIGN(const ImagePlan plan, plan_image(image.manifest, encryption, image.name));
  if (!plan.encrypted) return open_plain(source, image, plan, observer, stop);
  return open_encrypted(source, image, plan, wanted, observer, stop);
}

Result<ImageOpener::Content> ImageOpener::pull(oci::ImageSource& source, const oci::Image& image, const ImagePlan& plan,
                                               StageObserver* observer, const std::stop_token& stop) const {
  const StageTimer pulling(Stage::pull, observer);
  Content content;
  if (!is_empty_object(image.manifest.config)) {
    TRY_ASSIGN(const SecretBytes text, source.fetch_blob(image.manifest.config, oci::kMaxManifestBytes, stop));
    TRY_ASSIGN(content.config, parse_image_config(text_of(text.view()), image.manifest.config.media_type,
                                                  image.manifest.layers.size()));
  }
  for (const auto& layer : plan.layers) {
    TRY_ASSIGN(SecretBytes blob,
               source.fetch_blob(image.manifest.layers[layer.index], options_.max_module_bytes, stop));
    content.layers.push_back(std::move(blob));
  }
  return content;
}

Result<Module> ImageOpener::open_plain(oci::ImageSource& source, const oci::Image& image, const ImagePlan& plan,
                                       StageObserver* observer, const std::stop_token& stop) const {
  TRY_ASSIGN(Content content, pull(source, image, plan, observer, stop));
  TRY_ASSIGN(SecretBytes bytes, assemble(image, plan, std::move(content)));
  std::string digest = oci::Digest::of(bytes.view()).text();
  return Module{.bytes = std::move(bytes),
                .digest = std::move(digest),
                .source = image.name + " (" + image.digest.text() + ")",
                .confidential = false};
}

Result<Module> ImageOpener::open_encrypted(oci::ImageSource& source, const oci::Image& image, const ImagePlan& plan,
                                           const std::optional<kbs::ResourceUri>& wanted, StageObserver* observer,
                                           const std::stop_token& stop) const {
  if (!broker_) return fail(Error(broker_.error()));
  const KeyRules rules{.wanted = wanted, .default_key = options_.default_key, .broker_host = options_.broker_host};
  for (const auto& layer : plan.layers) TRY(check_key_ids(image.manifest.layers[layer.index].annotations, rules));

  // The ciphertext travels while the key broker is asked. Whoever fails first ends the other.
  std::stop_source both;
  const std::stop_callback forward(stop, [&both] { both.request_stop(); });
  auto pulled = std::async(std::launch::async, [&] {
    auto content = pull(source, image, plan, observer, both.get_token());
    if (!content) both.request_stop();
    return content;
  });
  std::vector<ocicrypt::LayerKeys> keys;
  std::optional<Error> no_key;
  for (const auto& layer : plan.layers) {
    auto released = release_layer_keys(image.manifest.layers[layer.index].annotations, rules, **broker_, observer,
                                       both.get_token());
    if (!released) {
      no_key = std::move(released).error();
      both.request_stop();
      break;
    }
    keys.push_back(*std::move(released));
  }
  auto content = pulled.get();
  // The one that was cancelled by the other's failure is not the cause.
  if (!content && content.error().code() != Code::cancelled) return fail(std::move(content).error());
  if (no_key) return fail(*std::move(no_key));
  if (!content) return fail(std::move(content).error());

  StageTimer decrypting(Stage::decrypt, observer);
  for (std::size_t i = 0; i < plan.layers.size(); ++i) {
    TRY_ASSIGN(content->layers[i], ocicrypt::decrypt_in_place(std::move(content->layers[i]), keys[i].public_options,
                                                              keys[i].private_options));
  }
  TRY_ASSIGN(SecretBytes bytes, assemble(image, plan, *std::move(content)));
  decrypting.stop();
  return Module{.bytes = std::move(bytes),
                .digest = image.digest.text(),
                .source = image.name + " (" + image.digest.text() + ")",
                .confidential = true};
}

Result<SecretBytes> ImageOpener::assemble(const oci::Image& image, const ImagePlan& plan, Content content) const {
  std::vector<SecretBytes> unpacked;
  for (std::size_t i = 0; i < plan.layers.size(); ++i) {
    const LayerPlan& layer = plan.layers[i];
    TRY_ASSIGN(SecretBytes plaintext,
               unpack(std::move(content.layers[i]), layer.packing, options_.max_module_bytes + kArchiveOverhead));
    TRY(content.config.verify_layer(layer.index, image.manifest.layers[layer.index].digest, plaintext.view()));
    unpacked.push_back(std::move(plaintext));
  }
  if (plan.layers.front().packing == Packing::bare_module) return std::move(unpacked.front());
  return find_module_in_layers(unpacked, content.config.entry_point);
}

}  // namespace proplet::module
