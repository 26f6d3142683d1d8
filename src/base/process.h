// What a process that handles secrets does once, first thing in main.
#pragma once

#include <csignal>
#include <cstdint>
#include <functional>
#include <mutex>
#include <stop_token>
#include <thread>

#include "base/result.h"

namespace proplet {

// Forbids core dumps and attaching by other processes of the same user (PR_SET_DUMPABLE, RLIMIT_CORE), removes
// environment variables that make libraries write more than they should, and ignores SIGPIPE and SIGXFSZ, so that a
// closed connection and a full quota are errors of the write. Call before any thread exists.
Status harden_process();

// Gives back the memory of program code that has run so far, most of which only a start needs; what is needed again
// comes from the page cache. Best effort.
void release_startup_code();

// Blocks until `stop` is requested.
void wait_for_stop(const std::stop_token& stop);

// Turns SIGINT and SIGTERM into a stop request on a thread of its own, and SIGHUP into a call for those who want that.
// A second signal to stop ends the process at once, without clean-up, for people who are in a hurry. Make it before any
// other thread, so that all inherit the mask.
class StopSignals {
 public:
  enum class Hangup : std::uint8_t { ends_process, calls };

  explicit StopSignals(std::stop_source stop, Hangup hangup = Hangup::ends_process);
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  // With Hangup::calls: what SIGHUP does from now on; it does nothing before. Waits for a call under way to end.
  void on_hangup(std::function<void()> action);

 private:
  void wait_for_signals(const sigset_t& signals, const std::stop_token& end, std::stop_source& stop);
  void hang_up();

  std::mutex mutex_;
  std::function<void()> hangup_;
  std::jthread thread_;
};

}  // namespace proplet
