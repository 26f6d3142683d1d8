#include "crypto/cipher.h"

#include <gtest/gtest.h>

#include "crypto/test_support.h"

namespace proplet::crypto {
namespace {

using testing::hex;

const Bytes kNistKey = hex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4");
const Bytes kNistCounter = hex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff");
const Bytes kNistPlaintext =
    hex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
        "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710");
const std::string kNistCiphertext =
    "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5"
    "2b0930daa23de94ce87017ba2d84988ddfc9c58db67aada613c2dd08457941a6";

TEST(AesCtr, AgreesWithSp80038aInPiecesOfAnyLength) {
  for (std::size_t piece = 1; piece <= kNistPlaintext.size(); ++piece) {
    auto cipher = AesCtr::create(kNistKey, kNistCounter).value();
    Bytes out(kNistPlaintext.size());
    for (std::size_t offset = 0; offset < out.size(); offset += piece) {
      const auto size = std::min(piece, out.size() - offset);
      cipher.apply(ByteView(kNistPlaintext).subspan(offset, size), MutableByteView(out).subspan(offset, size));
    }
    EXPECT_EQ(hex_encode(out), kNistCiphertext) << piece;
  }
}

TEST(AesCtr, WorksInPlace) {
  auto buffer = kNistPlaintext;
  AesCtr::create(kNistKey, kNistCounter)->apply(buffer, buffer);
  EXPECT_EQ(hex_encode(buffer), kNistCiphertext);
}

TEST(AesCtr, RefusesOtherSizes) {
  for (const std::size_t size : std::initializer_list<std::size_t>{0, 16, 24, 31, 33}) {
    const auto cipher = AesCtr::create(Bytes(size), Bytes(16));
    ASSERT_FALSE(cipher);
    EXPECT_EQ(cipher.error().code(), Code::key_invalid);
  }
  for (const std::size_t size : std::initializer_list<std::size_t>{0, 12, 15, 17})
    EXPECT_FALSE(AesCtr::create(Bytes(32), Bytes(size)));
}

// Test case 16 of the GCM specification (AES-256, with additional data).
const Bytes kGcmKey = hex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308");
const Bytes kGcmNonce = hex("cafebabefacedbaddecaf888");
const Bytes kGcmAdditional = hex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
const Bytes kGcmPlaintext =
    hex("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
        "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39");
const std::string kGcmSealed =
    "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
    "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b";

TEST(AesGcm, AgreesWithTheSpecification) {
  const auto sealed = aes_gcm_seal(kGcmKey, kGcmNonce, kGcmAdditional, kGcmPlaintext).value();
  EXPECT_EQ(hex_encode(sealed), kGcmSealed);
  EXPECT_TRUE(aes_gcm_open(kGcmKey, kGcmNonce, kGcmAdditional, sealed)->equals(kGcmPlaintext));
  EXPECT_EQ(hex_encode(aes_gcm_seal(Bytes(32), Bytes(12), {}, {}).value()), "530f8afbc74536b9a963b4f1c4cb738b");
  EXPECT_TRUE(aes_gcm_open(Bytes(32), Bytes(12), {}, hex("530f8afbc74536b9a963b4f1c4cb738b"))->empty());
}

TEST(AesGcm, AnyFlippedBitFailsAlike) {
  const auto sealed = hex(kGcmSealed);
  const auto open_with = [&](std::size_t bit, int part) {
    auto parts = std::array{sealed, kGcmNonce, kGcmAdditional, kGcmKey};
    auto& bytes = parts[static_cast<std::size_t>(part)];
    bytes[bit / 8 % bytes.size()] ^= static_cast<std::uint8_t>(1 << bit % 8);
    return aes_gcm_open(parts[3], parts[1], parts[2], parts[0]);
  };
  for (int part = 0; part < 4; ++part) {
    for (std::size_t bit = 0; bit < sealed.size() * 8; ++bit) {
      const auto opened = open_with(bit, part);
      ASSERT_FALSE(opened) << part << " " << bit;
      EXPECT_EQ(opened.error().text(), "UNWRAP_FAILED: authentication failed");
    }
  }
  for (std::size_t size = 0; size < sealed.size(); ++size) {
    EXPECT_FALSE(aes_gcm_open(kGcmKey, kGcmNonce, kGcmAdditional, ByteView(sealed).first(size)));
  }
}

TEST(AesGcm, RefusesOtherSizes) {
  EXPECT_EQ(aes_gcm_seal(Bytes(16), Bytes(12), {}, {}).error().code(), Code::key_invalid);
  EXPECT_EQ(aes_gcm_open(Bytes(31), Bytes(12), {}, Bytes(16)).error().code(), Code::key_invalid);
  EXPECT_FALSE(aes_gcm_seal(Bytes(32), Bytes(16), {}, {}));
  EXPECT_FALSE(aes_gcm_open(Bytes(32), {}, {}, Bytes(16)));
}

TEST(AesGcm, OpensWithEveryKeySize) {
  // NIST's test cases 2, 8 and 14 of the GCM submission: zero key, zero nonce, one zero block.
  const std::vector<std::pair<std::size_t, std::string_view>> cases = {
      {16, "0388dace60b6a392f328c2b971b2fe78ab6e47d42cec13bdf53a67b21257bddf"},
      {24, "98e7247c07f0fe411c267e4384b0f6002ff58d80033927ab8ef4d4587514f0fb"},
      {32, "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"}};
  for (const auto& [size, sealed] : cases) {
    const auto opened = aes_gcm_open(Bytes(size), Bytes(12), {}, hex(sealed));
    ASSERT_TRUE(opened) << size;
    EXPECT_TRUE(opened->equals(Bytes(16)));
  }
}

TEST(AesCbcHmac, AgreesWithTheSpecification) {
  // RFC 7518 appendix B.1 and B.3 have this message, iv and additional data.
  const auto iv = hex("1af38c2dc2b96ffdd86694092341bc04");
  const auto additional = bytes_of("The second principle of Auguste Kerckhoffs");
  const std::string_view plaintext =
      "A cipher system must not be required to be secret, and it must be able to fall into the hands of the enemy "
      "without inconvenience";
  Bytes key(64);
  for (std::size_t i = 0; i < key.size(); ++i) key[i] = static_cast<std::uint8_t>(i);
  const auto sealed_128 = hex(
      "c80edfa32ddf39d5ef00c0b468834279a2e46a1b8049f792f76bfe54b903a9c9a94ac9b47ad2655c5f10f9aef71427e2fc6f9b3f399a2214"
      "89f16362c703233609d45ac69864e3321cf82935ac4096c86e133314c54019e8ca7980dfa4b9cf1b384c486f3a54c51078158ee5d79de59f"
      "bd34d848b3d69550a67646344427ade54b8851ffb598f7f80074b9473c82e2db652c3fa36b0a7c5b3219fab3a30bc1c4");
  const auto opened = aes_cbc_hmac_open(ByteView(key).first(32), iv, additional, sealed_128);
  ASSERT_TRUE(opened) << opened.error().text();
  EXPECT_EQ(text_of(opened->view()), plaintext);
  for (std::size_t i = 0; i < sealed_128.size(); ++i) {
    auto damaged = sealed_128;
    damaged[i] ^= 1;
    const auto refused = aes_cbc_hmac_open(ByteView(key).first(32), iv, additional, damaged);
    ASSERT_FALSE(refused) << i;
    EXPECT_EQ(refused.error().text(), "UNWRAP_FAILED: authentication failed");
  }
  EXPECT_FALSE(aes_cbc_hmac_open(ByteView(key).first(32), iv, {}, sealed_128));
  for (const std::size_t size : {0, 31, 33, 40, 63}) {
    EXPECT_EQ(aes_cbc_hmac_open(ByteView(key).first(size), iv, additional, sealed_128).error().code(),
              Code::key_invalid);
  }
}

TEST(AesCbc, RefusesOtherSizesAndBadPadding) {
  // NIST SP 800-38A F.2.1 decrypts to whole blocks without padding.
  const auto key = hex("2b7e151628aed2a6abf7158809cf4f3c");
  const auto iv = hex("000102030405060708090a0b0c0d0e0f");
  EXPECT_EQ(aes_cbc_open(key, iv, hex("7649abac8119b246cee98e9b12e9197d")).error().code(), Code::unwrap_failed);
  EXPECT_EQ(aes_cbc_open(key, iv, {}).error().code(), Code::unwrap_failed);
  EXPECT_EQ(aes_cbc_open(key, iv, Bytes(15)).error().code(), Code::unwrap_failed);
  EXPECT_EQ(aes_cbc_open(key, Bytes(12), Bytes(16)).error().code(), Code::format_invalid);
  EXPECT_EQ(aes_cbc_open(Bytes(20), iv, Bytes(16)).error().code(), Code::key_invalid);
}

struct WrapCase {
  std::string_view kek;
  std::string_view data;
  std::string_view wrapped;
};

// RFC 3394 sections 4.1, 4.2, 4.3 and 4.6.
constexpr std::array<WrapCase, 4> kWrapCases = {{
    {"000102030405060708090a0b0c0d0e0f", "00112233445566778899aabbccddeeff",
     "1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5"},
    {"000102030405060708090a0b0c0d0e0f1011121314151617", "00112233445566778899aabbccddeeff",
     "96778b25ae6ca435f92b5b97c050aed2468ab8a17ad84e5d"},
    {"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", "00112233445566778899aabbccddeeff",
     "64e8c3f9ce0f5ba263e9777905818a2a93c8191e7d6e8ae7"},
    {"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
     "00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f",
     "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21"},
}};

TEST(AesKeyWrap, AgreesWithRfc3394) {
  for (const auto& each : kWrapCases) {
    EXPECT_EQ(hex_encode(aes_key_wrap(hex(each.kek), hex(each.data)).value()), each.wrapped);
    EXPECT_TRUE(aes_key_unwrap(hex(each.kek), hex(each.wrapped))->equals(hex(each.data)));
  }
}

TEST(AesKeyWrap, AnyFlippedBitFails) {
  const auto& each = kWrapCases[3];
  const auto wrapped = hex(each.wrapped);
  for (std::size_t bit = 0; bit < wrapped.size() * 8; ++bit) {
    auto damaged = wrapped;
    damaged[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
    const auto opened = aes_key_unwrap(hex(each.kek), damaged);
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code(), Code::unwrap_failed);
  }
}

TEST(AesKeyWrap, RefusesOtherSizes) {
  EXPECT_EQ(aes_key_wrap(Bytes(20), Bytes(32)).error().code(), Code::key_invalid);
  EXPECT_EQ(aes_key_unwrap(Bytes(0), Bytes(40)).error().code(), Code::key_invalid);
  for (const std::size_t size : std::initializer_list<std::size_t>{0, 8, 15, 17, 33})
    EXPECT_FALSE(aes_key_wrap(Bytes(32), Bytes(size)));
  for (const std::size_t size : std::initializer_list<std::size_t>{0, 8, 16, 23, 25, 41})
    EXPECT_FALSE(aes_key_unwrap(Bytes(32), Bytes(size)));
}

}  // namespace
}  // namespace proplet::crypto
