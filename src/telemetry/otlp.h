// Traces as the OpenTelemetry protocol writes them in JSON (opentelemetry.io/docs/specs/otlp,
// ExportTraceServiceRequest).
//
// A trace is one task: the span `task.start` over its whole life; below it the stages before it got a thread, and
// `task.execute` from then on, with the other stages below that; the run is `wasm.execute`. Attributes name the task,
// never what it is given or gives. Pure functions.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "telemetry/task_observer.h"

namespace proplet::telemetry {

// What is kept of a finished task until it is exported.
struct Trace {
  std::string trace_id;             // 32 hexadecimal digits
  std::uint64_t first_span_id = 1;  // the spans have this one and those that follow; never 0
  std::string task_id;
  std::string task_name;
  bool encrypted = false;
  std::string error_code;             // empty: the task succeeded
  std::string error_stage;            // may be empty
  std::chrono::nanoseconds start{0};  // since the epoch
  std::chrono::nanoseconds end{0};
  struct Step {
    Stage stage;
    std::chrono::nanoseconds start;  // since the epoch
    std::chrono::nanoseconds end;
  };
  std::vector<Step> steps;
};

// `now` and `steady_now` are the same moment on the two clocks. Long texts are cut.
Trace make_trace(const TaskReport& report, std::chrono::system_clock::time_point now,
                 std::chrono::steady_clock::time_point steady_now);

// One request with all of them. `instance` is the worker's id.
std::string encode_traces(std::span<const Trace> traces, const std::string& instance, const std::string& version);

}  // namespace proplet::telemetry
