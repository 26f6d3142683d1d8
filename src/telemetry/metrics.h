// Metrics counts what the worker does and writes it in the text format of Prometheus (docs/operations.md lists all).
//
// Counting is a few atomic additions. What can be asked for is not counted but read when somebody asks: the process,
// the container, and the Load that the caller hands in. Thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "telemetry/task_observer.h"

namespace proplet::telemetry {

// What the parts of the worker have to do at the moment, or have done.
struct Load {
  std::size_t running = 0;         // tasks
  std::size_t queued = 0;          // tasks
  std::size_t outbox_pending = 0;  // messages that the broker has not acknowledged
  std::size_t cache_hits = 0;      // compiled modules found in memory, since the start
  std::size_t cache_misses = 0;    // modules compiled, since the start
  std::uint64_t traces_dropped = 0;
};

class Metrics {
 public:
  // `tee`: "sample", "tdx", ...; empty: none.
  explicit Metrics(const std::string& tee);
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  void task_started();
  void module_fetched(std::size_t bytes);
  void task_finished(const TaskReport& report);
  void connected();
  void disconnected();

  [[nodiscard]] bool is_connected() const;
  [[nodiscard]] std::string text(const Load& load);

 private:
  struct State;  // keeps prometheus-cpp out of this header
  std::unique_ptr<State> state_;
};

}  // namespace proplet::telemetry
