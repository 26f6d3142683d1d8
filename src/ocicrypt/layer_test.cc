#include "ocicrypt/layer.h"

#include <gtest/gtest.h>

#include "crypto/cipher.h"
#include "ocicrypt/test_vectors.h"

namespace proplet::ocicrypt {
namespace {

using testing::text;
using testing::vector_json;

constexpr std::size_t kBlock = std::size_t{64} << 10;

struct Opened {
  PublicOptions public_options;
  PrivateOptions private_options;
  SecretBytes ciphertext;
};

// A fresh encrypted layer of `size` patterned bytes and everything needed to open it.
Opened fresh_layer(std::size_t size, Bytes& plaintext) {
  plaintext.resize(size);
  for (std::size_t i = 0; i < size; ++i) plaintext[i] = static_cast<std::uint8_t>(i * 7 + i / 251);
  SystemRandom random;
  auto layer = encrypt_layer(plaintext, random);
  return {std::move(layer.public_options), std::move(layer.private_options), SecretBytes::copy_of(layer.ciphertext)};
}

std::string private_json(std::string_view key, std::string_view nonce) {
  return fmt::format(R"({{"symkey":"{}","digest":"sha256:00","cipheroptions":{{"nonce":"{}"}}}})", key, nonce);
}

TEST(LayerDecryptor, AgreesWithTheKnownAnswers) {
  const auto cases = vector_json("block-cipher-kat.json");
  ASSERT_EQ(cases.as_array().size(), 3u);
  for (const auto& each : cases.as_array()) {
    const auto key = hex_decode(text(each, "key")).value();
    PublicOptions public_options;
    const auto hmac = hex_decode(text(each, "hmac")).value();
    std::copy(hmac.begin(), hmac.end(), public_options.hmac.begin());
    PrivateOptions private_options{
        .key = SecretBytes::copy_of(key), .digest = "", .nonce = hex_decode(text(each, "nonce")).value()};
    const auto ciphertext = hex_decode(text(each, "ciphertext")).value();
    const auto plaintext = decrypt_in_place(SecretBytes::copy_of(ciphertext), public_options, private_options);
    ASSERT_TRUE(plaintext) << plaintext.error().text();
    EXPECT_EQ(hex_encode(plaintext->view()), text(each, "plaintext"));
  }
}

TEST(LayerDecryptor, OpensWhatTheEncryptorWroteAtEverySizeAroundABlock) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{15}, std::size_t{16}, std::size_t{17},
                                 kBlock - 1, kBlock, kBlock + 1, 3 * kBlock + 5}) {
    Bytes plaintext;
    auto layer = fresh_layer(size, plaintext);
    EXPECT_EQ(layer.ciphertext.size(), size);
    EXPECT_EQ(layer.private_options.digest, "sha256:" + hex_encode(crypto::sha256(plaintext)));
    const auto opened = decrypt_in_place(std::move(layer.ciphertext), layer.public_options, layer.private_options);
    ASSERT_TRUE(opened) << opened.error().text();
    EXPECT_TRUE(opened->equals(plaintext));
  }
}

TEST(LayerDecryptor, ReleasesNothingWhenABitIsFlipped) {
  const std::size_t size = 2 * kBlock + 3;
  for (const std::size_t position : {std::size_t{0}, kBlock - 1, kBlock, size - 1}) {
    Bytes plaintext;
    auto layer = fresh_layer(size, plaintext);
    layer.ciphertext.mutable_view()[position] ^= 0x80;
    const auto opened = decrypt_in_place(std::move(layer.ciphertext), layer.public_options, layer.private_options);
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code(), Code::mac_mismatch);
  }
}

TEST(LayerDecryptor, ReleasesNothingWhenTheLastByteIsMissing) {
  Bytes plaintext;
  auto layer = fresh_layer(kBlock, plaintext);
  layer.ciphertext.truncate(kBlock - 1);
  const auto opened = decrypt_in_place(std::move(layer.ciphertext), layer.public_options, layer.private_options);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code(), Code::mac_mismatch);
}

TEST(LayerDecryptor, RefusesAnotherHmac) {
  for (std::size_t i = 0; i < 32; ++i) {
    Bytes plaintext;
    auto layer = fresh_layer(100, plaintext);
    layer.public_options.hmac[i] ^= 1;
    EXPECT_FALSE(decrypt_in_place(std::move(layer.ciphertext), layer.public_options, layer.private_options));
  }
}

TEST(LayerEncryptor, NeverRepeatsKeyOrNonce) {
  Bytes plaintext;
  const auto first = fresh_layer(64, plaintext);
  const auto second = fresh_layer(64, plaintext);
  EXPECT_FALSE(first.private_options.key.equals(second.private_options.key.view()));
  EXPECT_NE(first.private_options.nonce, second.private_options.nonce);
}

TEST(PublicOptions, AreWrittenAsOcicryptWritesThem) {
  PublicOptions options;
  options.hmac.fill(0);
  EXPECT_EQ(serialize(options),
            R"({"cipher":"AES_256_CTR_HMAC_SHA256","hmac":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",)"
            R"("cipheroptions":{}})");
  const auto parsed = public_options_of({{std::string(kPublicOptionsKey), public_options_annotation(options)}});
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->hmac, options.hmac);
}

