// Registry: the client side of the OCI distribution specification 1.1.
//
// One object serves all registries; it makes sources and targets bound to a reference. It logs in as the registry asks
// (anonymous, basic, bearer token), keeps tokens until they expire, repeats what failed for a passing reason (network,
// 408, 429, 5xx) with growing pauses, asks for the rest of a blob whose transfer broke off, and verifies size and
// digest while bytes arrive. Mirrors are tried first where there are some. Credentials go only to the
// registry's own origin and to a token service it may name (realm rules below), never to redirect targets, foreign
// upload locations or `urls`. Plain HTTP is used for loopback hosts and those in `insecure_hosts`; the HttpClient must
// know the same hosts. Thread-safe. Must outlive its sources and targets.
//
// Realm rules: https when the registry is https; no user information; a realm on a loopback, private, link-local or
// unspecified address only if it is the registry's own host; redirects are not followed.
#pragma once

#include <chrono>
#include <memory>
#include <set>
#include <string>

#include "base/clock.h"
#include "net/http_client.h"
#include "oci/auth.h"
#include "oci/image.h"
#include "oci/mirror.h"

namespace proplet::oci {

struct RegistryOptions {
  AuthFile credentials;
  // "host" or "host:port" spoken to over plain HTTP, besides loopback.
  std::set<std::string> insecure_hosts;
  // Loopback hosts ("localhost:5443") that speak TLS all the same.
  std::set<std::string> tls_loopback_hosts;
  Mirrors mirrors;
  int attempts = 4;  // per request, first one included
  std::chrono::milliseconds first_pause{250};
  std::chrono::milliseconds longest_pause{10000};  // also bounds Retry-After
};

class Registry {
 public:
  // The references must outlive the registry.
  Registry(net::HttpClient& http, const Clock& clock, Random& random, RegistryOptions options);
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  std::unique_ptr<ImageSource> source(const Reference& reference);
  // Whether a refusal could be one of these credentials.
  [[nodiscard]] bool has_credentials(const Reference& reference) const;
  // Pushing needs a tag, or for an image without a name a digest that push_tagged will check.
  std::unique_ptr<ImageTarget> target(const Reference& reference);

 private:
  class Session;  // requests with log-in and repetition; keeps curl and tokens out of this header
  friend class RegistrySource;
  friend class RegistryTarget;
  Mirrors mirrors_;
  std::unique_ptr<Session> session_;
};

}  // namespace proplet::oci
