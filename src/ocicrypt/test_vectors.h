// For the tests of this folder: the vectors in tests/vectors/ocicrypt.
#pragma once

#include <string>

#include "base/encoding.h"
#include "base/fd.h"
#include "base/json.h"
#include "ocicrypt/layer.h"

namespace proplet::ocicrypt::testing {

inline std::string vector_path(std::string_view name) { return fmt::format("{}/ocicrypt/{}", PROPLET_VECTORS, name); }

inline Bytes vector_bytes(std::string_view name) { return read_file(vector_path(name), std::size_t{16} << 20).value(); }

inline json::value vector_json(std::string_view name) { return json::parse(text_of(vector_bytes(name))).value(); }

inline std::string text(const json::value& object, std::string_view name) {
  return json::required_string(object.as_object(), name).value();
}

inline Annotations annotations_of(const json::value& holder) {
  Annotations annotations;
  const auto* members = json::optional_object(holder.as_object(), "annotations").value();
  if (members == nullptr) return annotations;
  for (const auto& member : *members) annotations[member.key()] = member.value().as_string().c_str();
  return annotations;
}

}  // namespace proplet::ocicrypt::testing
