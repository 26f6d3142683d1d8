#include "kbs/client.h"

#include <condition_variable>
#include <mutex>
#include <utility>

#include "crypto/jwe.h"
#include "kbs/handshake.h"
#include "kbs/protocol.h"
#include "net/retry.h"

namespace proplet::kbs {
namespace {

// A session with less life than this is not begun with.
constexpr std::chrono::seconds kExpiryMargin{30};
// Proxies commonly refuse header sections above 8 KiB; without the token the cookie still identifies us.
constexpr std::size_t kMaxBearerBytes = std::size_t{6} << 10;

struct Refusal {
  Error error;
  bool renew;  // a new handshake may help
};

Refusal final_refusal(Code code, std::string message) {
  return {.error = Error(code, std::move(message)), .renew = false};
}

// Statuses hardly differ; the error's type decides. The names cover all generations of Trustee.
Refusal judge(const net::HttpResponse& response, const ResourceUri& uri) {
  const auto error = parse_error_information(response.body);
  if (!error && response.status == 404) {
    return final_refusal(Code::kbs_resource_unavailable, fmt::format("the key broker has no {}", uri.text()));
  }
  if (!error || (response.status != 401 && response.status != 404)) {
    return {.error = unexpected_answer(response, "the request for " + uri.text()), .renew = response.status == 401};
  }
  const std::string_view variant = error->variant;
  if (variant == "TokenNotFound" || variant == "TokenVerifierError" || variant == "TokenParseFailed" ||
      variant.ends_with("Cookie")) {
    return {.error = Error(Code::kbs_protocol, fmt::format("the key broker does not accept the session it has just "
                                                           "opened: {}: {}",
                                                           variant, error->detail)),
            .renew = true};
  }
  if (variant.starts_with("Policy")) {
    return final_refusal(Code::kbs_denied, fmt::format("{}: {}", uri.text(), error->detail));
  }
  if (variant == "PluginInternalError" || variant == "ReadSecretFailed" || response.status == 404) {
    return final_refusal(Code::kbs_resource_unavailable, fmt::format("{}: {}", uri.text(), error->detail));
  }
  return {.error = unexpected_answer(response, "the request for " + uri.text()), .renew = false};
}

class HandshakingClient final : public Client {
 public:
  HandshakingClient(ClientOptions options, net::HttpClient& http, attestation::Attester& attester, const Clock& clock,
                    crypto::PrivateKey key)
      : options_(std::move(options)),
        http_(http),
        attester_(attester),
        clock_(clock),
        key_(std::move(key)),
        tee_pubkey_(tee_public_jwk(key_.public_key())) {}

  Result<SecretBytes> get_resource(const ResourceUri& uri, StageObserver* observer, std::stop_token stop) override;

 private:
  // Shared: callers go on using a session that another caller replaces meanwhile.
  using SessionPointer = std::shared_ptr<const Session>;
  struct Attempt {
    std::optional<Result<SessionPointer>> result;
  };

  Result<SessionPointer> session_other_than(const SessionPointer& refused, StageObserver* observer,
                                            const std::stop_token& stop);
  Result<SessionPointer> lead_handshake(std::unique_lock<std::mutex>& lock, const std::stop_token& stop);
  tl::expected<SecretBytes, Refusal> fetch(const ResourceUri& uri, const Session& session, StageObserver* observer,
                                           const std::stop_token& stop);
  tl::expected<SecretBytes, Refusal> open(const net::HttpResponse& response, const ResourceUri& uri) const;

  const ClientOptions options_;
  net::HttpClient& http_;
  attestation::Attester& attester_;
  const Clock& clock_;
  SystemRandom random_;  // jitter of retries
  const crypto::PrivateKey key_;
  const json::object tee_pubkey_;

