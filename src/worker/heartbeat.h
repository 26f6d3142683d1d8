// Heartbeat announces the worker and then shows that it lives, on a thread of its own that nothing else can delay.
//
// Discovery followed at once by a heartbeat after every connection (a Manager that restarted has forgotten both), then
// a heartbeat each interval. What cannot be sent is not kept: an old heartbeat is worth nothing.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

#include "propeller/session.h"

namespace proplet::worker {

struct HeartbeatOptions {
  std::string create_topic;
  std::string discovery;
  std::string alive_topic;
  std::string heartbeat;
  std::chrono::milliseconds interval{4000};
};

class Heartbeat {
 public:
  // `publisher` must outlive this object. Silent until `connected` is called.
  Heartbeat(propeller::Publisher& publisher, HeartbeatOptions options);
  ~Heartbeat();
  Heartbeat(const Heartbeat&) = delete;
  Heartbeat& operator=(const Heartbeat&) = delete;

  // To be called by the session's handler.
  void connected();
  void disconnected();
  // Ends the thread. May be called repeatedly.
  void stop();

 private:
  void run(const std::stop_token& stop);

  propeller::Publisher& publisher_;
  HeartbeatOptions options_;
  std::mutex mutex_;
  std::condition_variable_any wake_;
  bool online_ = false;
  bool announce_ = false;
  std::jthread thread_;
};

}  // namespace proplet::worker
