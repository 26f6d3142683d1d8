// What an image's config says about its layers' plaintext, and about which file to run.
//
// Configs are not encrypted. They are trusted as far as the manifest digest goes, which covers their digest; through
// the digests they list, that trust reaches the decrypted bytes: `diff_ids` of OCI image configs, `layerDigests` of
// CNCF WebAssembly configs. A config without such a list checks nothing, which is normal for bare modules.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "oci/digest.h"
#include "oci/manifest.h"

namespace proplet::module {

struct ImageConfig {
  // Of the uncompressed plaintext of each layer, in order; empty: not stated.
  std::vector<oci::Digest> diff_ids;
  // Of each layer as stored, or of its plaintext; empty: not stated.
  std::vector<oci::Digest> layer_digests;
  std::optional<std::string> entry_point;

  // DIGEST_MISMATCH unless `plaintext` (uncompressed) is what the config says layer `index` holds.
  [[nodiscard]] Status verify_layer(std::size_t index, const oci::Digest& stored, ByteView plaintext) const;
};

// MANIFEST_INVALID for malformed text, or when the lists do not have one entry per layer.
Result<ImageConfig> parse_image_config(std::string_view text, std::string_view media_type, std::size_t layers);

}  // namespace proplet::module
