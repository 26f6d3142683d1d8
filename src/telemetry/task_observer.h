// What the worker tells whoever observes it: the life of its tasks, and its connection to the broker.
//
// Calls come from any thread and must not block. What is passed is borrowed for the duration of the call, but for the
// gauge of a run, which stays until `run_ended`.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/run_gauge.h"
#include "base/stage.h"
#include "propeller/metrics_messages.h"

namespace proplet::telemetry {

// One passage of a task through a stage.
struct StageSpan {
  Stage stage;
  std::chrono::steady_clock::time_point start;
  std::chrono::nanoseconds duration;
};

// How a task went. `error` is null for one that succeeded.
struct TaskReport {
  std::string_view task_id;
  std::string_view name;
  bool encrypted = false;
  bool refused = false;  // it never got as far as the queue
  bool traced = false;   // task_started said so
  const Error* error = nullptr;
  std::chrono::steady_clock::time_point received;
  std::chrono::steady_clock::time_point finished;
  std::span<const std::pair<Stage, std::chrono::nanoseconds>> stages;  // how long each took in sum
  std::span<const StageSpan> spans;                                    // of a traced task
};

class TaskObserver {
 public:
  virtual ~TaskObserver() = default;
  // The worker takes on a task, and will answer it. True: the observer wants the spans of its stages.
  virtual bool task_started() = 0;
  // A module came from somewhere else than the message.
  virtual void module_fetched(std::size_t bytes) = 0;
  // Whether runs under this profile are watched; only those need a gauge.
  [[nodiscard]] virtual bool watches(const propeller::MonitoringProfile& profile) const = 0;
  virtual void run_started(std::string_view task_id, const propeller::MonitoringProfile& profile, RunGauge& gauge) = 0;
  virtual void run_ended(RunGauge& gauge) = 0;
  // Once for each task that was started.
  virtual void task_finished(const TaskReport& report) = 0;
};

class ConnectionObserver {
 public:
  virtual ~ConnectionObserver() = default;
  virtual void connected() = 0;
  virtual void disconnected() = 0;
};

}  // namespace proplet::telemetry
