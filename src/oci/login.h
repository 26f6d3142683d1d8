// Login: what stands in the Authorization header of requests to registries. Private to oci/.
//
// Implements the token flow of the distribution project ("Docker Registry v2 authentication") and HTTP basic. Tokens
// are kept per registry and scope until shortly before they expire. A realm names where credentials go, and it comes
// from the registry; the rules it must keep stand in registry.h (GHSA-xf85-363p-868w). Thread-safe.
#pragma once

#include <chrono>
#include <map>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>

#include "base/clock.h"
#include "net/http_client.h"
#include "net/retry.h"
#include "oci/auth.h"
#include "oci/challenge.h"

namespace proplet::oci {

enum class Access : std::uint8_t { pull, push };

// Whom a request talks to, and for what.
struct Purpose {
  net::Url registry;  // the API's origin
  Reference reference;
  Access access = Access::pull;

  [[nodiscard]] std::string scope() const;  // "repository:acme/app:pull,push"
};

class Login {
 public:
  Login(net::HttpClient& http, const Clock& clock, Random& random, net::RetryPolicy retry, AuthFile credentials)
      : http_(http), clock_(clock), random_(random), retry_(retry), credentials_(std::move(credentials)) {}

  [[nodiscard]] bool has_credentials(const Reference& reference) const {
    return credentials_.find(reference) != nullptr;
  }

  // The value of Authorization that worked last, empty when there is none or it is about to expire.
  SecretBytes known(const Purpose& purpose);

  // Answers a 401 with a fresh value, and remembers it. REGISTRY_UNAUTHORIZED when there is nothing to answer with.
  Result<SecretBytes> renew(const Purpose& purpose, const net::HttpResponse& challenge, const std::stop_token& stop);

 private:
  struct Entry {
    SecretBytes value;
    std::chrono::steady_clock::time_point expires;
  };
  using Key = std::pair<std::string, std::string>;  // registry host and port, scope

  [[nodiscard]] Result<Entry> basic(const Purpose& purpose) const;
  Result<Entry> bearer(const Purpose& purpose, const Challenge& challenge, const std::stop_token& stop);
  Result<net::HttpResponse> ask_realm(const net::Url& realm, const Challenge& challenge, const std::string& scope,
                                      const Credentials* credentials, const std::stop_token& stop);
  [[nodiscard]] Result<Entry> read_answer(const net::Url& realm, net::HttpResponse answer) const;

  net::HttpClient& http_;
  const Clock& clock_;
  Random& random_;
  const net::RetryPolicy retry_;
  const AuthFile credentials_;
  std::mutex mutex_;
  std::map<Key, Entry> entries_;
};

// REGISTRY_UNAUTHORIZED when the realm breaks the rules.
Status check_realm(const net::Url& realm, const net::Url& registry);

}  // namespace proplet::oci
