// proplet doctor: what needs nobody else.
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <system_error>
#include <thread>

#include "base/fd.h"
#include "cli/doctor.h"
#include "worker/host_facts.h"

namespace proplet::cli {
namespace {

namespace fs = std::filesystem;
using Level = Finding::Level;

constexpr std::uint64_t kMebibyte = 1U << 20;

Finding ok(std::string check, std::string message) { return {Level::ok, std::move(check), std::move(message), ""}; }

bool is_uuid(std::string_view text) {
  if (text.size() != 36) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash ? text[i] != '-' : std::string_view("0123456789abcdefABCDEF").find(text[i]) == std::string_view::npos) {
      return false;
    }
  }
  return true;
}

std::string reason() { return std::generic_category().message(errno); }

// A file that has to be readable, and for nobody else if it is `secret`.
void examine_file(Findings& findings, const std::string& setting, const std::string& path, bool secret) {
  if (path.empty()) return;
  struct stat status{};
  if (::access(path.c_str(), R_OK) != 0 || ::stat(path.c_str(), &status) != 0) {
    findings.push_back({Level::fail, "files", fmt::format("{}: {} cannot be read: {}", setting, path, reason()),
                        "correct the path, or its permissions for this user"});
  } else if (secret && (status.st_mode & 077U) != 0) {
    findings.push_back(
        {Level::warn, "files", fmt::format("{}: {} can be read by other users", setting, path), "chmod 600 " + path});
  } else {
    findings.push_back(ok("files", fmt::format("{}: {}", setting, path)));
  }
}

// A folder that is there, or can be made.
void examine_folder(Findings& findings, const std::string& setting, const std::string& path, int mode) {
  if (path.empty()) return;
  std::error_code error;
  fs::path place = path;
  const bool exists = fs::exists(place, error);
  if (!exists && mode == W_OK) {
    while (!place.empty() && !fs::exists(place, error) && place != place.parent_path()) place = place.parent_path();
    if (place.empty()) place = ".";
  }
  if (!fs::is_directory(place, error) || ::access(place.c_str(), mode | X_OK) != 0) {
    findings.push_back(
        {Level::fail, "folders",
         fmt::format("{}: {} {}", setting, path, mode == W_OK ? "cannot be written" : "cannot be opened"),
         "make the folder, or correct its permissions for this user"});
  } else {
    findings.push_back(ok("folders", fmt::format("{}: {}{}", setting, path, exists ? "" : ", which will be made")));
  }
}

std::string value_of(const Patient& patient, const std::string& setting) {
  const auto found = patient.loaded.values.find(setting);
  return found == patient.loaded.values.end() ? std::string() : found->second;
}

