// What one run and the host functions that its guest calls share. For this folder only.
//
// It is the store's data pointer, lives on the stack of the running thread, and is used by that thread alone, but for
// `memory_bytes`.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <ctime>
#include <optional>
#include <stop_token>

#include "base/bounded_output.h"
#include "wasm/ticker.h"
#include "wasm/wtx.h"

namespace proplet::wasm {

using SteadyTime = std::chrono::steady_clock::time_point;

// CPU time of the calling thread.
inline std::chrono::nanoseconds thread_cpu_time() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

enum class Interruption : std::uint8_t { none, stopped, timed_out };

struct RunState {
  RunState(Ticker& run_ticker, std::stop_token run_stop, std::optional<std::chrono::milliseconds> time,
           std::size_t output_bytes)
      : ticker(run_ticker), stop(std::move(run_stop)), standard_output(output_bytes), standard_error(output_bytes) {
    if (time && *time < std::chrono::hours(24 * 365)) deadline = start + *time;
  }

  // Notes whether the run has to end now, and why.
  bool must_end() {
    if (interruption != Interruption::none) return true;
    if (stop.stop_requested()) {
      interruption = Interruption::stopped;
    } else if (deadline && std::chrono::steady_clock::now() >= *deadline) {
      interruption = Interruption::timed_out;
    }
    return interruption != Interruption::none;
  }

  // To be called where the guest may stay for long: at ticks and before waits.
  void publish_memory() { memory_bytes.store(limits.used_bytes, std::memory_order_relaxed); }

  Ticker& ticker;
  std::stop_token stop;
  SteadyTime start = std::chrono::steady_clock::now();
  std::chrono::nanoseconds cpu_start = thread_cpu_time();
  std::optional<SteadyTime> deadline;
  Interruption interruption = Interruption::none;
  std::optional<std::uint32_t> exit_code;  // of proc_exit
  BoundedOutput standard_output;
  BoundedOutput standard_error;
  wtx_limits_t limits{};
  std::atomic<std::uint64_t> memory_bytes = 0;  // of `limits`, for other threads
};

}  // namespace proplet::wasm
