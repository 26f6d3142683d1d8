#include "base/json.h"

#include <algorithm>
#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/value_stack.hpp>
#include <vector>

namespace proplet::json {
namespace {

// A Boost.JSON event handler like the library's own, which in addition refuses repeated member names.
class UniqueMemberHandler {
 public:
  static constexpr std::size_t max_object_size = 65536;
  static constexpr std::size_t max_array_size = 1048576;
  static constexpr std::size_t max_key_size = 4096;
  static constexpr std::size_t max_string_size = std::size_t{128} << 20;

  using error_code = boost::json::error_code;
  using string_view = boost::json::string_view;

  UniqueMemberHandler() { stack_.reset(); }

  value release() { return stack_.release(); }
  [[nodiscard]] const std::string& repeated_name() const { return repeated_name_; }

  bool on_document_begin(error_code&) { return true; }
  bool on_document_end(error_code&) { return true; }
  bool on_object_begin(error_code&) {
    names_.emplace_back();
    return true;
  }
  bool on_object_end(std::size_t count, error_code& error) {
    auto& names = names_.back();
    std::ranges::sort(names);
    const auto repeated = std::ranges::adjacent_find(names);
    if (repeated != names.end()) {
      repeated_name_ = *repeated;
      error = boost::json::make_error_code(boost::json::error::syntax);
      return false;
    }
    names_.pop_back();
    stack_.push_object(count);
    return true;
  }
  bool on_array_begin(error_code&) { return true; }
  bool on_array_end(std::size_t count, error_code&) {
    stack_.push_array(count);
    return true;
  }
  bool on_key_part(string_view part, std::size_t, error_code&) {
    key_.append(part.data(), part.size());
    stack_.push_chars(part);
    return true;
  }
  bool on_key(string_view part, std::size_t, error_code&) {
    key_.append(part.data(), part.size());
    names_.back().push_back(std::move(key_));
    key_.clear();
    stack_.push_key(part);
    return true;
  }
  bool on_string_part(string_view part, std::size_t, error_code&) {
    stack_.push_chars(part);
    return true;
  }
  bool on_string(string_view part, std::size_t, error_code&) {
    stack_.push_string(part);
    return true;
  }
  bool on_number_part(string_view, error_code&) { return true; }
  bool on_int64(std::int64_t number, string_view, error_code&) {
    stack_.push_int64(number);
    return true;
  }
  bool on_uint64(std::uint64_t number, string_view, error_code&) {
    stack_.push_uint64(number);
    return true;
  }
  bool on_double(double number, string_view, error_code&) {
    stack_.push_double(number);
    return true;
  }
  bool on_bool(bool flag, error_code&) {
    stack_.push_bool(flag);
    return true;
  }
  bool on_null(error_code&) {
    stack_.push_null();
    return true;
  }
  bool on_comment_part(string_view, error_code&) { return true; }
  bool on_comment(string_view, error_code&) { return true; }

 private:
  boost::json::value_stack stack_;
  std::vector<std::vector<std::string>> names_;  // one list per open object
  std::string key_;
  std::string repeated_name_;
};

const value* find(const object& object, std::string_view name) {
  return object.if_contains({name.data(), name.size()});
}

const value* find_present(const object& object, std::string_view name) {
  const value* member = find(object, name);
  return member != nullptr && member->is_null() ? nullptr : member;
}

tl::unexpected<Error> missing(std::string_view path, std::string_view name) {
  return fail(Code::format_invalid, "member '{}{}' is missing", path, name);
}

tl::unexpected<Error> wrong_type(std::string_view path, std::string_view name, std::string_view wanted) {
  return fail(Code::format_invalid, "member '{}{}' is not {}", path, name, wanted);
}

std::u16string utf16_of(std::string_view text) {
  std::u16string units;
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<std::uint8_t>(text[i]);
    const std::size_t length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    std::uint32_t point = length == 1 ? lead : lead & (0xffU >> (length + 1));
    for (std::size_t k = 1; k < length && i + k < text.size(); ++k) {
      point = point << 6 | (static_cast<std::uint8_t>(text[i + k]) & 0x3fU);
    }
    if (point >= 0x10000) {
      units += static_cast<char16_t>(0xd800 + ((point - 0x10000) >> 10));
      units += static_cast<char16_t>(0xdc00 + ((point - 0x10000) & 0x3ff));
    } else {
      units += static_cast<char16_t>(point);
    }
    i += length;
  }
  return units;
}

void append_string(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\b':
        out += "\\b";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\f':
        out += "\\f";
        break;
      case '\r':
        out += "\\r";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
        } else {
          out += c;
        }
    }
  }
  out += '"';
}

void append_canonical(std::string& out, const value& value);

