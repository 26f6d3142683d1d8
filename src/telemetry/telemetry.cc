#include "telemetry/telemetry.h"

namespace proplet::telemetry {

bool Telemetry::task_started() {
  if (metrics_ != nullptr) metrics_->task_started();
  return tracer_ != nullptr && tracer_->choose();
}

void Telemetry::module_fetched(std::size_t bytes) {
  if (metrics_ != nullptr) metrics_->module_fetched(bytes);
}

bool Telemetry::watches(const propeller::MonitoringProfile& profile) const {
  return monitor_ != nullptr && profile.active();
}

void Telemetry::run_started(std::string_view task_id, const propeller::MonitoringProfile& profile, RunGauge& gauge) {
  if (monitor_ != nullptr) monitor_->run_started(task_id, profile, gauge);
}

void Telemetry::run_ended(RunGauge& gauge) {
  if (monitor_ != nullptr) monitor_->run_ended(gauge);
}

void Telemetry::task_finished(const TaskReport& report) {
  if (metrics_ != nullptr) metrics_->task_finished(report);
  if (tracer_ != nullptr && report.traced) tracer_->finished(report);
}

void Telemetry::connected() {
  if (metrics_ != nullptr) metrics_->connected();
  if (monitor_ != nullptr) monitor_->connected();
}

void Telemetry::disconnected() {
  if (metrics_ != nullptr) metrics_->disconnected();
  if (monitor_ != nullptr) monitor_->disconnected();
}

}  // namespace proplet::telemetry
