#include "crypto/jwe.h"

#include <gtest/gtest.h>

#include "base/encoding.h"
#include "crypto/cipher.h"

namespace proplet::crypto {
namespace {

const std::vector<JweAlgorithm> kAll = {
    JweAlgorithm::ecdh_es,  JweAlgorithm::ecdh_es_a128kw, JweAlgorithm::ecdh_es_a192kw, JweAlgorithm::ecdh_es_a256kw,
    JweAlgorithm::rsa_oaep, JweAlgorithm::rsa_oaep_256,   JweAlgorithm::a256kw,         JweAlgorithm::dir};

// A response of a key broker (Trustee KBS protocol 0.4.0) with every intermediate value known.
constexpr std::string_view kBrokerScalar = "449f445d0c9f8d05705fea595a9ea57bf66e405913e63520895771dab5484a38";
constexpr std::string_view kBrokerResponse =
    R"({"protected":"eyJhbGciOiJFQ0RILUVTK0EyNTZLVyIsImVuYyI6IkEyNTZHQ00iLCJlcGsiOnsiY3J2IjoiUC0yNTYiLCJrdHkiOiJFQyIsIngiOiJaZm8wUFJxNHlQZ3k4d1pwUXp1WndncjdrZ1FWNUNFNnBMM2NDVVpvV0U4IiwieSI6IkZuVHJPdWhPY0ZvR0ZyWG1xU2trblpPOUs3b1FWRzRuWElHSnBOdm9FTWsifX0","encrypted_key":"t1ngSN_8uCNg1t-OH3WTbAObGFRdzGPms3NBPXmzkr3znmnKe68gOQ","iv":"AAECAwQFBgcICQoL","ciphertext":"NGq-c62NqnM","tag":"yUhFVmWi1rNdePhpPBXnBg"})";

PrivateKey broker_client_key() {
  return PrivateKey::from_ec_scalar(KeyKind::p256, hex_decode(kBrokerScalar).value()).value();
}

TEST(Jwe, OpensAKeyBrokersResponse) {
  const auto plaintext = jwe_decrypt(kBrokerResponse, broker_client_key(), kAll);
  ASSERT_TRUE(plaintext) << plaintext.error().text();
  EXPECT_EQ(text_of(plaintext->view()), "shhhhhhh");
}

TEST(Jwe, EveryKeyAndAlgorithmOpensWhatItSealed) {
  struct Case {
    KeyKind kind;
    JweAlgorithm algorithm;
  };
  std::vector<Case> cases = {{KeyKind::rsa, JweAlgorithm::rsa_oaep}, {KeyKind::rsa, JweAlgorithm::rsa_oaep_256}};
  for (const auto kind : {KeyKind::p256, KeyKind::p384, KeyKind::p521}) {
    for (const auto algorithm : {JweAlgorithm::ecdh_es, JweAlgorithm::ecdh_es_a128kw, JweAlgorithm::ecdh_es_a192kw,
                                 JweAlgorithm::ecdh_es_a256kw}) {
      cases.push_back({kind, algorithm});
    }
  }
  for (const auto& [kind, algorithm] : cases) {
    SCOPED_TRACE(fmt::format("{} {}", key_kind_name(kind), jwe_algorithm_name(algorithm)));
    const auto key = PrivateKey::generate(kind).value();
    for (const std::string_view plaintext : {"", "a", "some plaintext of a few blocks, long enough to matter"}) {
      const auto flattened = jwe_encrypt(key.public_key(), algorithm, bytes_of(plaintext)).value();
      const auto compact = jwe_encrypt_compact(key.public_key(), algorithm, bytes_of(plaintext)).value();
      for (const auto& jwe : {flattened, compact}) {
        const auto opened = jwe_decrypt(jwe, key, {algorithm});
        ASSERT_TRUE(opened) << opened.error().text();
        EXPECT_EQ(text_of(opened->view()), plaintext);
      }
    }
  }
}

}  // namespace
}  // namespace proplet::crypto
