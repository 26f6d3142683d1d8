// Numbers about a process and this machine, from the text of /proc and of control groups.
//
// The parsers are pure functions of a file's text (proc(5), cgroups(7)) and give nothing for text that they do not
// understand. Reading never fails: what cannot be read, because the system hides it or has no such file, is absent.
// Nothing here keeps state, but for ProcessUsage, which knows its process. Thread-safe.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/run_gauge.h"

namespace proplet {

// Of /proc/PID/stat.
struct ProcessStat {
  std::chrono::nanoseconds user_time{0};
  std::chrono::nanoseconds system_time{0};
  std::uint64_t threads = 0;
  std::uint64_t resident_bytes = 0;
};
std::optional<ProcessStat> parse_process_stat(std::string_view text);
std::optional<ProcessStat> read_process_stat(pid_t pid);

// Of /proc/PID/io: what really went to and came from the storage.
struct ProcessIo {
  std::uint64_t read_bytes = 0;
  std::uint64_t write_bytes = 0;
};
std::optional<ProcessIo> parse_process_io(std::string_view text);

// Time of all processors since the start of the machine, in ticks: the first line of /proc/stat.
struct MachineTime {
  std::uint64_t busy = 0;
  std::uint64_t total = 0;
};
std::optional<MachineTime> parse_machine_time(std::string_view text);
std::optional<MachineTime> read_machine_time();
// The share of busy time between two points, from 0 to 1; 0 when no time has passed.
double busy_share(const MachineTime& earlier, const MachineTime& later);

// The memory of this machine.
std::uint64_t machine_memory_bytes();

// Memory of this process's own control group.
struct ContainerMemory {
  std::uint64_t usage_bytes = 0;             // 0: no control group counts it
  std::optional<std::uint64_t> limit_bytes;  // nothing: unlimited
};
// The folders below `root` (/sys/fs/cgroup) that may hold the files, the best first, from the text of
// /proc/self/cgroup.
struct MemoryGroup {
  std::string folder;
  bool unified = false;  // version 2
};
std::vector<MemoryGroup> memory_groups(std::string_view cgroup_text, const std::string& root);
// Of memory.max and memory.limit_in_bytes: "max", 0 and numbers near the largest mean unlimited.
std::optional<std::uint64_t> parse_memory_limit(std::string_view text);
ContainerMemory read_container_memory(const std::string& cgroup_file = "/proc/self/cgroup",
                                      const std::string& root = "/sys/fs/cgroup");

// What another process uses, by its id. Its totals begin with it. The id must not be given to another process
// meanwhile: the process has to be a child that is not waited for while this object is read.
class ProcessUsage final : public UsageSource {
 public:
  explicit ProcessUsage(pid_t pid) : pid_(pid) {}
  [[nodiscard]] Usage usage() const override;

 private:
  pid_t pid_;
};

}  // namespace proplet
