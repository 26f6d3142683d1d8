#include "telemetry/monitor.h"

#include <gtest/gtest.h>

#include <atomic>

#include "telemetry/test_support.h"

namespace proplet::telemetry {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class SomeUsage final : public UsageSource {
 public:
  [[nodiscard]] Usage usage() const override {
    ++readings;
    Usage usage;
    usage.memory_bytes = 4096;
    usage.cpu_time = milliseconds(1);
    return usage;
  }
  mutable std::atomic<int> readings = 0;
};

class MonitorTest : public testing::Test {
 protected:
  MonitorTest() {
    options_.proplet_id = "p";
    options_.namespace_name = "ns";
    options_.metrics_topic = "metrics";
    options_.task_metrics_topic = "tasks";
    options_.interval = milliseconds(0);
    options_.attach_delay = milliseconds(50);
  }

  Monitor& monitor() {
    if (!monitor_) monitor_ = std::make_unique<Monitor>(messages_, clock_, options_);
    return *monitor_;
  }
  std::size_t count(std::string_view topic) { return messages_.wait(topic, 0).size(); }

  MonitorOptions options_;
  SystemClock clock_;
  KeptMessages messages_;
  propeller::MonitoringProfile profile_;
  RunGauge gauge_;
  SomeUsage usage_;
  std::unique_ptr<Monitor> monitor_;
};

TEST_F(MonitorTest, TellsAboutTheProcessAtOnceAndThenEachInterval) {
  options_.interval = milliseconds(20);
  const auto before = rfc3339(clock_.now());
  monitor().connected();
  const auto messages = messages_.wait("metrics", 3);
  ASSERT_GE(messages.size(), 3U);
  EXPECT_EQ(messages[0].at("proplet_id"), "p");
  EXPECT_EQ(messages[0].at("namespace"), "ns");
  EXPECT_GT(messages[0].at("memory_metrics").at("rss_bytes").to_number<std::uint64_t>(), 1U << 20U);
  std::string last = before;
  for (const auto& message : messages) {
    const std::string time(message.at("timestamp").as_string());
    EXPECT_GE(time, last);
    last = time;
  }
}

TEST_F(MonitorTest, IsSilentUntilConnectedAndWithoutAnInterval) {
  monitor().connected();
  options_.interval = milliseconds(1);
  Monitor offline(messages_, clock_, options_);
  std::this_thread::sleep_for(milliseconds(50));
  EXPECT_EQ(count("metrics"), 0U);
}

TEST_F(MonitorTest, AsksNothingOfAShortRun) {
  options_.attach_delay = seconds(60);
  monitor().run_started("t", profile_, gauge_);
  {
    const RunGauge::Attachment attachment(&gauge_, usage_);
  }
  monitor().run_ended(gauge_);
  EXPECT_EQ(count("tasks"), 0U);
}

TEST_F(MonitorTest, TellsAboutATaskOnceItHasRunForAWhileAndAtItsEnd) {
  profile_.interval = seconds(3600);
  monitor().run_started("t", profile_, gauge_);
  {
    const RunGauge::Attachment attachment(&gauge_, usage_);
    const auto messages = messages_.wait("tasks", 1);
    ASSERT_EQ(messages.size(), 1U);
    EXPECT_EQ(messages[0].at("task_id"), "t");
    EXPECT_EQ(messages[0].at("proplet_id"), "p");
    EXPECT_EQ(messages[0].at("metrics").at("memory_bytes"), 4096);
    EXPECT_EQ(messages[0].at("aggregated").at("sample_count"), 1);
    std::this_thread::sleep_for(milliseconds(60));
  }
  monitor().run_ended(gauge_);
  const auto messages = messages_.wait("tasks", 2);
  ASSERT_EQ(messages.size(), 2U);
  EXPECT_EQ(messages[1].at("aggregated").at("sample_count"), 2);
}

TEST_F(MonitorTest, CountsFromTheMomentTheGuestRuns) {
  monitor().run_started("t", profile_, gauge_);
  std::this_thread::sleep_for(milliseconds(120));  // it is being compiled
  EXPECT_EQ(count("tasks"), 0U);
  const RunGauge::Attachment attachment(&gauge_, usage_);
  EXPECT_EQ(messages_.wait("tasks", 1).size(), 1U);
  monitor().run_ended(gauge_);
}

TEST_F(MonitorTest, RepeatsEachIntervalOfTheProfile) {
  options_.attach_delay = milliseconds(1);
  profile_.interval = seconds(1);
  const RunGauge::Attachment attachment(&gauge_, usage_);
  monitor().run_started("t", profile_, gauge_);
  EXPECT_GE(messages_.wait("tasks", 3).size(), 3U);
  monitor().run_ended(gauge_);
}

TEST_F(MonitorTest, ForgetsARunThatHasEnded) {
  options_.attach_delay = milliseconds(1);
  profile_.interval = seconds(1);
  for (int i = 0; i < 200; ++i) {
    RunGauge gauge;
    monitor().run_started("t", profile_, gauge);
    {
      const RunGauge::Attachment attachment(&gauge, usage_);
      if (i % 20 == 0) std::this_thread::sleep_for(milliseconds(2));
    }
    monitor().run_ended(gauge);
  }
  const int readings = usage_.readings;
  const auto messages = count("tasks");
  std::this_thread::sleep_for(milliseconds(30));
  EXPECT_EQ(usage_.readings, readings);
  EXPECT_EQ(count("tasks"), messages);
}

}  // namespace
}  // namespace proplet::telemetry
