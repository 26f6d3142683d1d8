// What an operator does at a key broker from outside the TEE: store and remove resources, set the resource policy.
//
// Every call carries a bearer token, by default one made from the administrator's Ed25519 key (Trustee's
// AuthenticatedAuthorization mode); with an empty one, none (InsecureAllowAll). Blocking; any thread. Errors:
// KBS_UNREACHABLE, KBS_DENIED (token refused), KBS_RESOURCE_UNAVAILABLE (deleting what is not there), KBS_PROTOCOL,
// CANCELLED.
#pragma once

#include <chrono>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "crypto/key.h"
#include "kbs/client.h"
#include "net/http_client.h"

namespace proplet::kbs {

struct AdminTokenOptions {
  std::string issuer = "issuer";  // Trustee checks it when the identity provider names one
  std::string audience = "kbs";
  std::string role = "admin";
  std::chrono::seconds lifetime{60};
};

// KEY_INVALID unless `key` is Ed25519.
Result<std::string> make_admin_token(const crypto::PrivateKey& key, const Clock& clock,
                                     const AdminTokenOptions& options = {});

// `url` is the broker's, without /kbs/v0. The host of `uri` is not used.
Status upload_resource(net::HttpClient& http, const net::Url& url, std::string_view token, const ResourceUri& uri,
                       ByteView bytes, std::stop_token stop = {});
Status delete_resource(net::HttpClient& http, const net::Url& url, std::string_view token, const ResourceUri& uri,
                       std::stop_token stop = {});
// `policy` is the text: Rego for Trustee, rules in JSON for the development broker (server/policy.h).
Status set_policy(net::HttpClient& http, const net::Url& url, std::string_view token, std::string_view policy,
                  std::stop_token stop = {});

}  // namespace proplet::kbs
