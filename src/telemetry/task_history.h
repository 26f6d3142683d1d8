// TaskHistory turns what a run's gauge reads into the samples and aggregates of task metrics messages.
//
// It keeps the samples that the task's profile asks for, so many at most, and only the values that it asks for. Not
// thread-safe.
#pragma once

#include <chrono>
#include <deque>
#include <optional>

#include "base/run_gauge.h"
#include "propeller/metrics_messages.h"

namespace proplet::telemetry {

class TaskHistory {
 public:
  TaskHistory(propeller::MonitoringProfile profile, std::uint64_t machine_memory_bytes)
      : profile_(profile), machine_memory_bytes_(machine_memory_bytes) {}

  // CPU use is that since the reading before, or since the start of the run.
  propeller::TaskMetrics::Sample add(const RunGauge::Reading& reading);
  // Over the samples kept; nothing when the profile keeps none.
  [[nodiscard]] std::optional<propeller::TaskMetrics::Aggregate> aggregate() const;
  // When the last reading was taken.
  [[nodiscard]] std::optional<RunGauge::Time> last() const { return last_; }

 private:
  std::optional<double> cpu_percent(const RunGauge::Reading& reading);

  propeller::MonitoringProfile profile_;
  std::uint64_t machine_memory_bytes_;
  std::deque<propeller::TaskMetrics::Sample> samples_;
  std::optional<RunGauge::Time> last_;
  std::chrono::nanoseconds last_cpu_time_{0};
};

}  // namespace proplet::telemetry
