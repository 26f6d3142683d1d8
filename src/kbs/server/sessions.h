// The sessions of the development broker: bounded in number and life.
#pragma once

#include <chrono>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "attestation/attester.h"
#include "base/clock.h"

namespace proplet::kbs {

struct BrokerSession {
  std::string id;     // 32 hexadecimal digits
  std::string nonce;  // the challenge's text
  attestation::Tee tee = attestation::Tee::sample;
  std::chrono::system_clock::time_point expires;
  std::string token{};  // empty until attested
};

// Thread-safe.
class Sessions {
 public:
  Sessions(std::size_t most, std::chrono::seconds lifetime, const Clock& clock, Random& random)
      : most_(most), lifetime_(lifetime), clock_(clock), random_(random) {}

  // Lifetime counts from here; attesting does not extend it. At the bound the oldest session that is not attested goes;
  // nothing when all are attested.
  std::optional<BrokerSession> open(attestation::Tee tee);
  // Nothing when unknown or expired.
  std::optional<BrokerSession> find(std::string_view id);
  // The session's token: `token`, or the one it had already.
  std::optional<std::string> attest(std::string_view id, std::string token);

 private:
  void drop_expired();
  bool make_room();

  const std::size_t most_;
  const std::chrono::seconds lifetime_;
  const Clock& clock_;
  Random& random_;
  std::mutex mutex_;
  std::map<std::string, BrokerSession, std::less<>> sessions_;
};

}  // namespace proplet::kbs