TEST(PublicOptions, RefuseWhatIsNotTheOneCipher) {
  const std::string hmac = base64_encode(Bytes(32));
  const std::string cipher = R"("cipher":"AES_256_CTR_HMAC_SHA256")";
  const std::vector<std::string> cases = {
      "",
      "[]",
      "{}",
      R"({"cipher":"","hmac":")" + hmac + "\"}",
      R"({"cipher":"aes_256_ctr_hmac_sha256","hmac":")" + hmac + "\"}",
      R"({"cipher":7,"hmac":")" + hmac + "\"}",
      "{" + cipher + "}",
      "{" + cipher + R"(,"hmac":""})",
      "{" + cipher + R"(,"hmac":")" + base64_encode(Bytes(31)) + "\"}",
      "{" + cipher + R"(,"hmac":")" + base64_encode(Bytes(33)) + "\"}",
      "{" + cipher + R"(,"hmac":")" + hmac + R"(","cipheroptions":[]})",
      "{" + cipher + R"(,"hmac":")" + hmac + R"(","cipheroptions":{"nonce":""}})",
      "{" + cipher + R"(,"hmac":")" + hmac + R"(","cipheroptions":{"nonce":")" + base64_encode(Bytes(12)) + "\"}}",
      "{" + cipher + R"(,"hmac":")" + hmac + R"(","hmac":")" + hmac + "\"}",
      "{" + cipher + R"(,"hmac":")" + hmac + "\"} trailing",
  };
  for (const auto& each : cases) {
    const auto parsed = parse_public_options(each);
    ASSERT_FALSE(parsed) << each;
    EXPECT_EQ(parsed.error().code(), Code::annotation_invalid) << each;
  }
}

TEST(PrivateOptions, SurviveARoundTripByteForByte) {
  PrivateOptions options{.key = SecretBytes(32), .digest = "sha256:" + std::string(64, 'a'), .nonce = Bytes(16, 1)};
  const auto json = serialize(options);
  EXPECT_EQ(json.size(), 193u);  // always, with a sha256 digest
  EXPECT_EQ(text_of(json.view()), R"({"symkey":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","digest":"sha256:)" +
                                      std::string(64, 'a') +
                                      R"(","cipheroptions":{"nonce":"AQEBAQEBAQEBAQEBAQEBAQ=="}})");
  const auto parsed = parse_private_options(json.view(), {});
  ASSERT_TRUE(parsed) << parsed.error().text();
  EXPECT_TRUE(parsed->key.equals(options.key.view()));
  EXPECT_EQ(parsed->digest, options.digest);
  EXPECT_EQ(parsed->nonce, options.nonce);
}

TEST(PrivateOptions, RefuseKeysAndNoncesOfTheWrongLength) {
  const auto key = base64_encode(Bytes(32));
  const auto nonce = base64_encode(Bytes(16));
  const std::vector<std::pair<std::string, Code>> cases = {
      {private_json(base64_encode(Bytes(31)), nonce), Code::key_invalid},
      {private_json(base64_encode(Bytes(33)), nonce), Code::key_invalid},
      {private_json("", nonce), Code::key_invalid},
      {R"({"digest":"","cipheroptions":{}})", Code::key_invalid},
      {private_json(key, base64_encode(Bytes(12))), Code::annotation_invalid},
      {private_json(key, base64_encode(Bytes(17))), Code::annotation_invalid},
      {private_json(key, ""), Code::annotation_invalid},
      {R"({"symkey":")" + key + R"(","digest":""})", Code::annotation_invalid},
      {R"({"symkey":")" + key + R"(","cipheroptions":{}})", Code::annotation_invalid},
      {R"({"symkey":")" + key + R"(","cipheroptions":null})", Code::annotation_invalid},
      {R"({"symkey":")" + key + R"(","cipheroptions":{"nonce":5}})", Code::annotation_invalid},
      {R"({"symkey":")" + key + R"(","digest":7,"cipheroptions":{"nonce":")" + nonce + "\"}}",
       Code::annotation_invalid},
      {"not json", Code::annotation_invalid},
  };
  for (const auto& [json, code] : cases) {
    const auto parsed = parse_private_options(bytes_of(json), {});
    ASSERT_FALSE(parsed) << json;
    EXPECT_EQ(parsed.error().code(), code) << json;
    EXPECT_EQ(parsed.error().text().find(key), std::string::npos);
  }
}

TEST(PrivateOptions, AcceptAPublicNonceOnlyIfItIsTheSame) {
  const auto json = private_json(base64_encode(Bytes(32)), base64_encode(Bytes(16, 9)));
  EXPECT_TRUE(parse_private_options(bytes_of(json), Bytes(16, 9)));
  const auto different = parse_private_options(bytes_of(json), Bytes(16, 8));
  ASSERT_FALSE(different);
  EXPECT_EQ(different.error().code(), Code::annotation_invalid);
}

TEST(EncryptedLayer, SuffixAndAnnotationsMustAgree) {
  const Annotations annotated = {{std::string(kPublicOptionsKey), "x"}};
  const Annotations other = {{"org.opencontainers.image.title", "a"}, {"org.opencontainers.image.encoding", "b"}};
  EXPECT_EQ(is_encrypted("application/wasm+encrypted", annotated).value(), true);
  EXPECT_EQ(is_encrypted("application/wasm", other).value(), false);
  EXPECT_FALSE(is_encrypted("application/wasm+encrypted", other));
  EXPECT_FALSE(is_encrypted("application/wasm", annotated));
  EXPECT_FALSE(is_encrypted("application/wasm+encrypted+encrypted", annotated));
  EXPECT_FALSE(is_encrypted("application/wasm+encrypted+gzip", annotated));
}

}  // namespace
}  // namespace proplet::ocicrypt
