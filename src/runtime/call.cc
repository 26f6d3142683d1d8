#include "runtime/call.h"

#include <array>
#include <charconv>
#include <cmath>
#include <concepts>
#include <cstdlib>
#include <optional>

namespace proplet::runtime {
namespace {

constexpr std::array<std::string_view, 3> kDefaultFunctions{"main", "run", "_start"};
constexpr std::size_t kListedExports = 20;
constexpr std::size_t kMaxNameInMessage = 80;

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

// from_chars reports both overflow and underflow as out of range; the usual reading, and that of strtod, is
// infinity and zero.
template <class Real>
Real out_of_range_value(std::string_view text) {
  const std::string terminated(text);
  if constexpr (std::is_same_v<Real, float>) {
    return std::strtof(terminated.c_str(), nullptr);
  } else {
    return std::strtod(terminated.c_str(), nullptr);
  }
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

// "123" and exponent 1 (1.23e1) become "12.3"; zeros fill the places that the digits do not reach.
std::string positional(const std::string& digits, int exponent) {
  const int point = exponent + 1;  // digits before the point
  if (point <= 0) return "0." + std::string(static_cast<std::size_t>(-point), '0') + digits;
  const auto before = static_cast<std::size_t>(point);
  if (digits.size() <= before) return digits + std::string(before - digits.size(), '0');
  return digits.substr(0, before) + "." + digits.substr(before);
}

// to_chars gives the shortest digits only with an exponent; without one it writes out the exact value.
template <std::floating_point Real>
std::string format_number(Real number) {
  if (std::isnan(number)) return "NaN";
  if (std::isinf(number)) return number < 0 ? "-inf" : "inf";
  std::array<char, 64> buffer;
  const auto end =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), std::fabs(number), std::chars_format::scientific);
  const std::string_view text(buffer.data(), end.ptr);
  const std::size_t e = text.find('e');
  std::string digits(text.substr(0, 1));
  if (e > 2) digits += text.substr(2, e - 2);
  int exponent = 0;
  const std::string_view exponent_text = without_plus(text.substr(e + 1));
  std::from_chars(exponent_text.data(), exponent_text.data() + exponent_text.size(), exponent);
  return (std::signbit(number) ? "-" : "") + positional(digits, exponent);
}

template <std::integral Integer>
std::string format_number(Integer number) {
  return std::to_string(number);
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
