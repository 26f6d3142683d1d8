#include "crypto/digest.h"

#include <gtest/gtest.h>

#include "crypto/test_support.h"

namespace proplet::crypto {
namespace {

TEST(Digest, AgreesWithFips180Examples) {
  struct Case {
    DigestAlgorithm algorithm;
    std::string_view text;
    std::string_view expected;
  };
  const std::vector<Case> cases = {
      {DigestAlgorithm::sha256, "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
      {DigestAlgorithm::sha256, "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
      {DigestAlgorithm::sha384, "abc",
       "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7"},
      {DigestAlgorithm::sha512, "abc",
       "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
       "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"},
      // The cross-check of the Trustee attestation service's own test.
      {DigestAlgorithm::sha384, R"({"a":"test","b":1,"c":{"d":"e"}})",
       "e71ce8e70d814ba6639c3612ebee0ff1f76f650f8dbb5e47157e0f3f525cd22c4597480a186427c813ca941da78870c3"},
  };
  for (const auto& [algorithm, text, expected] : cases) {
    EXPECT_EQ(hex_encode(digest(algorithm, bytes_of(text))), expected);
    EXPECT_EQ(digest_size(algorithm) * 2, expected.size());
    Hasher hasher(algorithm);
    for (const char c : text) hasher.update(bytes_of({&c, 1}));
    EXPECT_EQ(hex_encode(hasher.finish()), expected);
  }
  EXPECT_EQ(hex_encode(sha256(bytes_of("abc"))), cases[1].expected);
}

TEST(Hmac, AgreesWithRfc4231) {
  struct Case {
    Bytes key;
    std::string_view text;
    std::string_view expected;
  };
  const std::vector<Case> cases = {
      {Bytes(20, 0x0b), "Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
      {Bytes(131, 0xaa), "Test Using Larger Than Block-Size Key - Hash Key First",
       "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
      {{}, "", "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"},
  };
  for (const auto& [key, text, expected] : cases) {
    EXPECT_EQ(hex_encode(hmac_sha256(key, bytes_of(text))), expected);
    HmacSha256 hmac(key);
    for (const char c : text) hmac.update(bytes_of({&c, 1}));
    EXPECT_EQ(hex_encode(hmac.finish()), expected);
  }
}

}  // namespace
}  // namespace proplet::crypto
