// Project Wycheproof's vectors for every primitive that crypto/ offers: what is valid opens to what it says, what is
// not is refused. Vectors of sizes that we never accept (short GCM tags, long nonces) must be refused as well.
#include <gtest/gtest.h>

#include "base/encoding.h"
#include "base/fd.h"
#include "base/json.h"
#include "crypto/cipher.h"
#include "crypto/digest.h"
#include "crypto/key.h"

namespace proplet::crypto {
namespace {

std::string text(const json::value& object, std::string_view name) {
  return json::required_string(object.as_object(), name).value();
}
Bytes bytes(const json::value& object, std::string_view name) { return hex_decode(text(object, name)).value(); }

enum class Verdict : std::uint8_t { good, refused };

// Calls `judge` for every vector of a file and holds its verdict against the vector's own.
using Judge = std::function<Verdict(const json::value& group, const json::value& vector)>;

void check_file(const std::string& name, const Judge& judge) {
  constexpr std::size_t kMaxFile = std::size_t{16} << 20;
  const auto content = read_text_file(std::string(PROPLET_WYCHEPROOF) + "/" + name + "_test.json", kMaxFile);
  ASSERT_TRUE(content) << content.error().text() << " (scripts/fetch-wycheproof.sh fetches the vectors)";
  const auto document = json::parse(*content, {.bytes = kMaxFile});
  ASSERT_TRUE(document) << document.error().text();
  int vectors = 0;
  for (const auto& group : document->at("testGroups").as_array()) {
    for (const auto& vector : group.at("tests").as_array()) {
      ++vectors;
      const auto result = text(vector, "result");
      if (result == "acceptable") continue;
      const auto expected = result == "valid" ? Verdict::good : Verdict::refused;
      EXPECT_EQ(judge(group, vector), expected) << name << " " << json::serialize(vector);
    }
  }
  EXPECT_EQ(vectors, document->at("numberOfTests").as_int64());
}

// Good when it opened, and to the vector's own message.
Verdict opened_to(const Result<SecretBytes>& opened, const json::value& vector) {
  return opened && opened->equals(bytes(vector, "msg")) ? Verdict::good : Verdict::refused;
}

Bytes sealed(const json::value& vector) {
  auto all = bytes(vector, "ct");
  const auto tag = bytes(vector, "tag");
  all.insert(all.end(), tag.begin(), tag.end());
  return all;
}

TEST(Wycheproof, AesGcm) {
  check_file("aes_gcm", [](const json::value& group, const json::value& vector) {
    const auto opened = aes_gcm_open(bytes(vector, "key"), bytes(vector, "iv"), bytes(vector, "aad"), sealed(vector));
    const bool ours = group.at("ivSize").as_int64() == 96 && group.at("tagSize").as_int64() == 128;
    if (ours) return opened_to(opened, vector);
    EXPECT_FALSE(opened) << json::serialize(vector);
    return text(vector, "result") == "valid" ? Verdict::good : Verdict::refused;
  });
}

TEST(Wycheproof, AesCbc) {
  check_file("aes_cbc_pkcs5", [](const json::value&, const json::value& vector) {
    return opened_to(aes_cbc_open(bytes(vector, "key"), bytes(vector, "iv"), bytes(vector, "ct")), vector);
  });
}

TEST(Wycheproof, AesCbcHmac) {
  for (const auto* name : {"a128cbc_hs256", "a192cbc_hs384", "a256cbc_hs512"}) {
    check_file(name, [](const json::value&, const json::value& vector) {
      return opened_to(
          aes_cbc_hmac_open(bytes(vector, "key"), bytes(vector, "iv"), bytes(vector, "aad"), sealed(vector)), vector);
    });
  }
}

TEST(Wycheproof, AesKeyWrap) {
  check_file("aes_wrap", [](const json::value&, const json::value& vector) {
    return opened_to(aes_key_unwrap(bytes(vector, "key"), bytes(vector, "ct")), vector);
  });
}

TEST(Wycheproof, Hmac) {
  const std::pair<const char*, DigestAlgorithm> files[] = {{"hmac_sha256", DigestAlgorithm::sha256},
                                                           {"hmac_sha384", DigestAlgorithm::sha384},
                                                           {"hmac_sha512", DigestAlgorithm::sha512}};
  for (const auto& [name, algorithm] : files) {
    check_file(name, [algorithm](const json::value&, const json::value& vector) {
      const auto tag = bytes(vector, "tag");
      const auto message = bytes(vector, "msg");
      const auto computed = hmac(algorithm, bytes(vector, "key"), {message});
      return equal_constant_time(ByteView(computed).first(tag.size()), tag) ? Verdict::good : Verdict::refused;
    });
  }
}

struct Curve {
  const char* file;
  KeyKind kind;
  const char* name;
  std::size_t size;
};

// Uncompressed points only: a JWK has both coordinates.
Result<PublicKey> point(const Curve& curve, ByteView encoded) {
  if (encoded.size() != 1 + 2 * curve.size || encoded[0] != 4) return fail(Code::key_invalid, "not uncompressed");
  return PublicKey::from_jwk({{"kty", "EC"},
                              {"crv", curve.name},
                              {"x", base64url_encode(encoded.subspan(1, curve.size))},
                              {"y", base64url_encode(encoded.subspan(1 + curve.size))}});
}

Bytes scalar(const Curve& curve, Bytes big_endian) {
  while (big_endian.size() > curve.size && big_endian.front() == 0) big_endian.erase(big_endian.begin());
  big_endian.insert(big_endian.begin(), curve.size - std::min(curve.size, big_endian.size()), 0);
  return big_endian;
}

TEST(Wycheproof, EllipticCurveKeyAgreement) {
  const Curve curves[] = {{"ecdh_secp256r1_ecpoint", KeyKind::p256, "P-256", 32},
                          {"ecdh_secp384r1_ecpoint", KeyKind::p384, "P-384", 48},
                          {"ecdh_secp521r1_ecpoint", KeyKind::p521, "P-521", 66}};
  for (const auto& curve : curves) {
    check_file(curve.file, [&curve](const json::value&, const json::value& vector) {
      const auto own = PrivateKey::from_ec_scalar(curve.kind, scalar(curve, bytes(vector, "private")));
      const auto peer = point(curve, bytes(vector, "public"));
      if (!own || !peer) return Verdict::refused;
      const auto shared = ecdh(*own, *peer);
      return shared && shared->equals(bytes(vector, "shared")) ? Verdict::good : Verdict::refused;
    });
  }
}

TEST(Wycheproof, RsaOaep) {
  const std::pair<const char*, OaepHash> files[] = {{"rsa_oaep_2048_sha1_mgf1sha1", OaepHash::sha1},
                                                    {"rsa_oaep_2048_sha256_mgf1sha256", OaepHash::sha256},
                                                    {"rsa_oaep_3072_sha256_mgf1sha256", OaepHash::sha256},
                                                    {"rsa_oaep_4096_sha256_mgf1sha256", OaepHash::sha256}};
  for (const auto& [name, hash] : files) {
    check_file(name, [hash](const json::value& group, const json::value& vector) {
      const auto key = PrivateKey::from_pem(text(group, "privateKeyPem")).value();
      const auto opened = rsa_oaep_decrypt(key, hash, bytes(vector, "ct"));
      if (text(vector, "label").empty()) return opened_to(opened, vector);
      EXPECT_FALSE(opened) << "a label is never ours";
      return text(vector, "result") == "valid" ? Verdict::good : Verdict::refused;
    });
  }
}

TEST(Wycheproof, RsaPkcs1GivesTheSubstituteForEverythingInvalid) {
  for (const auto* name : {"rsa_pkcs1_2048", "rsa_pkcs1_3072", "rsa_pkcs1_4096"}) {
    check_file(name, [](const json::value& group, const json::value& vector) {
      const auto key = PrivateKey::from_pem(text(group, "privateKeyPem")).value();
      const auto message = bytes(vector, "msg");
      const Bytes substitute(text(vector, "result") == "valid" ? message.size() : 32, 0x5a);
      const auto opened = rsa_pkcs1_decrypt(key, bytes(vector, "ct"), SecretBytes::copy_of(substitute));
      return opened.equals(message) ? Verdict::good : Verdict::refused;
    });
  }
}

TEST(Wycheproof, Signatures) {
  for (const auto* name : {"ecdsa_secp256r1_sha256_p1363", "ed25519"}) {
    check_file(name, [](const json::value& group, const json::value& vector) {
      const auto key = PublicKey::from_pem(text(group, "publicKeyPem"));
      return key && verify(*key, bytes(vector, "msg"), bytes(vector, "sig")) ? Verdict::good : Verdict::refused;
    });
  }
}

}  // namespace
}  // namespace proplet::crypto
