// Where images come from and go to: one interface for registries and for layouts on disk.
//
// An ImageSource is bound to one image (a Reference in a registry, or a name in a layout). `resolve` looks up what the
// name means right now; everything after that is by digest. Whatever an ImageSource returns has been verified against
// the digest and size that were asked for. An ImageTarget is the way back. Both are thread-safe, block, and end within
// 100 ms of a stop request (CANCELLED). Errors: REGISTRY_UNREACHABLE, REGISTRY_UNAUTHORIZED, REGISTRY_FAILED,
// TRANSFER_INCOMPLETE, REDIRECT_REFUSED, IMAGE_NOT_FOUND, DIGEST_MISMATCH, SIZE_MISMATCH, SIZE_LIMIT, MANIFEST_INVALID,
// INSECURE_TRANSPORT, IO_FAILED.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret_bytes.h"
#include "oci/descriptor.h"
#include "oci/manifest.h"
#include "oci/reference.h"

namespace proplet::oci {

// A manifest or index as it is stored. `digest` is that of `bytes`, computed here.
struct RawManifest {
  Digest digest;
  std::string media_type;
  std::string bytes;
};

class ImageSource {
 public:
  virtual ~ImageSource() = default;
  // For people: "localhost:5000/add:1".
  [[nodiscard]] virtual std::string name() const = 0;
  // The manifest or index the name points at.
  virtual Result<RawManifest> resolve(std::stop_token stop) = 0;
  virtual Result<RawManifest> fetch_manifest(const Descriptor& descriptor, std::stop_token stop) = 0;
  // The blob, in one buffer of exactly descriptor.size bytes. SIZE_LIMIT, before anything is allocated or asked for,
  // when the descriptor says more than `limit`.
  virtual Result<SecretBytes> fetch_blob(const Descriptor& descriptor, std::size_t limit, std::stop_token stop) = 0;
};

class ImageTarget {
 public:
  virtual ~ImageTarget() = default;
  [[nodiscard]] virtual std::string name() const = 0;
  // Stores `bytes` under their sha256 digest; does nothing when the target has them already.
  virtual Result<Descriptor> push_blob(std::string media_type, ByteView bytes, std::stop_token stop) = 0;
  // Stores a manifest or index under its digest, without giving it a name. Everything it names must be there.
  virtual Result<Descriptor> push_manifest(std::string media_type, std::string_view bytes, std::stop_token stop) = 0;
  // The same, and lets the name of this target point at it.
  virtual Result<Descriptor> push_tagged(std::string media_type, std::string_view bytes, std::stop_token stop) = 0;
};

// Opens the source of a reference: a registry's, or in tests a layout's.
using OpenImage = std::function<std::unique_ptr<ImageSource>(const Reference&)>;

// A name resolved down to one image manifest.
struct Image {
  std::string name;  // of the source
  Digest digest;     // of the manifest, by which the image is known from here on
  Manifest manifest;
  std::string raw;  // the manifest's bytes
};

// Resolves the source's name. An index is resolved to its WebAssembly instance (platform.h); an index inside an index
// is refused.
Result<Image> resolve_image(ImageSource& source, std::stop_token stop);

}  // namespace proplet::oci
