#include "crypto/cms.h"

#include <gtest/gtest.h>

#include "crypto/der.h"
#include "crypto/test_support.h"

namespace proplet::crypto {
namespace {

const std::function<bool(ByteView)> kAnything = [](ByteView) { return true; };

// The openssl tool as the writer.
class Cms : public testing::ToolTest {
 protected:
  void make_recipient(const std::string& name) {
    run("openssl req -x509 -newkey rsa:2048 -nodes -keyout " + name + ".key -out " + name + ".pem -subj /CN=" + name +
        " 2>/dev/null");
    ASSERT_EQ(exit_status_, 0);
  }
  PrivateKey key(const std::string& name) { return PrivateKey::from_any(bytes_of(read(name + ".key"))).value(); }
  Bytes encrypt(const std::string& options, const std::string& recipients) {
    write("content", kContent);
    run("openssl cms -encrypt -binary -in content -outform DER -out out.der " + options + " " + recipients +
        " 2>/dev/null");
    EXPECT_EQ(exit_status_, 0) << options;
    return read_file((folder_ / "out.der").string(), 65536).value();
  }

  static constexpr std::string_view kContent = R"({"symkey":"of the layer"})";
};

TEST_F(Cms, OpensWhatOpensslEncryptedForEachRecipientWithoutACertificate) {
  for (const auto* name : {"one", "two", "stranger"}) make_recipient(name);
  for (const auto* options : {"-aes-128-cbc", "-aes-192-cbc", "-aes-256-cbc", "-aes256 -noindef", "-aes256 -keyid"}) {
    SCOPED_TRACE(options);
    const auto message = encrypt(options, "one.pem two.pem");
    EXPECT_EQ(cms_recipients(message).value(), 2u);
    for (const auto* name : {"one", "two"}) {
      const auto opened =
          cms_decrypt(message, key(name), [](ByteView content) { return text_of(content) == kContent; });
      ASSERT_TRUE(opened) << opened.error().text();
      EXPECT_EQ(text_of(opened->view()), kContent);
    }
    const auto refused =
        cms_decrypt(message, key("stranger"), [](ByteView content) { return text_of(content) == kContent; });
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), Code::unwrap_failed);
  }
}

TEST_F(Cms, RefusesOtherEnvelopesAndOtherKeys) {
  make_recipient("one");
  for (const auto* options : {"-aes-256-gcm", "-des3"}) {
    const auto refused = cms_decrypt(encrypt(options, "one.pem"), key("one"), kAnything);
    ASSERT_FALSE(refused) << options;
    EXPECT_EQ(refused.error().code(), Code::format_invalid) << options;
  }
  const auto message = encrypt("-aes256", "one.pem");
  const auto ec = PrivateKey::generate(KeyKind::p256).value();
  EXPECT_EQ(cms_decrypt(message, ec, kAnything).error().code(), Code::key_invalid);
  EXPECT_EQ(cms_decrypt({}, key("one"), kAnything).error().code(), Code::format_invalid);
  EXPECT_EQ(cms_decrypt(Bytes(kMaxCmsBytes + 1, 0x30), key("one"), kAnything).error().code(), Code::format_invalid);
}

TEST_F(Cms, DamageToAWrappedKeyOrItsContentTellsNothing) {
  make_recipient("one");
  const auto message = encrypt("-aes256 -noindef", "one.pem");
  const auto one = key("one");
  const auto makes_sense = [](ByteView content) { return text_of(content) == kContent; };
  ASSERT_TRUE(cms_decrypt(message, one, makes_sense));
  // The wrapped key, the iv and the content are the end of the message.
  for (std::size_t i = message.size() - 300; i < message.size(); i += 7) {
    auto damaged = message;
    damaged[i] ^= 0x40;
    const auto opened = cms_decrypt(damaged, one, makes_sense);
    ASSERT_FALSE(opened) << i;
    if (opened.error().code() == Code::format_invalid) continue;  // it hit the structure
    EXPECT_EQ(opened.error().text(), "UNWRAP_FAILED: the CMS message cannot be opened with this key") << i;
  }
  for (std::size_t size = 0; size < message.size(); ++size) {
    EXPECT_FALSE(cms_decrypt(ByteView(message).first(size), one, makes_sense)) << size;
  }
}

TEST(Pkcs1, WrongPaddingGivesTheSubstituteAndNothingElse) {
  const auto key = PrivateKey::generate(KeyKind::rsa).value();
  for (const auto size : {0, 1, 255, 256, 257, 1000}) {
    const auto opened =
        rsa_pkcs1_decrypt(key, Bytes(static_cast<std::size_t>(size), 7), SecretBytes::copy_of(Bytes(16, 9)));
    EXPECT_TRUE(opened.equals(Bytes(16, 9))) << size;
  }
}

TEST(Der, ReadsElementsAndRefusesWhatDerForbids) {
  const Bytes good = {0x30, 0x05, 0x02, 0x01, 0x07, 0x04, 0x00};
  DerReader outer(good);
  DerReader inner(outer.expect(der::kSequence).value());
  EXPECT_TRUE(outer.finish());
  EXPECT_EQ(inner.expect(der::kInteger)->front(), 7);
  EXPECT_FALSE(inner.finish());
  EXPECT_TRUE(inner.expect(der::kOctetString)->empty());
  EXPECT_TRUE(inner.at_end());

  const std::vector<Bytes> cases = {{},
                                    {0x30},
                                    {0x30, 0x01},
                                    {0x30, 0x80, 0x00, 0x00},                           // indefinite
                                    {0x1f, 0x01, 0x00},                                 // a tag of several bytes
                                    {0x30, 0x81},                                       // length cut off
                                    {0x30, 0x85, 0x01, 0x00, 0x00, 0x00, 0x00},         // length of five bytes
                                    {0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 0x00, 0x00}};  // longer than everything
  for (const auto& each : cases) EXPECT_FALSE(DerReader(each).next()) << hex_encode(each);
}

}  // namespace
}  // namespace proplet::crypto
