// StageRecorder keeps how long each stage of one task took. Thread-safe.
#pragma once

#include <array>
#include <chrono>
#include <mutex>
#include <utility>
#include <vector>

#include "base/stage.h"

namespace proplet::worker {

class StageRecorder final : public StageObserver {
 public:
  void stage_finished(Stage stage, std::chrono::nanoseconds duration) override {
    const std::lock_guard lock(mutex_);
    durations_.at(static_cast<std::size_t>(stage)) += duration;
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

 private:
  mutable std::mutex mutex_;
  std::array<std::chrono::nanoseconds, kStageCount> durations_{};
};

}  // namespace proplet::worker
