// What a process that handles secrets does once, first thing in main.
#pragma once

#include <stop_token>
#include <thread>

#include "base/result.h"

namespace proplet {

// Forbids core dumps and attaching by other processes of the same user (PR_SET_DUMPABLE, RLIMIT_CORE), removes
// environment variables that make libraries write more than they should, and ignores SIGPIPE. Call before any thread
// exists.
Status harden_process();

// Blocks until `stop` is requested.
void wait_for_stop(const std::stop_token& stop);

// Turns SIGINT and SIGTERM into a stop request on a thread of its own. A second signal ends the process at once,
// without clean-up, for people who are in a hurry. Make it before any other thread, so that all inherit the mask.
class StopSignals {
 public:
  explicit StopSignals(std::stop_source stop);
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

 private:
  std::jthread thread_;
};

}  // namespace proplet
