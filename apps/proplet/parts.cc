#include "parts.h"

#include <set>

#include "base/fd.h"
#include "base/process.h"
#include "propeller/topics.h"
#include "worker/host_facts.h"
#include "worker/private_folder.h"

namespace proplet {
namespace {

constexpr std::size_t kMaxPemBytes = 1U << 20;

// Empty when there is none.
Result<std::string> read_authorities(const std::string& path) {
  if (path.empty()) return std::string();
  return read_text_file(path, kMaxPemBytes);
}

// For servers that the settings or a task name by URL.
Result<net::TlsOptions> tls_of_http_servers(const worker::WorkerConfig& config) {
  net::TlsOptions tls;
  tls.verify = !config.http_skip_verify;
  tls.system_roots = true;
  TRY_ASSIGN(tls.ca_pem, read_authorities(config.http_ca_cert));
  return tls;
}

std::set<std::string> as_set(const std::vector<std::string>& list) { return {list.begin(), list.end()}; }

// The directories that a task may give an external runtime: it can write to all of them.
std::vector<std::string> shared_paths(const worker::WorkerConfig& config) {
  std::vector<std::string> paths;
  for (const auto& [path, access] : config.dirs) {
    if (access == worker::SharedDirectory::Access::read_write) paths.push_back(path);
  }
  return paths;
}

propeller::Discovery discovery(const worker::WorkerConfig& config, const Confidential& confidential) {
  propeller::Discovery message;
  message.proplet_id = config.entity_id;
  message.namespace_name = config.namespace_name;
  message.description = config.description;
  message.location = config.location;
  message.tags = config.tags;
  for (const auto& tag : confidential.tags()) message.tags.push_back(tag);
  message.tags.emplace_back("wasm:p1");
  message.proplet_version = PROPLET_VERSION;
  message.wasm_runtime = config.external_runtime.empty() ? "wasmtime-internal" : config.external_runtime;
  if (config.collect_system_info) {
    worker::HostFacts facts = worker::collect_host_facts();
    message.ip = std::move(facts.ip);
    message.environment = std::move(facts.environment);
    message.os = std::move(facts.os);
    message.hostname = std::move(facts.hostname);
    message.cpu_arch = std::move(facts.cpu_arch);
    message.total_memory_bytes = facts.total_memory_bytes;
  }
  return message;
}

}  // namespace

Result<Registries> make_registries(const worker::WorkerConfig& config, Temper temper, const Clock& clock,
                                   Random& random) {
  net::HttpClientOptions http_options;
  oci::RegistryOptions options;
  if (temper == Temper::hasty) {
    http_options.connect_timeout = std::chrono::seconds(2);
    http_options.stall_timeout = std::chrono::seconds(10);
    options.attempts = 2;
  }
  http_options.insecure_hosts = as_set(config.insecure_registries);
  TRY_ASSIGN(http_options.tls.ca_pem, read_authorities(config.registry_ca_cert));
  options.insecure_hosts = http_options.insecure_hosts;
  if (!config.registry_auth_file.empty()) {
    TRY_ASSIGN(options.credentials, oci::AuthFile::load(config.registry_auth_file));
  }
  TRY_ASSIGN(options.mirrors, oci::Mirrors::parse(config.registry_mirrors));
  Registries registries;
  TRY_ASSIGN(registries.http, net::make_http_client(std::move(http_options)));
  registries.registry = std::make_unique<oci::Registry>(*registries.http, clock, random, std::move(options));
  return registries;
}

Result<std::unique_ptr<net::HttpClient>> make_download_client(const worker::WorkerConfig& config, Log& log) {
  net::HttpClientOptions options;
  options.allow_plain_http = true;
  options.refuse_link_local = true;
  TRY_ASSIGN(options.tls, tls_of_http_servers(config));
  if (config.http_skip_verify) log.warn("the servers of http(s):// modules are not verified");
  return net::make_http_client(std::move(options));
}

module::ChunkSourceOptions chunk_options(const worker::WorkerConfig& config) {
  constexpr std::size_t kImagesAtOnce = 4;
  module::ChunkSourceOptions options;
  options.max_module_bytes = config.max_module_bytes;
  options.max_total_bytes = kImagesAtOnce * config.max_module_bytes;
  options.max_message_bytes = config.mqtt_max_packet_bytes;
  return options;
}

std::unique_ptr<module::BlobStore> make_blob_store(const worker::WorkerConfig& config, Log& log) {
  if (config.layer_store_path.empty()) return nullptr;
  auto store = module::BlobStore::open(config.layer_store_path, config.layer_store_bytes);
  if (store) return *std::move(store);
  log.error("no blobs are kept on disk", {{"reason", store.error().text()}});
  return nullptr;
}

std::unique_ptr<propeller::Journal> open_journal(const worker::WorkerConfig& config, Log& log) {
  if (config.state_path.empty()) return nullptr;
  auto journal = propeller::Journal::open(config.state_path, log);
  if (journal) return *std::move(journal);
  log.error("state is not kept: results would be lost if the worker died", {{"error", journal.error().text()}});
  return nullptr;
}

worker::WorkerOptions worker_options(const worker::WorkerConfig& config, const Confidential& confidential) {
  worker::WorkerOptions options;
  options.proplet_id = config.entity_id;
  options.result_floor = config.result_floor;
  options.max_tasks = config.max_tasks;
  options.max_queue = config.max_queue;
  options.max_message_bytes = config.mqtt_max_packet_bytes;
  options.limits.memory_bytes = config.task_memory_bytes;
  options.limits.output_bytes = config.max_output_bytes;
  if (config.task_timeout.count() > 0) options.limits.time = config.task_timeout;
  options.dirs = config.dirs;
  options.encrypted_refused = confidential.refused();
  options.tee_kind = confidential.tee();
  return options;
}

Result<std::unique_ptr<runtime::HostRuntime>> make_external_runtime(worker::WorkerConfig& config, Log& log) {
  if (config.external_runtime.empty()) return nullptr;
  TRY_ASSIGN(auto allowed, runtime::AllowedArguments::make(config.external_allowed_args, shared_paths(config)));
  auto external =
      runtime::HostRuntime::make(config.external_runtime, std::move(allowed), worker::process_environment());
  if (external) return *std::move(external);
  log.warn("no external runtime: plain tasks run in this process", {{"reason", external.error().text()}});
  config.external_runtime.clear();
  return nullptr;
}

Result<worker::FederatedRounds::ClientFor> rounds_clients(const worker::WorkerConfig& config) {
  TRY_ASSIGN(const auto tls, tls_of_http_servers(config));
  return [tls](const net::Url& url) {
    return net::make_http_client({.tls = tls, .insecure_hosts = {url.host_and_port()}, .refuse_link_local = true});
  };
}

worker::FederatedOptions federated_options(const worker::WorkerConfig& config) {
  return {.proplet_id = config.entity_id,
          .model_registry_url = config.model_registry_url,
          .data_store_url = config.data_store_url,
          .coordinator_url = config.coordinator_url,
          .verifies_servers = !config.http_skip_verify};
}

void remove_left_folders(const worker::WorkerConfig& config, Log& log) {
  for (const auto& [path, access] : config.dirs) {
    if (access != worker::SharedDirectory::Access::own_folder) continue;
    if (const auto removed = worker::remove_left_folders(path); removed > 0) {
      log.info("folders of earlier tasks removed", {{"path", path}, {"count", removed}});
    }
  }
}

worker::HeartbeatOptions heartbeat_options(const worker::WorkerConfig& config, const Confidential& confidential,
                                           const std::string& base) {
  const propeller::Heartbeat heartbeat{.proplet_id = config.entity_id, .namespace_name = config.namespace_name};
  return {.create_topic = base + "/" + std::string(propeller::kCreateTopic),
          .discovery = encode(discovery(config, confidential)),
          .alive_topic = base + "/" + std::string(propeller::kAliveTopic),
          .heartbeat = encode(heartbeat),
          .interval = config.liveliness_interval};
}

Result<propeller::SessionOptions> session_options(worker::WorkerConfig& config, const worker::Node& node) {
  propeller::SessionOptions options;
  TRY_ASSIGN(options.address, propeller::BrokerAddress::parse(config.mqtt_address));
  options.client_id = config.entity_id;
  options.user = config.entity_id;
  options.password = std::move(config.api_key);
  options.qos = config.mqtt_qos;
  options.keep_alive = config.mqtt_keep_alive;
  options.max_packet_bytes = config.mqtt_max_packet_bytes;
  options.in_flight = config.mqtt_in_flight;
  options.tls = {.ca_cert = config.mqtt_ca_cert,
                 .client_cert = config.mqtt_client_cert,
                 .client_key = config.mqtt_client_key,
                 .skip_verify = config.mqtt_skip_verify};
  options.subscriptions = node.subscriptions();
  return options;
}

void reload(const worker::WorkerConfig& config, propeller::MqttSession& session, Log& log) {
  const auto loaded = worker::load_config(worker::process_environment());
  for (const auto& problem : loaded.problems) log.error("settings not read again", {{"reason", problem}});
  if (!loaded.problems.empty()) return;
  log.set_level(loaded.config.log_level);
  log.info("settings read again");
  const auto address = propeller::BrokerAddress::parse(config.mqtt_address);
  if (!address || !address->tls) return;
  if (const auto done = session.reconnect(); !done) {
    log.error("the connection stays as it is", {{"error", done.error().text()}});
  }
}

}  // namespace proplet
