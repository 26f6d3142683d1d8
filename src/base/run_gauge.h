// RunGauge: what a running guest uses at the moment, for somebody who watches it from another thread.
//
// Whoever runs the guest attaches a UsageSource for the time of the run; a watcher reads whenever it likes. The gauge
// asks the source only while it is attached, and remembers the last values it gave, so that a watcher can still read
// them when the run is over. Runs that nobody watches have no gauge, and cost nothing. Thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>

namespace proplet {

// What is not known has no value. Totals are since the start of the run.
struct Usage {
  std::optional<std::chrono::nanoseconds> cpu_time;
  std::optional<std::uint64_t> memory_bytes;  // at present
  std::optional<std::uint64_t> disk_read_bytes;
  std::optional<std::uint64_t> disk_write_bytes;
  std::optional<std::uint64_t> threads;           // at present
  std::optional<std::uint64_t> file_descriptors;  // at present
};

class UsageSource {
 public:
  virtual ~UsageSource() = default;
  // Called on any thread, one call at a time. Must not block.
  [[nodiscard]] virtual Usage usage() const = 0;
};

class RunGauge {
 public:
  using Time = std::chrono::steady_clock::time_point;

  struct Reading {
    Usage usage;
    Time started;  // when the source was attached: when the guest began to run
    Time taken;
  };

  RunGauge() = default;
  ~RunGauge() = default;
  RunGauge(const RunGauge&) = delete;
  RunGauge& operator=(const RunGauge&) = delete;

  // The usage now; after the run that at its end; nothing before it.
  std::optional<Reading> read();

  // Connects a source with a gauge (none: no effect) for its own lifetime. Both must outlive it.
  class Attachment {
   public:
    Attachment(RunGauge* gauge, const UsageSource& source);
    ~Attachment();
    Attachment(const Attachment&) = delete;
    Attachment& operator=(const Attachment&) = delete;

   private:
    RunGauge* gauge_;
  };

 private:
  void update();  // the mutex is held

  std::mutex mutex_;
  const UsageSource* source_ = nullptr;
  std::optional<Reading> last_;
};

}  // namespace proplet
