#include "wasm/ticker.h"

#include <system_error>

namespace proplet::wasm {

Ticker::~Ticker() {
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

Status Ticker::start() {
  try {
    thread_ = std::thread([this] { tick(); });
  } catch (const std::system_error& error) {
    return fail(Code::internal, "cannot start the epoch thread: {}", error.what());
  }
  return {};
}

void Ticker::enter() {
  const std::lock_guard lock(mutex_);
  // While it ticks it finds out by itself; waking it would cost each short run a switch between threads.
  if (++active_ == 1 && idle_) changed_.notify_all();
}

void Ticker::leave() {
  const std::lock_guard lock(mutex_);
  --active_;
}

void Ticker::tick() {
  std::unique_lock lock(mutex_);
  while (true) {
    idle_ = true;
    changed_.wait(lock, [this] { return ended_ || active_ > 0; });
    idle_ = false;
    if (ended_) return;
    changed_.wait_until(lock, std::chrono::steady_clock::now() + kTick, [this] { return ended_; });
    wasmtime_engine_increment_epoch(engine_);
  }
}

}  // namespace proplet::wasm
