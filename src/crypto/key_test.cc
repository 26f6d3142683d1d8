#include "crypto/key.h"

#include <gtest/gtest.h>

#include "crypto/cipher.h"
#include "crypto/test_support.h"

namespace proplet::crypto {
namespace {

using testing::hex;
using testing::text;
using testing::ToolTest;
using testing::vector_json;

constexpr std::array kAllKinds = {KeyKind::rsa, KeyKind::p256, KeyKind::p384, KeyKind::p521, KeyKind::ed25519};

TEST(PublicKey, SurvivesPemAndJwk) {
  for (const auto kind : kAllKinds) {
    SCOPED_TRACE(key_kind_name(kind));
    const auto key = PrivateKey::generate(kind)->public_key();
    EXPECT_EQ(key.kind(), kind);
    EXPECT_EQ(PublicKey::from_pem(key.to_pem())->to_pem(), key.to_pem());
    const auto again = PublicKey::from_jwk(key.to_jwk());
    ASSERT_TRUE(again) << again.error().text();
    EXPECT_EQ(again->to_pem(), key.to_pem());
    EXPECT_EQ(again->thumbprint(), key.thumbprint());
  }
}

TEST(PrivateKey, SurvivesPem) {
  for (const auto kind : kAllKinds) {
    SCOPED_TRACE(key_kind_name(kind));
    const auto key = PrivateKey::generate(kind).value();
    const auto pem = key.to_pem();
    EXPECT_TRUE(text_of(pem.view()).starts_with("-----BEGIN PRIVATE KEY-----"));
    EXPECT_EQ(PrivateKey::from_any(pem.view())->public_key().thumbprint(), key.public_key().thumbprint());
  }
}

TEST(Thumbprint, AgreesWithTheRfcs) {
  const auto vectors = vector_json("rfc.json");
  for (const auto& each : vectors.at("thumbprint").as_array()) {
    const auto key = PublicKey::from_jwk(each.at("key").as_object());
    ASSERT_TRUE(key) << key.error().text();
    EXPECT_EQ(key->thumbprint(), text(each, "thumbprint")) << text(each, "name");
  }
}

TEST(KeyBrokerKeys, AgreeWithTheProtocolsVectors) {
  const auto vectors = vector_json("key-broker.json");
  const auto& response = vectors.at("response");
  const auto key = PrivateKey::from_ec_scalar(KeyKind::p256, hex(text(response, "scalar"))).value();
  EXPECT_EQ(key.public_key().to_jwk(), response.at("public").as_object());
  const auto epk = PublicKey::from_jwk(response.at("epk").as_object()).value();
  const auto shared = ecdh(key, epk).value();
  EXPECT_EQ(hex_encode(shared.view()), text(response, "z"));
  const auto kek = concat_kdf(shared.view(), "ECDH-ES+A256KW", {}, {}, 32);
  EXPECT_EQ(hex_encode(kek.view()), text(response, "kek"));
  EXPECT_EQ(hex_encode(aes_key_wrap(kek.view(), hex(text(response, "cek"))).value()), text(response, "wrapped"));
}

TEST(KeyBrokerKeys, AgreeOnP521WithLeadingZeros) {
  const auto vectors = vector_json("key-broker.json");
  const auto& p521 = vectors.at("p521");
  const auto key = PrivateKey::from_ec_scalar(KeyKind::p521, hex(text(p521, "scalar"))).value();
  const auto jwk = key.public_key().to_jwk();
  EXPECT_EQ(jwk.at("x").as_string(), text(p521, "x"));
  EXPECT_EQ(jwk.at("y").as_string(), text(p521, "y"));
  const auto epk =
      PublicKey::from_jwk({{"kty", "EC"}, {"crv", "P-521"}, {"x", text(p521, "epk_x")}, {"y", text(p521, "epk_y")}});
  const auto shared = ecdh(key, epk.value()).value();
  EXPECT_EQ(hex_encode(shared.view()), text(p521, "z"));
  EXPECT_EQ(hex_encode(concat_kdf(shared.view(), "ECDH-ES+A256KW", {}, {}, 32).view()), text(p521, "kek"));
}

TEST(KeyBrokerKeys, ReadPkcs1AndWriteTheJwk) {
  const auto vectors = vector_json("key-broker.json");
  const auto& rsa = vectors.at("rsa");
  const auto key = PrivateKey::from_pem(text(rsa, "pem")).value();
  const auto jwk = key.public_key().to_jwk();
  EXPECT_EQ(jwk.at("n"), rsa.at("jwk").at("n"));
  EXPECT_EQ(jwk.at("e"), "AQAB");
}

TEST(KeyAgreement, AgreesWithTheRfcs) {
  const auto vectors = vector_json("rfc.json");
  for (const auto& each : vectors.at("agreement").as_array()) {
    SCOPED_TRACE(text(each, "name"));
    const auto own = PrivateKey::from_jwk(each.at("own").as_object()).value();
    const auto peer = PublicKey::from_jwk(each.at("peer").as_object()).value();
    const auto shared = ecdh(own, peer).value();
    const auto key = concat_kdf(shared.view(), text(each, "algorithm"), bytes_of(text(each, "apu")),
                                bytes_of(text(each, "apv")), 16);
    if (each.as_object().contains("key")) {
      EXPECT_EQ(base64url_encode(key.view()), text(each, "key"));
    } else {
      const auto unwrapped = aes_key_unwrap(key.view(), base64url_decode(text(each, "wrapped")).value());
      EXPECT_EQ(base64url_encode(unwrapped->view()), text(each, "unwrapped"));
    }
  }
}

TEST(KeyAgreement, NeedsTwoKeysOfOneCurve) {
  const auto p256 = PrivateKey::generate(KeyKind::p256).value();
  const auto p521 = PrivateKey::generate(KeyKind::p521).value();
  const auto signer = PrivateKey::generate(KeyKind::ed25519).value();
  EXPECT_EQ(ecdh(p256, p521.public_key()).error().code(), Code::key_invalid);
  EXPECT_EQ(ecdh(signer, signer.public_key()).error().code(), Code::key_invalid);
}

TEST(ConcatKdf, GivesMoreThanOneDigestWhenAskedTo) {
  const auto long_key = concat_kdf(bytes_of("secret"), "X", {}, {}, 80);
  EXPECT_EQ(long_key.size(), 80u);
  EXPECT_NE(hex_encode(long_key.view().first(32)), hex_encode(long_key.view().subspan(32, 32)));
}

TEST(RsaOaep, OpensOnlyWithItsHashItsKeyAndEveryBit) {
  const auto key = PrivateKey::generate(KeyKind::rsa).value();
  const auto other = PrivateKey::generate(KeyKind::rsa).value();
  for (const auto hash : {OaepHash::sha1, OaepHash::sha256}) {
    const auto sealed = rsa_oaep_encrypt(key.public_key(), hash, bytes_of("content key")).value();
    EXPECT_EQ(text_of(rsa_oaep_decrypt(key, hash, sealed)->view()), "content key");
    const auto wrong_hash = hash == OaepHash::sha1 ? OaepHash::sha256 : OaepHash::sha1;
    EXPECT_FALSE(rsa_oaep_decrypt(key, wrong_hash, sealed));
    EXPECT_FALSE(rsa_oaep_decrypt(other, hash, sealed));
    EXPECT_FALSE(rsa_oaep_decrypt(key, hash, ByteView(sealed).first(sealed.size() - 1)));
    EXPECT_FALSE(rsa_oaep_decrypt(key, hash, {}));
    for (std::size_t i = 0; i < sealed.size(); i += 16) {
      auto damaged = sealed;
      damaged[i] ^= 1;
      const auto opened = rsa_oaep_decrypt(key, hash, damaged);
      ASSERT_FALSE(opened);
      EXPECT_EQ(opened.error().text(), "UNWRAP_FAILED: RSA-OAEP decryption failed");
    }
  }
  const auto too_long = rsa_oaep_encrypt(key.public_key(), OaepHash::sha256, Bytes(191));
  ASSERT_FALSE(too_long);  // 256 - 2 * 32 - 2 is the most
  EXPECT_EQ(too_long.error().code(), Code::crypto_failed);
}

TEST(Signature, VerifiesOnlyWithItsKeyAndEveryBit) {
  for (const auto kind : {KeyKind::p256, KeyKind::ed25519}) {
    SCOPED_TRACE(key_kind_name(kind));
    const auto key = PrivateKey::generate(kind).value();
    const auto signature = sign(key, bytes_of("message")).value();
    ASSERT_EQ(signature.size(), 64u);
    EXPECT_TRUE(verify(key.public_key(), bytes_of("message"), signature));
    EXPECT_FALSE(verify(key.public_key(), bytes_of("massage"), signature));
    EXPECT_FALSE(verify(PrivateKey::generate(kind)->public_key(), bytes_of("message"), signature));
    EXPECT_FALSE(verify(key.public_key(), bytes_of("message"), Bytes(64)));
    for (std::size_t i = 0; i < signature.size(); ++i) {
      auto damaged = signature;
      damaged[i] ^= 1;
      EXPECT_FALSE(verify(key.public_key(), bytes_of("message"), damaged));
      EXPECT_FALSE(verify(key.public_key(), bytes_of("message"), ByteView(signature).first(i)));
    }
  }
  const auto rsa = PrivateKey::generate(KeyKind::rsa).value();
  EXPECT_FALSE(sign(rsa, bytes_of("message")));
  EXPECT_FALSE(verify(rsa.public_key(), bytes_of("message"), Bytes(64)));
}

TEST(Signature, AgreesWithTheRfcs) {
  const auto vectors = vector_json("rfc.json");
  for (const auto& each : vectors.at("jws").as_array()) {
    SCOPED_TRACE(text(each, "name"));
    const auto key = PrivateKey::from_jwk(each.at("key").as_object()).value();
    const auto compact = text(each, "compact");
    const auto dot = compact.rfind('.');
    const auto message = compact.substr(0, dot);
    const auto signature = base64url_decode(compact.substr(dot + 1)).value();
    EXPECT_TRUE(verify(key.public_key(), bytes_of(message), signature));
    if (key.kind() == KeyKind::ed25519) {
      EXPECT_EQ(sign(key, bytes_of(message)).value(), signature);  // EdDSA is deterministic
    }
  }
}

template <class Value>
json::object changed(json::object jwk, std::string_view name, const Value& value) {
  jwk[name] = value;
  return jwk;
}

json::object without(json::object jwk, std::string_view name) {
  jwk.erase(name);
  return jwk;
}

TEST(Jwk, RefusesMalformedPublicKeys) {
  const auto ec = PrivateKey::generate(KeyKind::p256)->public_key().to_jwk();
  const auto rsa = PrivateKey::generate(KeyKind::rsa)->public_key().to_jwk();
  const auto okp = PrivateKey::generate(KeyKind::ed25519)->public_key().to_jwk();
  const std::string x = ec.at("x").as_string().c_str();
  const std::string n = rsa.at("n").as_string().c_str();
  auto off_curve = base64url_decode(x).value();
  off_curve[31] ^= 1;
  auto padded = base64url_decode(n).value();
  padded.insert(padded.begin(), 0);
  const std::vector<json::object> cases = {
      {},
      {{"kty", 1}},
      {{"kty", "oct"}, {"k", "AAAA"}},
      {{"kty", "AKP"}},
      without(ec, "x"),
      without(ec, "y"),
      without(ec, "crv"),
      changed(ec, "crv", "P-384"),
      changed(ec, "crv", "secp256k1"),
      changed(ec, "x", base64url_encode(off_curve)),
      changed(ec, "x", x + "="),
      changed(ec, "x", base64url_encode(Bytes(31, 1))),
      changed(ec, "x", base64url_encode(Bytes(33, 0))),
      changed(ec, "x", "not base64url!"),
      changed(ec, "x", 5),
      changed(ec, "y", ec.at("x")),
      changed(changed(ec, "x", base64url_encode(Bytes(32))), "y", base64url_encode(Bytes(32))),
      without(rsa, "n"),
      without(rsa, "e"),
      changed(rsa, "n", base64url_encode(padded)),
      changed(rsa, "n", base64url_encode(Bytes(128, 0xff))),   // 1024 bits
      changed(rsa, "n", base64url_encode(Bytes(513, 0xff))),   // 4104 bits
      changed(rsa, "n", base64url_encode(Bytes(4096, 0xff))),  // far too many
      changed(rsa, "n", ""),
      changed(rsa, "e", "AQ"),                               // 1
      changed(rsa, "e", "Ag"),                               // 2
      changed(rsa, "e", base64url_encode(Bytes(16, 0xff))),  // 128 bits
      changed(okp, "crv", "X25519"),
      changed(okp, "x", base64url_encode(Bytes(31))),
      without(okp, "x"),
  };
  for (const auto& each : cases) {
    const auto key = PublicKey::from_jwk(each);
    ASSERT_FALSE(key) << json::serialize(each);
    EXPECT_EQ(key.error().code(), Code::key_invalid);
  }
}

TEST(Jwk, RefusesPrivateKeysWhoseHalvesDiffer) {
  const auto vectors = vector_json("rfc.json");
  const auto& ec = vectors.at("agreement").at(0).at("own").as_object();
  const auto& rsa = vectors.at("jwe").at(0).at("key").as_object();
  const auto& okp = vectors.at("jws").at(1).at("key").as_object();
  ASSERT_TRUE(PrivateKey::from_jwk(ec));
  ASSERT_TRUE(PrivateKey::from_jwk(rsa));
  ASSERT_TRUE(PrivateKey::from_jwk(okp));
  const auto other_ec = PrivateKey::generate(KeyKind::p256)->public_key().to_jwk();
  const auto other_okp = PrivateKey::generate(KeyKind::ed25519)->public_key().to_jwk();
  const std::vector<json::object> cases = {
      without(ec, "d"),
      changed(ec, "d", base64url_encode(Bytes(32))),
      changed(ec, "d", base64url_encode(Bytes(32, 0xff))),
      changed(ec, "d", base64url_encode(Bytes(31, 1))),
      changed(changed(ec, "x", other_ec.at("x")), "y", other_ec.at("y")),
      without(rsa, "d"),
      without(rsa, "p"),
      without(rsa, "qi"),
      changed(rsa, "d", rsa.at("p")),
      changed(rsa, "oth", json::array()),
      without(okp, "d"),
      changed(okp, "x", other_okp.at("x")),
  };
  for (const auto& each : cases) {
    const auto key = PrivateKey::from_jwk(each);
    ASSERT_FALSE(key) << json::serialize(each);
    EXPECT_EQ(key.error().code(), Code::key_invalid);
  }
}

TEST(EcScalar, MustLieInItsRange) {
  const auto order = hex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
  EXPECT_FALSE(PrivateKey::from_ec_scalar(KeyKind::p256, order));
  EXPECT_FALSE(PrivateKey::from_ec_scalar(KeyKind::p256, Bytes(32)));
  EXPECT_FALSE(PrivateKey::from_ec_scalar(KeyKind::p256, Bytes(31, 1)));
  EXPECT_FALSE(PrivateKey::from_ec_scalar(KeyKind::rsa, Bytes(32, 1)));
  auto largest = order;
  largest.back() -= 1;
  EXPECT_TRUE(PrivateKey::from_ec_scalar(KeyKind::p256, largest));
}

class KeysOfOpenssl : public ToolTest {};

TEST_F(KeysOfOpenssl, AreReadInEveryForm) {
  const std::vector<std::pair<std::string, KeyKind>> cases = {
      {"openssl genrsa -traditional 2048", KeyKind::rsa},
      {"openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072", KeyKind::rsa},
      {"openssl ecparam -name prime256v1 -genkey -noout", KeyKind::p256},
      {"openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384", KeyKind::p384},
      {"openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-521", KeyKind::p521},
      {"openssl genpkey -algorithm ED25519", KeyKind::ed25519},
  };
  for (const auto& [command, kind] : cases) {
    SCOPED_TRACE(command);
    write("key.pem", run(command + " 2>/dev/null"));
    const auto pem = PrivateKey::from_any(bytes_of(read("key.pem")));
    ASSERT_TRUE(pem) << pem.error().text();
    EXPECT_EQ(pem->kind(), kind);
    const auto* traditional = kind == KeyKind::rsa ? "openssl rsa -traditional" : "openssl ec";
    for (const auto* converter : {"openssl pkey", traditional}) {
      if (kind == KeyKind::ed25519 && converter == traditional) continue;  // has but one form
      const auto der = run(fmt::format("{} -in key.pem -outform DER 2>/dev/null", converter));
      const auto key = PrivateKey::from_any(bytes_of(der));
      ASSERT_TRUE(key) << converter << key.error().text();
      EXPECT_EQ(key->public_key().thumbprint(), pem->public_key().thumbprint());
      EXPECT_FALSE(PrivateKey::from_any(bytes_of(der + "x")));
    }
    const auto spki = run("openssl pkey -in key.pem -pubout");
    EXPECT_EQ(PublicKey::from_pem(spki)->to_pem(), spki);
    EXPECT_EQ(pem->public_key().to_pem(), spki);
    EXPECT_FALSE(PrivateKey::from_any(bytes_of(spki)));
  }
}

TEST_F(KeysOfOpenssl, WithoutTheirPublicHalfGetItComputed) {
  write("key.pem", run("openssl ecparam -name prime256v1 -genkey -noout"));
  const auto short_form = PrivateKey::from_any(bytes_of(run("openssl ec -in key.pem -no_public 2>/dev/null")));
  ASSERT_TRUE(short_form) << short_form.error().text();
  EXPECT_EQ(short_form->public_key().to_pem(), run("openssl pkey -in key.pem -pubout"));
}

TEST_F(KeysOfOpenssl, AgreeOnRsaOaepInBothDirections) {
  const auto key = PrivateKey::generate(KeyKind::rsa).value();
  write("key.pem", text_of(key.to_pem().view()));
  write("text", "content key");
  for (const auto& [hash, name] : {std::pair(OaepHash::sha1, "sha1"), std::pair(OaepHash::sha256, "sha256")}) {
    const auto options = fmt::format(
        "-inkey key.pem -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:{} -pkeyopt rsa_mgf1_md:{}", name, name);
    const auto theirs = run("openssl pkeyutl -encrypt -in text " + options);
    const auto opened = rsa_oaep_decrypt(key, hash, bytes_of(theirs));
    ASSERT_TRUE(opened) << name;
    EXPECT_EQ(text_of(opened->view()), "content key");
    write("sealed", text_of(rsa_oaep_encrypt(key.public_key(), hash, bytes_of("content key")).value()));
    EXPECT_EQ(run("openssl pkeyutl -decrypt -in sealed " + options), "content key");
  }
}

TEST_F(KeysOfOpenssl, OutsideTheSupportedSetAreRefused) {
  for (const auto* command : {
           "openssl genrsa 1024",
           "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -aes-256-cbc -pass pass:x",
           "openssl genrsa -traditional -aes128 -passout pass:x 2048",
           "openssl ecparam -name secp256k1 -genkey -noout",
           "openssl genpkey -algorithm X25519",
           "openssl genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048",
       }) {
    const auto key = PrivateKey::from_any(bytes_of(run(std::string(command) + " 2>/dev/null")));
    ASSERT_FALSE(key) << command;
    EXPECT_EQ(key.error().code(), Code::key_invalid);
  }
}

TEST(PrivateKey, RefusesGarbage) {
  for (const std::string& each : {std::string(), std::string("{"), std::string("{}"), std::string("-----BEGIN "),
                                  std::string("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
                                  std::string(32, '\0'), std::string(100000, 'A'), std::string("\x30\x82\xff\xff")}) {
    const auto key = PrivateKey::from_any(bytes_of(each));
    ASSERT_FALSE(key);
    EXPECT_EQ(key.error().code(), Code::key_invalid);
  }
}

}  // namespace
}  // namespace proplet::crypto
