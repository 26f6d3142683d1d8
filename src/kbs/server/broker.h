// The development broker without its socket: requests in, answers out. Private to kbs/server.
//
// The order of checks and every refusal is Trustee's (Key Broker Service protocol 0.4.0): plugin, administrator or
// token, policy, resource, key. So nobody learns whether a resource exists who may not read it. Thread-safe.
#pragma once

#include <mutex>
#include <string>
#include <string_view>

#include "base/log.h"
#include "kbs/server/policy.h"
#include "kbs/server/resource_store.h"
#include "kbs/server/server.h"
#include "kbs/server/sessions.h"
#include "kbs/server/tokens.h"
#include "net/http_server.h"

namespace proplet::kbs {

class Broker {
 public:
  Broker(const ServerOptions& options, crypto::PrivateKey token_key, Policy policy, const Clock& clock, Random& random,
         Log& log);

  // Everything below /kbs/v0/.
  net::ServerResponse handle(const net::ServerRequest& request);

 private:
  net::ServerResponse auth(const net::ServerRequest& request);
  net::ServerResponse attest(const net::ServerRequest& request);
  net::ServerResponse set_policy(const net::ServerRequest& request);
  net::ServerResponse administer_resource(const net::ServerRequest& request, std::string_view path);
  net::ServerResponse release_resource(const net::ServerRequest& request, std::string_view path);
  // Nothing when the caller is an administrator, else Trustee's text for why not.
  std::optional<std::string> refuse_admin(const net::ServerRequest& request) const;
  // The token of the attested session, else the bearer token.
  std::optional<std::string> attestation_token(const net::ServerRequest& request);

  const std::string folder_;
  const bool allow_sample_;
  const std::optional<crypto::PublicKey> admin_key_;
  const std::chrono::seconds max_admin_token_life_;
  const Clock& clock_;
  Log& log_;
  Sessions sessions_;
  TokenIssuer tokens_;
  ResourceStore store_;
  std::mutex policy_mutex_;
  Policy policy_;
};

// The policy's place in the broker's folder.
std::string policy_file(const std::string& folder);

}  // namespace proplet::kbs
