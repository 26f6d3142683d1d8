#include "propeller/metrics_messages.h"

#include <algorithm>
#include <cmath>

#include "base/clock.h"

namespace proplet::propeller {
namespace {

constexpr std::int64_t kMaxIntervalSeconds = std::int64_t{365} * 86400;
constexpr std::int64_t kMaxHistory = 10000;

bool flag(const json::object& object, std::string_view name, bool otherwise) {
  const json::value* member = object.if_contains(name);
  return member != nullptr && member->is_bool() ? member->get_bool() : otherwise;
}

// A whole number from 1 to `most`; anything that is not a positive number gives `otherwise`.
std::int64_t positive(const json::object& object, std::string_view name, std::int64_t most, std::int64_t otherwise) {
  const json::value* member = object.if_contains(name);
  if (member == nullptr || !member->is_number()) return otherwise;
  const auto number = member->to_number<double>();
  if (!(number > 0)) return otherwise;
  if (number >= static_cast<double>(most)) return most;
  return std::max<std::int64_t>(1, std::llround(number));
}

template <class T>
void add(json::object& object, std::string_view name, const std::optional<T>& value) {
  if (value) object[name] = *value;
}

json::value encode_aggregate(const std::optional<TaskMetrics::Aggregate>& aggregate) {
  if (!aggregate) return nullptr;
  return json::object{
      {"avg_cpu_usage", aggregate->avg_cpu_usage},       {"max_cpu_usage", aggregate->max_cpu_usage},
      {"avg_memory_usage", aggregate->avg_memory_usage}, {"max_memory_usage", aggregate->max_memory_usage},
      {"total_disk_read", aggregate->total_disk_read},   {"total_disk_write", aggregate->total_disk_write},
      {"sample_count", aggregate->sample_count}};
}

}  // namespace

MonitoringProfile MonitoringProfile::standard(bool daemon) {
  MonitoringProfile profile;
  if (daemon) {
    profile.interval = std::chrono::seconds(120);
    profile.history_size = 500;
  }
  return profile;
}

MonitoringProfile read_monitoring_profile(const json::object& object, bool daemon) {
  MonitoringProfile profile = MonitoringProfile::standard(daemon);
  profile.enabled = flag(object, "enabled", profile.enabled);
  profile.export_to_mqtt = flag(object, "export_to_mqtt", profile.export_to_mqtt);
  profile.interval = std::chrono::seconds(positive(object, "interval", kMaxIntervalSeconds, profile.interval.count()));
  profile.collect_cpu = flag(object, "collect_cpu", profile.collect_cpu);
  profile.collect_memory = flag(object, "collect_memory", profile.collect_memory);
  profile.collect_disk_io = flag(object, "collect_disk_io", profile.collect_disk_io);
  profile.collect_threads = flag(object, "collect_threads", profile.collect_threads);
  profile.collect_file_descriptors = flag(object, "collect_file_descriptors", profile.collect_file_descriptors);
  profile.retain_history = flag(object, "retain_history", profile.retain_history);
  profile.history_size = static_cast<std::size_t>(
      positive(object, "history_size", kMaxHistory, static_cast<std::int64_t>(profile.history_size)));
  return profile;
}

std::string encode(const ProcessMetrics& metrics) {
  json::object memory{{"rss_bytes", metrics.rss_bytes},
                      {"heap_alloc_bytes", metrics.heap_used_bytes},
                      {"heap_sys_bytes", metrics.heap_mapped_bytes},
                      {"heap_inuse_bytes", metrics.heap_used_bytes},
                      {"container_usage_bytes", metrics.container_usage_bytes}};
  add(memory, "container_limit_bytes", metrics.container_limit_bytes);
  return json::serialize(json::object{{"proplet_id", metrics.proplet_id},
                                      {"namespace", metrics.namespace_name},
                                      {"timestamp", rfc3339(metrics.time)},
                                      {"cpu_metrics", json::object{{"user_seconds", metrics.user_seconds},
                                                                   {"system_seconds", metrics.system_seconds},
                                                                   {"percent", metrics.machine_percent}}},
                                      {"memory_metrics", std::move(memory)}});
}

std::string encode(const TaskMetrics& metrics) {
  json::object sample;
  add(sample, "cpu_percent", metrics.sample.cpu_percent);
  add(sample, "memory_bytes", metrics.sample.memory_bytes);
  add(sample, "memory_percent", metrics.sample.memory_percent);
  add(sample, "disk_read_bytes", metrics.sample.disk_read_bytes);
  add(sample, "disk_write_bytes", metrics.sample.disk_write_bytes);
  sample["uptime_seconds"] = metrics.sample.uptime_seconds;
  add(sample, "thread_count", metrics.sample.thread_count);
  add(sample, "file_descriptor_count", metrics.sample.file_descriptor_count);
  return json::serialize(json::object{{"task_id", metrics.task_id},
                                      {"proplet_id", metrics.proplet_id},
                                      {"metrics", std::move(sample)},
                                      {"aggregated", encode_aggregate(metrics.aggregate)},
                                      {"timestamp", rfc3339(metrics.time)}});
}

}  // namespace proplet::propeller
