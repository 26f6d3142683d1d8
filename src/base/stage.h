// The stages of a task, and how their durations and failures are reported.
//
// A stage is a named step of a task's life; the same names appear in logs, metrics, error texts and in
// `propctl task start --wait`. Whoever runs a step opens a StageTimer; the observer, handed in from `main`, sees
// the duration when the timer goes out of scope. Observers are called from any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

namespace proplet {

enum class Stage : std::uint8_t {
  decode,   // the message
  admit,    // queue, limits
  resolve,  // reference to manifest digest
  pull,     // blobs
  attest,   // key broker handshake
  key,      // key release and unwrapping
  decrypt,  // layer decryption and verification
  compile,  // module to machine code
  run,      // instantiation and call
  publish,  // result to the broker
};

inline constexpr int kStageCount = 10;

std::string_view stage_name(Stage stage);
std::optional<Stage> stage_from_name(std::string_view name);

class StageObserver {
 public:
  virtual ~StageObserver() = default;
  virtual void stage_finished(Stage stage, std::chrono::nanoseconds duration) = 0;
};

// Measures one stage of one task with the steady clock and reports it to `observer` (may be null) once, at `stop()`
// or on destruction.
class StageTimer {
 public:
  StageTimer(Stage stage, StageObserver* observer)
      : stage_(stage), observer_(observer), start_(std::chrono::steady_clock::now()) {}
  ~StageTimer() { stop(); }
  StageTimer(const StageTimer&) = delete;
  StageTimer& operator=(const StageTimer&) = delete;

  void stop() {
    if (observer_ != nullptr) observer_->stage_finished(stage_, std::chrono::steady_clock::now() - start_);
    observer_ = nullptr;
  }

 private:
  Stage stage_;
  StageObserver* observer_;
  std::chrono::steady_clock::time_point start_;
};

}  // namespace proplet
