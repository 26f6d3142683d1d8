// The Ticker advances an engine's epoch every 10 ms, but only while guests execute.
//
// Each tick makes every executing guest call back into its run, where stop requests and time limits are looked at. A
// guest that sleeps or a worker that is idle needs no ticks, and causes no wake-ups. Thread-safe; must outlive all its
// Guards.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/result.h"
#include "wasm/handles.h"

namespace proplet::wasm {

inline constexpr std::chrono::milliseconds kTick{10};

class Ticker {
 public:
  explicit Ticker(wasm_engine_t* engine) : engine_(engine) {}
  ~Ticker();
  Ticker(const Ticker&) = delete;
  Ticker& operator=(const Ticker&) = delete;

  // Starts the thread; once, before the first Guard. INTERNAL if the system has none left.
  Status start();

  // Epochs advance while at least one Guard is active.
  class Guard {
   public:
    explicit Guard(Ticker& ticker) : ticker_(ticker) { ticker_.enter(); }
    ~Guard() { ticker_.leave(); }
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;

   private:
    Ticker& ticker_;
  };

  // For the time a guest waits in the host: the opposite of a Guard.
  class Pause {
   public:
    explicit Pause(Ticker& ticker) : ticker_(ticker) { ticker_.leave(); }
    ~Pause() { ticker_.enter(); }
    Pause(const Pause&) = delete;
    Pause& operator=(const Pause&) = delete;

   private:
    Ticker& ticker_;
  };

 private:
  void enter();
  void leave();
  void tick();

  wasm_engine_t* engine_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int active_ = 0;
  bool idle_ = false;  // the thread waits for a Guard
  bool ended_ = false;
  std::thread thread_;
};

}  // namespace proplet::wasm
