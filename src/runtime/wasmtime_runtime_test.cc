#include "runtime/wasmtime_runtime.h"

#include <gmock/gmock.h>

#include <limits>
#include <map>
#include <thread>

#include "wasm/test_guest.h"

namespace proplet::runtime {
namespace {

using testing::HasSubstr;

module::Module load(const std::string& name, bool confidential = false) {
  return {SecretBytes::copy_of(wasm::guest_bytes(name)), "sha256:" + name, "test", confidential};
}

RunRequest call(std::string function, std::vector<std::string> arguments = {}) {
  RunRequest request;
  request.function = std::move(function);
  request.arguments = std::move(arguments);
  return request;
}

class StageCounter final : public StageObserver {
 public:
  void stage_finished(Stage stage, std::chrono::nanoseconds) override { ++counts[stage]; }
  std::map<Stage, int> counts;
};

class WasmtimeRuntimeTest : public testing::Test {
 protected:
  Result<Outcome> run(const std::string& module, const RunRequest& request) {
    return runtime_.run(load(module), request, nullptr, {});
  }
  WasmtimeRuntime runtime_{wasm::test_engine()};
};

TEST_F(WasmtimeRuntimeTest, ReturnsTheFirstResultAsText) {
  const auto sum = run("math_reactor", call("add", {"40", "2"}));
  ASSERT_TRUE(sum) << sum.error().text();
  EXPECT_EQ(sum->result, "42");
  EXPECT_EQ(run("math_reactor", call("fib", {"20"}))->result, "6765");
  EXPECT_EQ(run("math_reactor", call("half", {"5"}))->result, "2.5");
}

TEST_F(WasmtimeRuntimeTest, ReturnsNothingForFunctionsWithoutANumber) {
  for (const char* function : {"nothing", "vector", "reference"}) {
    EXPECT_EQ(run("numbers", call(function))->result, "") << function;
  }
  const auto said = run("math_reactor", call("say"));
  ASSERT_TRUE(said) << said.error().text();
  EXPECT_EQ(said->result, "");
  EXPECT_EQ(said->standard_output, "said\n");
}

TEST_F(WasmtimeRuntimeTest, ReturnsTheOutputOfACommand) {
  RunRequest request = call("_start", {"10", "text"});
  request.environment["GREETING"] = "hi";
  const auto outcome = run("hello", request);
  ASSERT_TRUE(outcome) << outcome.error().text();
  EXPECT_EQ(outcome->result, "argument 0: module\nargument 1: 10\nargument 2: text\ngreeting: hi\n");
  EXPECT_EQ(outcome->standard_output, outcome->result);
  EXPECT_EQ(outcome->standard_error, "a line on stderr\n");
  EXPECT_GT(outcome->peak_memory_bytes, 0U);
  EXPECT_GT(outcome->cpu_time.count(), 0);
}

TEST_F(WasmtimeRuntimeTest, NamesTheProgramAfterTheTask) {
  EXPECT_THAT(run("hello", call("my task"))->result, HasSubstr("argument 0: my task\n"));
}

TEST_F(WasmtimeRuntimeTest, CountsExitZeroAsSuccessAndOthersNot) {
  EXPECT_EQ(run("exit", call("_start", {"0"}))->result, "some output\n");
  const auto failed = run("exit", call("_start", {"3"}));
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().text(), "GUEST_EXIT: guest exited with code 3: reason of the exit");
  EXPECT_EQ(failed.error().stage(), Stage::run);
}

TEST_F(WasmtimeRuntimeTest, ReportsWhatFailedWithItsStage) {
  const auto missing = run("missing_import", call("run"));
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code(), Code::import_missing);
  EXPECT_EQ(missing.error().stage(), Stage::compile);
  const auto absent = run("traps", call("absent"));
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().code(), Code::export_not_found);
  EXPECT_EQ(absent.error().stage(), Stage::run);
}

TEST_F(WasmtimeRuntimeTest, AppliesTheLimits) {
  RunRequest request = call("_start");
  request.limits.memory_bytes = std::uint64_t{32} << 20;
  EXPECT_EQ(run("bomb", request).error().code(), Code::memory_limit);
  request.limits.time = std::chrono::milliseconds(50);
  EXPECT_EQ(run("spin", request).error().code(), Code::task_timeout);
  request = call("_start", {"1"});
  request.limits.output_bytes = 100;
  EXPECT_LT(run("flood", request)->result.size(), 200U);
}

TEST_F(WasmtimeRuntimeTest, CountsFuelForTheRunThatHasSomeAndForNoOther) {
  RunRequest request = call("_start");
  request.limits.fuel = 100000;
  const auto spent = run("spin", request);
  ASSERT_FALSE(spent);
  EXPECT_THAT(spent.error().text(), HasSubstr("GUEST_TRAP: out of fuel"));

  RunRequest fib = call("fib", {"20"});
  EXPECT_EQ(run("math_reactor", fib)->result, "6765");
  fib.limits.fuel = 100;
  EXPECT_THAT(run("math_reactor", fib).error().text(), HasSubstr("GUEST_TRAP: out of fuel"));
  fib.limits.fuel = std::uint64_t{1} << 40;
  EXPECT_EQ(run("math_reactor", fib)->result, "6765");
  fib.limits.fuel = 0;
  EXPECT_THAT(run("math_reactor", fib).error().text(), HasSubstr("GUEST_TRAP: out of fuel"));
}

// The other limits hold beside it.
TEST_F(WasmtimeRuntimeTest, EndsARunWithFuelInTime) {
  RunRequest request = call("_start");
  request.limits.fuel = std::numeric_limits<std::uint64_t>::max();
  request.limits.time = std::chrono::milliseconds(50);
  EXPECT_EQ(run("spin", request).error().code(), Code::task_timeout);
}

TEST_F(WasmtimeRuntimeTest, TimesItsStages) {
  StageCounter stages;
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(runtime_.run(load("entries", true), call("run"), &stages, {}));
  }
  EXPECT_EQ(stages.counts, (std::map<Stage, int>{{Stage::compile, 3}, {Stage::run, 3}}));
}

TEST_F(WasmtimeRuntimeTest, NeverTakesAPlainModuleForAConfidentialOne) {
  module::Module plain = load("entries");
  module::Module confidential = load("numbers", true);
  confidential.digest = plain.digest;
  EXPECT_EQ(runtime_.run(std::move(plain), call("other"), nullptr, {})->result, "3");
  const auto outcome = runtime_.run(std::move(confidential), call("two"), nullptr, {});
  ASSERT_TRUE(outcome) << outcome.error().text();
  EXPECT_EQ(outcome->result, "1");
}

TEST_F(WasmtimeRuntimeTest, RunsTheSameModuleOnManyThreads) {
  std::vector<std::string> results(32);
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < results.size(); ++i) {
      threads.emplace_back([this, &results, i] {
        const auto outcome = run("math_reactor", call("add", {std::to_string(i), "1000"}));
        results[i] = outcome ? outcome->result : outcome.error().text();
      });
    }
  }
  for (std::size_t i = 0; i < results.size(); ++i) EXPECT_EQ(results[i], std::to_string(1000 + i));
}

}  // namespace
}  // namespace proplet::runtime
