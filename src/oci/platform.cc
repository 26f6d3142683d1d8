#include "oci/platform.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <ranges>
#include <span>
#include <string>

namespace proplet::oci {
namespace {

constexpr std::array<std::string_view, 3> kWasmSystems{"wasip2", "wasip1", "wasi"};  // best first
constexpr std::array<std::string_view, 3> kWasmConfigTypes{"application/vnd.wasm.config.v0+json",
                                                           "application/vnd.wasm.config.v1+json",
                                                           "application/vnd.module.wasm.config.v1+json"};
constexpr std::array<std::string_view, 4> kWasmLayerTypes{
    "application/wasm", "application/vnd.wasm.content.layer.v1+wasm",
    "application/vnd.module.wasm.content.layer.v1+wasm",
    "application/vnd.bytecodealliance.wasm.component.layer.v0+wasm"};
constexpr std::string_view kEncryptedSuffix = "+encrypted";
constexpr std::string_view kAttestationMark = "vnd.docker.reference.type";  // build attestations of buildx

bool is_one_of(std::span<const std::string_view> list, std::string_view text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

bool is_wasm_layer(const Descriptor& layer) {
  std::string_view type = layer.media_type;
  if (type.ends_with(kEncryptedSuffix)) type.remove_suffix(kEncryptedSuffix.size());
  return is_one_of(kWasmLayerTypes, type);
}

std::string offered_platforms(const Index& index) {
  constexpr std::size_t kMaxNamed = 8;
  std::string list;
  for (const auto& entry : index.manifests | std::views::take(kMaxNamed)) {
    if (!list.empty()) list += ", ";
    list +=
        entry.platform ? entry.platform->os.substr(0, 32) + "/" + entry.platform->architecture.substr(0, 32) : "none";
  }
  return list.empty() ? "nothing" : list;
}

}  // namespace

Result<Candidates> wasm_candidates(const Index& index) {
  std::vector<Descriptor> images;
  std::copy_if(index.manifests.begin(), index.manifests.end(), std::back_inserter(images),
               [](const Descriptor& entry) { return !entry.annotations.contains(std::string(kAttestationMark)); });
  for (const auto system : kWasmSystems) {
    const auto match = std::find_if(images.begin(), images.end(), [&](const Descriptor& entry) {
      return entry.platform && entry.platform->os == system && entry.platform->architecture == "wasm";
    });
    if (match != images.end()) return Candidates{{*match}, true};
  }
  if (images.size() == 1) return Candidates{std::move(images), true};
  std::erase_if(images, [](const Descriptor& entry) { return entry.platform.has_value(); });
  if (!images.empty()) return Candidates{std::move(images), false};
  return fail(Code::manifest_invalid, "the index has no WebAssembly instance; it offers: {}", offered_platforms(index));
}

bool is_wasm_image(const Manifest& manifest) {
  return is_one_of(kWasmConfigTypes, manifest.config.media_type) ||
         std::any_of(manifest.layers.begin(), manifest.layers.end(), is_wasm_layer);
}

}  // namespace proplet::oci
