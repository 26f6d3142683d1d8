// Stopping and time limits, in every state a guest can be in.
#include <gmock/gmock.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "wasm/run.h"
#include "wasm/test_guest.h"

namespace proplet::wasm {
namespace {

using std::chrono::milliseconds;

// Wide enough for a loaded machine; what it takes on an idle one is printed.
constexpr milliseconds kBound{2000};

struct State {
  const char* what;
  const char* module;
  const char* function;
  std::vector<Value> values;
};

std::vector<State> states() {
  return {
      {"in a loop", "spin", "_start", {}},
      {"deep in calls", "spin", "deep", {std::int32_t{1000}}},
      {"in its start function", "start_spin", "run", {}},
      {"asleep", "sleep", "_start", {}},
      {"writing", "flood", "_start", {}},
      {"filling memory", "fill", "run", {}},
  };
}

RunSpec spec_for(const State& state) {
  RunSpec spec;
  spec.function = state.function;
  spec.values = state.values;
  spec.arguments = {"guest"};
  spec.output_bytes = 4096;
  return spec;
}

TEST(Stop, EndsTheGuestWhateverItIsDoing) {
  for (const auto& state : states()) {
    const auto module = guest(state.module);
    std::stop_source stop;
    std::chrono::steady_clock::time_point requested;
    std::jthread stopper([&] {
      std::this_thread::sleep_for(milliseconds(60));  // lets the guest get there; being early is no failure
      requested = std::chrono::steady_clock::now();
      stop.request_stop();
    });
    const auto result = run(test_engine(), *module, spec_for(state), stop.get_token());
    const auto ended = std::chrono::steady_clock::now();
    stopper.join();
    ASSERT_FALSE(result) << state.what;
    EXPECT_EQ(result.error().code(), Code::task_stopped) << state.what << ": " << result.error().text();
    EXPECT_LT(ended - requested, kBound) << state.what;
    fmt::print("stopped {} after {} us\n", state.what,
               std::chrono::duration_cast<std::chrono::microseconds>(ended - requested).count());
  }
}

TEST(Stop, BeforeTheRunMeansNoRun) {
  std::stop_source stop;
  stop.request_stop();
  const auto module = guest("hello");
  RunSpec spec;
  spec.function = "_start";
  const auto result = run(test_engine(), *module, spec, stop.get_token());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), Code::task_stopped);
}

TEST(TimeLimit, EndsTheGuestWhateverItIsDoing) {
  for (const auto& state : states()) {
    const auto module = guest(state.module);
    RunSpec spec = spec_for(state);
    spec.time = milliseconds(80);
    const auto start = std::chrono::steady_clock::now();
    const auto result = run(test_engine(), *module, spec, {});
    const auto took = std::chrono::steady_clock::now() - start;
    ASSERT_FALSE(result) << state.what;
    EXPECT_EQ(result.error().code(), Code::task_timeout) << state.what << ": " << result.error().text();
    EXPECT_THAT(result.error().text(), testing::HasSubstr("80 ms"));
    EXPECT_GE(took, milliseconds(80)) << state.what;
    EXPECT_LT(took, milliseconds(80) + kBound) << state.what;
  }
}

TEST(TimeLimit, LeavesAGuestAloneThatIsInTime) {
  const auto module = guest("hello");
  RunSpec spec;
  spec.function = "_start";
  spec.time = milliseconds(60000);
  EXPECT_TRUE(run(test_engine(), *module, spec, {}));
}

TEST(TimeLimit, OfOneRunDoesNotTouchAnother) {
  const auto module = guest("sleep");
  const auto spin = guest("spin");
  RunSpec endless;
  endless.function = "_start";
  endless.time = milliseconds(50);
  RunSpec sleeping;
  sleeping.function = "_start";
  sleeping.arguments = {"guest", "300"};
  Result<RunResult> slept = fail(Code::internal, "not run");
  std::jthread sleeper([&] { slept = run(test_engine(), *module, sleeping, {}); });
  EXPECT_FALSE(run(test_engine(), *spin, endless, {}));
  sleeper.join();
  ASSERT_TRUE(slept) << slept.error().text();
  EXPECT_EQ(slept->standard_output, "awake");
}

std::uint64_t context_switches(const std::string& thread) {
  std::ifstream status("/proc/self/task/" + thread + "/status");
  std::string line;
  while (std::getline(status, line)) {
    if (line.starts_with("voluntary_ctxt_switches:")) return std::stoull(line.substr(24));
  }
  return 0;
}

std::uint64_t all_context_switches() {
  std::uint64_t sum = 0;
  for (const auto& thread : std::filesystem::directory_iterator("/proc/self/task")) {
    if (thread.path().filename() == std::to_string(::getpid())) continue;
    sum += context_switches(thread.path().filename());
  }
  return sum;
}

TEST(Ticker, SleepsWhenNoGuestRuns) {
  const auto module = guest("hello");
  RunSpec spec;
  spec.function = "_start";
  ASSERT_TRUE(run(test_engine(), *module, spec, {}));
  std::this_thread::sleep_for(milliseconds(100));
  const auto before = all_context_switches();
  std::this_thread::sleep_for(milliseconds(500));  // a ticker that ticked would wake up 50 times
  EXPECT_LT(all_context_switches() - before, 25U);
}

}  // namespace
}  // namespace proplet::wasm
