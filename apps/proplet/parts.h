// What the worker is made of, made from its settings: one function for each part that takes more than its constructor.
// main.cc puts the parts together.
#pragma once

#include <memory>
#include <string>

#include "base/clock.h"
#include "base/log.h"
#include "base/result.h"
#include "confidential.h"
#include "module/blob_store.h"
#include "module/chunk_source.h"
#include "net/http_client.h"
#include "oci/registry.h"
#include "propeller/journal.h"
#include "propeller/session.h"
#include "runtime/host_runtime.h"
#include "worker/config.h"
#include "worker/federated_round.h"
#include "worker/heartbeat.h"
#include "worker/node.h"
#include "worker/worker.h"

namespace proplet {

// Connections to registries.
struct Registries {
  std::unique_ptr<net::HttpClient> http;
  std::unique_ptr<oci::Registry> registry;
};

// Hasty ones give up soon, for when there is another way.
enum class Temper : std::uint8_t { patient, hasty };

Result<Registries> make_registries(const worker::WorkerConfig& config, Temper temper, const Clock& clock,
                                   Random& random);

// Connections for http(s):// modules, by the rules those downloads always had, without the ways to a cloud's
// credentials.
Result<std::unique_ptr<net::HttpClient>> make_download_client(const worker::WorkerConfig& config, Log& log);

module::ChunkSourceOptions chunk_options(const worker::WorkerConfig& config);

// Blobs on disk, if the operator wants that. It is a cache: without it everything works, only slower.
std::unique_ptr<module::BlobStore> make_blob_store(const worker::WorkerConfig& config, Log& log);

// Without it everything works, only that a crash of the worker takes results and tasks with it.
std::unique_ptr<propeller::Journal> open_journal(const worker::WorkerConfig& config, Log& log);

worker::WorkerOptions worker_options(const worker::WorkerConfig& config, const Confidential& confidential);

// The program for plain tasks, if there is to be one. As the operator wants tasks to run, they run in this process when
// it is not there; `config` and so what is told about the worker then says so too.
Result<std::unique_ptr<runtime::HostRuntime>> make_external_runtime(worker::WorkerConfig& config, Log& log);

// Exchanges of federated rounds go to whom a task names: a client for each, good for that host alone, and none for the
// addresses where clouds keep a machine's credentials.
Result<worker::FederatedRounds::ClientFor> rounds_clients(const worker::WorkerConfig& config);
worker::FederatedOptions federated_options(const worker::WorkerConfig& config);

// What a worker that was killed has left of its tasks' folders.
void remove_left_folders(const worker::WorkerConfig& config, Log& log);

worker::HeartbeatOptions heartbeat_options(const worker::WorkerConfig& config, const Confidential& confidential,
                                           const std::string& base);

// Takes the password out of `config`.
Result<propeller::SessionOptions> session_options(worker::WorkerConfig& config, const worker::Node& node);

// What a running worker takes anew: the log level, and the certificates for the broker.
void reload(const worker::WorkerConfig& config, propeller::MqttSession& session, Log& log);

}  // namespace proplet
