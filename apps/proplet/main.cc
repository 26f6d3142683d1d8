// proplet: the worker. Reads its settings, builds every part and connects them, runs until told to stop. Its other
// commands (config, doctor, explain) are in src/cli; no argument that is not understood ever starts a worker.
//
//   broker -> MqttSession -> Node -> Worker -> Sources -> ImageOpener -> Registry, kbs::Client
//                             |        |          |-> HttpSource
//                             |        |          `-> ChunkSource -> Node
//                             |        `-> WasmtimeRuntime -> Engine, or HostRuntime -> another program
//                             `-> Outbox -> Journal, Heartbeat, ChunkSource, Monitoring (which observes the worker)

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <cstdio>
#include <thread>

#include "base/fd.h"
#include "base/process.h"
#include "cli/cli.h"
#include "confidential.h"
#include "confinement.h"
#include "module/blob_store.h"
#include "module/image_opener.h"
#include "module/sources.h"
#include "monitoring.h"
#include "oci/registry.h"
#include "propeller/topics.h"
#include "runtime/host_runtime.h"
#include "runtime/wasmtime_runtime.h"
#include "worker/config.h"
#include "worker/host_facts.h"
#include "worker/node.h"

namespace {

using namespace proplet;

constexpr std::size_t kMaxPemBytes = 1U << 20;
constexpr std::chrono::seconds kFlushPatience{10};

int report(const Error& error) {
  std::fprintf(stderr, "Error: %s\n", error.text().c_str());
  return 1;
}

int report_problems(const std::vector<std::string>& problems) {
  for (const auto& problem : problems)
    std::fprintf(stderr, "Error: Failed to load configuration: %s\n", problem.c_str());
  return 1;
}

std::set<std::string> as_set(const std::vector<std::string>& list) { return {list.begin(), list.end()}; }

// Connections to registries.
struct Registries {
  std::unique_ptr<net::HttpClient> http;
  std::unique_ptr<oci::Registry> registry;
};

// Hasty ones give up soon, for when there is another way.
enum class Temper : std::uint8_t { patient, hasty };

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
  if (!config.registry_ca_cert.empty()) {
    TRY_ASSIGN(http_options.tls.ca_pem, read_text_file(config.registry_ca_cert, kMaxPemBytes));
  }
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

// Connections for http(s):// modules, by the rules those downloads always had, without the ways to a cloud's
// credentials.
Result<std::unique_ptr<net::HttpClient>> make_download_client(const worker::WorkerConfig& config, Log& log) {
  net::HttpClientOptions options;
  options.allow_plain_http = true;
  options.refuse_link_local = true;
  options.tls.verify = !config.http_skip_verify;
  options.tls.system_roots = true;
  if (config.http_skip_verify) log.warn("the servers of http(s):// modules are not verified");
  if (!config.http_ca_cert.empty()) {
    TRY_ASSIGN(options.tls.ca_pem, read_text_file(config.http_ca_cert, kMaxPemBytes));
  }
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

// Blobs on disk, if the operator wants that. It is a cache: without it everything works, only slower.
std::unique_ptr<module::BlobStore> make_blob_store(const worker::WorkerConfig& config, Log& log) {
  if (config.layer_store_path.empty()) return nullptr;
  auto store = module::BlobStore::open(config.layer_store_path, config.layer_store_bytes);
  if (store) return *std::move(store);
  log.error("no blobs are kept on disk", {{"reason", store.error().text()}});
  return nullptr;
}

// Without it everything works, only that a crash of the worker takes results and tasks with it.
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

// The directories that a task may give an external runtime: it can write to all of them.
std::vector<std::string> shared_paths(const worker::WorkerConfig& config) {
  std::vector<std::string> paths;
  for (const auto& [path, access] : config.dirs) {
    if (access == worker::SharedDirectory::Access::read_write) paths.push_back(path);
  }
  return paths;
}

// The program for plain tasks, if there is to be one. As the operator wants tasks to run, they run in this process when
// it is not there; what is told about the worker then says so too.
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

// Exchanges of federated rounds go to whom a task names: a client for each, good for that host alone.
Result<worker::FederatedRounds::ClientFor> rounds_clients(const worker::WorkerConfig& config) {
  net::TlsOptions tls;
  tls.verify = !config.http_skip_verify;
  tls.system_roots = true;
  if (!config.http_ca_cert.empty()) {
    TRY_ASSIGN(tls.ca_pem, read_text_file(config.http_ca_cert, kMaxPemBytes));
  }
  return [tls](const net::Url& url) {
    return net::make_http_client({.tls = tls, .insecure_hosts = {url.host_and_port()}});
  };
}

worker::FederatedOptions federated_options(const worker::WorkerConfig& config) {
  return {.proplet_id = config.entity_id,
          .model_registry_url = config.model_registry_url,
          .data_store_url = config.data_store_url,
          .coordinator_url = config.coordinator_url};
}

// What a worker that was killed has left of its tasks' folders.
void remove_left_folders(const worker::WorkerConfig& config, Log& log) {
  for (const auto& [path, access] : config.dirs) {
    if (access != worker::SharedDirectory::Access::own_folder) continue;
    if (const auto removed = worker::remove_left_folders(path); removed > 0) {
      log.info("folders of earlier tasks removed", {{"path", path}, {"count", removed}});
    }
  }
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

// What a running worker takes anew: the log level, and the certificates for the broker.
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

// Until the broker has every answer, those included that refuse what still arrives.
void deliver_all(const worker::Worker& worker, propeller::Outbox& outbox, bool journal, Log& log) {
  const auto deadline = std::chrono::steady_clock::now() + kFlushPatience;
  while (std::chrono::steady_clock::now() < deadline) {
    if (outbox.flush(std::chrono::milliseconds(100), {}) && worker.task_count() == 0 && outbox.pending() == 0) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  if (journal) {
    log.warn("results left to the next worker", {{"count", outbox.pending()}});
  } else {
    log.error("results lost", {{"count", outbox.pending()}});
  }
}

Status run(worker::WorkerConfig config, Log& log, StopSignals& signals, const std::stop_token& stop) {
  const SystemClock clock;
  SystemRandom random;

  TRY_ASSIGN(const Registries registries, make_registries(config, Temper::patient, clock, random));
  TRY_ASSIGN(const Registries hasty_registries, make_registries(config, Temper::hasty, clock, random));
  Confidential confidential(config, clock, log);
  const module::ImageOpener opener(confidential.opener_options(config), confidential.broker());
  const auto blobs = make_blob_store(config, log);
  const auto open_image = [&blobs](const Registries& from) {
    return [&blobs, &from](const oci::Reference& reference) -> std::unique_ptr<oci::ImageSource> {
      auto source = from.registry->source(reference);
      if (!blobs) return source;
      return std::make_unique<module::CachedImageSource>(std::move(source), *blobs);
    };
  };
  TRY_ASSIGN(const auto download_client, make_download_client(config, log));
  const module::HttpSource downloads(*download_client, clock, random, {.max_module_bytes = config.max_module_bytes});
  const std::string base = propeller::base_topic(config.tenant_id, config.channel_id);
  worker::Node node(base);
  module::ChunkSource chunks(node, log, chunk_options(config));
  if (config.oci_pull != worker::PullMode::always) node.deliver_chunks_to(chunks);
  module::Sources modules(
      {.registry = open_image(registries),
       .registry_at_first = open_image(hasty_registries),
       .has_credentials = [&](const auto& image) { return registries.registry->has_credentials(image); },
       .opener = opener,
       .http = downloads,
       .chunks = chunks,
       .log = log},
      {.max_module_bytes = config.max_module_bytes, .pull = config.oci_pull});

  wasm::Engine engine({.max_concurrent_runs = static_cast<std::uint32_t>(config.max_tasks),
                       .max_module_bytes = config.max_module_bytes});
  runtime::WasmtimeRuntime runtime(engine);
  if (!confidential.refused()) wasm::wipe_freed_memory(true);
  TRY_ASSIGN(const auto external, make_external_runtime(config, log));

  auto beat = heartbeat_options(config, confidential, base);
  const auto drain = config.drain;
  TRY_ASSIGN(auto options, session_options(config, node));
  TRY_ASSIGN(const auto session, propeller::MqttSession::make(std::move(options), node, log, random));
  node.attach_publisher(*session);
  const auto journal = open_journal(config, log);
  propeller::Outbox outbox(*session, log, {.window = config.mqtt_in_flight}, journal.get());
  worker::Heartbeat heartbeat(*session, std::move(beat));
  Monitoring monitoring(config, confidential.tee(), *session, clock, random, log);
  node.observe_connections(monitoring.observer());
  TRY_ASSIGN(auto rounds_client_for, rounds_clients(config));
  worker::FederatedRounds rounds(
      federated_options(config), std::move(rounds_client_for),
      [&outbox](worker::FederatedRounds::Update update) {
        using Kind = propeller::Outbox::Kind;
        outbox.add(std::move(update.topic), std::move(update.payload), std::move(update.task_id),
                   update.confidential ? Kind::confidential_message : Kind::message);
      },
      log);
  remove_left_folders(config, log);
  auto settings_of_worker = worker_options(config, confidential);
  settings_of_worker.external_runtime = external.get();
  settings_of_worker.rounds = &rounds;
  // Late, so that it ends early: its last answers still go through all of the above.
  worker::Worker worker(std::move(settings_of_worker), node, modules, runtime, clock, log, &monitoring.observer());
  node.attach(worker, outbox, heartbeat);
  const auto endpoint = monitoring.serve(config, [&] {
    const auto [running, queued] = worker.counts();
    const auto cache = runtime.cache_counts();
    return telemetry::Load{.running = running,
                           .queued = queued,
                           .outbox_pending = outbox.pending(),
                           .cache_hits = cache.hits,
                           .cache_misses = cache.compilations};
  });
  if (journal) node.take_over(*journal, config.entity_id, log);

  log.info("worker starts", {{"proplet_id", config.entity_id},
                             {"broker", config.mqtt_address},
                             {"tee", confidential.tee()},
                             {"encrypted_tasks", !confidential.refused()},
                             {"version", PROPLET_VERSION}});
  session->start();
  signals.on_hangup([&] { reload(config, *session, log); });
  wait_for_stop(stop);
  signals.on_hangup({});
  log.info("worker stops", {{"tasks", worker.task_count()}});
  worker.shut_down(drain);
  deliver_all(worker, outbox, journal != nullptr, log);
  heartbeat.stop();
  session->stop();
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Proplet runs WebAssembly tasks, encrypted ones included, for a Propeller Manager.\n"
      "Settings come from the environment (PROPLET_...) and config.toml; see docs/configuration.md.",
      "proplet");
  bool check_config = false;
  app.set_version_flag("--version", [] { return cli::version_text(PROPLET_VERSION); });
  app.add_flag("--check-config", check_config, "Read the settings, name every problem, and exit");
  std::stop_source stop;
  SystemRandom random;
  const SystemClock clock;
  Log command_log(LogLevel::warn, LogFormat::text);
  cli::Cli context{.app = app, .log = command_log, .random = random, .clock = clock, .stop = stop.get_token()};
  app.add_flag("--json", context.json, "Print what a command finds as JSON");
  app.require_subcommand(0, 1);
  app.fallthrough();
  cli::add_config_commands(context);
  cli::add_doctor_command(context);
  cli::add_explain_command(context);
  CLI11_PARSE(app, argc, argv);

  if (const auto hardened = harden_process(); !hardened) return report(hardened.error());
  if (context.action) {
    const StopSignals signals(stop);
    const auto done = context.action();
    return done ? 0 : report(done.error());
  }
  auto loaded = worker::load_config(worker::process_environment());
  if (!loaded.problems.empty()) return report_problems(loaded.problems);
  if (check_config) {
    for (const auto& warning : loaded.warnings) std::fprintf(stderr, "Warning: %s\n", warning.c_str());
    return 0;
  }
  const auto confined = confine(loaded.config);
  if (!confined) return report(confined.error());
  StopSignals signals(stop, StopSignals::Hangup::calls);
  Log log(loaded.config.log_level, loaded.config.log_format);
  log_confinement(*confined, log);
  for (const auto& warning : loaded.warnings) log.warn("setting ignored", {{"reason", warning}});
  const auto done = run(std::move(loaded.config), log, signals, stop.get_token());
  return done ? 0 : report(done.error());
}
