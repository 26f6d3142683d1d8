// A development key broker that speaks Trustee's Key Broker Service protocol 0.4.0.
//
// For laptops, tests and demonstrations: it keeps resources in files below one folder, checks `sample` evidence when
// told to, and refuses every other TEE because it has no verifier for them. Statuses, error types, and the order of the
// checks are those of Trustee, so that a client that works here works there. Limits: sessions are in memory, tokens of
// other brokers are not trusted, policies are rules (policy.h), not Rego.
// Clock, Random and Log must outlive the server. Thread-safe after `start`.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/log.h"
#include "base/result.h"
#include "crypto/key.h"

namespace proplet::kbs {

struct ServerOptions {
  std::string address = "127.0.0.1";
  std::uint16_t port = 0;  // 0: the system chooses
  // Holds repository/<repo>/<type>/<tag>, resource-policy.json and token-key.pem; made (0700) when missing.
  std::string folder;
  bool allow_sample = false;
  std::chrono::seconds session_lifetime{300};
  std::chrono::seconds token_lifetime{300};
  std::size_t max_sessions = 1024;
  std::size_t max_body_bytes = std::size_t{2} << 20;
  // Ed25519; without it every administrative call is refused.
  std::optional<crypto::PublicKey> admin_key{};
  // Tokens of the administrator that live longer from now on are refused: such a token is a password.
  std::chrono::seconds max_admin_token_life{std::chrono::hours(24)};
  // True: the token signing key is kept in the folder (0600); false: a new one for every start.
  bool keep_token_key = false;
  std::string tls_certificate_file{};
  std::string tls_key_file{};
};

class Server {
 public:
  virtual ~Server() = default;
  // Serves until `stop` or destruction. CONFIG_INVALID for an unusable folder, policy, key or TLS file;
  // NETWORK_FAILED when the address is taken.
  virtual Status start() = 0;
  virtual void stop() = 0;
  [[nodiscard]] virtual std::uint16_t port() const = 0;
};

Result<std::unique_ptr<Server>> make_server(ServerOptions options, const Clock& clock, Random& random, Log& log);

}  // namespace proplet::kbs
