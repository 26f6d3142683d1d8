// What every fuzz target shares: the input as text, checks that end the process, and fixed sources of time and chance,
// so that an input does the same each time.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "base/bytes.h"
#include "base/clock.h"

// The entry point that libFuzzer (or replay_main.cc) calls.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace proplet::fuzz {

// Ends the process, so that the fuzzer keeps the input. For invariants of the code under test.
inline void check(bool holds, const char* invariant) {
  if (holds) return;
  std::fprintf(stderr, "broken invariant: %s\n", invariant);
  std::abort();
}

inline std::string_view text_input(const std::uint8_t* data, std::size_t size) { return text_of(ByteView(data, size)); }

class FixedClock final : public Clock {
 public:
  [[nodiscard]] std::chrono::system_clock::time_point now() const override {
    return std::chrono::system_clock::time_point(std::chrono::seconds(1'790'000'000));
  }
  [[nodiscard]] std::chrono::steady_clock::time_point steady_now() const override { return {}; }
};

}  // namespace proplet::fuzz
