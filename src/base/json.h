// Bounded, strict JSON for bytes from strangers, on top of Boost.JSON.
//
// `parse` enforces RFC 8259, UTF-8, a nesting limit and unique member names: two members of one name are an error,
// because two readers could disagree on which counts (oci-image attacks of that kind exist). The accessors return
// errors that name the member, so that callers need not. `canonical` is RFC 8785 for the values that occur here
// (objects, arrays, strings, booleans, null and integers).
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace proplet::json {

using boost::json::array;
using boost::json::object;
using boost::json::serialize;
using boost::json::value;

struct Limits {
  std::size_t bytes = std::size_t{4} << 20;
  std::size_t depth = 32;
};

// FORMAT_INVALID with the offset of the fault; SIZE_LIMIT when the text is longer than the limit.
Result<value> parse(std::string_view text, Limits limits = {});
Result<object> parse_object(std::string_view text, Limits limits = {});

// A member that must be there, of the given type. `path` prefixes the member's name in the error: "layers[0].".
Result<std::string> required_string(const object& object, std::string_view name, std::string_view path = "");
Result<std::int64_t> required_integer(const object& object, std::string_view name, std::string_view path = "");
Result<const object*> required_object(const object& object, std::string_view name, std::string_view path = "");
Result<const array*> required_array(const object& object, std::string_view name, std::string_view path = "");
// A member that may be missing or null; wrong types are errors.
Result<std::optional<std::string>> optional_string(const object& object, std::string_view name,
                                                   std::string_view path = "");
Result<const object*> optional_object(const object& object, std::string_view name, std::string_view path = "");
Result<const array*> optional_array(const object& object, std::string_view name, std::string_view path = "");
Result<bool> optional_bool(const object& object, std::string_view name, bool otherwise, std::string_view path = "");

// JSON canonicalisation scheme (RFC 8785): members sorted by UTF-16 code units, no white space, minimal escapes.
std::string canonical(const value& value);

}  // namespace proplet::json
