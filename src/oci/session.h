// Session: requests to a registry, with log-in, repetition and errors in the registry's own words. Private to oci/.
//
// Thread-safe; shared by all sources and targets of a Registry.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "net/http_client.h"
#include "net/retry.h"
#include "oci/login.h"
#include "oci/registry.h"

namespace proplet::oci {

// How long an exchange that carries `bytes` may take, so that no registry can hold a task by sending a byte a second:
// a minute, and a second for each KiB.
constexpr std::chrono::milliseconds exchange_time(std::uint64_t bytes) {
  return std::chrono::minutes(1) + std::chrono::seconds(bytes >> 10);
}

class Registry::Session {
 public:
  Session(net::HttpClient& http, const Clock& clock, Random& random, RegistryOptions options);

  [[nodiscard]] bool has_credentials(const Reference& reference) const { return login_.has_credentials(reference); }

  // Where the API of the reference's registry is. REFERENCE_INVALID when its host is none.
  [[nodiscard]] Result<Purpose> purpose(const Reference& reference, Access access) const;

  // Sends what `make_request` makes, anew for each attempt. Without credentials if the request leaves the registry's
  // origin. Any status is a success; the network's failures are REGISTRY_UNREACHABLE.
  using MakeRequest = std::function<net::HttpRequest()>;
  Result<net::HttpResponse> send(const Purpose& purpose, const MakeRequest& make_request, const std::stop_token& stop);

  // As `send` without repetition, for steps that are repeated as a whole: `repeat` is how. Network failures stay
  // NETWORK_FAILED until `repeat` has given up.
  Result<net::HttpResponse> send_once(const Purpose& purpose, const MakeRequest& make_request,
                                      const std::stop_token& stop);
  Result<net::HttpResponse> repeat(const std::function<Result<net::HttpResponse>()>& step, const std::stop_token& stop);

 private:
  Result<net::HttpResponse> send_as(const Purpose& purpose, net::HttpRequest request, const SecretBytes& authorization,
                                    const std::stop_token& stop);

  net::HttpClient& http_;
  const Clock& clock_;
  Random& random_;
  const std::set<std::string> insecure_hosts_;
  const std::set<std::string> tls_loopback_hosts_;
  const net::RetryPolicy retry_;
  Login login_;
};

// The error behind a response that is not what was hoped for: REGISTRY_UNAUTHORIZED (401, 403), IMAGE_NOT_FOUND (404)
// or REGISTRY_FAILED, with the registry's own code and message, bounded and stripped of control characters.
Error error_of(const net::HttpResponse& response, std::string_view what);

}  // namespace proplet::oci
