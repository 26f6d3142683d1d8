#include "base/process_stats.h"

#include <dirent.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <memory>

#include "base/fd.h"

namespace proplet {
namespace {

constexpr std::size_t kMaxFileBytes = std::size_t{64} << 10;
// Version 1 says so many bytes, rounded to pages, when there is no limit.
constexpr std::uint64_t kUnlimited = std::uint64_t{1} << 62;

// Takes the next word, up to any of `separators`, off the text.
std::string_view next_word(std::string_view& text, std::string_view separators = " \n\t") {
  const auto begin = std::min(text.find_first_not_of(separators), text.size());
  text.remove_prefix(begin);
  const auto end = std::min(text.find_first_of(separators), text.size());
  const std::string_view word = text.substr(0, end);
  text.remove_prefix(end);
  return word;
}

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<std::uint64_t> next_number(std::string_view& text) { return number(next_word(text)); }

std::chrono::nanoseconds from_ticks(std::uint64_t ticks) {
  static const long per_second = std::max(sysconf(_SC_CLK_TCK), 1L);
  const double seconds = static_cast<double>(ticks) / static_cast<double>(per_second);
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double>(seconds));
}

std::optional<std::string> text_of_file(const std::string& path) {
  auto text = read_text_file(path, kMaxFileBytes);
  if (!text) return std::nullopt;
  return *std::move(text);
}

// The value of a line "name: value".
std::optional<std::uint64_t> named_number(std::string_view text, std::string_view name) {
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (!line.starts_with(name)) continue;
    line.remove_prefix(name.size());
    return next_number(line);
  }
  return std::nullopt;
}

std::optional<std::uint64_t> count_entries(const std::string& folder) {
  struct Close {
    void operator()(DIR* directory) const { closedir(directory); }
  };
  const std::unique_ptr<DIR, Close> directory(opendir(folder.c_str()));
  if (!directory) return std::nullopt;
  std::uint64_t count = 0;
  while (const dirent* entry = readdir(directory.get())) {
    if (entry->d_name[0] != '.') ++count;
  }
  return count;
}

}  // namespace

std::optional<ProcessStat> parse_process_stat(std::string_view text) {
  // The second field is a name in parentheses, and may have spaces and parentheses of its own.
  const auto name_end = text.rfind(')');
  if (name_end == std::string_view::npos) return std::nullopt;
  text.remove_prefix(name_end + 1);
  constexpr std::size_t kFirst = 3;  // the number of the field that follows, as proc(5) counts
  constexpr std::size_t kLast = 24;
  std::array<std::string_view, kLast + 1> fields;
  for (std::size_t i = kFirst; i <= kLast; ++i) fields.at(i) = next_word(text);
  const auto user = number(fields[14]);
  const auto system = number(fields[15]);
  const auto threads = number(fields[20]);
  const auto pages = number(fields[24]);
  if (!user || !system || !threads || !pages) return std::nullopt;
  static const long page_size = std::max(sysconf(_SC_PAGESIZE), 1L);
  return ProcessStat{.user_time = from_ticks(*user),
                     .system_time = from_ticks(*system),
                     .threads = *threads,
                     .resident_bytes = *pages * static_cast<std::uint64_t>(page_size)};
}

std::optional<ProcessStat> read_process_stat(pid_t pid) {
  const auto text = text_of_file(fmt::format("/proc/{}/stat", pid));
  return text ? parse_process_stat(*text) : std::nullopt;
}

std::optional<ProcessIo> parse_process_io(std::string_view text) {
  const auto read = named_number(text, "read_bytes:");
  const auto written = named_number(text, "write_bytes:");
  if (!read || !written) return std::nullopt;
  return ProcessIo{.read_bytes = *read, .write_bytes = *written};
}

std::optional<MachineTime> parse_machine_time(std::string_view text) {
  if (next_word(text) != "cpu") return std::nullopt;
  // user, nice, system, idle, iowait, irq, softirq, steal; guest time is part of user time.
  constexpr std::size_t kIdle = 3;
  constexpr std::size_t kWait = 4;
  MachineTime time;
  for (std::size_t i = 0; i < 8; ++i) {
    const auto ticks = next_number(text);
    if (!ticks) return std::nullopt;
    time.total += *ticks;
    if (i != kIdle && i != kWait) time.busy += *ticks;
  }
  return time;
}

