// Monitoring holds the parts of telemetry that the settings switch on, connected to each other.
//
// It is made between the session and the worker, which it outlives; what it serves over HTTP is asked of the worker,
// so that part is a value of its own that goes first.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/log.h"
#include "net/http_client.h"
#include "propeller/session.h"
#include "telemetry/endpoint.h"
#include "telemetry/telemetry.h"
#include "worker/config.h"

namespace proplet {

class Monitoring {
 public:
  // The references must outlive this object. What cannot be set up is missing, with an error in the log: a worker that
  // nobody watches is better than none.
  Monitoring(const worker::WorkerConfig& config, const std::string& tee, propeller::Publisher& publisher,
             const Clock& clock, Random& random, Log& log);

  [[nodiscard]] telemetry::Telemetry& observer() { return *observer_; }
  // Begins to answer over HTTP, if the operator wants that and the port is free; whatever `load` looks at must outlive
  // the result.
  [[nodiscard]] std::unique_ptr<telemetry::Endpoint> serve(const worker::WorkerConfig& config,
                                                           std::function<telemetry::Load()> load);

 private:
  void set_up_traces(const worker::WorkerConfig& config, const Clock& clock, Random& random);

  Log& log_;
  std::optional<telemetry::Metrics> metrics_;
  std::optional<telemetry::Monitor> monitor_;
  std::unique_ptr<net::HttpClient> collector_;
  std::optional<telemetry::Tracer> tracer_;
  std::optional<telemetry::Telemetry> observer_;
};

}  // namespace proplet
