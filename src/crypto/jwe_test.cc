#include "crypto/jwe.h"

#include <gtest/gtest.h>

#include "crypto/cipher.h"
#include "crypto/test_support.h"

namespace proplet::crypto {
namespace {

using testing::text;
using testing::ToolTest;
using testing::vector_json;

const std::vector<JweAlgorithm> kAll = {
    JweAlgorithm::ecdh_es,  JweAlgorithm::ecdh_es_a128kw, JweAlgorithm::ecdh_es_a192kw, JweAlgorithm::ecdh_es_a256kw,
    JweAlgorithm::rsa_oaep, JweAlgorithm::rsa_oaep_256,   JweAlgorithm::a256kw,         JweAlgorithm::dir};

TEST(Jwe, OpensAKeyBrokersResponses) {
  const auto vectors = vector_json("key-broker.json");
  const auto& response = vectors.at("response");
  const auto ec = PrivateKey::from_ec_scalar(KeyKind::p256, testing::hex(text(response, "scalar"))).value();
  const auto rsa = PrivateKey::from_pem(text(vectors.at("rsa"), "pem")).value();
  const auto by_ec = jwe_decrypt(text(response, "jwe"), ec, {JweAlgorithm::ecdh_es_a256kw});
  ASSERT_TRUE(by_ec) << by_ec.error().text();
  EXPECT_EQ(text_of(by_ec->view()), text(response, "plaintext"));
  const auto by_rsa = jwe_decrypt(text(vectors.at("rsa"), "jwe"), rsa, {JweAlgorithm::rsa_oaep_256});
  ASSERT_TRUE(by_rsa) << by_rsa.error().text();
  EXPECT_EQ(text_of(by_rsa->view()), text(vectors.at("rsa"), "plaintext"));
}

TEST(Jwe, RefusesTheObsoleteResponsesOfKeyBrokers) {
  const auto vectors = vector_json("key-broker.json");
  const auto rsa = PrivateKey::from_pem(text(vectors.at("rsa"), "pem")).value();
  for (const auto* name : {"jwe_rsa1_5", "jwe_legacy"}) {
    const auto opened = jwe_decrypt(text(vectors.at("rsa"), name), rsa, kAll);
    ASSERT_FALSE(opened) << name;
    EXPECT_EQ(opened.error().code(), Code::jwe_invalid);
  }
}

TEST(Jwe, OpensTheExamplesOfTheRfcs) {
  const auto vectors = vector_json("rfc.json");
  for (const auto& each : vectors.at("jwe").as_array()) {
    SCOPED_TRACE(text(each, "name"));
    const auto key = PrivateKey::from_jwk(each.at("key").as_object()).value();
    const auto opened = jwe_decrypt(text(each, "compact"), key, {JweAlgorithm::rsa_oaep});
    ASSERT_TRUE(opened) << opened.error().text();
    EXPECT_EQ(text_of(opened->view()), text(each, "plaintext"));
  }
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

TEST(Jwe, WritesTheHeaderInTheOrderTrusteesClientRebuilds) {
  for (const auto kind : {KeyKind::p256, KeyKind::p521}) {
    const auto key = PrivateKey::generate(kind)->public_key();
    const auto jwe = json::parse_object(jwe_encrypt(key, JweAlgorithm::ecdh_es_a256kw, bytes_of("x")).value()).value();
    const auto header = base64url_decode(text(jwe, "protected")).value();
    const auto epk = json::parse_object(text_of(header))->at("epk").as_object();
    EXPECT_EQ(text_of(header), fmt::format(R"({{"alg":"ECDH-ES+A256KW","enc":"A256GCM","epk":{{"crv":"{}",)"
                                           R"("kty":"EC","x":"{}","y":"{}"}}}})",
                                           key_kind_name(kind), text(epk, "x"), text(epk, "y")));
  }
  const auto rsa = PrivateKey::generate(KeyKind::rsa)->public_key();
  const auto jwe = json::parse_object(jwe_encrypt(rsa, JweAlgorithm::rsa_oaep_256, {}).value()).value();
  EXPECT_EQ(text(jwe, "protected"), "eyJhbGciOiJSU0EtT0FFUC0yNTYiLCJlbmMiOiJBMjU2R0NNIn0");
}

TEST(Jwe, EncryptsOnlyWithWhatFitsTheKey) {
  const auto rsa = PrivateKey::generate(KeyKind::rsa)->public_key();
  const auto ec = PrivateKey::generate(KeyKind::p256)->public_key();
  const auto signer = PrivateKey::generate(KeyKind::ed25519)->public_key();
  EXPECT_FALSE(jwe_encrypt(rsa, JweAlgorithm::ecdh_es, {}));
  EXPECT_FALSE(jwe_encrypt(ec, JweAlgorithm::rsa_oaep, {}));
  EXPECT_FALSE(jwe_encrypt(ec, JweAlgorithm::dir, {}));
  EXPECT_FALSE(jwe_encrypt(signer, JweAlgorithm::ecdh_es, {}));
  EXPECT_FALSE(default_jwe_algorithm(KeyKind::ed25519));
}

// A JWE with a shared key, every part of which a test can choose; it opens unless the reader refuses the shape.
const Bytes kSharedKey(32, 0x42);

json::object direct_jwe(std::string_view header, std::string_view aad = "") {
  const auto protected_text = base64url_encode(bytes_of(header));
  const auto additional = aad.empty() ? protected_text : protected_text + "." + std::string(aad);
  const auto sealed = aes_gcm_seal(kSharedKey, Bytes(12, 7), bytes_of(additional), bytes_of("secret")).value();
  json::object jwe = {{"protected", protected_text},
                      {"iv", base64url_encode(Bytes(12, 7))},
                      {"ciphertext", base64url_encode(ByteView(sealed).first(6))},
                      {"tag", base64url_encode(ByteView(sealed).subspan(6))}};
  if (!aad.empty()) jwe["aad"] = aad;
  return jwe;
}

json::object with(json::object object, std::string_view name, const json::value& value) {
  object[name] = value;
  return object;
}

bool opens(const json::object& jwe) {
  const auto opened =
      jwe_decrypt_symmetric(json::serialize(jwe), kSharedKey, {JweAlgorithm::dir, JweAlgorithm::a256kw});
  if (opened) {
    EXPECT_EQ(text_of(opened->view()), "secret");
  } else {
    EXPECT_EQ(opened.error().code(), Code::jwe_invalid);
  }
  return opened.has_value();
}

constexpr std::string_view kDirect = R"({"alg":"dir","enc":"A256GCM"})";

TEST(JweShape, AcceptsEveryPlaceAHeaderMayStand) {
  EXPECT_TRUE(opens(direct_jwe(kDirect)));
  EXPECT_TRUE(opens(direct_jwe(R"({"enc":"A256GCM","alg":"dir","kid":"x","typ":"JOSE"})")));
  EXPECT_TRUE(opens(direct_jwe(kDirect, "YWFk")));
  EXPECT_TRUE(opens(with(direct_jwe(R"({"enc":"A256GCM"})"), "unprotected", {{"alg", "dir"}})));
  EXPECT_TRUE(opens(with(direct_jwe(R"({"enc":"A256GCM"})"), "header", {{"alg", "dir"}})));
  const json::array recipients = {json::object{{"header", {{"alg", "dir"}}}}};
  EXPECT_TRUE(opens(with(direct_jwe(R"({"enc":"A256GCM"})"), "recipients", recipients)));
  const auto repeated =
      with(with(direct_jwe(R"({"enc":"A256GCM"})"), "recipients", recipients), "encrypted_key", "AAAA");
  EXPECT_TRUE(opens(repeated));  // what go-jose writes at the top is ignored
}

TEST(JweShape, RefusesEveryOther) {
  const auto good = direct_jwe(kDirect);
  const auto bare = direct_jwe(R"({"enc":"A256GCM"})");
  const json::object direct = {{"header", {{"alg", "dir"}}}};
  const std::vector<json::object> cases = {
      {},
      direct_jwe(R"({"alg":"dir","enc":"A256GCM","zip":"DEF"})"),
      direct_jwe(R"({"alg":"dir","enc":"A256GCM","crit":["exp"],"exp":1})"),
      direct_jwe(R"({"alg":"dir","enc":"A128GCM"})"),
      direct_jwe(R"({"alg":"dir"})"),
      direct_jwe(R"({"alg":"none","enc":"A256GCM"})"),
      direct_jwe(R"({"alg":"DIR","enc":"A256GCM"})"),
      direct_jwe(R"({"alg":5,"enc":"A256GCM"})"),
      direct_jwe(R"({"alg":"dir","alg":"dir","enc":"A256GCM"})"),
      direct_jwe(R"(["dir"])"),
      direct_jwe("dir"),
      with(good, "unprotected", {{"zip", "DEF"}}),
      with(good, "header", {{"crit", json::array{"b64"}}}),
      with(good, "unprotected", {{"alg", "dir"}}),
      with(good, "header", {{"enc", "A256GCM"}}),
      with(with(good, "unprotected", {{"kid", "a"}}), "header", {{"kid", "a"}}),
      with(good, "header", "x"),
      with(good, "unprotected", nullptr),
      with(good, "encrypted_key", "AAAA"),
      with(good, "encrypted_key", 1),
      with(good, "protected", json::object()),
      with(good, "aad", "YWFk"),
      with(direct_jwe(kDirect, "YWFk"), "aad", "YWFl"),
      with(direct_jwe(kDirect, "YWE="), "x", "padded aad"),
      with(good, "iv", ""),
      with(good, "iv", base64url_encode(Bytes(16, 7)).c_str()),
      with(good, "tag", ""),
      with(good, "tag", boost::json::string(text(good, "tag").substr(0, 16))),
      with(good, "tag", boost::json::string(text(good, "tag") + "==")),
      with(good, "ciphertext", boost::json::string(text(good, "ciphertext") + "AAAA")),
      with(good, "recipients", json::array()),
      with(good, "recipients", json::object()),
      with(bare, "recipients", json::array{"x"}),
      with(bare, "recipients", json::array(65, direct)),
      with(bare, "recipients", json::array(2, direct)),  // direct agreement has one recipient
      with(with(bare, "recipients", json::array{direct}), "header", {{"alg", "dir"}}),
      with(bare, "recipients", json::array{json::object{{"header", {{"alg", "dir"}, {"enc", "A256GCM"}}}}}),
  };
  for (const auto& each : cases) EXPECT_FALSE(opens(each)) << json::serialize(each);
}

TEST(JweShape, RefusesCompactTextsThatAreNot) {
  const auto good = direct_jwe(kDirect);
  const auto compact = fmt::format("{}..{}.{}.{}", text(good, "protected"), text(good, "iv"), text(good, "ciphertext"),
                                   text(good, "tag"));
  ASSERT_TRUE(jwe_decrypt_symmetric(compact, kSharedKey, kAll));
  const std::vector<std::string> cases = {"",
                                          " ",
                                          ".",
                                          "....",
                                          compact + ".",
                                          compact + "=",
                                          compact.substr(0, compact.rfind('.')),
                                          "." + compact,
                                          compact + "\n",
                                          "{" + compact,
                                          std::string(1000, '.'),
                                          std::string((std::size_t{4} << 20) + 1, 'A')};
  for (const auto& each : cases) {
    const auto opened = jwe_decrypt_symmetric(each, kSharedKey, kAll);
    ASSERT_FALSE(opened) << each.substr(0, 60);
    EXPECT_EQ(opened.error().code(), Code::jwe_invalid);
  }
}

TEST(JweShape, AnyDamagedCharacterOfACompactTextIsRefused) {
  const auto key = PrivateKey::generate(KeyKind::p256).value();
  const auto jwe = jwe_encrypt_compact(key.public_key(), JweAlgorithm::ecdh_es_a256kw, bytes_of("secret")).value();
  ASSERT_TRUE(jwe_decrypt(jwe, key, kAll));
  for (std::size_t i = 0; i < jwe.size(); ++i) {
    auto damaged = jwe;
    damaged[i] = damaged[i] == 'A' ? 'B' : 'A';
    EXPECT_FALSE(jwe_decrypt(damaged, key, kAll)) << i;
  }
}

TEST(JweKeys, OnlyAllowedAlgorithmsAndTheRightKeyOpen) {
  const auto key = PrivateKey::generate(KeyKind::p256).value();
  const auto jwe = jwe_encrypt(key.public_key(), JweAlgorithm::ecdh_es_a256kw, bytes_of("secret")).value();
  const auto other = PrivateKey::generate(KeyKind::p256).value();
  const auto other_curve = PrivateKey::generate(KeyKind::p521).value();
  const auto rsa = PrivateKey::generate(KeyKind::rsa).value();
  const auto signer = PrivateKey::generate(KeyKind::ed25519).value();
  EXPECT_TRUE(jwe_decrypt(jwe, key, {JweAlgorithm::ecdh_es_a256kw}));
  EXPECT_FALSE(jwe_decrypt(jwe, key, {JweAlgorithm::ecdh_es, JweAlgorithm::ecdh_es_a128kw, JweAlgorithm::rsa_oaep}));
  EXPECT_FALSE(jwe_decrypt(jwe, key, {}));
  EXPECT_FALSE(jwe_decrypt_symmetric(jwe, kSharedKey, kAll));
  std::string message;
  for (const auto* wrong : {&other, &other_curve, &rsa, &signer}) {
    const auto opened = jwe_decrypt(jwe, *wrong, kAll);
    ASSERT_FALSE(opened);
    if (message.empty()) message = opened.error().text();
    EXPECT_EQ(opened.error().text(), message);
  }
}

TEST(JweKeys, AnEphemeralKeyOffItsCurveIsRefused) {
  const auto key = PrivateKey::generate(KeyKind::p256).value();
  const auto jwe =
      json::parse_object(jwe_encrypt(key.public_key(), JweAlgorithm::ecdh_es, bytes_of("x")).value()).value();
  auto header = json::parse_object(text_of(base64url_decode(text(jwe, "protected")).value())).value();
  auto y = base64url_decode(text(header.at("epk"), "y")).value();
  y[31] ^= 1;
  header["epk"].as_object()["y"] = base64url_encode(y);
  const auto opened = jwe_decrypt(
      json::serialize(with(jwe, "protected", boost::json::string(base64url_encode(bytes_of(json::serialize(header)))))),
      key, kAll);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code(), Code::jwe_invalid);
}

TEST(JweKeys, TheSecondRecipientForTheSameKindOfKeyIsTriedToo) {
  const auto first = PrivateKey::generate(KeyKind::rsa).value();
  const auto second = PrivateKey::generate(KeyKind::rsa).value();
  const auto bare = direct_jwe(R"({"enc":"A256GCM"})");
  json::array recipients;
  for (const auto* key : {&first, &second}) {
    const auto wrapped = rsa_oaep_encrypt(key->public_key(), OaepHash::sha1, kSharedKey).value();
    recipients.push_back(
        json::object{{"header", {{"alg", "RSA-OAEP"}}}, {"encrypted_key", base64url_encode(wrapped).c_str()}});
  }
  const auto jwe = json::serialize(with(bare, "recipients", recipients));
  EXPECT_TRUE(jwe_decrypt(jwe, first, {JweAlgorithm::rsa_oaep}));
  EXPECT_TRUE(jwe_decrypt(jwe, second, {JweAlgorithm::rsa_oaep}));
}

TEST(JweKeys, A256kwOpensWithItsKey) {
  auto jwe = direct_jwe(R"({"alg":"A256KW","enc":"A256GCM"})");
  jwe["encrypted_key"] = base64url_encode(aes_key_wrap(Bytes(32, 9), kSharedKey).value());
  EXPECT_TRUE(jwe_decrypt_symmetric(json::serialize(jwe), Bytes(32, 9), {JweAlgorithm::a256kw}));
  EXPECT_FALSE(jwe_decrypt_symmetric(json::serialize(jwe), Bytes(32, 8), {JweAlgorithm::a256kw}));
  EXPECT_FALSE(jwe_decrypt_symmetric(json::serialize(jwe), Bytes(16, 9), {JweAlgorithm::a256kw}));
  EXPECT_FALSE(jwe_decrypt_symmetric(json::serialize(jwe), Bytes(32, 9), {JweAlgorithm::dir}));
}

// Debian's `jose` as the other side. Its build for OpenSSL 3 lacks RSA-OAEP (latchset/jose issue 139); that is held
// against the openssl tool in key_test.cc.
class JweWithJose : public ToolTest {};

struct JoseCase {
  std::string_view key;
  std::string_view algorithm;
};

constexpr std::array<JoseCase, 6> kJoseCases = {{{R"({"kty":"EC","crv":"P-256"})", "ECDH-ES"},
                                                 {R"({"kty":"EC","crv":"P-256"})", "ECDH-ES+A128KW"},
                                                 {R"({"kty":"EC","crv":"P-384"})", "ECDH-ES+A192KW"},
                                                 {R"({"kty":"EC","crv":"P-256"})", "ECDH-ES+A256KW"},
                                                 {R"({"kty":"EC","crv":"P-521"})", "ECDH-ES+A256KW"},
                                                 {R"({"kty":"EC","crv":"P-521"})", "ECDH-ES"}}};

JweAlgorithm algorithm_named(std::string_view name) { return *std::ranges::find(kAll, name, jwe_algorithm_name); }

TEST_F(JweWithJose, OpensWhatJoseSealed) {
  for (const auto& [key_template, algorithm] : kJoseCases) {
    SCOPED_TRACE(fmt::format("{} {}", key_template, algorithm));
    run(fmt::format("jose jwk gen -i '{}' -o key.jwk", key_template));
    const auto key = PrivateKey::from_any(bytes_of(read("key.jwk")));
    ASSERT_TRUE(key) << key.error().text();
    write("text", "from jose");
    for (const auto* form : {"", "-c"}) {
      run(fmt::format(
          R"(jose jwe enc -i '{{"protected":{{"alg":"{}","enc":"A256GCM"}}}}' -I text -k key.jwk {} -o jwe)", algorithm,
          form));
      ASSERT_EQ(exit_status_, 0);
      const auto opened = jwe_decrypt(read("jwe"), *key, {algorithm_named(algorithm)});
      ASSERT_TRUE(opened) << opened.error().text() << read("jwe");
      EXPECT_EQ(text_of(opened->view()), "from jose");
    }
  }
}

TEST_F(JweWithJose, JoseOpensWhatWeSealed) {
  for (const auto& [key_template, algorithm] : kJoseCases) {
    SCOPED_TRACE(fmt::format("{} {}", key_template, algorithm));
    run(fmt::format("jose jwk gen -i '{}' -o key.jwk", key_template));
    const auto key = PublicKey::from_jwk(read_object("key.jwk"));
    ASSERT_TRUE(key) << key.error().text();
    write("flat", jwe_encrypt(*key, algorithm_named(algorithm), bytes_of("from proplet")).value());
    write("compact", jwe_encrypt_compact(*key, algorithm_named(algorithm), bytes_of("from proplet")).value());
    EXPECT_EQ(run("jose jwe dec -i flat -k key.jwk"), "from proplet");
    EXPECT_EQ(run("jose jwe dec -i compact -k key.jwk"), "from proplet");
  }
}

TEST_F(JweWithJose, OpensSeveralRecipientsAndSharedKeys) {
  run(R"(jose jwk gen -i '{"kty":"EC","crv":"P-256"}' -o first.jwk)");
  run(R"(jose jwk gen -i '{"kty":"EC","crv":"P-521"}' -o second.jwk)");
  write("text", "from jose");
  run(R"(jose jwe enc -i '{"protected":{"enc":"A256GCM"}}' -I text)"
      R"( -r '{"header":{"alg":"ECDH-ES+A256KW"}}' -k first.jwk -r '{"header":{"alg":"ECDH-ES+A128KW"}}' -k second.jwk -o jwe)");
  ASSERT_EQ(exit_status_, 0);
  for (const auto* file : {"first.jwk", "second.jwk"}) {
    const auto opened = jwe_decrypt(read("jwe"), PrivateKey::from_any(bytes_of(read(file))).value(), kAll);
    ASSERT_TRUE(opened) << opened.error().text() << read("jwe");
    EXPECT_EQ(text_of(opened->view()), "from jose");
  }
  write("oct.jwk", fmt::format(R"({{"kty":"oct","k":"{}"}})", base64url_encode(kSharedKey)));
  for (const auto* algorithm : {"dir", "A256KW"}) {
    run(fmt::format(R"(jose jwe enc -i '{{"protected":{{"alg":"{}","enc":"A256GCM"}}}}' -I text -k oct.jwk -o jwe)",
                    algorithm));
    const auto opened = jwe_decrypt_symmetric(read("jwe"), kSharedKey, {algorithm_named(algorithm)});
    ASSERT_TRUE(opened) << algorithm << opened.error().text();
  }
}

TEST_F(JweWithJose, RefusesWhatJoseCompressed) {
  run(R"(jose jwk gen -i '{"kty":"EC","crv":"P-256"}' -o key.jwk)");
  write("text", std::string(1000, 'a'));
  run(R"(jose jwe enc -i '{"protected":{"alg":"ECDH-ES","enc":"A256GCM","zip":"DEF"}}' -I text -k key.jwk -o jwe)");
  ASSERT_EQ(exit_status_, 0);
  const auto opened = jwe_decrypt(read("jwe"), PrivateKey::from_any(bytes_of(read("key.jwk"))).value(), kAll);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code(), Code::jwe_invalid);
}

}  // namespace
}  // namespace proplet::crypto
