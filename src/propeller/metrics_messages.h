// The messages in which a worker tells how it and its tasks fare (Propeller protocol 2.3 and 2.4), and the profile by
// which a task says what it wants told. Everything here is a value; functions are pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "base/json.h"

namespace proplet::propeller {

// What to measure of a task, and how often.
struct MonitoringProfile {
  bool enabled = true;
  bool export_to_mqtt = true;
  std::chrono::seconds interval{10};
  bool collect_cpu = true;
  bool collect_memory = true;
  bool collect_disk_io = true;
  bool collect_threads = true;
  bool collect_file_descriptors = true;
  bool retain_history = true;
  std::size_t history_size = 100;

  // For tasks that bring none.
  static MonitoringProfile standard(bool daemon);
  [[nodiscard]] bool active() const { return enabled && export_to_mqtt; }
};

// Lenient, because no task should fail for its monitoring: what is missing or of a wrong type is as in the standard
// profile. The interval is in seconds; 0 (a Manager writes it for an interval nobody set) means the standard one, and
// so does a history size of 0. Both are bounded.
MonitoringProfile read_monitoring_profile(const json::object& object, bool daemon);

// The worker's own process and its container.
struct ProcessMetrics {
  std::string proplet_id;
  std::string namespace_name = "default";
  std::chrono::system_clock::time_point time;
  double user_seconds = 0;
  double system_seconds = 0;
  double machine_percent = 0;  // of all processors together, 0 to 100
  std::uint64_t rss_bytes = 0;
  std::uint64_t heap_used_bytes = 0;
  std::uint64_t heap_mapped_bytes = 0;
  std::uint64_t container_usage_bytes = 0;             // 0 without a control group
  std::optional<std::uint64_t> container_limit_bytes;  // left out when there is none
};
std::string encode(const ProcessMetrics& metrics);

// One task. Members that have no value are left out.
struct TaskMetrics {
  struct Sample {
    std::optional<double> cpu_percent;  // 100: one processor
    std::optional<std::uint64_t> memory_bytes;
    std::optional<double> memory_percent;  // of the machine's memory
    std::optional<std::uint64_t> disk_read_bytes;
    std::optional<std::uint64_t> disk_write_bytes;
    std::uint64_t uptime_seconds = 0;
    std::optional<std::uint64_t> thread_count;
    std::optional<std::uint64_t> file_descriptor_count;
  };
  struct Aggregate {
    double avg_cpu_usage = 0;
    double max_cpu_usage = 0;
    std::uint64_t avg_memory_usage = 0;
    std::uint64_t max_memory_usage = 0;
    std::uint64_t total_disk_read = 0;
    std::uint64_t total_disk_write = 0;
    std::size_t sample_count = 0;
  };

  std::string task_id;
  std::string proplet_id;
  Sample sample;
  std::optional<Aggregate> aggregate;  // null in the message when no history is kept
  std::chrono::system_clock::time_point time;
};
std::string encode(const TaskMetrics& metrics);

}  // namespace proplet::propeller
