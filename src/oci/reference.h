// A Reference names an image: registry, repository, and a tag or a digest.
//
// The grammar is that of the OCI distribution specification 1.1 with Docker's short forms: "alpine" means
// docker.io/library/alpine:latest, "index.docker.io" means docker.io, and the first component is a registry only if it
// has a dot or a colon or is "localhost". A digest decides over a tag; the tag is then kept for display only. A
// Reference is a value: copy it freely. A parsed Reference is always valid; there is no other way to make one.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "oci/digest.h"

namespace proplet::oci {

class Reference {
 public:
  // REFERENCE_INVALID says which part is wrong. The scheme prefixes "docker://" and "oci://" are not part of the
  // grammar and are refused.
  static Result<Reference> parse(std::string_view text);

  [[nodiscard]] const std::string& registry() const { return registry_; }      // "docker.io", "localhost:5000"
  [[nodiscard]] const std::string& repository() const { return repository_; }  // "library/alpine"
  // Empty when the reference has only a digest.
  [[nodiscard]] const std::string& tag() const { return tag_; }
  [[nodiscard]] const std::optional<Digest>& digest() const { return digest_; }

  // "host[:port]" that serves the API: registry-1.docker.io for docker.io, else the registry.
  [[nodiscard]] std::string api_host() const;
  // What stands behind /manifests/: the digest if there is one, else the tag.
  [[nodiscard]] const std::string& selector() const { return digest_ ? digest_->text() : tag_; }
  // Canonical text: registry/repository[:tag][@digest].
  [[nodiscard]] std::string text() const;
  // The same image pinned to `digest`.
  [[nodiscard]] Reference with_digest(Digest digest) const;

  bool operator==(const Reference&) const = default;

 private:
  Reference() = default;
  std::string registry_;
  std::string repository_;
  std::string tag_;
  std::optional<Digest> digest_;
};

}  // namespace proplet::oci
