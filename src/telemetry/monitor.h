// Monitor tells the Manager how this worker and its tasks fare (Propeller protocol 2.3, 2.4 and 5.6), on a thread of
// its own.
//
// About the process: a message at every connection and then each interval. About a task: the first message 100 ms after
// its guest began to run, then each interval of its profile, and one at the end of the run, given before the task is
// answered. Shorter runs cause no message and do not even wake the thread. What cannot be sent is not kept: an old
// measurement is worth nothing. Thread-safe.
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/run_gauge.h"
#include "propeller/metrics_messages.h"
#include "propeller/session.h"
#include "telemetry/process_sampler.h"

namespace proplet::telemetry {

struct MonitorOptions {
  std::string proplet_id;
  std::string namespace_name = "default";
  std::string metrics_topic;
  std::string task_metrics_topic;
  std::chrono::milliseconds interval{10000};    // of the messages about the process; 0: none
  std::chrono::milliseconds attach_delay{100};  // a task that is over before then causes no message
  std::uint64_t machine_memory_bytes = 0;
};

class Monitor {
 public:
  // `publisher` and `clock` must outlive this object. Silent until `connected` is called.
  Monitor(propeller::Publisher& publisher, const Clock& clock, MonitorOptions options);
  ~Monitor();
  Monitor(const Monitor&) = delete;
  Monitor& operator=(const Monitor&) = delete;

  void connected();
  void disconnected();

  // Every run that started has to end; the gauge must stay until then.
  void run_started(std::string_view task_id, const propeller::MonitoringProfile& profile, RunGauge& gauge);
  void run_ended(RunGauge& gauge);

 private:
  using Time = std::chrono::steady_clock::time_point;
  struct Watched;
  using WatchedPointer = std::shared_ptr<Watched>;  // shared by the table and whoever takes a sample

  void run(const std::stop_token& stop);
  bool work(std::unique_lock<std::mutex>& lock, Time now);
  [[nodiscard]] Time next_work(Time now) const;
  void send_process_metrics();
  Time sample(Watched& watched, Time now);
  void send_sample(Watched& watched, const RunGauge::Reading& reading);

  propeller::Publisher& publisher_;
  const Clock& clock_;
  const MonitorOptions options_;
  ProcessSampler process_;  // of the thread alone

  std::mutex mutex_;
  std::condition_variable_any changed_;
  bool online_ = false;
  bool woken_ = false;
  Time process_due_;
  Time wakes_at_;  // when the thread will look by itself
  std::unordered_map<const RunGauge*, WatchedPointer> runs_;
  std::jthread thread_;
};

}  // namespace proplet::telemetry
