#include "worker/delayed_queue.h"

#include <utility>

namespace proplet::worker {

DelayedQueue::DelayedQueue() : thread_([this](const std::stop_token& stop) { run(stop); }) {}

DelayedQueue::~DelayedQueue() {
  thread_.request_stop();
  thread_.join();
}

void DelayedQueue::at(Time time, std::function<void()> action) {
  const std::lock_guard lock(mutex_);
  const bool first = actions_.empty() || time < actions_.begin()->first;
  actions_.emplace(time, std::move(action));
  if (first) changed_.notify_all();
}

void DelayedQueue::run(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (true) {
    if (actions_.empty()) {
      if (!changed_.wait(lock, stop, [this] { return !actions_.empty(); })) return;
      continue;
    }
    const Time due = actions_.begin()->first;
    if (due > std::chrono::steady_clock::now() && !stop.stop_requested()) {
      changed_.wait_until(lock, stop, due, [&] { return actions_.begin()->first < due; });
      continue;
    }
    const auto action = std::move(actions_.extract(actions_.begin()).mapped());
    lock.unlock();
    action();
    lock.lock();
  }
}

}  // namespace proplet::worker
