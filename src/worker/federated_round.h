// FederatedRounds does for tasks of federated learning what a worker does for no other: it fetches the round's model
// and this worker's data set before the run, and hands the update in afterwards (Propeller protocol 5.7).
//
// A task says by its environment what it wants: MODEL_URI a model, ROUND_ID that its output is an update. Addresses
// come from the task, else from the operator. One that is needed and missing or malformed fails the task before
// anything runs; a model or data set that cannot be fetched is missing in the guest's environment, with a warning in
// the log. An update that the coordinator does not take is published over MQTT instead.
//
// Addresses from tasks are a stranger's: only a fixed path is appended to them, they have no query, redirects are not
// followed, bodies and times are bounded, and what arrives must be JSON. The update of an encrypted task is as
// private as its result: it leaves over verified https, or to the coordinator that the operator has named, or over MQTT
// as the result does. Thread-safe. Whatever blocks ends within 100 ms of a stop request.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/log.h"
#include "base/result.h"
#include "net/http_client.h"
#include "propeller/messages.h"

namespace proplet::worker {

struct FederatedOptions {
  std::string proplet_id;
  // Of the operator, for tasks that name none; may be empty.
  std::string model_registry_url;
  std::string data_store_url;
  std::string coordinator_url;
  bool verifies_servers = true;                        // whether the clients do, of https
  std::size_t max_body_bytes = std::size_t{16} << 20;  // of a model, and of a data set
  std::chrono::milliseconds timeout{30000};            // of one exchange
};

class FederatedRounds {
 public:
  // Publishes an update over MQTT, sooner or later. Must not block. Thread-safe.
  struct Update {
    std::string topic;
    std::string payload;
    std::string task_id;
    bool confidential = false;  // of an encrypted task
  };
  using Publish = std::function<void(Update update)>;
  using Environment = std::map<std::string, std::string>;
  // Gives a client that may speak with the URL's host, over plain HTTP too if the URL says so. Thread-safe.
  using ClientFor = std::function<Result<std::unique_ptr<net::HttpClient>>(const net::Url& url)>;

  // `log` and what the functions refer to must outlive this object.
  FederatedRounds(FederatedOptions options, ClientFor client_for, Publish publish, Log& log);

  // Whether everything that the task needs is named. MESSAGE_INVALID, CONFIG_INVALID.
  [[nodiscard]] Status check(const propeller::StartCommand& command) const;
  // Adds MODEL_DATA and DATASET_DATA to the guest's environment. Fails as `check` does.
  Status prepare(const propeller::StartCommand& command, Environment& environment, const std::stop_token& stop);
  // Gives the output of a successful run to the coordinator if the task belongs to a round. Never fails: an update
  // that nobody can be given is in the task's result as well.
  void hand_in(const propeller::StartCommand& command, const std::string& output, const std::stop_token& stop);

 private:
  [[nodiscard]] Result<std::string> address(const propeller::StartCommand& command, const std::string& name,
                                            const std::string& otherwise) const;
  Result<std::string> fetch(const std::string& url, const std::stop_token& stop);
  Status post(const propeller::StartCommand& command, const std::string& output, const std::stop_token& stop);

  FederatedOptions options_;
  ClientFor client_for_;
  Publish publish_;
  Log& log_;
};

// An address that paths are appended to: an http or https URL without a query. CONFIG_INVALID.
Result<net::Url> parse_base_url(std::string_view text);

// The version that a model's URI ends with: "…/global_model_v7" and "…/model-7" are 7, others 0.
int model_version(std::string_view uri);

// What a result says about the round, if the task belongs to one.
std::optional<propeller::FederatedResult> federated_result(const propeller::StartCommand& command);

}  // namespace proplet::worker
