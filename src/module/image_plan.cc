#include "module/image_plan.h"

#include <algorithm>
#include <array>
#include <optional>

#include "ocicrypt/layer.h"

namespace proplet::module {
namespace {

using ocicrypt::kEncryptedSuffix;

constexpr std::array<std::pair<std::string_view, Packing>, 12> kLayerTypes = {{
    {"application/wasm", Packing::bare_module},
    {"application/vnd.wasm.content.layer.v1+wasm", Packing::bare_module},
    {"application/vnd.module.wasm.content.layer.v1+wasm", Packing::bare_module},
    {"application/vnd.bytecodealliance.wasm.component.layer.v0+wasm", Packing::bare_module},
    {"application/vnd.oci.image.layer.v1.tar", Packing::tar},
    {"application/vnd.oci.image.layer.v1.tar+gzip", Packing::tar_gzip},
    {"application/vnd.oci.image.layer.v1.tar+zstd", Packing::tar_zstd},
    {"application/vnd.oci.image.layer.nondistributable.v1.tar", Packing::tar},
    {"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", Packing::tar_gzip},
    {"application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", Packing::tar_zstd},
    {"application/vnd.docker.image.rootfs.diff.tar", Packing::tar},
    {"application/vnd.docker.image.rootfs.diff.tar.gzip", Packing::tar_gzip},
}};

// Travels beside the module in the "oci" variant of Envoy and Istio; of no use to us.
constexpr std::string_view kRuntimeConfigType = "application/vnd.module.wasm.config.v1+json";

std::optional<Packing> packing_of(std::string_view plain_type) {
  const auto found = std::ranges::find(kLayerTypes, plain_type, &std::pair<std::string_view, Packing>::first);
  return found == kLayerTypes.end() ? std::nullopt : std::optional(found->second);
}

bool has_encrypted_type(const oci::Descriptor& layer) { return layer.media_type.ends_with(kEncryptedSuffix); }

// The suffix and the annotations agree, for every layer.
Status check_marks(const oci::Manifest& manifest, std::string_view name) {
  for (std::size_t i = 0; i < manifest.layers.size(); ++i) {
    auto marked = ocicrypt::is_encrypted(manifest.layers[i].media_type, manifest.layers[i].annotations);
    if (!marked) return fail(std::move(marked).error().because(fmt::format("layer {} of {}", i, name)));
  }
  return {};
}

Status check_encryption(const oci::Manifest& manifest, Encryption encryption, std::string_view name) {
  const auto plain = std::ranges::find_if_not(manifest.layers, has_encrypted_type);
  const bool none = std::ranges::none_of(manifest.layers, has_encrypted_type);
  const auto index = plain - manifest.layers.begin();
  if (none && encryption == Encryption::required) {
    return fail(Code::not_encrypted, "layer {} of {} has media type {}; this task demands an encrypted image", index,
                name, plain->media_type);
  }
  if (!none && plain != manifest.layers.end()) {
    return fail(Code::partly_encrypted, "layer {} of {} has media type {} while others are encrypted", index, name,
                plain->media_type);
  }
  if (!none && encryption == Encryption::forbidden) {
    return fail(Code::media_type_unsupported, "{} is encrypted; start the task with encrypted: true", name);
  }
  return {};
}

tl::unexpected<Error> unsupported_layer(const oci::Descriptor& layer, std::size_t index, std::string_view name) {
  return fail(Code::media_type_unsupported, "layer {} of {} has media type {}", index, name, layer.media_type);
}

}  // namespace

std::string_view plain_media_type(std::string_view media_type) {
  if (media_type.ends_with(kEncryptedSuffix)) media_type.remove_suffix(kEncryptedSuffix.size());
  return media_type;
}

Result<ImagePlan> plan_image(const oci::Manifest& manifest, Encryption encryption, std::string_view name) {
  if (manifest.layers.empty()) return fail(Code::manifest_invalid, "{} has no layers", name);
  TRY(check_marks(manifest, name));
  TRY(check_encryption(manifest, encryption, name));

  ImagePlan plan{.encrypted = has_encrypted_type(manifest.layers.front()), .layers = {}};
  for (std::size_t i = 0; i < manifest.layers.size(); ++i) {
    const std::string_view type = plain_media_type(manifest.layers[i].media_type);
    if (type == kRuntimeConfigType) continue;
    const auto packing = packing_of(type);
    if (!packing) return unsupported_layer(manifest.layers[i], i, name);
    plan.layers.push_back({i, *packing});
  }
  const auto bare = std::ranges::count(plan.layers, Packing::bare_module, &LayerPlan::packing);
  if (plan.layers.empty() || (bare > 0 && plan.layers.size() > 1)) {
    return fail(Code::media_type_unsupported,
                "{} has {} layers of WebAssembly type and {} in all; exactly one is the module", name, bare,
                manifest.layers.size());
  }
  return plan;
}

}  // namespace proplet::module
