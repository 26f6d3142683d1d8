// What to do with the layers of an image, decided from its manifest alone, before a byte of a layer is fetched.
//
// The rules fail closed. A task that demands encryption gets an image in which every layer is encrypted, or an error:
// NOT_ENCRYPTED when none is, PARTLY_ENCRYPTED when some are. The suffix "+encrypted" and the encryption annotations
// come together, once, or not at all (ANNOTATION_INVALID). Media types that are not known are MEDIA_TYPE_UNSUPPORTED.
// The module is the one layer of a bare WebAssembly type, or a file in a stack of tar layers.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "oci/manifest.h"

namespace proplet::module {

enum class Encryption : std::uint8_t {
  required,   // the task says so
  forbidden,  // the task says nothing: encrypted images need `encrypted: true`
  either,     // whoever asks decides by what it is
};

enum class Packing : std::uint8_t { bare_module, tar, tar_gzip, tar_zstd };

struct LayerPlan {
  std::size_t index = 0;  // in manifest.layers, and in the config's list of digests
  Packing packing = Packing::bare_module;
};

struct ImagePlan {
  bool encrypted = false;
  std::vector<LayerPlan> layers;  // one bare module, or all tar layers from the lowest up
};

// `name` is the image's, for error texts.
Result<ImagePlan> plan_image(const oci::Manifest& manifest, Encryption encryption, std::string_view name);

// The type a layer has once decrypted: without one trailing "+encrypted".
std::string_view plain_media_type(std::string_view media_type);

}  // namespace proplet::module
