#include "worker/heartbeat.h"

#include <utility>

namespace proplet::worker {

Heartbeat::Heartbeat(propeller::Publisher& publisher, HeartbeatOptions options)
    : publisher_(publisher),
      options_(std::move(options)),
      thread_([this](const std::stop_token& stop) { run(stop); }) {}

Heartbeat::~Heartbeat() { stop(); }

void Heartbeat::connected() {
  const std::lock_guard lock(mutex_);
  online_ = true;
  announce_ = true;
  wake_.notify_all();
}

void Heartbeat::disconnected() {
  const std::lock_guard lock(mutex_);
  online_ = false;
}

void Heartbeat::stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

void Heartbeat::run(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    wake_.wait(lock, stop, [this] { return online_; });
    if (stop.stop_requested()) return;
    const bool announce = std::exchange(announce_, false);
    lock.unlock();
    // A failure means that the connection is gone; the next one announces again.
    if (announce) static_cast<void>(publisher_.publish(options_.create_topic, options_.discovery));
    static_cast<void>(publisher_.publish(options_.alive_topic, options_.heartbeat));
    lock.lock();
    wake_.wait_for(lock, stop, options_.interval, [this] { return announce_; });
  }
}

}  // namespace proplet::worker