  std::mutex mutex_;
  std::condition_variable_any changed_;
  SessionPointer session_;
  std::shared_ptr<Attempt> attempt_;  // shared: outlives itself in those who wait for it
};

Result<SecretBytes> HandshakingClient::get_resource(const ResourceUri& uri, StageObserver* observer,
                                                    std::stop_token stop) {
  TRY_ASSIGN(auto session, session_other_than(nullptr, observer, stop));
  auto secret = fetch(uri, *session, observer, stop);
  if (!secret && secret.error().renew) {
    TRY_ASSIGN(session, session_other_than(session, observer, stop));
    secret = fetch(uri, *session, observer, stop);
  }
  if (!secret) return fail(std::move(secret.error().error).at(Stage::key));
  return std::move(*secret);
}

Result<HandshakingClient::SessionPointer> HandshakingClient::session_other_than(const SessionPointer& refused,
                                                                                StageObserver* observer,
                                                                                const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  const auto usable = [&] {
    return session_ && session_ != refused && session_->expires - clock_.now() >= kExpiryMargin;
  };
  if (usable()) return session_;

  const StageTimer timer(Stage::attest, observer);
  while (attempt_) {
    const auto attempt = attempt_;
    if (!changed_.wait(lock, stop, [&] { return attempt->result.has_value(); })) {
      return fail(Error(Code::cancelled, "stopped while waiting for the attestation").at(Stage::attest));
    }
    // The leader's own task may have been stopped; that is no answer to the others.
    if (*attempt->result || attempt->result->error().code() != Code::cancelled) return *attempt->result;
  }
  return lead_handshake(lock, stop);
}

Result<HandshakingClient::SessionPointer> HandshakingClient::lead_handshake(std::unique_lock<std::mutex>& lock,
                                                                            const std::stop_token& stop) {
  const auto attempt = attempt_ = std::make_shared<Attempt>();
  lock.unlock();
  auto session = shake_hands({.broker = options_.url,
                              .http = http_,
                              .attester = attester_,
                              .clock = clock_,
                              .random = random_,
                              .tee_pubkey = tee_pubkey_,
                              .init_data = options_.init_data},
                             stop);
  lock.lock();
  if (session) {
    session_ = std::make_shared<const Session>(std::move(*session));
    attempt->result = session_;
  } else {
    attempt->result = fail(std::move(session).error().at(Stage::attest));
  }
  attempt_.reset();
  changed_.notify_all();
  return *attempt->result;
}

tl::expected<SecretBytes, Refusal> HandshakingClient::fetch(const ResourceUri& uri, const Session& session,
                                                            StageObserver* observer, const std::stop_token& stop) {
  const StageTimer timer(Stage::key, observer);
  auto url = endpoint(options_.url, "resource/" + uri.path());
  if (!url) return tl::unexpected(Refusal{.error = url.error(), .renew = false});
  // Cookie and token come from one handshake, so whichever the broker prefers names our key.
  net::HttpHeaders headers{{"Cookie", fmt::format("{}={}", kSessionCookie, session.cookie)}};
  if (session.token.size() <= kMaxBearerBytes) headers.emplace_back("Authorization", "Bearer " + session.token);
  const net::HttpRequest request{.url = std::move(*url),
                                 .headers = std::move(headers),
                                 .max_response_bytes = options_.max_resource_bytes / 3 * 4 + net::kMaxErrorBytes,
                                 .timeout = kRequestTimeout};
  auto response = net::with_retries({.attempts = 3}, clock_, random_, stop, [&] { return http_.send(request, stop); });
  if (!response) {
    return tl::unexpected(Refusal{.error = transport_error(std::move(response).error()), .renew = false});
  }
  if (response->status != 200) return tl::unexpected(judge(*response, uri));
  return open(*response, uri);
}

tl::expected<SecretBytes, Refusal> HandshakingClient::open(const net::HttpResponse& response,
                                                           const ResourceUri& uri) const {
  auto secret = crypto::jwe_decrypt(text_of(response.body), key_, {crypto::JweAlgorithm::ecdh_es_a256kw});
  if (!secret) {
    auto error = Error(secret.error().code(),
                       fmt::format("the response for {} cannot be opened with this session's key", uri.text()));
    return tl::unexpected(Refusal{.error = std::move(error).caused_by(secret.error()), .renew = false});
  }
  if (secret->size() > options_.max_resource_bytes) {
    return tl::unexpected(final_refusal(Code::kbs_protocol, fmt::format("{} is larger than the limit of {} bytes",
                                                                        uri.text(), options_.max_resource_bytes)));
  }
  return std::move(*secret);
}

}  // namespace

Result<std::unique_ptr<Client>> make_client(ClientOptions options, net::HttpClient& http,
                                            attestation::Attester& attester, const Clock& clock) {
  TRY(endpoint(options.url, "auth"));
  TRY_ASSIGN(auto key, crypto::PrivateKey::generate(crypto::KeyKind::p256));
  return std::make_unique<HandshakingClient>(std::move(options), http, attester, clock, std::move(key));
}

}  // namespace proplet::kbs
