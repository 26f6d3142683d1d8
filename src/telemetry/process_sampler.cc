#include "telemetry/process_sampler.h"

#include <malloc.h>
#include <unistd.h>

namespace proplet::telemetry {
namespace {

double seconds(std::chrono::nanoseconds time) { return std::chrono::duration<double>(time).count(); }

}  // namespace

void ProcessSampler::sample(propeller::ProcessMetrics& metrics) {
  if (const auto stat = read_process_stat(getpid())) {
    metrics.user_seconds = seconds(stat->user_time);
    metrics.system_seconds = seconds(stat->system_time);
    metrics.rss_bytes = stat->resident_bytes;
  }
  const auto now = read_machine_time();
  if (now && last_) metrics.machine_percent = 100 * busy_share(*last_, *now);
  if (now) last_ = now;
  const auto heap = mallinfo2();
  metrics.heap_used_bytes = heap.uordblks + heap.hblkhd;
  metrics.heap_mapped_bytes = heap.arena + heap.hblkhd;
  const ContainerMemory container = read_container_memory();
  metrics.container_usage_bytes = container.usage_bytes;
  metrics.container_limit_bytes = container.limit_bytes;
}

}  // namespace proplet::telemetry
