#include "base/run_gauge.h"

namespace proplet {
namespace {

template <class T>
void keep(std::optional<T>& known, const std::optional<T>& found) {
  if (found) known = found;
}

}  // namespace

std::optional<RunGauge::Reading> RunGauge::read() {
  const std::lock_guard lock(mutex_);
  update();
  return last_;
}

// What the source does not know any more, such as the memory of a process that has just ended, stays as it was.
void RunGauge::update() {
  if (source_ == nullptr) return;
  const Usage usage = source_->usage();
  keep(last_->usage.cpu_time, usage.cpu_time);
  keep(last_->usage.memory_bytes, usage.memory_bytes);
  keep(last_->usage.disk_read_bytes, usage.disk_read_bytes);
  keep(last_->usage.disk_write_bytes, usage.disk_write_bytes);
  keep(last_->usage.threads, usage.threads);
  keep(last_->usage.file_descriptors, usage.file_descriptors);
  last_->taken = std::chrono::steady_clock::now();
}

RunGauge::Attachment::Attachment(RunGauge* gauge, const UsageSource& source) : gauge_(gauge) {
  if (gauge_ == nullptr) return;
  const std::lock_guard lock(gauge_->mutex_);
  gauge_->source_ = &source;
  const auto now = std::chrono::steady_clock::now();
  gauge_->last_ = Reading{.usage = {}, .started = now, .taken = now};
}

RunGauge::Attachment::~Attachment() {
  if (gauge_ == nullptr) return;
  const std::lock_guard lock(gauge_->mutex_);
  gauge_->update();
  gauge_->source_ = nullptr;
}

}  // namespace proplet
