// Manifests and indexes: bounded, never both at once, and stable under printing and parsing.
#include "fuzz.h"
#include "oci/manifest.h"
#include "oci/platform.h"

namespace oci = proplet::oci;
using proplet::fuzz::check;

namespace {

void check_manifest(const oci::Manifest& manifest) {
  check(manifest.layers.size() <= oci::kMaxLayers, "layers are bounded");
  const auto again = oci::parse_manifest(oci::serialize(manifest), manifest.media_type);
  check(again && *again == manifest, "a manifest survives");
  static_cast<void>(oci::is_wasm_image(manifest));
}

void check_index(const oci::Index& index) {
  check(index.manifests.size() <= oci::kMaxIndexEntries, "entries are bounded");
  const auto again = oci::parse_index(oci::serialize(index), index.media_type);
  check(again && *again == index, "an index survives");
  const auto candidates = oci::wasm_candidates(index);
  if (candidates) check(!candidates->entries.empty(), "a choice has candidates");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = proplet::fuzz::text_input(data, size);
  const auto document = oci::parse_document(text, "");
  if (!document) return 0;
  if (const auto* manifest = std::get_if<oci::Manifest>(&*document)) {
    check_manifest(*manifest);
    check(!oci::parse_index(text, ""), "a manifest is not an index");
  } else {
    check_index(std::get<oci::Index>(*document));
    check(!oci::parse_manifest(text, ""), "an index is not a manifest");
  }
  return 0;
}
