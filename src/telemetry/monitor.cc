#include "telemetry/monitor.h"

#include <algorithm>
#include <utility>

#include "telemetry/task_history.h"

namespace proplet::telemetry {

using std::chrono::steady_clock;

namespace {

constexpr std::chrono::hours kLongTime{1};

}  // namespace

struct Monitor::Watched {
  Watched(std::string_view id, const propeller::MonitoringProfile& asked, RunGauge& run_gauge, std::uint64_t memory)
      : task_id(id), profile(asked), history(asked, memory), gauge(&run_gauge) {}

  const std::string task_id;
  const propeller::MonitoringProfile profile;
  Time due;  // guarded by the monitor's mutex

  std::mutex mutex;  // guards the rest
  TaskHistory history;
  RunGauge* gauge;  // null once the run has ended
};

Monitor::Monitor(propeller::Publisher& publisher, const Clock& clock, MonitorOptions options)
    : publisher_(publisher),
      clock_(clock),
      options_(std::move(options)),
      thread_([this](const std::stop_token& stop) { run(stop); }) {}

Monitor::~Monitor() = default;

void Monitor::connected() {
  const std::lock_guard lock(mutex_);
  online_ = true;
  process_due_ = steady_clock::now();
  woken_ = true;
  changed_.notify_all();
}

void Monitor::disconnected() {
  const std::lock_guard lock(mutex_);
  online_ = false;
}

void Monitor::run_started(std::string_view task_id, const propeller::MonitoringProfile& profile, RunGauge& gauge) {
  auto watched = std::make_shared<Watched>(task_id, profile, gauge, options_.machine_memory_bytes);
  watched->due = steady_clock::now() + options_.attach_delay;
  const std::lock_guard lock(mutex_);
  const bool earlier = watched->due < wakes_at_;
  runs_.insert_or_assign(&gauge, std::move(watched));
  // While short tasks follow each other, the thread is going to wake up in time for all of them.
  if (!earlier) return;
  woken_ = true;
  changed_.notify_all();
}

void Monitor::run_ended(RunGauge& gauge) {
  WatchedPointer watched;
  {
    const std::lock_guard lock(mutex_);
    const auto found = runs_.find(&gauge);
    if (found == runs_.end()) return;
    watched = std::move(found->second);
    runs_.erase(found);
  }
  const std::lock_guard lock(watched->mutex);
  watched->gauge = nullptr;
  const auto reading = gauge.read();
  if (!reading) return;
  // Two samples within so short a time would say nothing new.
  if (reading->taken - watched->history.last().value_or(reading->started) < options_.attach_delay) return;
  send_sample(*watched, *reading);
}

void Monitor::run(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    const Time now = steady_clock::now();
    if (work(lock, now)) continue;
    wakes_at_ = next_work(now);
    changed_.wait_until(lock, stop, wakes_at_, [this] { return std::exchange(woken_, false); });
  }
}

// Does what is due, without the lock; false if nothing was.
bool Monitor::work(std::unique_lock<std::mutex>& lock, Time now) {
  std::vector<WatchedPointer> due;
  for (const auto& [gauge, watched] : runs_) {
    if (watched->due <= now) due.push_back(watched);
  }
  const bool process_is_due = online_ && options_.interval.count() > 0 && process_due_ <= now;
  if (process_is_due) process_due_ = now + options_.interval;
  if (due.empty() && !process_is_due) return false;

  lock.unlock();
  if (process_is_due) send_process_metrics();
  std::vector<Time> next;
  for (const auto& watched : due) next.push_back(sample(*watched, now));
  lock.lock();
  for (std::size_t i = 0; i < due.size(); ++i) due[i]->due = next[i];
  return true;
}

Monitor::Time Monitor::next_work(Time now) const {
  Time next = now + kLongTime;
  if (online_ && options_.interval.count() > 0) next = std::min(next, process_due_);
  for (const auto& [gauge, watched] : runs_) next = std::min(next, watched->due);
  return next;
}

void Monitor::send_process_metrics() {
  propeller::ProcessMetrics metrics;
  metrics.proplet_id = options_.proplet_id;
  metrics.namespace_name = options_.namespace_name;
  metrics.time = clock_.now();
  process_.sample(metrics);
  static_cast<void>(publisher_.publish(options_.metrics_topic, encode(metrics)));
}

// Returns when the next sample is due.
Monitor::Time Monitor::sample(Watched& watched, Time now) {
  const std::lock_guard lock(watched.mutex);
  if (watched.gauge == nullptr) return now + kLongTime;
  const auto reading = watched.gauge->read();
  // Its module may still be on its way to machine code.
  if (!reading) return now + options_.attach_delay;
  if (reading->taken < reading->started + options_.attach_delay) return reading->started + options_.attach_delay;
  send_sample(watched, *reading);
  return now + watched.profile.interval;
}

void Monitor::send_sample(Watched& watched, const RunGauge::Reading& reading) {
  propeller::TaskMetrics metrics;
  metrics.task_id = watched.task_id;
  metrics.proplet_id = options_.proplet_id;
  metrics.time = clock_.now();
  metrics.sample = watched.history.add(reading);
  metrics.aggregate = watched.history.aggregate();
  static_cast<void>(publisher_.publish(options_.task_metrics_topic, encode(metrics)));
}

}  // namespace proplet::telemetry
