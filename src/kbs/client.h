// Client of the Key Broker Service protocol 0.4.0 (Trustee): proves the TEE and fetches resources.
//
// The handshake is request, challenge, attestation, response. The client makes one P-256 key pair per object, binds it
// and the nonce into the evidence, keeps the session cookie and the attestation token until shortly before they expire,
// and opens resource responses (JWE) in memory. A resource that is refused for want of a valid session costs at most
// one new handshake; denials are final. Thread-safe; concurrent callers share one handshake.
#pragma once

#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "attestation/attester.h"
#include "base/clock.h"
#include "base/result.h"
#include "base/secret_bytes.h"
#include "base/stage.h"
#include "net/http_client.h"

namespace proplet::kbs {

// kbs://[host[:port]]/repository/type/tag (Trustee resource URI, plugin `resource`): a value, always valid.
class ResourceUri {
 public:
  // Accepts "kbs:///a/b/c", "kbs://host:8080/a/b/c", and the bare path "a/b/c" or "/a/b/c". Exactly three segments of
  // [A-Za-z0-9_-][A-Za-z0-9_.-]*. Other plugins and queries are refused. FORMAT_INVALID.
  static Result<ResourceUri> parse(std::string_view text);

  [[nodiscard]] const std::string& path() const { return path_; }  // "a/b/c"
  [[nodiscard]] const std::string& host() const { return host_; }  // "" or "host[:port]"
  [[nodiscard]] std::string text() const { return "kbs://" + host_ + "/" + path_; }
  bool operator==(const ResourceUri&) const = default;

 private:
  ResourceUri() = default;
  std::string host_;
  std::string path_;
};

struct ClientOptions {
  net::Url url;  // of the broker, without /kbs/v0
  std::size_t max_resource_bytes = std::size_t{1} << 20;
  std::string init_data = {};  // TOML text that goes with every attestation (init_data.h); empty: none
};

class Client {
 public:
  virtual ~Client() = default;
  // The resource's bytes exactly as they were uploaded. The host of `uri` is not used. `observer` sees the stages
  // attest and key.
  virtual Result<SecretBytes> get_resource(const ResourceUri& uri, StageObserver* observer, std::stop_token stop) = 0;
};

// All references must outlive the client.
Result<std::unique_ptr<Client>> make_client(ClientOptions options, net::HttpClient& http,
                                            attestation::Attester& attester, const Clock& clock);

}  // namespace proplet::kbs
