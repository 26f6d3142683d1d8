#include "telemetry/task_history.h"

#include <gtest/gtest.h>

namespace proplet::telemetry {
namespace {

using propeller::MonitoringProfile;
using std::chrono::milliseconds;

// The reading of a task after so much time.
RunGauge::Reading reading(milliseconds wall, milliseconds cpu, std::uint64_t memory, std::uint64_t disk = 0) {
  const RunGauge::Time start{std::chrono::hours(1)};
  RunGauge::Reading reading{.usage = {}, .started = start, .taken = start + wall};
  reading.usage.cpu_time = cpu;
  reading.usage.memory_bytes = memory;
  reading.usage.disk_read_bytes = disk;
  reading.usage.disk_write_bytes = 2 * disk;
  reading.usage.threads = 3;
  reading.usage.file_descriptors = 5;
  return reading;
}

TEST(TaskHistory, GivesCpuUseSinceTheReadingBefore) {
  TaskHistory history(MonitoringProfile(), 1000);
  const auto first = history.add(reading(milliseconds(200), milliseconds(50), 250));
  EXPECT_DOUBLE_EQ(*first.cpu_percent, 25);
  EXPECT_EQ(first.memory_bytes, 250U);
  EXPECT_DOUBLE_EQ(*first.memory_percent, 25);
  EXPECT_EQ(first.uptime_seconds, 0U);
  EXPECT_EQ(first.thread_count, 3U);
  EXPECT_EQ(first.file_descriptor_count, 5U);
  const auto second = history.add(reading(milliseconds(4200), milliseconds(6050), 250));
  EXPECT_DOUBLE_EQ(*second.cpu_percent, 150);
  EXPECT_EQ(second.uptime_seconds, 4U);
}

TEST(TaskHistory, AggregatesWhatItKeeps) {
  TaskHistory history(MonitoringProfile(), 0);
  history.add(reading(milliseconds(100), milliseconds(100), 100, 10));
  const auto last = history.add(reading(milliseconds(200), milliseconds(150), 300, 25));
  EXPECT_FALSE(last.memory_percent);
  const auto aggregate = history.aggregate();
  ASSERT_TRUE(aggregate);
  EXPECT_DOUBLE_EQ(aggregate->avg_cpu_usage, 75);
  EXPECT_DOUBLE_EQ(aggregate->max_cpu_usage, 100);
  EXPECT_EQ(aggregate->avg_memory_usage, 200U);
  EXPECT_EQ(aggregate->max_memory_usage, 300U);
  EXPECT_EQ(aggregate->total_disk_read, 15U);
  EXPECT_EQ(aggregate->total_disk_write, 30U);
  EXPECT_EQ(aggregate->sample_count, 2U);
}

TEST(TaskHistory, KeepsNoMoreSamplesThanTheProfileSays) {
  MonitoringProfile profile;
  profile.history_size = 2;
  TaskHistory history(profile, 0);
  for (const int i : {1, 2, 3, 4}) {
    history.add(reading(milliseconds(100 * i), milliseconds(0), static_cast<std::uint64_t>(i)));
  }
  EXPECT_EQ(history.aggregate()->sample_count, 2U);
  EXPECT_EQ(history.aggregate()->max_memory_usage, 4U);
  EXPECT_EQ(history.aggregate()->avg_memory_usage, 3U);
}

TEST(TaskHistory, CollectsOnlyWhatTheProfileAsksFor) {
  MonitoringProfile profile;
  profile.collect_cpu = profile.collect_memory = profile.collect_disk_io = false;
  profile.collect_threads = profile.collect_file_descriptors = profile.retain_history = false;
  TaskHistory history(profile, 1000);
  const auto sample = history.add(reading(milliseconds(2000), milliseconds(50), 250));
  EXPECT_FALSE(sample.cpu_percent || sample.memory_bytes || sample.memory_percent || sample.disk_read_bytes ||
               sample.disk_write_bytes || sample.thread_count || sample.file_descriptor_count);
  EXPECT_EQ(sample.uptime_seconds, 2U);
  EXPECT_FALSE(history.aggregate());
}

TEST(TaskHistory, LeavesOutWhatIsNotKnown) {
  TaskHistory history(MonitoringProfile(), 1000);
  const RunGauge::Time start{std::chrono::hours(1)};
  const auto sample = history.add({.usage = {}, .started = start, .taken = start});
  EXPECT_FALSE(sample.cpu_percent || sample.memory_bytes || sample.disk_read_bytes || sample.thread_count);
  EXPECT_EQ(history.aggregate()->sample_count, 1U);
}

}  // namespace
}  // namespace proplet::telemetry
