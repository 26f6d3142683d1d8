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

#include "base/process.h"
#include "cli/cli.h"
#include "confidential.h"
#include "confinement.h"
#include "module/sources.h"
#include "monitoring.h"
#include "parts.h"
#include "propeller/topics.h"
#include "runtime/wasmtime_runtime.h"
#include "worker/node.h"

namespace {

using namespace proplet;

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
  release_startup_code();
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
  if (check_config) {
    for (const auto& warning : loaded.warnings) std::fprintf(stderr, "Warning: %s\n", warning.c_str());
  }
  if (!loaded.problems.empty()) return report_problems(loaded.problems);
  if (check_config) return 0;
  const auto confined = confine(loaded.config);
  if (!confined) return report(confined.error());
  StopSignals signals(stop, StopSignals::Hangup::calls);
  Log log(loaded.config.log_level, loaded.config.log_format);
  log_confinement(*confined, log);
  for (const auto& warning : loaded.warnings) log.warn("setting ignored", {{"reason", warning}});
  const auto done = run(std::move(loaded.config), log, signals, stop.get_token());
  return done ? 0 : report(done.error());
}
