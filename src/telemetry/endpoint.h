// Endpoint serves /metrics (Prometheus text) and /health (JSON) over HTTP, and answers 404 to everything else.
//
// /health is {"status":"ok","running_tasks":N,...} as long as the process answers at all; the members behind those two
// say whether the worker is of use: `broker_connected`, `queued_tasks`.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "net/http_server.h"
#include "telemetry/metrics.h"

namespace proplet::telemetry {

struct EndpointOptions {
  std::string address = "0.0.0.0";
  std::uint16_t port = 9092;  // 0: the system chooses
};

class Endpoint {
 public:
  // Serves from now on. `metrics`, and whatever `load` looks at, must outlive the Endpoint; `load` is called on the
  // server's threads. NETWORK_FAILED when the address cannot be bound.
  static Result<std::unique_ptr<Endpoint>> open(EndpointOptions options, Metrics& metrics, std::function<Load()> load);

  [[nodiscard]] std::uint16_t port() const { return server_->port(); }

 private:
  explicit Endpoint(std::unique_ptr<net::HttpServer> server) : server_(std::move(server)) {}

  std::unique_ptr<net::HttpServer> server_;
};

}  // namespace proplet::telemetry
