#include "telemetry/endpoint.h"

#include "base/json.h"

namespace proplet::telemetry {
namespace {

constexpr std::size_t kThreads = 2;
constexpr std::size_t kMaxBodyBytes = 4096;  // nobody has anything to send here

net::ServerResponse respond(int status, std::string type, std::string body) {
  return {.status = status, .headers = {{"Content-Type", std::move(type)}}, .body = std::move(body)};
}

std::string health(const Load& load, bool connected) {
  return json::serialize(json::object{{"status", "ok"},
                                      {"running_tasks", load.running},
                                      {"queued_tasks", load.queued},
                                      {"broker_connected", connected}});
}

}  // namespace

Result<std::unique_ptr<Endpoint>> Endpoint::open(EndpointOptions options, Metrics& metrics,
                                                 std::function<Load()> load) {
  net::HttpServerOptions server_options;
  server_options.address = std::move(options.address);
  server_options.port = options.port;
  server_options.max_body_bytes = kMaxBodyBytes;
  server_options.worker_threads = kThreads;
  TRY_ASSIGN(auto server, net::make_http_server(std::move(server_options)));
  server->route("GET", "/metrics", [&metrics, load](const net::ServerRequest&) {
    return respond(200, "text/plain; version=0.0.4; charset=utf-8", metrics.text(load()));
  });
  server->route("GET", "/health", [&metrics, load = std::move(load)](const net::ServerRequest&) {
    return respond(200, "application/json", health(load(), metrics.is_connected()));
  });
  server->route("*", "/*", [](const net::ServerRequest&) { return respond(404, "text/plain", "not found"); });
  TRY(server->start());
  return std::unique_ptr<Endpoint>(new Endpoint(std::move(server)));
}

}  // namespace proplet::telemetry
