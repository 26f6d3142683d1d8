// Image manifests and indexes (OCI image specification 1.1, and Docker's schema 2 of the same shape).
//
// Parsing is strict, because two readers that disagree about a document are an attack (CVE-2021-41190): at most 4 MiB,
// schemaVersion 2, `mediaType` and Content-Type must agree, and a document with members of both kinds is refused. The
// caller has verified the digest of the bytes before parsing them. All types here are values.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "oci/descriptor.h"

namespace proplet::oci {

inline constexpr std::size_t kMaxManifestBytes = std::size_t{4} << 20;
inline constexpr std::size_t kMaxLayers = 128;
inline constexpr std::size_t kMaxIndexEntries = 1024;

inline constexpr std::string_view kOciManifestType = "application/vnd.oci.image.manifest.v1+json";
inline constexpr std::string_view kOciIndexType = "application/vnd.oci.image.index.v1+json";
inline constexpr std::string_view kDockerManifestType = "application/vnd.docker.distribution.manifest.v2+json";
inline constexpr std::string_view kDockerIndexType = "application/vnd.docker.distribution.manifest.list.v2+json";

struct Manifest {
  std::string media_type;  // effective: the document's own, else the Content-Type, else OCI's
  std::string artifact_type;
  Descriptor config;
  std::vector<Descriptor> layers;
  std::optional<Descriptor> subject;
  Annotations annotations;
  bool operator==(const Manifest&) const = default;
};

struct Index {
  std::string media_type;
  std::vector<Descriptor> manifests;
  Annotations annotations;
  bool operator==(const Index&) const = default;
};

using Document = std::variant<Manifest, Index>;

// `content_type` is the Content-Type of the response or the media type of the descriptor that led here; empty when
// unknown. MANIFEST_INVALID, SIZE_LIMIT, or MEDIA_TYPE_UNSUPPORTED (schema 1 and strangers).
Result<Document> parse_document(std::string_view text, std::string_view content_type);
// As above, and MANIFEST_INVALID when the document is of the other kind.
Result<Manifest> parse_manifest(std::string_view text, std::string_view content_type);
Result<Index> parse_index(std::string_view text, std::string_view content_type);

// Compact JSON with members in the order of the specification. Byte-stable: the same value gives the same bytes.
std::string serialize(const Manifest& manifest);
std::string serialize(const Index& index);

}  // namespace proplet::oci
