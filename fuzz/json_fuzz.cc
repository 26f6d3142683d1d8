// JSON: what parses prints and parses again to the same value, within the limits, and its canonical form is stable.
#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/value.hpp>

#include "base/json.h"
#include "fuzz.h"

namespace json = proplet::json;
using proplet::fuzz::check;

namespace {

std::size_t depth_of(const json::value& value) {
  std::size_t deepest = 0;
  if (const auto* object = value.if_object()) {
    for (const auto& member : *object) deepest = std::max(deepest, depth_of(member.value()));
  } else if (const auto* array = value.if_array()) {
    for (const auto& element : *array) deepest = std::max(deepest, depth_of(element));
  } else {
    return 0;
  }
  return deepest + 1;
}

// The canonical form is defined for integers only.
bool has_real(const json::value& value) {
  if (const auto* object = value.if_object()) {
    return std::ranges::any_of(*object, [](const auto& member) { return has_real(member.value()); });
  }
  if (const auto* array = value.if_array()) return std::ranges::any_of(*array, has_real);
  return value.is_double();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr json::Limits kLimits{.bytes = 65536, .depth = 16};
  const auto value = json::parse(proplet::fuzz::text_input(data, size), kLimits);
  if (!value) return 0;
  check(size <= kLimits.bytes, "the size limit holds");
  check(depth_of(*value) <= kLimits.depth, "the depth limit holds");
  if (has_real(*value)) return 0;

  const auto again = json::parse(json::serialize(*value));
  check(again && *again == *value, "printing and parsing gives the same value");
  const std::string canonical = json::canonical(*value);
  const auto from_canonical = json::parse(canonical);
  check(from_canonical && *from_canonical == *value, "the canonical form means the same");
  check(json::canonical(*from_canonical) == canonical, "the canonical form is stable");
  return 0;
}
