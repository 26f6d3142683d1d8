#include "runtime/call.h"

#include <gmock/gmock.h>

#include <cstdlib>
#include <limits>

#include "wasm/test_guest.h"

namespace proplet::runtime {
namespace {

using testing::HasSubstr;
using wasm::guest;

TEST(FormatValue, WritesNumbersAsTheProtocolDoes) {
  const std::pair<wasm::Value, const char*> cases[] = {
      {std::int32_t{0}, "0"},
      {std::int32_t{-1}, "-1"},
      {std::numeric_limits<std::int32_t>::min(), "-2147483648"},
      {std::numeric_limits<std::int64_t>::max(), "9223372036854775807"},
      {std::numeric_limits<std::int64_t>::min(), "-9223372036854775808"},
      {1.0, "1"},
      {-0.0, "-0"},
      {0.1, "0.1"},
      {0.1F, "0.1"},
      {1.5F, "1.5"},
      {1e23, "100000000000000000000000"},
      {12.5, "12.5"},
      {100.0, "100"},
      {0.001, "0.001"},
      {1e21, "1000000000000000000000"},
      {1e-7, "0.0000001"},
      {16777216.0F, "16777216"},
      {3.4028235e38F, "340282350000000000000000000000000000000"},
      {123456.789, "123456.789"},
      {std::numeric_limits<double>::quiet_NaN(), "NaN"},
      {std::numeric_limits<double>::infinity(), "inf"},
      {-std::numeric_limits<float>::infinity(), "-inf"},
  };
  for (const auto& [value, text] : cases) EXPECT_EQ(format_value(value), text);
}

TEST(FormatValue, RoundTripsTheExtremes) {
  for (const double extreme : {std::numeric_limits<double>::max(), std::numeric_limits<double>::denorm_min(),
                               -std::numeric_limits<double>::min(), 5e-324, 1.7976931348623157e308}) {
    EXPECT_EQ(std::strtod(format_value(extreme).c_str(), nullptr), extreme);
  }
}

// Runs one function of the guest `numbers`, which returns its argument.
Result<std::string> echoed(const std::string& type, const std::string& text) {
  const auto module = guest("numbers");
  TRY_ASSIGN(const auto values, parse_arguments(*module->find_function(type), {text}));
  wasm::RunSpec spec;
  spec.function = type;
  spec.values = values;
  TRY_ASSIGN(const auto result, wasm::run(wasm::test_engine(), *module, spec, {}));
  return format_value(*result.value);
}

TEST(ParseArguments, AcceptsWhatTheProtocolAccepts) {
  struct Case {
    const char* type;
    const char* text;
    const char* result;
  };
  const Case cases[] = {
      {"i32", "0", "0"},
      {"i32", "-2147483648", "-2147483648"},
      {"i32", "+7", "7"},
      {"i32", "007", "7"},
      {"i64", "9223372036854775807", "9223372036854775807"},
      {"i64", "-9223372036854775808", "-9223372036854775808"},
      {"f32", "0.1", "0.1"},
      {"f32", "1e3", "1000"},
      {"f32", "1e39", "inf"},
      {"f64", "-2.5E-3", "-0.0025"},
      {"f64", "+.5", "0.5"},
      {"f64", "5.", "5"},
      {"f64", "1e400", "inf"},
      {"f64", "1e5000", "inf"},
      {"f32", "-1e-5000", "-0"},
      {"f64", "-1e400", "-inf"},
      {"f64", "1e-400", "0"},
      {"f64", "inf", "inf"},
      {"f64", "-Infinity", "-inf"},
      {"f64", "NaN", "NaN"},
      {"f64", "nan", "NaN"},
  };
  for (const auto& [type, text, result] : cases) {
    const auto value = echoed(type, text);
    ASSERT_TRUE(value) << type << " " << text << ": " << value.error().text();
    EXPECT_EQ(*value, result) << type << " " << text;
  }
}

TEST(ParseArguments, RefusesEverythingElse) {
  const std::pair<const char*, const char*> cases[] = {
      {"i32", ""},
      {"i32", " 1"},
      {"i32", "1 "},
      {"i32", "+-1"},
      {"i32", "--1"},
      {"i32", "1.0"},
      {"i32", "2147483648"},
      {"i32", "0x10"},
      {"i32", "one"},
      {"i32", "+"},
      {"i32", "1e3"},
      {"i64", "1_000"},
      {"f64", ""},
      {"f64", "1,5"},
      {"f64", " 1"},
      {"f64", "0x1p3"},
      {"f64", "nan(1)"},
      {"f64", "1e"},
      {"f64", "."},
      {"f64", "1.5f"},
      {"f32", "++1"},
      {"i64", "9223372036854775808"},
      {"takes_reference", "1"},
  };
  const auto module = guest("numbers");
  for (const auto& [type, text] : cases) {
    const auto values = parse_arguments(*module->find_function(type), {text});
    ASSERT_FALSE(values) << type << " '" << text << "'";
    EXPECT_EQ(values.error().code(), Code::argument_mismatch);
  }
}

TEST(ParseArguments, CountsThem) {
  const auto values = parse_arguments(*guest("numbers")->find_function("mixed"), {"1"});
  ASSERT_FALSE(values);
  EXPECT_EQ(values.error().text(),
            "ARGUMENT_MISMATCH: Argument count mismatch for function 'mixed': expected 4 arguments but got 1");
}

RunRequest request_for(std::string function, bool required = false) {
  RunRequest request;
  request.function = std::move(function);
  request.function_required = required;
  return request;
}

TEST(ChooseFunction, TakesTheNamedOneOrADefault) {
  struct Case {
    const char* module;
    const char* function;
    const char* chosen;
  };
  const Case cases[] = {
      {"entries", "other", "other"}, {"entries", "run", "run"},      {"entries", "", "main"},
      {"entries", "_start", "main"}, {"entries", "my task", "main"}, {"entries", "fl-round-7", "main"},
      {"hello", "_start", "_start"}, {"hello", "hello", "_start"},
  };
  for (const auto& [module, function, chosen] : cases) {
    const auto compiled = guest(module);
    const auto result = choose_function(*compiled, request_for(function));
    ASSERT_TRUE(result) << function;
    EXPECT_EQ((*result)->name, chosen) << function;
  }
}

TEST(ChooseFunction, HasNoDefaultForADemandedFunction) {
  const auto module = guest("entries");
  const auto result = choose_function(*module, request_for("absent", true));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().text(),
            "EXPORT_NOT_FOUND: the module exports no function 'absent'; it exports: main, run, other");
  EXPECT_EQ((*choose_function(*module, request_for("run", true)))->name, "run");
}

TEST(ChooseFunction, ListsABoundedNumberOfExports) {
  const auto result = choose_function(*guest("numbers"), request_for(std::string(5000, 'x')));
  ASSERT_FALSE(result);
  EXPECT_LT(result.error().text().size(), 1000U);
  EXPECT_THAT(result.error().text(), HasSubstr("xxx...'"));
}

}  // namespace
}  // namespace proplet::runtime