std::uint64_t limit_of(decltype(RLIMIT_NOFILE) what) {
  rlimit limit{};
  if (::getrlimit(what, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return UINT64_MAX;
  return limit.rlim_cur;
}

// The number in a file of a control group; "max" and a missing file are no limit.
std::uint64_t group_limit(const char* path) {
  const auto text = read_text_file(path, 4096);
  std::uint64_t number = UINT64_MAX;
  if (text) std::from_chars(text->data(), text->data() + text->size(), number);
  return number;
}

void examine_memory(Findings& findings, const worker::WorkerConfig& config) {
  const std::uint64_t machine = worker::collect_host_facts().total_memory_bytes;
  const std::uint64_t usable = std::min(machine, group_limit("/sys/fs/cgroup/memory.max"));
  const std::uint64_t wanted = config.max_tasks * config.task_memory_bytes;
  const std::string message = fmt::format("{} MiB; {} tasks of {} MiB may want {} MiB", usable / kMebibyte,
                                          config.max_tasks, config.task_memory_bytes / kMebibyte, wanted / kMebibyte);
  if (wanted <= usable) {
    findings.push_back(ok("memory", message));
  } else {
    findings.push_back({Level::warn, "memory", message,
                        "lower PROPLET_MAX_TASKS or PROPLET_TASK_MEMORY_BYTES if tasks use what they may"});
  }
  if (limit_of(RLIMIT_AS) != UINT64_MAX) {
    findings.push_back({Level::warn, "memory", "the address space is limited, so that guests start slower",
                        "ulimit -v unlimited; limit the control group's memory instead"});
  }
}

void examine_files_and_threads(Findings& findings, const worker::WorkerConfig& config) {
  const std::uint64_t files = limit_of(RLIMIT_NOFILE);
  const std::uint64_t files_wanted = 128 + config.max_tasks * (4 + config.dirs.size());
  if (files >= files_wanted) {
    findings.push_back(ok("open files", fmt::format("{} allowed, {} enough", files, files_wanted)));
  } else {
    findings.push_back({Level::warn, "open files", fmt::format("{} allowed, {} may be wanted", files, files_wanted),
                        "raise LimitNOFILE or ulimit -n, or lower PROPLET_MAX_TASKS"});
  }
  const std::uint64_t threads = std::min(limit_of(RLIMIT_NPROC), group_limit("/sys/fs/cgroup/pids.max"));
  const std::uint64_t threads_wanted = config.max_tasks + 32;
  if (threads >= threads_wanted) {
    findings.push_back(ok(
        "threads", threads == UINT64_MAX ? "no limit" : fmt::format("{} allowed, {} enough", threads, threads_wanted)));
  } else {
    findings.push_back({Level::warn, "threads", fmt::format("{} allowed, {} may be wanted", threads, threads_wanted),
                        "raise TasksMax or ulimit -u, or lower PROPLET_MAX_TASKS"});
  }
}

void examine_secrecy(Findings& findings) {
  if (limit_of(RLIMIT_CORE) == 0 && ::prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0) {
    findings.push_back(ok("core dumps", "forbidden by the worker itself"));
  } else {
    findings.push_back(
        {Level::fail, "core dumps", "cannot be forbidden", "allow the worker to use prctl and setrlimit"});
  }
  const std::uint64_t locked = limit_of(RLIMIT_MEMLOCK);
  if (locked >= kMebibyte) {
    findings.push_back(ok("locked memory", locked == UINT64_MAX ? "no limit" : fmt::format("{} KiB", locked / 1024)));
  } else {
    findings.push_back({Level::warn, "locked memory", fmt::format("{} KiB: keys may be written to swap", locked / 1024),
                        "raise LimitMEMLOCK or ulimit -l to 1 MiB or more"});
  }
}

void examine_processor(Findings& findings) {
  const unsigned processors = std::thread::hardware_concurrency();
#if defined(__x86_64__)
  const bool aes = __builtin_cpu_supports("aes") != 0 && __builtin_cpu_supports("pclmul") != 0;
  const bool vectors = __builtin_cpu_supports("sse4.2") != 0 && __builtin_cpu_supports("popcnt") != 0;
  const std::string message = fmt::format("{} processors, AES instructions {}, SSE 4.2 {}", processors,
                                          aes ? "yes" : "no", vectors ? "yes" : "no");
  if (aes && vectors) {
    findings.push_back(ok("processor", message));
  } else {
    findings.push_back({Level::warn, "processor", message + ": slow decryption and guests",
                        "let the virtual machine have the host's processor model"});
  }
#else
  findings.push_back(ok("processor", fmt::format("{} processors", processors)));
#endif
}

}  // namespace

Findings examine_settings(const Patient& patient) {
  Findings findings;
  for (const std::string& problem : patient.loaded.problems) {
    findings.push_back({Level::fail, "configuration", problem, "correct it; the worker does not start"});
  }
  for (const std::string& warning : patient.loaded.warnings) {
    findings.push_back({Level::warn, "configuration", warning, "correct or remove it"});
  }
  for (const std::string& name : worker::unknown_settings(patient.environment)) {
    findings.push_back({Level::warn, "configuration", name + " is no setting", "correct or remove it"});
  }
  if (findings.empty()) findings.push_back(ok("configuration", "complete"));
  const std::string& id = patient.config().entity_id;
  if (!id.empty() && !is_uuid(id)) {
    findings.push_back({Level::warn, "identity", "PROPLET_ENTITY_ID is no UUID",
                        "give it one: a Manager's interface finds no worker of another name"});
  }
  return findings;
}

Findings examine_files(const Patient& patient) {
  const worker::WorkerConfig& config = patient.config();
  Findings findings;
  examine_file(findings, "PROPLET_MQTT_TLS_CA_CERT", config.mqtt_ca_cert, false);
  examine_file(findings, "PROPLET_MQTT_TLS_CLIENT_CERT", config.mqtt_client_cert, false);
  examine_file(findings, "PROPLET_MQTT_TLS_CLIENT_KEY", config.mqtt_client_key, true);
  examine_file(findings, "PROPLET_HTTP_TLS_CA_CERT", config.http_ca_cert, false);
  examine_file(findings, "PROPLET_REGISTRY_CA_CERT", config.registry_ca_cert, false);
  examine_file(findings, "PROPLET_REGISTRY_AUTH_FILE", config.registry_auth_file, true);
  examine_file(findings, "PROPLET_KBS_CA_CERT", config.kbs_ca_cert, false);
  examine_file(findings, "PROPLET_AA_CONFIG_PATH", config.aa_config_path, false);
  examine_folder(findings, "PROPLET_LAYER_STORE_PATH", config.layer_store_path, W_OK);
  examine_folder(findings, "PROPLET_STATE_PATH", value_of(patient, "PROPLET_STATE_PATH"), W_OK);
  for (const auto& [path, access] : config.dirs) {
    using Access = worker::SharedDirectory::Access;
    if (access == Access::own_folder && !fs::exists(path)) {
      findings.push_back(
          {Level::fail, "folders", fmt::format("PROPLET_DIRS: there is no {}", path), "make the folder"});
    } else {
      examine_folder(findings, "PROPLET_DIRS", path, access == Access::own_folder ? W_OK : R_OK);
    }
  }
  return findings;
}

Findings examine_machine(const Patient& patient) {
  Findings findings;
  examine_processor(findings);
  examine_memory(findings, patient.config());
  examine_files_and_threads(findings, patient.config());
  examine_secrecy(findings);
  return findings;
}

}  // namespace proplet::cli
