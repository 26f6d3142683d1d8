// Clock and Random: the two sources of surprise that tests replace.
#pragma once

#include <array>
#include <chrono>
#include <string>

#include "base/bytes.h"

namespace proplet {

// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual std::chrono::system_clock::time_point now() const = 0;
  [[nodiscard]] virtual std::chrono::steady_clock::time_point steady_now() const = 0;
};

class SystemClock final : public Clock {
 public:
  [[nodiscard]] std::chrono::system_clock::time_point now() const override { return std::chrono::system_clock::now(); }
  [[nodiscard]] std::chrono::steady_clock::time_point steady_now() const override {
    return std::chrono::steady_clock::now();
  }
};

// Seconds since the epoch.
inline std::int64_t unix_seconds(std::chrono::system_clock::time_point time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}
// RFC 3339 in UTC with nine fractional digits: what Go writes as RFC3339Nano.
std::string rfc3339(std::chrono::system_clock::time_point time);

// Cryptographically secure bytes. Thread-safe. Aborts if the system cannot give any.
class Random {
 public:
  virtual ~Random() = default;
  virtual void fill(MutableByteView out) = 0;

  template <std::size_t N>
  std::array<std::uint8_t, N> bytes() {
    std::array<std::uint8_t, N> out;
    fill(out);
    return out;
  }
  std::uint64_t next();
  // Version 4 UUID (RFC 9562 section 5.4), lower case with dashes.
  std::string uuid();
};

class SystemRandom final : public Random {
 public:
  void fill(MutableByteView out) override;
};

}  // namespace proplet
