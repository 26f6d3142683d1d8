// Keys as JWK, PEM or DER: what is accepted survives export and import unchanged.
#include "base/json.h"
#include "crypto/key.h"
#include "fuzz.h"

namespace crypto = proplet::crypto;
using proplet::fuzz::check;

namespace {

void check_public(const crypto::PublicKey& key) {
  const auto from_jwk = crypto::PublicKey::from_jwk(key.to_jwk());
  check(from_jwk && from_jwk->thumbprint() == key.thumbprint(), "JWK export and import");
  const auto from_pem = crypto::PublicKey::from_pem(key.to_pem());
  check(from_pem && from_pem->thumbprint() == key.thumbprint(), "PEM export and import");
}

void check_private(const crypto::PrivateKey& key) {
  const proplet::SecretBytes pem = key.to_pem();
  const auto again = crypto::PrivateKey::from_any(pem.view());
  check(again && again->public_key().thumbprint() == key.public_key().thumbprint(), "PKCS#8 export and import");
  check_public(key.public_key());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = proplet::fuzz::text_input(data, size);
  if (const auto key = crypto::PublicKey::from_pem(text)) check_public(*key);
  if (const auto key = crypto::PrivateKey::from_any({data, size})) check_private(*key);
  if (const auto jwk = proplet::json::parse_object(text)) {
    if (const auto key = crypto::PublicKey::from_jwk(*jwk)) check_public(*key);
    if (const auto key = crypto::PrivateKey::from_jwk(*jwk)) check_private(*key);
  }
  return 0;
}
