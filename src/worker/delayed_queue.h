// DelayedQueue runs short actions at their time on one thread of its own, those of the same time in order.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <thread>

namespace proplet::worker {

class DelayedQueue {
 public:
  using Time = std::chrono::steady_clock::time_point;

  DelayedQueue();
  // Runs what is left at once.
  ~DelayedQueue();
  DelayedQueue(const DelayedQueue&) = delete;
  DelayedQueue& operator=(const DelayedQueue&) = delete;

  // Actions must not block. Thread-safe.
  void at(Time time, std::function<void()> action);

 private:
  void run(const std::stop_token& stop);

  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::multimap<Time, std::function<void()>> actions_;
  std::jthread thread_;
};

}  // namespace proplet::worker
