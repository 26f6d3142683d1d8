#include "telemetry/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <array>
#include <atomic>
#include <mutex>

#include "telemetry/process_sampler.h"

namespace proplet::telemetry {
namespace {

using prometheus::Counter;
using prometheus::Gauge;
using prometheus::Histogram;

// Seconds. A cached module is compiled in microseconds, an image pulled in minutes.
const Histogram::BucketBoundaries& boundaries() {
  static const Histogram::BucketBoundaries seconds = {0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60};
  return seconds;
}

prometheus::Family<Counter>& counters(prometheus::Registry& registry, const char* name, const char* help) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(registry);
}

Counter& counter(prometheus::Registry& registry, const char* name, const char* help) {
  return counters(registry, name, help).Add({});
}

Gauge& gauge(prometheus::Registry& registry, const char* name, const char* help) {
  return prometheus::BuildGauge().Name(name).Help(help).Register(registry).Add({});
}

double seconds(std::chrono::nanoseconds time) { return std::chrono::duration<double>(time).count(); }

void raise_to(Counter& counter, double value) {
  if (value > counter.Value()) counter.Increment(value - counter.Value());
}

}  // namespace

struct Metrics::State {
  explicit State(const std::string& tee) {
    auto& stages = prometheus::BuildHistogram()
                       .Name("proplet_stage_seconds")
                       .Help("Time of each stage of a task that it went through")
                       .Register(registry);
    for (int i = 0; i < kStageCount; ++i) {
      const auto index = static_cast<std::size_t>(i);
      stage_seconds.at(index) = &stages.Add({{"stage", std::string(stage_name(static_cast<Stage>(i)))}}, boundaries());
    }
    prometheus::BuildGauge()
        .Name("proplet_tee_info")
        .Help("1, labelled with the kind of trusted execution environment")
        .Register(registry)
        .Add({{"type", tee.empty() ? "none" : tee}})
        .Set(1);
  }

  void read_process() {
    propeller::ProcessMetrics now;
    process.sample(now);
    cpu_usage.Set(now.machine_percent / 100);
    cpu_user.Set(now.user_seconds);
    cpu_system.Set(now.system_seconds);
    rss.Set(static_cast<double>(now.rss_bytes));
    container_usage.Set(static_cast<double>(now.container_usage_bytes));
    container_limit.Set(static_cast<double>(now.container_limit_bytes.value_or(0)));
  }

  void take(const Load& load) {
    running.Set(static_cast<double>(load.running));
    queued.Set(static_cast<double>(load.queued));
    outbox.Set(static_cast<double>(load.outbox_pending));
    connection.Set(connected ? 1 : 0);
    raise_to(cache_hits, static_cast<double>(load.cache_hits));
    raise_to(cache_misses, static_cast<double>(load.cache_misses));
    raise_to(traces_dropped, static_cast<double>(load.traces_dropped));
  }

  prometheus::Registry registry;

  // The names of the Propeller worker.
  Counter& started = counter(registry, "proplet_tasks_started_total", "Tasks taken on");
  Counter& completed = counter(registry, "proplet_tasks_completed_total", "Tasks that succeeded");
  Counter& failed = counter(registry, "proplet_tasks_failed_total", "Tasks that failed or were refused");
  Counter& reconnects =
      counter(registry, "proplet_mqtt_reconnects_total", "Connections to the broker after the first one");
  Counter& fetched = counter(registry, "proplet_wasm_fetch_bytes_total", "Bytes of modules fetched");
  Gauge& running = gauge(registry, "proplet_tasks_running", "Tasks that have a thread");
  Gauge& cpu_usage = gauge(registry, "proplet_cpu_usage_ratio", "CPU use of the machine since the last scrape, 0 to 1");
  Gauge& cpu_user = gauge(registry, "proplet_cpu_user_seconds", "CPU time of the worker outside of the kernel");
  Gauge& cpu_system = gauge(registry, "proplet_cpu_system_seconds", "CPU time of the worker in the kernel");
  Gauge& rss = gauge(registry, "proplet_memory_rss_bytes", "Resident memory of the worker");
  Gauge& container_usage =
      gauge(registry, "proplet_memory_container_usage_bytes", "Memory of the control group; 0: there is none");
  Gauge& container_limit =
      gauge(registry, "proplet_memory_container_limit_bytes", "Limit of the control group; 0: there is none");

