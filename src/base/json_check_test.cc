#include "base/json_check.h"

#include <gtest/gtest.h>

namespace proplet::json {
namespace {

constexpr Limits kLimits{.bytes = std::size_t{64} << 20, .depth = 8};

TEST(JsonCheck, AcceptsJsonOfEveryKind) {
  for (const char* text : {"1", "-0.5e3", "\"\"", "null", "true", "[]", " {\"a\": [1, 2.5, \"\\u00e4\"]}\n",
                           R"({"a":1,"a":2})", "[[[[[[[[]]]]]]]]"}) {
    EXPECT_TRUE(check(text, kLimits)) << text;
  }
}

TEST(JsonCheck, RefusesEverythingElse) {
  for (const char* text : {"", " ", "{", "[1,]", "1 2", "nul", "'a'", "{a:1}", "\"\xff\"", "01", "[[[[[[[[[]]]]]]]]]",
                           "// comment\n1", "NaN"}) {
    EXPECT_FALSE(check(text, kLimits)) << text;
  }
  EXPECT_EQ(check("12345", {.bytes = 4}).error().code(), Code::size_limit);
}

TEST(JsonCheck, HasNoLimitOfItsOwnForArrays) {
  std::string text = "[0";
  for (int i = 0; i < 1'200'000; ++i) text += ",0";
  EXPECT_TRUE(check(text + "]", kLimits));
}

}  // namespace
}  // namespace proplet::json
