// For tests of this folder: a publisher that keeps what it is given, and one finished task.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "propeller/session.h"
#include "telemetry/task_observer.h"

namespace proplet::telemetry {

class KeptMessages final : public propeller::Publisher {
 public:
  Result<std::uint64_t> publish(std::string_view topic, std::string_view payload) override {
    const std::lock_guard lock(mutex_);
    messages_.emplace_back(topic, json::parse_object(payload).value());
    changed_.notify_all();
    return messages_.size();
  }

  // Those on `topic`, as soon as there are `count`; fewer if there are not so many within half a minute.
  std::vector<json::object> wait(std::string_view topic, std::size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::seconds(30), [&] { return on(topic).size() >= count; });
    return on(topic);
  }

 private:
  [[nodiscard]] std::vector<json::object> on(std::string_view topic) const {
    std::vector<json::object> found;
    for (const auto& [its_topic, message] : messages_) {
      if (its_topic == topic) found.push_back(message);
    }
    return found;
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::pair<std::string, json::object>> messages_;
};

// Owns what a TaskReport borrows.
struct FinishedTask {
  TaskReport report() const {
    TaskReport report;
    report.task_id = id;
    report.name = name;
    report.encrypted = encrypted;
    report.refused = refused;
    report.traced = true;
    report.error = error ? &*error : nullptr;
    report.received = begin;
    report.finished = begin + std::chrono::milliseconds(100);
    report.stages = stages;
    report.spans = spans;
    return report;
  }

  std::string id = "task-1";
  std::string name = "add";
  bool encrypted = false;
  bool refused = false;
  std::optional<Error> error{};
  std::chrono::steady_clock::time_point begin = std::chrono::steady_clock::now();
  std::vector<std::pair<Stage, std::chrono::nanoseconds>> stages{};
  std::vector<StageSpan> spans{};
};

}  // namespace proplet::telemetry