  // Ours.
  prometheus::Family<Counter>& finished =
      counters(registry, "proplet_tasks_finished_total", "Tasks by the code of their error, OK without one");
  Counter& succeeded = finished.Add({{"code", "OK"}});
  prometheus::Family<Counter>& refused =
      counters(registry, "proplet_tasks_refused_total", "Tasks that never got into the queue, by code");
  prometheus::Family<Counter>& stage_failures =
      counters(registry, "proplet_stage_failures_total", "Failed tasks by the stage that failed");
  prometheus::Family<Counter>& encrypted =
      counters(registry, "proplet_encrypted_tasks_total", "Encrypted tasks that ended, by outcome");
  Counter& encrypted_completed = encrypted.Add({{"outcome", "completed"}});
  Counter& encrypted_failed = encrypted.Add({{"outcome", "failed"}});
  Histogram& task_seconds = prometheus::BuildHistogram()
                                .Name("proplet_task_seconds")
                                .Help("Time of a task from its start message to its end")
                                .Register(registry)
                                .Add({}, boundaries());
  std::array<Histogram*, kStageCount> stage_seconds{};
  Gauge& queued = gauge(registry, "proplet_tasks_queued", "Tasks that wait for a thread");
  Gauge& outbox = gauge(registry, "proplet_outbox_pending", "Messages that the broker has not acknowledged");
  Gauge& connection = gauge(registry, "proplet_mqtt_connected", "1 while connected to the broker, else 0");
  Counter& cache_hits = counter(registry, "proplet_module_cache_hits_total", "Compiled modules found in memory");
  Counter& cache_misses = counter(registry, "proplet_module_cache_misses_total", "Modules that had to be compiled");
  Counter& traces_dropped = counter(registry, "proplet_traces_dropped_total", "Traces that could not be delivered");

  std::atomic<bool> connected = false;
  std::atomic<bool> ever_connected = false;

  std::mutex mutex;  // one scrape at a time
  ProcessSampler process;
};

Metrics::Metrics(const std::string& tee) : state_(std::make_unique<State>(tee)) {}

Metrics::~Metrics() = default;

void Metrics::task_started() { state_->started.Increment(); }

void Metrics::module_fetched(std::size_t bytes) { state_->fetched.Increment(static_cast<double>(bytes)); }

void Metrics::task_finished(const TaskReport& report) {
  State& state = *state_;
  for (const auto& [stage, time] : report.stages) {
    state.stage_seconds.at(static_cast<std::size_t>(stage))->Observe(seconds(time));
  }
  state.task_seconds.Observe(seconds(report.finished - report.received));
  if (report.encrypted) (report.error == nullptr ? state.encrypted_completed : state.encrypted_failed).Increment();
  if (report.error == nullptr) {
    state.completed.Increment();
    state.succeeded.Increment();
    return;
  }
  // The catalogue of codes bounds the number of labels.
  const prometheus::Labels code{{"code", std::string(report.error->code_name())}};
  state.failed.Increment();
  state.finished.Add(code).Increment();
  if (report.refused) state.refused.Add(code).Increment();
  if (const auto stage = report.error->stage()) {
    state.stage_failures.Add({{"stage", std::string(stage_name(*stage))}}).Increment();
  }
}

void Metrics::connected() {
  state_->connected = true;
  if (state_->ever_connected.exchange(true)) state_->reconnects.Increment();
}

void Metrics::disconnected() { state_->connected = false; }

bool Metrics::is_connected() const { return state_->connected; }

std::string Metrics::text(const Load& load) {
  const std::lock_guard lock(state_->mutex);
  state_->read_process();
  state_->take(load);
  return prometheus::TextSerializer().Serialize(state_->registry.Collect());
}

}  // namespace proplet::telemetry
