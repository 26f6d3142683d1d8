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
  const Arguments forms[] = {{"-W", "max-memory-size=65536,timeout=10s"},
                             {"-Wmax-memory-size=65536", "-Wtimeout=10s"},
                             {"--wasm=max-memory-size=65536", "--wasm", "timeout=10000ms"}};
  for (const Arguments& form : forms) {
    const auto parsed = parse_cli_arguments(form);
    ASSERT_TRUE(parsed.has_value()) << parsed.error().text();
    EXPECT_EQ(parsed->memory_bytes, 65536U);
    EXPECT_EQ(parsed->timeout, 10s);
    EXPECT_THAT(parsed->unknown, IsEmpty());
  }
  for (const char* bad : {"max-memory-size", "max-memory-size=1g", "timeout=", "timeout=5y", "timeout=s"}) {
    EXPECT_FALSE(parse_cli_arguments(Arguments{"-W", bad}).has_value()) << bad;
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

TEST(CliArguments, WhatIsNotUnderstoodIsNamed) {
  const auto parsed = parse_cli_arguments(
      Arguments{"-S", "nn", "-Shttp", "--addr", "0:1", "-W", "fuel=3", "--env", "HOME", "--invoked=x", "run"});
  ASSERT_TRUE(parsed.has_value());
  EXPECT_THAT(parsed->unknown,
              ElementsAre("-S nn", "-Shttp", "--addr", "0:1", "-W fuel=3", "--env HOME", "--invoked=x", "run"));
}

}  // namespace
}  // namespace proplet::worker
