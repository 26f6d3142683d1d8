// Telemetry passes on what the worker tells to the parts that the operator has switched on: Metrics, Monitor, Tracer.
// A part that is off is a null pointer and costs a comparison. All must outlive this object. Thread-safe.
#pragma once

#include "telemetry/metrics.h"
#include "telemetry/monitor.h"
#include "telemetry/task_observer.h"
#include "telemetry/tracer.h"

namespace proplet::telemetry {

class Telemetry final : public TaskObserver, public ConnectionObserver {
 public:
  Telemetry(Metrics* metrics, Monitor* monitor, Tracer* tracer)
      : metrics_(metrics), monitor_(monitor), tracer_(tracer) {}

  bool task_started() override;
  void module_fetched(std::size_t bytes) override;
  [[nodiscard]] bool watches(const propeller::MonitoringProfile& profile) const override;
  void run_started(std::string_view task_id, const propeller::MonitoringProfile& profile, RunGauge& gauge) override;
  void run_ended(RunGauge& gauge) override;
  void task_finished(const TaskReport& report) override;

  void connected() override;
  void disconnected() override;

 private:
  Metrics* metrics_;
  Monitor* monitor_;
  Tracer* tracer_;
};

}  // namespace proplet::telemetry
