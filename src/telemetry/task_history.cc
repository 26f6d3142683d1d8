#include "telemetry/task_history.h"

#include <algorithm>

namespace proplet::telemetry {

using propeller::TaskMetrics;

std::optional<double> TaskHistory::cpu_percent(const RunGauge::Reading& reading) {
  if (!reading.usage.cpu_time) return std::nullopt;
  const std::chrono::duration<double> wall = reading.taken - last_.value_or(reading.started);
  const std::chrono::duration<double> used = *reading.usage.cpu_time - last_cpu_time_;
  last_cpu_time_ = *reading.usage.cpu_time;
  if (wall.count() <= 0) return 0.0;
  return std::max(0.0, 100 * used.count() / wall.count());
}

TaskMetrics::Sample TaskHistory::add(const RunGauge::Reading& reading) {
  TaskMetrics::Sample sample;
  if (profile_.collect_cpu) sample.cpu_percent = cpu_percent(reading);
  if (profile_.collect_memory && reading.usage.memory_bytes) {
    sample.memory_bytes = reading.usage.memory_bytes;
    if (machine_memory_bytes_ > 0) {
      sample.memory_percent =
          100 * static_cast<double>(*sample.memory_bytes) / static_cast<double>(machine_memory_bytes_);
    }
  }
  if (profile_.collect_disk_io) {
    sample.disk_read_bytes = reading.usage.disk_read_bytes;
    sample.disk_write_bytes = reading.usage.disk_write_bytes;
  }
  if (profile_.collect_threads) sample.thread_count = reading.usage.threads;
  if (profile_.collect_file_descriptors) sample.file_descriptor_count = reading.usage.file_descriptors;
  const auto uptime = std::chrono::duration_cast<std::chrono::seconds>(reading.taken - reading.started);
  sample.uptime_seconds = static_cast<std::uint64_t>(std::max<std::int64_t>(uptime.count(), 0));
  last_ = reading.taken;
  if (!profile_.retain_history) return sample;
  samples_.push_back(sample);
  if (samples_.size() > profile_.history_size) samples_.pop_front();
  return sample;
}

std::optional<TaskMetrics::Aggregate> TaskHistory::aggregate() const {
  if (samples_.empty()) return std::nullopt;
  TaskMetrics::Aggregate aggregate;
  double cpu = 0;
  double memory = 0;
  for (const auto& sample : samples_) {
    cpu += sample.cpu_percent.value_or(0);
    memory += static_cast<double>(sample.memory_bytes.value_or(0));
    aggregate.max_cpu_usage = std::max(aggregate.max_cpu_usage, sample.cpu_percent.value_or(0));
    aggregate.max_memory_usage = std::max(aggregate.max_memory_usage, sample.memory_bytes.value_or(0));
  }
  const auto count = static_cast<double>(samples_.size());
  aggregate.avg_cpu_usage = cpu / count;
  aggregate.avg_memory_usage = static_cast<std::uint64_t>(memory / count);
  const auto grown = [&](auto member) {
    const std::uint64_t first = (samples_.front().*member).value_or(0);
    const std::uint64_t last = (samples_.back().*member).value_or(0);
    return last > first ? last - first : 0;
  };
  aggregate.total_disk_read = grown(&TaskMetrics::Sample::disk_read_bytes);
  aggregate.total_disk_write = grown(&TaskMetrics::Sample::disk_write_bytes);
  aggregate.sample_count = samples_.size();
  return aggregate;
}

}  // namespace proplet::telemetry
