#include <gtest/gtest.h>

#include <thread>

#include "wasm/run.h"
#include "wasm/test_guest.h"

namespace proplet::wasm {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

// Runs "linger" and gives what the gauge read first after it held its memory, and what it reads at the end.
struct Watched {
  RunGauge::Reading during;
  RunGauge::Reading after;
};

Watched watch_linger(std::vector<std::string> arguments, std::uint64_t memory) {
  const auto module = guest("linger");
  RunGauge gauge;
  RunSpec spec;
  spec.function = "_start";
  spec.arguments = std::move(arguments);
  spec.arguments.insert(spec.arguments.begin(), "linger");
  spec.gauge = &gauge;
  Watched watched{};
  {
    std::jthread running([&] { EXPECT_TRUE(run(test_engine(), *module, spec, {})); });
    const auto deadline = steady_clock::now() + std::chrono::seconds(30);
    while (steady_clock::now() < deadline) {
      const auto reading = gauge.read();
      if (reading) watched.during = *reading;
      if (reading && reading->usage.memory_bytes.value_or(0) >= memory) break;
      std::this_thread::sleep_for(milliseconds(5));
    }
  }
  watched.after = *gauge.read();
  return watched;
}

TEST(Gauge, TellsTheMemoryOfAGuestThatSleeps) {
  const auto [during, after] = watch_linger({"100", "500"}, 100 * kMiB);
  EXPECT_GE(*during.usage.memory_bytes, 100 * kMiB);
  EXPECT_LE(*during.usage.memory_bytes, 110 * kMiB);
  EXPECT_EQ(after.usage.memory_bytes, during.usage.memory_bytes);
  EXPECT_EQ(during.usage.threads, 1U);
  EXPECT_GE(after.taken - after.started, milliseconds(450));
}

TEST(Gauge, TellsTheCpuTimeOfTheGuestAlone) {
  std::stop_source stop;
  const auto other = guest("spin");
  std::jthread noise([&] {
    RunSpec spec;
    spec.function = "_start";
    EXPECT_FALSE(run(test_engine(), *other, spec, stop.get_token()));
  });
  const auto busy = watch_linger({"1", "400", "busy"}, kMiB);
  const auto idle = watch_linger({"1", "400"}, kMiB);
  stop.request_stop();
  EXPECT_GT(*busy.after.usage.cpu_time, milliseconds(40));
  EXPECT_LE(*busy.after.usage.cpu_time, busy.after.taken - busy.after.started);
  EXPECT_LT(*idle.after.usage.cpu_time, milliseconds(200));
}

TEST(Gauge, KeepsTheUsageOfAGuestThatFailed) {
  const auto module = guest("traps");
  RunGauge gauge;
  RunSpec spec;
  spec.function = "unreachable";
  spec.gauge = &gauge;
  EXPECT_FALSE(run(test_engine(), *module, spec, {}));
  ASSERT_TRUE(gauge.read());
  EXPECT_EQ(gauge.read()->usage.memory_bytes, 65536U + 8U);  // a page and a table of one element
}

}  // namespace
}  // namespace proplet::wasm
