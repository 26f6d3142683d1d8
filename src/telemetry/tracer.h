// Tracer exports the traces of a share of all tasks to an OpenTelemetry collector, on a thread of its own.
//
// Finished traces wait in a bounded queue and are sent in batches. What does not fit or cannot be delivered is dropped
// and counted: tracing never holds up a task. The destructor sends what waits, for at most a second. Thread-safe.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "net/http_client.h"
#include "telemetry/otlp.h"

namespace proplet::telemetry {

struct TracerOptions {
  net::Url url;      // of the collector: http://host:4318/v1/traces
  double ratio = 0;  // of the tasks that are traced, 0 to 1
  std::string instance{};
  std::string version{};
  std::size_t max_queue = 2048;
  std::size_t max_batch = 256;
  std::chrono::milliseconds delay{1000};  // that a trace waits for others
  std::chrono::milliseconds timeout{5000};
};

class Tracer {
 public:
  // `http`, `clock`, `random` and `log` must outlive this object.
  Tracer(TracerOptions options, net::HttpClient& http, const Clock& clock, Random& random, Log& log);
  ~Tracer();
  Tracer(const Tracer&) = delete;
  Tracer& operator=(const Tracer&) = delete;

  // Whether the next task is traced.
  bool choose();
  // A task that was chosen has ended.
  void finished(const TaskReport& report);

  // Traces that did not reach the collector.
  [[nodiscard]] std::uint64_t dropped() const { return dropped_; }

 private:
  void run(const std::stop_token& stop);
  std::vector<Trace> take_batch();
  bool send(const std::vector<Trace>& batch, std::chrono::milliseconds timeout, const std::stop_token& stop);

  const TracerOptions options_;
  net::HttpClient& http_;
  const Clock& clock_;
  Random& random_;
  Log& log_;
  std::atomic<std::uint64_t> dropped_ = 0;
  bool failing_ = false;  // of the thread alone

  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<Trace> queue_;
  std::jthread thread_;
};

}  // namespace proplet::telemetry