std::optional<MachineTime> read_machine_time() {
  const auto text = read_text_file("/proc/stat", std::size_t{1} << 20);
  return text ? parse_machine_time(*text) : std::nullopt;
}

double busy_share(const MachineTime& earlier, const MachineTime& later) {
  if (later.total <= earlier.total || later.busy <= earlier.busy) return 0;
  const auto busy = static_cast<double>(later.busy - earlier.busy);
  return std::min(1.0, busy / static_cast<double>(later.total - earlier.total));
}

std::uint64_t machine_memory_bytes() {
  const long pages = sysconf(_SC_PHYS_PAGES);
  const long page_size = sysconf(_SC_PAGESIZE);
  if (pages <= 0 || page_size <= 0) return 0;
  return static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(page_size);
}

// Lines are "hierarchy:controllers:path". In a container the path may be one of the host, which is not visible here;
// then the mount shows the container's own group as its top.
std::vector<MemoryGroup> memory_groups(std::string_view cgroup_text, const std::string& root) {
  std::vector<MemoryGroup> groups;
  const auto add = [&](const std::string& mount, std::string_view path, bool unified) {
    if (!path.starts_with('/') || path.find("..") != std::string_view::npos) path = "/";
    groups.push_back({.folder = mount + std::string(path == "/" ? "" : path), .unified = unified});
    if (path != "/") groups.push_back({.folder = mount, .unified = unified});
  };
  while (!cgroup_text.empty()) {
    std::string_view line = cgroup_text.substr(0, cgroup_text.find('\n'));
    cgroup_text.remove_prefix(std::min(line.size() + 1, cgroup_text.size()));
    const auto first = line.find(':');
    const auto second = line.find(':', first == std::string_view::npos ? first : first + 1);
    if (second == std::string_view::npos) continue;
    std::string_view controllers = line.substr(first + 1, second - first - 1);
    const std::string_view path = line.substr(second + 1);
    if (line.starts_with("0::")) add(root, path, true);
    while (!controllers.empty()) {
      if (next_word(controllers, ",") == "memory") add(root + "/memory", path, false);
    }
  }
  return groups;
}

std::optional<std::uint64_t> parse_memory_limit(std::string_view text) {
  const auto limit = next_number(text);
  if (!limit || *limit == 0 || *limit >= kUnlimited) return std::nullopt;
  return limit;
}

ContainerMemory read_container_memory(const std::string& cgroup_file, const std::string& root) {
  const auto groups = text_of_file(cgroup_file);
  if (!groups) return {};
  for (const auto& [folder, unified] : memory_groups(*groups, root)) {
    const auto usage = text_of_file(folder + (unified ? "/memory.current" : "/memory.usage_in_bytes"));
    if (!usage) continue;
    const auto limit = text_of_file(folder + (unified ? "/memory.max" : "/memory.limit_in_bytes"));
    std::string_view text = *usage;
    return {.usage_bytes = next_number(text).value_or(0),
            .limit_bytes = limit ? parse_memory_limit(*limit) : std::nullopt};
  }
  return {};
}

Usage ProcessUsage::usage() const {
  Usage usage;
  if (const auto stat = read_process_stat(pid_)) {
    usage.cpu_time = stat->user_time + stat->system_time;
    // One that has ended and is not waited for has neither memory nor threads.
    if (stat->resident_bytes > 0) usage.memory_bytes = stat->resident_bytes;
    if (stat->resident_bytes > 0) usage.threads = stat->threads;
  }
  if (const auto text = text_of_file(fmt::format("/proc/{}/io", pid_))) {
    if (const auto io = parse_process_io(*text)) {
      usage.disk_read_bytes = io->read_bytes;
      usage.disk_write_bytes = io->write_bytes;
    }
  }
  if (const auto count = count_entries(fmt::format("/proc/{}/fd", pid_)); count.value_or(0) > 0) {
    usage.file_descriptors = count;
  }
  return usage;
}

}  // namespace proplet
