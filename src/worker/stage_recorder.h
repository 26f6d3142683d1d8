// StageRecorder keeps how long each stage of one task took and, if asked to, when. Thread-safe.
#pragma once

#include <array>
#include <chrono>
#include <mutex>
#include <utility>
#include <vector>

#include "base/stage.h"
#include "telemetry/task_observer.h"

namespace proplet::worker {

class StageRecorder final : public StageObserver {
 public:
  // From now on the single passages are kept as well, so many at most: for traces.
  void keep_spans() {
    const std::lock_guard lock(mutex_);
    keep_spans_ = true;
  }

  void stage_finished(Stage stage, std::chrono::nanoseconds duration) override {
    const std::lock_guard lock(mutex_);
    durations_.at(static_cast<std::size_t>(stage)) += duration;
    // A stage is reported at the moment it ends.
    if (keep_spans_ && spans_.size() < kMaxSpans) {
      spans_.push_back({stage, std::chrono::steady_clock::now() - duration, duration});
    }
  }

  // Stages that took any time, in order; a stage entered several times counts with its sum.
  [[nodiscard]] std::vector<std::pair<Stage, std::chrono::nanoseconds>> durations() const {
    const std::lock_guard lock(mutex_);
    std::vector<std::pair<Stage, std::chrono::nanoseconds>> taken;
    for (std::size_t i = 0; i < durations_.size(); ++i) {
      if (durations_.at(i).count() > 0) taken.emplace_back(static_cast<Stage>(i), durations_.at(i));
    }
    return taken;
  }

  // In the order in which they ended.
  [[nodiscard]] std::vector<telemetry::StageSpan> spans() const {
    const std::lock_guard lock(mutex_);
    return spans_;
  }

 private:
  static constexpr std::size_t kMaxSpans = 64;

  mutable std::mutex mutex_;
  std::array<std::chrono::nanoseconds, kStageCount> durations_{};
  bool keep_spans_ = false;
  std::vector<telemetry::StageSpan> spans_;
};

}  // namespace proplet::worker
