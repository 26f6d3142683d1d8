#include "base/json_check.h"

#include <boost/json/basic_parser_impl.hpp>
#include <cstdint>

namespace proplet::json {
namespace {

// Looks and keeps nothing.
class CheckingHandler {
 public:
  static constexpr std::size_t max_object_size = SIZE_MAX;
  static constexpr std::size_t max_array_size = SIZE_MAX;
  static constexpr std::size_t max_key_size = SIZE_MAX;
  static constexpr std::size_t max_string_size = SIZE_MAX;

  using error_code = boost::json::error_code;
  using string_view = boost::json::string_view;

  bool on_document_begin(error_code&) { return true; }
  bool on_document_end(error_code&) { return true; }
  bool on_object_begin(error_code&) { return true; }
  bool on_object_end(std::size_t, error_code&) { return true; }
  bool on_array_begin(error_code&) { return true; }
  bool on_array_end(std::size_t, error_code&) { return true; }
  bool on_key_part(string_view, std::size_t, error_code&) { return true; }
  bool on_key(string_view, std::size_t, error_code&) { return true; }
  bool on_string_part(string_view, std::size_t, error_code&) { return true; }
  bool on_string(string_view, std::size_t, error_code&) { return true; }
  bool on_number_part(string_view, error_code&) { return true; }
  bool on_int64(std::int64_t, string_view, error_code&) { return true; }
  bool on_uint64(std::uint64_t, string_view, error_code&) { return true; }
  bool on_double(double, string_view, error_code&) { return true; }
  bool on_bool(bool, error_code&) { return true; }
  bool on_null(error_code&) { return true; }
  bool on_comment_part(string_view, error_code&) { return true; }
  bool on_comment(string_view, error_code&) { return true; }
};

}  // namespace

Status check(std::string_view text, Limits limits) {
  if (text.size() > limits.bytes) {
    return fail(Code::size_limit, "JSON text of {} bytes exceeds {}", text.size(), limits.bytes);
  }
  boost::json::parse_options options;
  options.max_depth = limits.depth;
  boost::json::basic_parser<CheckingHandler> parser(options);
  boost::json::error_code error;
  const std::size_t consumed = parser.write_some(false, text.data(), text.size(), error);
  if (error) return fail(Code::format_invalid, "JSON: {} near offset {}", error.message(), consumed);
  if (consumed != text.size()) return fail(Code::format_invalid, "JSON: extra data at offset {}", consumed);
  return {};
}

}  // namespace proplet::json
