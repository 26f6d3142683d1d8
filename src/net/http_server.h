// HttpServer: a small HTTP/1.1 server with bounds, over cpp-httplib.
//
// Made for few, trusted-network peers: the development key broker and the metrics endpoint. Routes are fixed before
// `start`; handlers run on the worker threads, several at once, and must not throw for control flow (an exception
// becomes a 500 without details). Bodies are bounded (413), a peer that stays silent in the midst of a request is cut
// off, and `stop` (or the destructor) ends accepting at once, then waits for handlers, for requests half received (up
// to `read_timeout`) and for idle connections (up to a second). Errors: CONFIG_INVALID for TLS files that cannot be
// used, NETWORK_FAILED when the address cannot be bound.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "net/http_client.h"

namespace proplet::net {

struct HttpServerOptions {
  std::string address = "127.0.0.1";  // an address or a name; IPv6 without brackets
  std::uint16_t port = 0;             // 0: the system chooses, see HttpServer::port
  std::size_t max_body_bytes = std::size_t{2} << 20;
  std::size_t worker_threads = 8;
  std::chrono::seconds read_timeout{5};
  // PEM files; both or neither.
  std::string tls_certificate_file{};
  std::string tls_key_file{};
};

struct ServerRequest {
  std::string method;
  std::string path;     // percent-decoded, without the query
  std::string query;    // raw, without the question mark
  HttpHeaders headers;  // names in lower case
  Bytes body;

  // The first header of that (lower-case) name.
  [[nodiscard]] std::optional<std::string_view> header(std::string_view name) const;
};

struct ServerResponse {
  int status = 200;
  HttpHeaders headers{};
  std::string body{};
};

using ServerHandler = std::function<ServerResponse(const ServerRequest&)>;

class HttpServer {
 public:
  virtual ~HttpServer() = default;
  // Adds a route; only before `start`. `path` is matched exactly, or as a prefix when it ends in '*'; the earliest
  // match wins. The method "*" means any of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS; HEAD also takes GET routes.
  // No match: 404 with an empty body.
  virtual void route(std::string method, std::string path, ServerHandler handler) = 0;
  // Binds and begins to serve on threads of its own. Once only.
  virtual Status start() = 0;
  // Idempotent.
  virtual void stop() = 0;
  // The bound port; 0 before `start`.
  [[nodiscard]] virtual std::uint16_t port() const = 0;
};

Result<std::unique_ptr<HttpServer>> make_http_server(HttpServerOptions options);

}  // namespace proplet::net
