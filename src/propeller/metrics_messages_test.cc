#include "propeller/metrics_messages.h"

#include <gtest/gtest.h>

#include "base/clock.h"
#include "propeller/messages.h"

namespace proplet::propeller {
namespace {

using std::chrono::seconds;

constexpr std::chrono::system_clock::time_point kTime{std::chrono::nanoseconds(1767323045123456789)};

MonitoringProfile profile_of(std::string_view text, bool daemon = false) {
  return read_monitoring_profile(json::parse_object(text).value(), daemon);
}

TEST(MonitoringProfile, IsStandardWhereNothingIsSaid) {
  EXPECT_EQ(profile_of("{}").interval, seconds(10));
  EXPECT_EQ(profile_of("{}").history_size, 100U);
  EXPECT_EQ(profile_of("{}", true).interval, seconds(120));
  EXPECT_EQ(profile_of("{}", true).history_size, 500U);
  EXPECT_TRUE(profile_of("{}").active());
}

TEST(MonitoringProfile, IsReadAsAManagerWritesIt) {
  const auto profile = profile_of(
      R"({"enabled":true,"interval":5,"collect_cpu":false,"collect_memory":true,"collect_disk_io":false,
          "collect_threads":false,"collect_file_descriptors":false,"export_to_mqtt":true,"retain_history":false,
          "history_size":7})");
  EXPECT_TRUE(profile.active());
  EXPECT_EQ(profile.interval, seconds(5));
  EXPECT_EQ(profile.history_size, 7U);
  EXPECT_TRUE(profile.collect_memory);
  EXPECT_FALSE(profile.collect_cpu || profile.collect_disk_io || profile.collect_threads ||
               profile.collect_file_descriptors || profile.retain_history);
}

TEST(MonitoringProfile, IsInactiveWithoutExport) {
  EXPECT_FALSE(profile_of(R"({"enabled":false})").active());
  EXPECT_FALSE(profile_of(R"({"export_to_mqtt":false})").active());
}

TEST(MonitoringProfile, HasAnIntervalThatMakesSenseWhateverIsWritten) {
  const std::pair<std::string_view, seconds> cases[] = {
      {"0", seconds(10)},
      {"-3", seconds(10)},
      {"null", seconds(10)},
      {R"("5s")", seconds(10)},
      {"0.2", seconds(1)},
      {"2.6", seconds(3)},
      {"10000000000", seconds(31536000)},
      {"1e300", seconds(31536000)},
      {"18446744073709551615", seconds(31536000)},
  };
  for (const auto& [text, interval] : cases) {
    EXPECT_EQ(profile_of(R"({"interval":)" + std::string(text) + "}").interval, interval) << text;
  }
  EXPECT_EQ(profile_of(R"({"history_size":0})").history_size, 100U);
  EXPECT_EQ(profile_of(R"({"history_size":1000000000})").history_size, 10000U);
}

TEST(MonitoringProfile, NeverMakesAStartFail) {
  const auto text = [](std::string_view profile) {
    return R"({"id":"t","name":"f","image_url":"x","daemon":true,"monitoring_profile":)" + std::string(profile) + "}";
  };
  const auto with = [&](std::string_view profile) { return parse_start(bytes_of(text(profile))); };
  ASSERT_TRUE(with(R"({"interval":3})"));
  EXPECT_EQ(with(R"({"interval":3})")->monitoring.interval, seconds(3));
  for (const std::string_view odd : {"null", "7", "[]", R"({"enabled":"yes","interval":{}})"}) {
    const auto command = with(odd);
    ASSERT_TRUE(command) << odd;
    EXPECT_EQ(command->monitoring.interval, seconds(120)) << odd;
    EXPECT_TRUE(command->monitoring.active()) << odd;
  }
}

TEST(ProcessMetrics, HaveTheShapeOfTheProtocol) {
  ProcessMetrics metrics;
  metrics.proplet_id = "p";
  metrics.time = kTime;
  metrics.user_seconds = 1.5;
  metrics.system_seconds = 0.5;
  metrics.machine_percent = 12.5;
  metrics.rss_bytes = 1000;
  metrics.heap_used_bytes = 10;
  metrics.heap_mapped_bytes = 20;
  metrics.container_usage_bytes = 2000;
  metrics.container_limit_bytes = 4000;
  const auto expected = json::parse(R"({"proplet_id":"p","namespace":"default",
      "timestamp":"2026-01-02T03:04:05.123456789Z",
      "cpu_metrics":{"user_seconds":1.5,"system_seconds":0.5,"percent":12.5},
      "memory_metrics":{"rss_bytes":1000,"heap_alloc_bytes":10,"heap_sys_bytes":20,"heap_inuse_bytes":10,
        "container_usage_bytes":2000,"container_limit_bytes":4000}})");
  EXPECT_EQ(json::parse(encode(metrics)).value(), expected.value());
}

TEST(ProcessMetrics, LeaveOutALimitThatIsNotThere) {
  const auto message = json::parse_object(encode(ProcessMetrics())).value();
  const auto& memory = message.at("memory_metrics").as_object();
  EXPECT_FALSE(memory.contains("container_limit_bytes"));
  EXPECT_EQ(memory.at("container_usage_bytes"), 0);
}

TEST(TaskMetrics, HaveTheShapeOfTheProtocol) {
  TaskMetrics metrics;
  metrics.task_id = "t";
  metrics.proplet_id = "p";
  metrics.time = kTime;
  metrics.sample = {.cpu_percent = 3.5,
                    .memory_bytes = 1048576,
                    .memory_percent = 0.5,
                    .disk_read_bytes = 1,
                    .disk_write_bytes = 2,
                    .uptime_seconds = 4,
                    .thread_count = 7,
                    .file_descriptor_count = 21};
  metrics.aggregate = {.avg_cpu_usage = 2.5,
                       .max_cpu_usage = 3.5,
                       .avg_memory_usage = 10,
                       .max_memory_usage = 20,
                       .total_disk_read = 1,
                       .total_disk_write = 2,
                       .sample_count = 5};
  const auto expected = json::parse(R"({"task_id":"t","proplet_id":"p",
      "metrics":{"cpu_percent":3.5,"memory_bytes":1048576,"memory_percent":0.5,"disk_read_bytes":1,
        "disk_write_bytes":2,"uptime_seconds":4,"thread_count":7,"file_descriptor_count":21},
      "aggregated":{"avg_cpu_usage":2.5,"max_cpu_usage":3.5,"avg_memory_usage":10,"max_memory_usage":20,
        "total_disk_read":1,"total_disk_write":2,"sample_count":5},
      "timestamp":"2026-01-02T03:04:05.123456789Z"})");
  EXPECT_EQ(json::parse(encode(metrics)).value(), expected.value());
}

TEST(TaskMetrics, LeaveOutWhatIsNotKnown) {
  TaskMetrics metrics;
  metrics.task_id = "t";
  const auto message = json::parse_object(encode(metrics)).value();
  EXPECT_EQ(message.at("metrics"), json::value(json::object{{"uptime_seconds", 0}}));
  EXPECT_TRUE(message.at("aggregated").is_null());
}

}  // namespace
}  // namespace proplet::propeller
