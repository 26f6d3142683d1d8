#include "oci/image.h"

#include "oci/platform.h"

namespace proplet::oci {
namespace {

constexpr std::size_t kMaxCandidates = 8;  // fetches a hostile index can cause

Image make_image(const ImageSource& source, RawManifest raw, Manifest manifest) {
  return {source.name(), std::move(raw.digest), std::move(manifest), std::move(raw.bytes)};
}

Result<Image> fetch_instance(ImageSource& source, const Descriptor& entry, std::stop_token stop) {
  TRY_ASSIGN(auto raw, source.fetch_manifest(entry, stop));
  TRY_ASSIGN(auto manifest, parse_manifest(raw.bytes, raw.media_type));
  return make_image(source, std::move(raw), std::move(manifest));
}

Result<Image> choose_instance(ImageSource& source, const Index& index, std::stop_token stop) {
  TRY_ASSIGN(auto candidates, wasm_candidates(index));
  if (candidates.certain) return fetch_instance(source, candidates.entries.front(), stop);
  if (candidates.entries.size() > kMaxCandidates) {
    return fail(Code::manifest_invalid, "the index has more than {} entries without a platform", kMaxCandidates);
  }
  for (const auto& entry : candidates.entries) {
    TRY_ASSIGN(auto image, fetch_instance(source, entry, stop));
    if (is_wasm_image(image.manifest)) return image;
  }
  return fail(Code::manifest_invalid, "none of the index's entries is a WebAssembly image");
}

Result<Image> resolve_named(ImageSource& source, std::stop_token stop) {
  TRY_ASSIGN(auto raw, source.resolve(stop));
  TRY_ASSIGN(auto document, parse_document(raw.bytes, raw.media_type));
  if (auto* const index = std::get_if<Index>(&document)) return choose_instance(source, *index, stop);
  return make_image(source, std::move(raw), std::get<Manifest>(std::move(document)));
}

}  // namespace

Result<Image> resolve_image(ImageSource& source, std::stop_token stop) {
  auto image = resolve_named(source, stop);
  if (image) return image;
  // The sources name the image in their own errors; those about the document's content do not know it.
  const auto code = image.error().code();
  if (code != Code::manifest_invalid && code != Code::media_type_unsupported) return image;
  return fail(Error(code, source.name() + ": " + image.error().message()));
}

}  // namespace proplet::oci
