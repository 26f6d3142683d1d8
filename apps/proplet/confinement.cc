#include "confinement.h"

#include <sys/stat.h>

#include <filesystem>
#include <sstream>

#include "attestation/snp_attester.h"
#include "attestation/tsm_report.h"
#include "base/secret_arena.h"

namespace proplet {
namespace {

// Folders that the worker makes below existing ones.
std::vector<std::string> own_folders(const worker::WorkerConfig& config) {
  std::vector<std::string> folders;
  for (const auto& folder : {config.layer_store_path, config.state_path}) {
    if (!folder.empty()) folders.push_back(folder);
  }
  return folders;
}

void add_folder_of(const std::string& file, std::vector<std::string>& paths) {
  if (file.empty()) return;
  std::error_code failed;  // of a current folder that is gone; then nothing is added
  const std::string folder = std::filesystem::absolute(file, failed).parent_path().string();
  if (failed) return;
  paths.push_back(folder == "/" ? file : folder);
}

// OpenSSL's variables for certificates elsewhere than in the system's folder.
void add_authorities(std::vector<std::string>& paths) {
  const auto environment = worker::process_environment();
  const auto value = [&](const char* name) {
    const auto found = environment.find(name);
    return found == environment.end() ? std::string() : found->second;
  };
  add_folder_of(value("SSL_CERT_FILE"), paths);
  std::istringstream folders(value("SSL_CERT_DIR"));
  for (std::string folder; std::getline(folders, folder, ':');) paths.push_back(folder);
}

}  // namespace

SandboxPolicy sandbox_policy(const worker::WorkerConfig& config) {
  SandboxPolicy policy;
  policy.read = system_read_paths();
  // SIGHUP reads the settings' file and the certificates again.
  for (const auto& file : {config.config_file, config.mqtt_ca_cert, config.mqtt_client_cert, config.mqtt_client_key,
                           config.registry_auth_file, config.registry_ca_cert, config.http_ca_cert,
                           config.aa_config_path, config.kbs_ca_cert, config.init_data_file, config.key_file}) {
    add_folder_of(file, policy.read);
  }
  add_authorities(policy.read);
  policy.read.emplace_back("/run/attestation-agent");
  policy.write = own_folders(config);
  for (const auto& [path, access] : config.dirs) {
    (access == worker::SharedDirectory::Access::read_only ? policy.read : policy.write).push_back(path);
  }
  policy.write.emplace_back(attestation::kTsmFolder);
  policy.write.emplace_back(attestation::kSevGuestDevice);
  policy.write.emplace_back("/dev/attestation");
  policy.programs = !config.external_runtime.empty() || !config.attester_program.empty();
  return policy;
}

Result<std::optional<SandboxReport>> confine(const worker::WorkerConfig& config) {
  if (!config.sandbox) return std::optional<SandboxReport>();
  // A rule needs the folder. Whoever opens it reports what is wrong with it.
  for (const auto& folder : own_folders(config)) ::mkdir(folder.c_str(), 0700);
  TRY_ASSIGN(auto report, enter_sandbox(sandbox_policy(config)));
  return std::optional(std::move(report));
}

void log_confinement(const std::optional<SandboxReport>& report, Log& log) {
  const auto memory = secret_memory_name(secret_memory_kind());
  if (!report) {
    log.warn("the sandbox is switched off", {{"secret_memory", memory}});
    return;
  }
  log.info("sandbox", {{"files", report->files},
                       {"system_calls", report->system_calls},
                       {"landlock", report->landlock_version},
                       {"missing", report->missing},
                       {"secret_memory", memory}});
}

}  // namespace proplet
