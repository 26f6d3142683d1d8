// Choice of the instance of an index that this worker runs.
//
// Preference: platform wasip2/wasm, then wasip1/wasm, then wasi/wasm; then entries without a platform that turn out to
// be WebAssembly images; then the only entry, if there is exactly one. Nothing else: an index without a WebAssembly
// instance is an error, never a silent linux/amd64. Entries that hold build attestations do not count.
#pragma once

#include <string_view>
#include <vector>

#include "base/result.h"
#include "oci/manifest.h"

namespace proplet::oci {

// Entries worth fetching, best first. When `certain`, the first one is the answer; otherwise it is the first one whose
// manifest `is_wasm_image`. MANIFEST_INVALID lists what the index offers when nothing fits.
struct Candidates {
  std::vector<Descriptor> entries;
  bool certain = false;
};
Result<Candidates> wasm_candidates(const Index& index);

// The config's media type is one of WebAssembly's, or a layer is a bare module.
bool is_wasm_image(const Manifest& manifest);

}  // namespace proplet::oci
