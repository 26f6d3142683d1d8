#include "telemetry/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <sstream>

#include "telemetry/test_support.h"

namespace proplet::telemetry {
namespace {

using std::chrono::milliseconds;
using testing::Contains;
using testing::Pair;

// Series with their labels, and their values.
std::map<std::string, double> parse(const std::string& text) {
  std::map<std::string, double> series;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with('#')) continue;
    const auto space = line.rfind(' ');
    series[line.substr(0, space)] = std::stod(line.substr(space + 1));
  }
  return series;
}

TEST(Metrics, HaveTheNamesAndTypesOfTheProtocol) {
  Metrics metrics("");
  const std::string text = metrics.text({});
  for (const std::string name :
       {"proplet_tasks_started_total", "proplet_tasks_completed_total", "proplet_tasks_failed_total",
        "proplet_mqtt_reconnects_total", "proplet_wasm_fetch_bytes_total"}) {
    EXPECT_NE(text.find("# TYPE " + name + " counter\n"), std::string::npos) << name;
    EXPECT_THAT(parse(text), Contains(Pair(name, 0)));
  }
  for (const std::string name :
       {"proplet_tasks_running", "proplet_cpu_usage_ratio", "proplet_cpu_user_seconds", "proplet_cpu_system_seconds",
        "proplet_memory_rss_bytes", "proplet_memory_container_usage_bytes", "proplet_memory_container_limit_bytes"}) {
    EXPECT_NE(text.find("# TYPE " + name + " gauge\n"), std::string::npos) << name;
    EXPECT_TRUE(parse(text).contains(name)) << name;
  }
  EXPECT_GT(parse(text)["proplet_memory_rss_bytes"], 1 << 20);
  EXPECT_THAT(parse(text), Contains(Pair("proplet_tee_info{type=\"none\"}", 1)));
}

TEST(Metrics, CountTasksByHowTheyEnd) {
  Metrics metrics("sample");
  FinishedTask good{.encrypted = true};
  FinishedTask denied{.encrypted = true, .error = Error(Code::kbs_denied, "no").at(Stage::key)};
  FinishedTask refused{.refused = true, .error = Error(Code::task_limit_reached, "full")};
  for (int i = 0; i < 4; ++i) metrics.task_started();
  metrics.task_finished(good.report());
  metrics.task_finished(denied.report());
  metrics.task_finished(denied.report());
  metrics.task_finished(refused.report());
  metrics.module_fetched(1000);
  auto series = parse(metrics.text({}));
  EXPECT_EQ(series["proplet_tasks_started_total"], 4);
  EXPECT_EQ(series["proplet_tasks_completed_total"], 1);
  EXPECT_EQ(series["proplet_tasks_failed_total"], 3);
  EXPECT_EQ(series["proplet_tasks_finished_total{code=\"OK\"}"], 1);
  EXPECT_EQ(series["proplet_tasks_finished_total{code=\"KBS_DENIED\"}"], 2);
  EXPECT_EQ(series["proplet_tasks_finished_total{code=\"TASK_LIMIT_REACHED\"}"], 1);
  EXPECT_EQ(series["proplet_tasks_refused_total{code=\"TASK_LIMIT_REACHED\"}"], 1);
  EXPECT_EQ(series["proplet_stage_failures_total{stage=\"key\"}"], 2);
  EXPECT_EQ(series["proplet_encrypted_tasks_total{outcome=\"completed\"}"], 1);
  EXPECT_EQ(series["proplet_encrypted_tasks_total{outcome=\"failed\"}"], 2);
  EXPECT_EQ(series["proplet_wasm_fetch_bytes_total"], 1000);
  EXPECT_EQ(series["proplet_task_seconds_count"], 4);
  EXPECT_EQ(series["proplet_tee_info{type=\"sample\"}"], 1);
}

TEST(Metrics, TellHowLongEachStageTook) {
  Metrics metrics("");
  FinishedTask task;
  task.stages = {{Stage::decrypt, milliseconds(20)}, {Stage::run, milliseconds(2)}};
  metrics.task_finished(task.report());
  auto series = parse(metrics.text({}));
  EXPECT_EQ(series["proplet_stage_seconds_count{stage=\"decrypt\"}"], 1);
  EXPECT_DOUBLE_EQ(series["proplet_stage_seconds_sum{stage=\"decrypt\"}"], 0.02);
  EXPECT_EQ(series["proplet_stage_seconds_bucket{stage=\"decrypt\",le=\"0.01\"}"], 0);
  EXPECT_EQ(series["proplet_stage_seconds_bucket{stage=\"decrypt\",le=\"0.05\"}"], 1);
  EXPECT_EQ(series["proplet_stage_seconds_count{stage=\"run\"}"], 1);
  EXPECT_EQ(series["proplet_stage_seconds_count{stage=\"attest\"}"], 0);
}

TEST(Metrics, TheFirstConnectionIsNoReconnect) {
  Metrics metrics("");
  EXPECT_FALSE(metrics.is_connected());
  metrics.connected();
  EXPECT_TRUE(metrics.is_connected());
  EXPECT_EQ(parse(metrics.text({}))["proplet_mqtt_reconnects_total"], 0);
  EXPECT_EQ(parse(metrics.text({}))["proplet_mqtt_connected"], 1);
  metrics.disconnected();
  EXPECT_EQ(parse(metrics.text({}))["proplet_mqtt_connected"], 0);
  metrics.connected();
  EXPECT_EQ(parse(metrics.text({}))["proplet_mqtt_reconnects_total"], 1);
}

TEST(Metrics, ShowTheLoadOfTheMoment) {
  Metrics metrics("");
  EXPECT_EQ(parse(metrics.text({.running = 3, .cache_misses = 2}))["proplet_tasks_running"], 3);
  auto series = parse(metrics.text(
      {.running = 1, .queued = 2, .outbox_pending = 3, .cache_hits = 10, .cache_misses = 1, .traces_dropped = 7}));
  EXPECT_EQ(series["proplet_tasks_running"], 1);
  EXPECT_EQ(series["proplet_tasks_queued"], 2);
  EXPECT_EQ(series["proplet_outbox_pending"], 3);
  EXPECT_EQ(series["proplet_module_cache_hits_total"], 10);
  EXPECT_EQ(series["proplet_module_cache_misses_total"], 2);  // counters never fall
  EXPECT_EQ(series["proplet_traces_dropped_total"], 7);
}

}  // namespace
}  // namespace proplet::telemetry
