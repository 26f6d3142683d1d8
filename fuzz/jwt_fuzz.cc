// JSON Web Tokens: none is accepted without the right signature, and what we sign verifies.
#include "base/json.h"
#include "crypto/jwt.h"
#include "fuzz.h"

namespace crypto = proplet::crypto;
namespace json = proplet::json;
using proplet::fuzz::check;

namespace {

// Nobody has the private half, so whatever verifies is a forgery.
crypto::PublicKey key_without_owner(crypto::KeyKind kind) {
  auto key = crypto::PrivateKey::generate(kind);
  check(key.has_value(), "a key can be made");
  return key->public_key();
}

void check_signing(json::object claims) {
  static const auto key = crypto::PrivateKey::generate(crypto::KeyKind::ed25519);
  constexpr std::int64_t kFarFuture = 4'000'000'000;
  claims["exp"] = kFarFuture;
  claims.erase("nbf");
  const auto token = crypto::jwt_sign(*key, {}, claims);
  if (!token) return;
  const proplet::fuzz::FixedClock clock;
  const auto verified = crypto::jwt_verify(*token, key->public_key(), {crypto::JwsAlgorithm::eddsa}, clock);
  check(verified.has_value(), "what we sign verifies");
  check(!crypto::jwt_verify(*token, key->public_key(), {crypto::JwsAlgorithm::es256}, clock),
        "only allowed algorithms are accepted");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const crypto::PublicKey ec = key_without_owner(crypto::KeyKind::p256);
  static const crypto::PublicKey ed = key_without_owner(crypto::KeyKind::ed25519);
  const std::vector<crypto::JwsAlgorithm> all = {crypto::JwsAlgorithm::es256, crypto::JwsAlgorithm::eddsa};
  const proplet::fuzz::FixedClock clock;
  const std::string_view text = proplet::fuzz::text_input(data, size);

  check(!crypto::jwt_verify(text, ec, all, clock), "no forgery of ES256");
  check(!crypto::jwt_verify(text, ed, all, clock), "no forgery of EdDSA");
  const auto token = crypto::jwt_parse_unverified(text);
  if (token) check_signing(token->claims);
  return 0;
}
