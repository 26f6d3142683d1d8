#include "runtime/call.h"

#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

namespace proplet::runtime {
namespace {

constexpr std::array<std::string_view, 3> kDefaultFunctions{"main", "run", "_start"};
constexpr std::size_t kListedExports = 20;
constexpr std::size_t kMaxNameInMessage = 80;
// "-" and the digits of the smallest double: 0, the point, and 324 zeros and digits; the largest has 309 digits.
constexpr std::size_t kLongestNumber = 1100;

std::string shortened(std::string_view text) {
  return std::string(text.substr(0, kMaxNameInMessage)) + (text.size() > kMaxNameInMessage ? "..." : "");
}

std::string list_exports(const wasm::Module& module) {
  std::string list;
  std::size_t listed = 0;
  for (const auto& function : module.functions()) {
    if (listed == kListedExports) break;
    list += (listed++ == 0 ? "" : ", ") + shortened(function.name);
  }
  if (listed < module.functions().size()) list += fmt::format(" and {} more", module.functions().size() - listed);
  return list.empty() ? "none" : list;
}

std::string_view without_plus(std::string_view text) {
  const bool has_sign = text.size() > 1 && text[0] == '+' && text[1] != '-' && text[1] != '+';
  return has_sign ? text.substr(1) : text;
}

template <class Integer>
std::optional<wasm::Value> parse_integer(std::string_view text) {
  text = without_plus(text);
  Integer number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return wasm::Value(number);
}

// from_chars reports both overflow and underflow as out of range; the usual reading is infinity and zero.
template <class Real>
Real out_of_range_value(std::string_view text) {
  const bool negative = text.starts_with('-');
  long double wide = 0;
  std::from_chars(text.data(), text.data() + text.size(), wide);
  const Real magnitude = std::fabs(wide) > 1 ? std::numeric_limits<Real>::infinity() : Real{0};
  return negative ? -magnitude : magnitude;
}

template <class Real>
std::optional<wasm::Value> parse_real(std::string_view text) {
  text = without_plus(text);
  if (text.find('(') != std::string_view::npos) return std::nullopt;  // from_chars knows "nan(...)"
  Real number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (end != text.data() + text.size()) return std::nullopt;
  if (error == std::errc::result_out_of_range) return wasm::Value(out_of_range_value<Real>(text));
  if (error != std::errc()) return std::nullopt;
  return wasm::Value(number);
}

std::optional<wasm::Value> parse_value(wasm::ValueType type, std::string_view text) {
  switch (type) {
    case wasm::ValueType::i32:
      return parse_integer<std::int32_t>(text);
    case wasm::ValueType::i64:
      return parse_integer<std::int64_t>(text);
    case wasm::ValueType::f32:
      return parse_real<float>(text);
    case wasm::ValueType::f64:
      return parse_real<double>(text);
    default:
      return std::nullopt;
  }
}

template <class Number>
std::string format_number(Number number) {
  std::array<char, kLongestNumber> text;
  std::to_chars_result end;
  if constexpr (std::is_floating_point_v<Number>) {
    if (std::isnan(number)) return "NaN";
    end = std::to_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  } else {
    end = std::to_chars(text.data(), text.data() + text.size(), number);
  }
  return {text.data(), end.ptr};
}

}  // namespace

Result<const wasm::FunctionExport*> choose_function(const wasm::Module& module, const RunRequest& request) {
  if (const auto* function = module.find_function(request.function)) return function;
  if (!request.function_required) {
    for (const auto name : kDefaultFunctions) {
      if (const auto* function = module.find_function(name)) return function;
    }
  }
  return fail(Code::export_not_found, "the module exports no function '{}'; it exports: {}",
              shortened(request.function), list_exports(module));
}

Result<std::vector<wasm::Value>> parse_arguments(const wasm::FunctionExport& function,
                                                 const std::vector<std::string>& arguments) {
  const auto& parameters = function.type.parameters;
  if (arguments.size() != parameters.size()) {
    return fail(Code::argument_mismatch, "Argument count mismatch for function '{}': expected {} arguments but got {}",
                shortened(function.name), parameters.size(), arguments.size());
  }
  std::vector<wasm::Value> values;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const auto value = parse_value(parameters[i], arguments[i]);
    if (!value) {
      return fail(Code::argument_mismatch, "argument {} of function '{}' is not of type {}: '{}'", i + 1,
                  shortened(function.name), wasm::value_type_name(parameters[i]), shortened(arguments[i]));
    }
    values.push_back(*value);
  }
  return values;
}

std::string format_value(const wasm::Value& value) {
  return std::visit([](auto number) { return format_number(number); }, value);
}

}  // namespace proplet::runtime
