#include "worker/cli_arguments.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace proplet::worker {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;
using Arguments = std::vector<std::string>;

TEST(CliArguments, InvokeComesInBothForms) {
  EXPECT_EQ(parse_cli_arguments(Arguments{"--invoke", "add"})->invoke, "add");
  EXPECT_EQ(parse_cli_arguments(Arguments{"--invoke=add"})->invoke, "add");
  EXPECT_EQ(parse_cli_arguments(Arguments{})->invoke, std::nullopt);
  EXPECT_FALSE(parse_cli_arguments(Arguments{"--invoke"}).has_value());
}

TEST(CliArguments, LimitsAreReadInEveryForm) {
  const Arguments forms[] = {
      {"-W", "max-memory-size=65536,timeout=10s,fuel=7"},
      {"-Wmax-memory-size=65536", "-Wtimeout=10s", "-Wfuel=0x7"},
      {"-W=max-memory-size=0x10000,fuel=7", "-W=timeout=10"},
      {"--wasm=max-memory-size=65536,fuel=7", "--wasm", "timeout=10000ms"},
      {"-W", "fuel=3", "-W", "max-memory-size=1", "-W", "fuel=7,max-memory-size=65536,timeout=10sec"},
  };
  for (const Arguments& form : forms) {
    const auto parsed = parse_cli_arguments(form);
    ASSERT_TRUE(parsed.has_value()) << parsed.error().text();
    EXPECT_EQ(parsed->memory_bytes, 65536U);
    EXPECT_EQ(parsed->timeout, 10s);
    EXPECT_EQ(parsed->fuel, 7U);
    EXPECT_THAT(parsed->unknown, IsEmpty());
  }
}

TEST(CliArguments, TimesAreSumsOfNumbersWithUnits) {
  const std::pair<const char*, std::chrono::milliseconds> cases[] = {
      {"0", 0ms},  {"3", 3s},    {"1500ms", 1500ms}, {"1m30s", 90s},  {"1h 5min", 65min},
      {"2d", 48h}, {"1us", 1ms}, {"1ns", 1ms},       {"1500us", 2ms}, {"18250d", 18250 * 24h},
  };
  for (const auto& [text, time] : cases) {
    const auto parsed = parse_cli_arguments(Arguments{"-W", std::string("timeout=") + text});
    ASSERT_TRUE(parsed.has_value()) << text << ": " << parsed.error().text();
    EXPECT_EQ(parsed->timeout, time) << text;
  }
}

TEST(CliArguments, MalformedValuesAreRefusedNotGuessed) {
  for (const char* bad :
       {"max-memory-size", "max-memory-size=1g", "max-memory-size=0x", "timeout=", "timeout", "timeout=5y", "timeout=s",
        "timeout=1s1", "timeout=-1s", "timeout= 1s", "timeout=1.5s", "timeout=99999999999999999999s",
        "timeout=18250d1d", "fuel", "fuel=", "fuel=-1", "fuel=1e9", "fuel=18446744073709551616"}) {
    EXPECT_FALSE(parse_cli_arguments(Arguments{"-W", bad}).has_value()) << bad;
  }
  for (const char* flag : {"--invoke", "--env", "--dir", "-W", "--wasm", "-S", "--wasi"}) {
    EXPECT_FALSE(parse_cli_arguments(Arguments{flag}).has_value()) << flag;
  }
}

TEST(CliArguments, VariablesAndDirectoriesAreRead) {
  const auto parsed = parse_cli_arguments(Arguments{"--env", "A=b=c", "--env=D=", "--dir=/x", "--dir", "/y::/z"});
  ASSERT_TRUE(parsed.has_value());
  EXPECT_THAT(parsed->environment, ElementsAre(Pair("A", "b=c"), Pair("D", "")));
  ASSERT_EQ(parsed->directories.size(), 2U);
  EXPECT_EQ(parsed->directories[0].guest_path, "/x");
  EXPECT_EQ(parsed->directories[1].host_path, "/y");
  EXPECT_EQ(parsed->directories[1].guest_path, "/z");
}

TEST(CliArguments, WhatIsNotUnderstoodIsNamedWithoutItsValue) {
  const auto parsed =
      parse_cli_arguments(Arguments{"-S", "nn,config-var=K=secret", "-Shttp", "--addr", "--invoke", "-W", "simd=n",
                                    "--env", "HOME", "--invoked=secret", "run", "--wasi=tcp"});
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(parsed->invoke, std::nullopt);
  EXPECT_THAT(parsed->unknown, ElementsAre("-S nn", "-S config-var", "-S http", "--addr", "-W simd", "--env HOME",
                                           "--invoked", "argument 11", "-S tcp"));
}

TEST(CliArguments, NothingBehindTwoDashesIsAFlag) {
  const auto parsed = parse_cli_arguments(Arguments{"--invoke", "f", "--", "--invoke", "g", "--dir", "/"});
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(parsed->invoke, "f");
  EXPECT_THAT(parsed->directories, IsEmpty());
  EXPECT_THAT(parsed->unknown, ElementsAre("--"));
}

}  // namespace
}  // namespace proplet::worker
