// HttpClient: blocking HTTP/1.1 requests with limits, over libcurl.
//
// One client per peer group (registries, key broker, module downloads); it keeps connections alive between requests.
// Thread-safe: concurrent `send` calls use separate connections. Every transfer ends within 100 ms of a stop request
// (CANCELLED). Redirects are never followed by the library: `send` follows at most `redirects` of them itself, https to
// http never, and drops Authorization and Cookie when the origin changes. Only GET and HEAD are redirected; with
// `redirects` 0 the 3xx response itself is returned. There is no cookie store. Bodies and header sections are bounded;
// content codings are neither asked for nor undone. The variables https_proxy, http_proxy and no_proxy are honoured,
// never for loopback. The process must ignore SIGPIPE (harden_process does).
// Errors: NETWORK_FAILED (no connection, broken, timed out, TLS), SIZE_LIMIT, CANCELLED, INSECURE_TRANSPORT,
// REDIRECT_REFUSED (too many, or to this machine), DESTINATION_REFUSED, and FORMAT_INVALID for a header that cannot be
// sent. A response with any status is a success here; callers judge it. Messages name the URL without its query, which
// may hold signatures.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret_bytes.h"
#include "net/url.h"

namespace proplet::net {

struct TlsOptions {
  // PEM bundle: when set, only these authorities are trusted; empty means the system's.
  std::string ca_pem;
  bool verify = true;
  // Trust the system's authorities as well as those of `ca_pem`.
  bool system_roots = false;
};

struct HttpClientOptions {
  std::string user_agent = "proplet/0.1";
  TlsOptions tls;
  std::chrono::milliseconds connect_timeout{5000};
  // A transfer below 1 byte a second for this long has stalled and fails, up to 5 s later: libcurl takes averages.
  std::chrono::seconds stall_timeout{20};
  // Hosts ("host" or "host:port") for which plain HTTP is allowed, besides loopback.
  std::set<std::string> insecure_hosts;
  // Plain HTTP is allowed for every host; https still never leads to http.
  bool allow_plain_http = false;
  // Link-local addresses, where clouds keep the credentials of a machine, are refused once the name is resolved (by a
  // proxy named in the environment, if there is one: then only URLs that spell such an address).
  bool refuse_link_local = false;
};

inline constexpr std::size_t kMaxErrorBytes = std::size_t{64} << 10;

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

struct HttpResponse;

struct HttpRequest {
  std::string method = "GET";
  Url url;
  HttpHeaders headers{};  // may hold Authorization and Cookie; never logged
  ByteView body{};        // borrowed for the duration of `send`
  std::size_t max_response_bytes = std::size_t{4} << 20;
  int redirects = 0;
  // A bound on the whole exchange; none: only the stall limit applies.
  std::optional<std::chrono::milliseconds> timeout{};
  // When set, body bytes of a 2xx response go here as they arrive instead of into HttpResponse::body. Called on the
  // sending thread. An error ends the transfer and is returned by `send`. Bodies of other responses are then bounded
  // by kMaxErrorBytes.
  std::function<Status(ByteView)> on_body{};
  // When set, gets status and headers of a 2xx response before its first byte goes to `on_body`. An error ends the
  // transfer likewise.
  std::function<Status(const HttpResponse&)> on_response{};
};

struct HttpResponse {
  long status = 0;
  HttpHeaders headers{};  // names in lower case
  Bytes body{};
  Url url;  // after redirects

  // The first header of that (lower-case) name.
  [[nodiscard]] std::optional<std::string_view> header(std::string_view name) const;
};

class HttpClient {
 public:
  virtual ~HttpClient() = default;
  virtual Result<HttpResponse> send(const HttpRequest& request, std::stop_token stop = {}) = 0;
};

// Allocates. libcurl is set up for the first request, which is where that may fail.
Result<std::unique_ptr<HttpClient>> make_http_client(HttpClientOptions options);

}  // namespace proplet::net
