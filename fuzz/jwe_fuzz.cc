// JWE in all three serialisations: malformed ones are errors, and what we encrypt opens again.
#include <algorithm>
#include <string>

#include "base/fd.h"
#include "crypto/jwe.h"
#include "crypto/jwe_message.h"
#include "fuzz.h"

namespace crypto = proplet::crypto;
using crypto::JweAlgorithm;
using proplet::fuzz::check;

namespace {

const std::vector<JweAlgorithm> kAll = {
    JweAlgorithm::ecdh_es,  JweAlgorithm::ecdh_es_a128kw, JweAlgorithm::ecdh_es_a192kw, JweAlgorithm::ecdh_es_a256kw,
    JweAlgorithm::rsa_oaep, JweAlgorithm::rsa_oaep_256,   JweAlgorithm::a256kw,         JweAlgorithm::dir};

// A key that some seeds are encrypted for, so that mutations reach the steps behind the key.
crypto::PrivateKey key_from_vectors(const std::string& name) {
  constexpr std::size_t kMaxKeyBytes = 65536;
  const auto pem = proplet::read_file(std::string(PROPLET_VECTORS "/ocicrypt/keys/") + name, kMaxKeyBytes);
  check(pem.has_value(), "the vectors have the key");
  auto key = crypto::PrivateKey::from_any(*pem);
  check(key.has_value(), "the vectors' key is one");
  return std::move(*key);
}

void check_round_trip(const crypto::PrivateKey& key, proplet::ByteView plaintext) {
  const auto sealed = crypto::jwe_encrypt(key.public_key(), JweAlgorithm::ecdh_es_a256kw, plaintext);
  check(sealed.has_value(), "any bytes can be encrypted");
  const auto opened = crypto::jwe_decrypt(*sealed, key, {JweAlgorithm::ecdh_es_a256kw});
  check(opened && opened->equals(plaintext), "what we encrypt opens again");
  check(!crypto::jwe_decrypt(*sealed, key, {JweAlgorithm::ecdh_es}), "only allowed algorithms are used");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const crypto::PrivateKey ec = key_from_vectors("ec.key.pem");
  static const crypto::PrivateKey rsa = key_from_vectors("rsa1.key.pem");
  constexpr std::array<std::uint8_t, 32> kSymmetric{};
  const std::string_view text = proplet::fuzz::text_input(data, size);

  const auto message = crypto::parse_jwe(text);
  if (message) {
    check(!message->recipients.empty() && message->recipients.size() <= 64, "recipients are bounded");
    const auto by_ec = crypto::jwe_decrypt(text, ec, kAll);
    const auto by_rsa = crypto::jwe_decrypt(text, rsa, kAll);
    const auto by_symmetric = crypto::jwe_decrypt_symmetric(text, kSymmetric, kAll);
    for (const auto* opened : {&by_ec, &by_rsa, &by_symmetric}) {
      check(!*opened || (*opened)->size() <= message->sealed.size(), "plaintext is no longer than ciphertext");
    }
  } else {
    check(!crypto::jwe_decrypt(text, ec, kAll), "what does not parse does not open");
    if (size < 256) check_round_trip(ec, {data, size});
  }
  return 0;
}
