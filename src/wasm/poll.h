// poll_oneoff and the clocks of WASI 0.1 ("wasi_snapshot_preview1"), over plain guest memory.
//
// Guests use poll_oneoff to sleep. The wait here ends at the earliest of the guest's deadline, a stop request and the
// run's time limit. For this folder only; called on the guest's thread.
#pragma once

#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "wasm/run_state.h"

namespace proplet::wasm {

// Values of WASI's `errno` type.
enum class Errno : std::uint16_t { success = 0, badf = 8, fault = 21, inval = 28, notsup = 58 };

// Bounds-checked little-endian access to a guest's linear memory. Borrows.
class GuestMemory {
 public:
  explicit GuestMemory(MutableByteView bytes) : bytes_(bytes) {}

  [[nodiscard]] bool contains(std::uint32_t address, std::uint64_t length) const {
    return length <= bytes_.size() && address <= bytes_.size() - length;
  }
  // Undefined unless contains() said so.
  [[nodiscard]] std::uint64_t read(std::uint32_t address, std::size_t width) const;
  void write(std::uint32_t address, std::uint64_t value, std::size_t width);
  // False if out of bounds.
  bool write_u64(std::uint32_t address, std::uint64_t value);

 private:
  MutableByteView bytes_;
};

// The four parameters of poll_oneoff.
struct PollCall {
  std::uint32_t subscriptions;
  std::uint32_t events;
  std::uint32_t count;
  std::uint32_t event_count;
};

// Sets `state.interruption` when the run has to end; the result is meaningless then.
Errno poll_guest(GuestMemory& memory, const PollCall& call, RunState& state);

// Nanoseconds of a WASI clock: 0 real time, 1 monotonic (since the start of the run), 2 and 3 CPU time of the thread.
std::optional<std::uint64_t> clock_now(std::uint32_t clock, const RunState& state);

}  // namespace proplet::wasm
