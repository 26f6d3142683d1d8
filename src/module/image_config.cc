#include "module/image_config.h"

#include <algorithm>

#include "base/json.h"

namespace proplet::module {
namespace {

constexpr std::string_view kWasmConfigType = "application/vnd.wasm.config.v0+json";

Result<std::vector<oci::Digest>> digests(const json::object& parent, std::string_view name, std::size_t layers) {
  TRY_ASSIGN(const json::array* const list, json::optional_array(parent, name));
  std::vector<oci::Digest> parsed;
  if (list == nullptr || list->empty()) return parsed;
  if (list->size() != layers) {
    return fail(Code::manifest_invalid, "config lists {} {} for {} layers", list->size(), name, layers);
  }
  for (const auto& entry : *list) {
    if (!entry.is_string()) return fail(Code::manifest_invalid, "config: {} holds something that is no string", name);
    TRY_ASSIGN(oci::Digest digest, oci::Digest::parse(std::string_view(entry.as_string())));
    parsed.push_back(std::move(digest));
  }
  return parsed;
}

Result<std::optional<std::string>> first_word(const json::object& process, std::string_view name) {
  TRY_ASSIGN(const json::array* const words, json::optional_array(process, name));
  if (words == nullptr || words->empty()) return std::optional<std::string>();
  if (!words->front().is_string()) {
    return fail(Code::manifest_invalid, "config: {} holds something that is no string", name);
  }
  return std::optional<std::string>(std::string(words->front().as_string()));
}

Result<ImageConfig> parse(std::string_view text, std::string_view media_type, std::size_t layers) {
  TRY_ASSIGN(const json::object object, json::parse_object(text, {.bytes = oci::kMaxManifestBytes}));
  ImageConfig config;
  if (media_type == kWasmConfigType) {
    TRY_ASSIGN(config.layer_digests, digests(object, "layerDigests", layers));
    return config;
  }
  TRY_ASSIGN(const json::object* const rootfs, json::optional_object(object, "rootfs"));
  if (rootfs != nullptr) {
    TRY_ASSIGN(config.diff_ids, digests(*rootfs, "diff_ids", layers));
  }
  TRY_ASSIGN(const json::object* const process, json::optional_object(object, "config"));
  if (process != nullptr) {
    TRY_ASSIGN(config.entry_point, first_word(*process, "Entrypoint"));
    if (!config.entry_point) {
      TRY_ASSIGN(config.entry_point, first_word(*process, "Cmd"));
    }
  }
  return config;
}

}  // namespace

Status ImageConfig::verify_layer(std::size_t index, const oci::Digest& stored, ByteView plaintext) const {
  if (!diff_ids.empty()) {
    auto verified = oci::verify_digest(plaintext, diff_ids.at(index));
    if (!verified) return fail(std::move(verified).error().because(fmt::format("plaintext of layer {}", index)));
  }
  if (!layer_digests.empty() && layer_digests.at(index) != stored) {
    auto verified = oci::verify_digest(plaintext, layer_digests.at(index));
    if (!verified) return fail(std::move(verified).error().because(fmt::format("plaintext of layer {}", index)));
  }
  return {};
}

Result<ImageConfig> parse_image_config(std::string_view text, std::string_view media_type, std::size_t layers) {
  auto config = parse(text, media_type, layers);
  if (config) return config;
  return fail(Error(Code::manifest_invalid, "image config").caused_by(config.error()));
}

}  // namespace proplet::module
