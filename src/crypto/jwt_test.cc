#include "crypto/jwt.h"

#include <gtest/gtest.h>

#include "crypto/test_support.h"

namespace proplet::crypto {
namespace {

using testing::text;
using testing::ToolTest;
using testing::vector_json;

const std::vector<JwsAlgorithm> kBoth = {JwsAlgorithm::es256, JwsAlgorithm::eddsa};
constexpr std::int64_t kNow = 1'700'000'000;

class FixedClock final : public Clock {
 public:
  explicit FixedClock(std::int64_t seconds) : now_(std::chrono::seconds(seconds)) {}
  [[nodiscard]] std::chrono::system_clock::time_point now() const override { return now_; }
  [[nodiscard]] std::chrono::steady_clock::time_point steady_now() const override { return {}; }

 private:
  std::chrono::system_clock::time_point now_;
};

const FixedClock kClock(kNow);

std::string signed_raw(const PrivateKey& key, std::string_view header, std::string_view claims) {
  const auto message = base64url_encode(bytes_of(header)) + "." + base64url_encode(bytes_of(claims));
  return message + "." + base64url_encode(sign(key, bytes_of(message)).value());
}

TEST(Jwt, SignsTheAdminTokenOfAKeyBrokerByteForByte) {
  const auto vectors = vector_json("key-broker.json");
  const auto& admin = vectors.at("admin");
  const auto public_key = PublicKey::from_pem(text(admin, "public_pem")).value();
  auto jwk = public_key.to_jwk();
  jwk["d"] = base64url_encode(testing::hex(text(admin, "seed")));
  const auto key = PrivateKey::from_jwk(jwk).value();
  const json::object claims = {
      {"iss", "issuer"}, {"role", "admin"}, {"aud", {"kbs"}}, {"iat", 1700000000}, {"exp", 4102444800}};
  EXPECT_EQ(jwt_sign(key, {{"typ", "JWT"}}, claims).value(), text(admin, "token"));
  const auto verified = jwt_verify(text(admin, "token"), public_key, {JwsAlgorithm::eddsa}, kClock);
  ASSERT_TRUE(verified) << verified.error().text();
  EXPECT_EQ(verified->claims, claims);
}

TEST(Jwt, VerifiesTheExampleOfRfc7515WhileItIsValid) {
  const auto vectors = vector_json("rfc.json");
  const auto& example = vectors.at("jws").at(0);
  const auto key = PublicKey::from_jwk(example.at("key").as_object()).value();
  const auto token = text(example, "compact");
  EXPECT_EQ(jwt_verify(token, key, {JwsAlgorithm::es256}, FixedClock(1300819379))->claims.at("iss"), "joe");
  EXPECT_FALSE(jwt_verify(token, key, {JwsAlgorithm::es256}, kClock));
}

TEST(Jwt, VerifiesOnlyWithItsKeyItsAlgorithmAndEveryCharacter) {
  for (const auto& [kind, algorithm] :
       {std::pair(KeyKind::p256, JwsAlgorithm::es256), std::pair(KeyKind::ed25519, JwsAlgorithm::eddsa)}) {
    SCOPED_TRACE(key_kind_name(kind));
    const auto key = PrivateKey::generate(kind).value();
    const auto token = jwt_sign(key, {}, {{"exp", kNow + 60}}).value();
    ASSERT_TRUE(jwt_verify(token, key.public_key(), {algorithm}, kClock));
    const auto other = algorithm == JwsAlgorithm::es256 ? JwsAlgorithm::eddsa : JwsAlgorithm::es256;
    EXPECT_FALSE(jwt_verify(token, key.public_key(), {other}, kClock));
    EXPECT_FALSE(jwt_verify(token, key.public_key(), {}, kClock));
    EXPECT_FALSE(jwt_verify(token, PrivateKey::generate(kind)->public_key(), kBoth, kClock));
    for (std::size_t i = 0; i < token.size(); ++i) {
      auto damaged = token;
      damaged[i] = damaged[i] == 'A' ? 'B' : 'A';
      const auto verified = jwt_verify(damaged, key.public_key(), kBoth, kClock);
      ASSERT_FALSE(verified) << i;
      EXPECT_EQ(verified.error().code(), Code::jwt_invalid);
    }
  }
}

TEST(Jwt, ChecksTheTimesWithLeeway) {
  const auto key = PrivateKey::generate(KeyKind::ed25519).value();
  struct Case {
    std::string_view claims;
    bool valid;
  };
  const std::vector<Case> cases = {
      {R"({"exp":1700000001})", true},
      {R"({"exp":1699999941})", true},   // expired for 59 s
      {R"({"exp":1699999940})", false},  // for 60 s
      {R"({"exp":0})", false},
      {R"({"exp":-9223372036854775808})", false},
      {R"({"exp":9223372036854775807})", true},
      {R"({"exp":18446744073709551615})", false},
      {R"({"exp":1800000000.5})", false},
      {R"({"exp":"1800000000"})", false},
      {R"({"exp":null})", false},
      {R"({})", false},
      {R"({"exp":1800000000,"nbf":1700000060})", true},
      {R"({"exp":1800000000,"nbf":1700000061})", false},
      {R"({"exp":1800000000,"nbf":9223372036854775807})", false},
      {R"({"exp":1800000000,"nbf":"x"})", false},
  };
  for (const auto& [claims, valid] : cases) {
    const auto token = signed_raw(key, R"({"alg":"EdDSA"})", claims);
    EXPECT_EQ(jwt_verify(token, key.public_key(), kBoth, kClock).has_value(), valid) << claims;
  }
}

TEST(Jwt, RefusesHeadersThatSayAnythingElse) {
  const auto key = PrivateKey::generate(KeyKind::p256).value();
  constexpr std::string_view kClaims = R"({"exp":1800000000})";
  ASSERT_TRUE(jwt_verify(signed_raw(key, R"({"alg":"ES256","typ":"JWT"})", kClaims), key.public_key(), kBoth, kClock));
  for (const std::string_view header :
       {R"({"alg":"none"})", R"({"alg":"ES384"})", R"({"alg":"EdDSA"})", R"({"alg":"HS256"})", R"({"alg":"es256"})",
        R"({"alg":["ES256"]})", R"({})", R"({"alg":"ES256","alg":"ES256"})", R"({"alg":"ES256","crit":["exp"]})",
        R"("ES256")", ""}) {
    const auto verified = jwt_verify(signed_raw(key, header, kClaims), key.public_key(), kBoth, kClock);
    ASSERT_FALSE(verified) << header;
    EXPECT_EQ(verified.error().code(), Code::jwt_invalid);
  }
}

TEST(Jwt, RefusesOtherShapes) {
  const auto key = PrivateKey::generate(KeyKind::p256).value();
  const auto token = jwt_sign(key, {}, {{"exp", kNow + 60}}).value();
  const auto unsigned_part = token.substr(0, token.rfind('.'));
  for (const auto& each :
       {std::string(), std::string("."), std::string(".."), unsigned_part, unsigned_part + ".", token + ".",
        token + "=", token + "\n", "a" + token, " " + token, std::string((std::size_t{1} << 20) + 1, 'a')}) {
    const auto verified = jwt_verify(each, key.public_key(), kBoth, kClock);
    ASSERT_FALSE(verified) << each.substr(0, 100);
    EXPECT_EQ(verified.error().code(), Code::jwt_invalid);
  }
  EXPECT_TRUE(jwt_parse_unverified(unsigned_part + "."));
  EXPECT_FALSE(jwt_parse_unverified(unsigned_part));
  EXPECT_FALSE(jwt_parse_unverified("!.e30."));
}

TEST(Jwt, OnlySigningKeysSignAndVerify) {
  const auto rsa = PrivateKey::generate(KeyKind::rsa).value();
  EXPECT_FALSE(jwt_sign(rsa, {}, {{"exp", 1}}));
  const auto key = PrivateKey::generate(KeyKind::p256).value();
  const auto token = jwt_sign(key, {{"alg", "none"}, {"kid", "1"}}, {{"exp", kNow + 60}}).value();
  EXPECT_EQ(jwt_parse_unverified(token)->header, (json::object{{"alg", "ES256"}, {"kid", "1"}}));
  EXPECT_FALSE(jwt_verify(token, rsa.public_key(), kBoth, kClock));
}

class JwtWithJose : public ToolTest {};

TEST_F(JwtWithJose, VerifiesWhatJoseSignedAndTheOtherWayRound) {
  run(R"(jose jwk gen -i '{"kty":"EC","crv":"P-256"}' -o key.jwk)");
  write("claims", R"({"exp":1800000000,"iss":"jose"})");
  const auto token = run(R"(jose jws sig -s '{"protected":{"alg":"ES256"}}' -I claims -k key.jwk -c -o-)");
  ASSERT_EQ(exit_status_, 0);
  const auto key = PrivateKey::from_any(bytes_of(read("key.jwk"))).value();
  const auto verified = jwt_verify(token, key.public_key(), {JwsAlgorithm::es256}, kClock);
  ASSERT_TRUE(verified) << verified.error().text() << token;
  EXPECT_EQ(verified->claims.at("iss"), "jose");

  write("token", jwt_sign(key, {{"typ", "JWT"}}, {{"exp", kNow}, {"iss", "proplet"}}).value());
  EXPECT_EQ(run("jose jws ver -i token -k key.jwk -O-"), R"({"exp":1700000000,"iss":"proplet"})");
}

TEST_F(JwtWithJose, ThumbprintsAgree) {
  for (const auto* key_template :
       {R"({"kty":"EC","crv":"P-256"})", R"({"kty":"EC","crv":"P-521"})", R"({"kty":"RSA","bits":2048})"}) {
    run(fmt::format("jose jwk gen -i '{}' -o key.jwk", key_template));
    EXPECT_EQ(PublicKey::from_jwk(read_object("key.jwk"))->thumbprint(), run("jose jwk thp -a S256 -i key.jwk"));
  }
}

}  // namespace
}  // namespace proplet::crypto