void append_object(std::string& out, const object& object) {
  std::vector<std::pair<std::u16string, const boost::json::key_value_pair*>> members;
  for (const auto& member : object) members.emplace_back(utf16_of({member.key().data(), member.key().size()}), &member);
  std::ranges::sort(members, {}, [](const auto& member) -> const std::u16string& { return member.first; });
  out += '{';
  for (const auto& [order, member] : members) {
    if (out.back() != '{') out += ',';
    append_string(out, {member->key().data(), member->key().size()});
    out += ':';
    append_canonical(out, member->value());
  }
  out += '}';
}

void append_array(std::string& out, const array& array) {
  out += '[';
  for (const auto& element : array) {
    if (&element != array.begin()) out += ',';
    append_canonical(out, element);
  }
  out += ']';
}

void append_canonical(std::string& out, const value& value) {
  if (const auto* object = value.if_object()) {
    append_object(out, *object);
  } else if (const auto* array = value.if_array()) {
    append_array(out, *array);
  } else if (const auto* string = value.if_string()) {
    append_string(out, {string->data(), string->size()});
  } else {
    out += serialize(value);
  }
}

}  // namespace

Result<value> parse(std::string_view text, Limits limits) {
  if (text.size() > limits.bytes)
    return fail(Code::size_limit, "JSON text of {} bytes exceeds {}", text.size(), limits.bytes);
  boost::json::parse_options options;
  options.max_depth = limits.depth;
  boost::json::basic_parser<UniqueMemberHandler> parser(options);
  boost::json::error_code error;
  const std::size_t consumed = parser.write_some(false, text.data(), text.size(), error);
  if (!parser.handler().repeated_name().empty()) {
    return fail(Code::format_invalid, "JSON: member '{}' occurs twice in one object", parser.handler().repeated_name());
  }
  if (error) return fail(Code::format_invalid, "JSON: {} near offset {}", error.message(), consumed);
  if (consumed != text.size()) return fail(Code::format_invalid, "JSON: extra data at offset {}", consumed);
  return parser.handler().release();
}

Result<object> parse_object(std::string_view text, Limits limits) {
  TRY_ASSIGN(value parsed, parse(text, limits));
  if (!parsed.is_object()) return fail(Code::format_invalid, "JSON: the text is not an object");
  return std::move(parsed.as_object());
}

Result<std::string> required_string(const object& object, std::string_view name, std::string_view path) {
  const value* member = find(object, name);
  if (member == nullptr) return missing(path, name);
  if (!member->is_string()) return wrong_type(path, name, "a string");
  return std::string(member->as_string());
}

Result<std::int64_t> required_integer(const object& object, std::string_view name, std::string_view path) {
  const value* member = find(object, name);
  if (member == nullptr) return missing(path, name);
  if (!member->is_int64()) return wrong_type(path, name, "an integer");
  return member->as_int64();
}

Result<const object*> required_object(const object& object, std::string_view name, std::string_view path) {
  const value* member = find(object, name);
  if (member == nullptr) return missing(path, name);
  if (!member->is_object()) return wrong_type(path, name, "an object");
  return &member->as_object();
}

Result<const array*> required_array(const object& object, std::string_view name, std::string_view path) {
  const value* member = find(object, name);
  if (member == nullptr) return missing(path, name);
  if (!member->is_array()) return wrong_type(path, name, "an array");
  return &member->as_array();
}

Result<std::optional<std::string>> optional_string(const object& object, std::string_view name, std::string_view path) {
  const value* member = find_present(object, name);
  if (member == nullptr) return std::optional<std::string>();
  if (!member->is_string()) return wrong_type(path, name, "a string");
  return std::optional<std::string>(std::string(member->as_string()));
}

Result<const object*> optional_object(const object& object, std::string_view name, std::string_view path) {
  const value* member = find_present(object, name);
  if (member != nullptr && !member->is_object()) return wrong_type(path, name, "an object");
  return member == nullptr ? nullptr : &member->as_object();
}

Result<const array*> optional_array(const object& object, std::string_view name, std::string_view path) {
  const value* member = find_present(object, name);
  if (member != nullptr && !member->is_array()) return wrong_type(path, name, "an array");
  return member == nullptr ? nullptr : &member->as_array();
}

Result<bool> optional_bool(const object& object, std::string_view name, bool otherwise, std::string_view path) {
  const value* member = find_present(object, name);
  if (member == nullptr) return otherwise;
  if (!member->is_bool()) return wrong_type(path, name, "true or false");
  return member->as_bool();
}

std::string canonical(const value& value) {
  std::string out;
  append_canonical(out, value);
  return out;
}

}  // namespace proplet::json
