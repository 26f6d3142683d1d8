// Descriptor: what a manifest says about one blob (OCI image specification 1.1, descriptor.md).
//
// A Descriptor is a value. Parsed ones have a valid digest and a size of 0 or more; whether the size is acceptable is
// for the caller who knows what it is about to read. `urls` (foreign layers) are refused, because following them leaks
// credentials (CVE-2020-15157). Inline `data` is ignored: the blob itself is fetched and verified.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "oci/digest.h"

namespace proplet::oci {

using Annotations = std::map<std::string, std::string>;

struct Platform {
  std::string os;            // "wasip1", "linux"
  std::string architecture;  // "wasm", "amd64"
  std::string variant;       // "v8"; mostly empty
  bool operator==(const Platform&) const = default;
};

struct Descriptor {
  std::string media_type;
  Digest digest;
  std::uint64_t size = 0;
  Annotations annotations{};
  std::optional<Platform> platform{};  // index entries only
  std::string artifact_type{};         // mostly empty
  bool operator==(const Descriptor&) const = default;
};

// The descriptor of `bytes`, with their sha256 digest and size.
Descriptor describe(std::string media_type, ByteView bytes);

// MANIFEST_INVALID names the member; `path` prefixes it: "layers[0].".
Result<Descriptor> parse_descriptor(const json::object& object, std::string_view path);
// Members in the order of the specification; empty ones are left out.
json::object to_json(const Descriptor& descriptor);

Result<Annotations> parse_annotations(const json::object& parent, std::string_view path);
json::object to_json(const Annotations& annotations);

}  // namespace proplet::oci
