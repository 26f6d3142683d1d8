#include "ocicrypt/key_wrap.h"

#include <gtest/gtest.h>

#include "crypto/cipher.h"
#include "ocicrypt/test_vectors.h"

namespace proplet::ocicrypt {
namespace {

using crypto::KeyKind;
using crypto::PrivateKey;

constexpr std::string_view kKeyId = "kbs:///default/key/k1";
constexpr std::string_view kSampleKey = "d99b7705b0ba7a168295b3a3367270b0dd9b371bf514ca8b9ba7f0a33711daea";

PrivateOptions some_options() {
  SystemRandom random;
  return encrypt_layer(bytes_of("module"), random).private_options;
}

Bytes random_kek() {
  SystemRandom random;
  const auto key = random.bytes<32>();
  return {key.begin(), key.end()};
}

std::string public_options_value() { return public_options_annotation(PublicOptions{}); }

Annotations with_provider(const std::string& value) {
  return {{std::string(kAttestationAgentKeysKey), value}, {std::string(kPublicOptionsKey), public_options_value()}};
}

Annotations with_jwe(const std::string& value) {
  return {{std::string(kJweKeysKey), value}, {std::string(kPublicOptionsKey), public_options_value()}};
}

std::function<Result<SecretBytes>(std::string_view)> kek_of(Bytes key) {
  return [key = std::move(key)](std::string_view) -> Result<SecretBytes> { return SecretBytes::copy_of(key); };
}

std::function<Result<SecretBytes>()> private_key_of(const PrivateKey& key) {
  return [&key]() -> Result<SecretBytes> { return key.to_pem(); };
}

std::string packet_value(std::string_view json) { return base64_encode(bytes_of(json)); }

TEST(ProviderPacket, OpensWithItsKeyAndAsksForItsKeyIdOnce) {
  SystemRandom random;
  const auto kek = random_kek();
  const auto options = some_options();
  const auto value = provider_annotation(kek, kKeyId, options, random).value();
  std::vector<std::string> asked;
  KeySource keys;
  keys.kek = [&](std::string_view key_id) -> Result<SecretBytes> {
    asked.emplace_back(key_id);
    return SecretBytes::copy_of(kek);
  };
  const auto opened = unwrap_layer(with_provider(value), keys);
  ASSERT_TRUE(opened) << opened.error().text();
  EXPECT_TRUE(opened->private_options.key.equals(options.key.view()));
  EXPECT_EQ(opened->private_options.nonce, options.nonce);
  EXPECT_EQ(asked, std::vector<std::string>{std::string(kKeyId)});
  EXPECT_EQ(provider_key_ids(with_provider(value)).value(), asked);
}

TEST(ProviderPacket, IsWrittenInTheOrderPeersWrite) {
  SystemRandom random;
  const auto packet = wrap_with_kek(random_kek(), kKeyId, some_options(), random).value();
  EXPECT_EQ(packet.iv.size(), 12u);
  EXPECT_EQ(packet.wrapped_data.size(), 193u + 16u);
  EXPECT_EQ(serialize(packet), fmt::format(R"({{"kid":"{}","wrapped_data":"{}","iv":"{}","wrap_type":"A256GCM"}})",
                                           kKeyId, base64_encode(packet.wrapped_data), base64_encode(packet.iv)));
}

TEST(ProviderPacket, RefusesEveryOtherShape) {
  const std::string data = R"("wrapped_data":")" + base64_encode(Bytes(40)) + '"';
  const std::string iv = R"("iv":")" + base64_encode(Bytes(12)) + '"';
  const std::string rest = data + "," + iv + R"(,"wrap_type":"A256GCM")";
  const std::string kid = R"("kid":"kbs:///a/b/c")";
  ASSERT_TRUE(parse_provider_packet("{" + kid + "," + rest + "}"));
  ASSERT_TRUE(
      parse_provider_packet("{" + kid + "," + rest + R"(,"version":"0.1.0","provider":"kbs","annotations":{}})"));
  const std::vector<std::string> cases = {
      "",
      "null",
      "[1]",
      "{}",
      "{" + rest + "}",
      R"({"kid":"",)" + rest + "}",
      R"({"kid":7,)" + rest + "}",
      R"({"kid":"kbs:///a b",)" + rest + "}",
      R"({"kid":"kbs:///a\n",)" + rest + "}",
      R"({"kid":")" + std::string(2000, 'a') + "\"," + rest + "}",
      R"({"kid":"http://host/a/b/c",)" + rest + "}",
      R"({"kid":"kbs+pkcs11:///a/b/c",)" + rest + "}",
      R"({"kid":"kbs:///default/test-key/1",)" + rest + "}",
      R"({"kid":"kbs://host/default/test-key/1",)" + rest + "}",
      R"({"kid":"default/test-key/1",)" + rest + "}",
      "{" + kid + "," + rest + R"(,"version":"0.2.0"})",
      "{" + kid + "," + rest + R"(,"provider":"aliyun"})",
      "{" + kid + "," + rest + R"(,"provider":null})",
      "{" + kid + "," + data + R"(,"wrap_type":"A256GCM"})",
      "{" + kid + "," + iv + R"(,"wrap_type":"A256GCM"})",
      "{" + kid + "," + data + "," + iv + "}",
      "{" + kid + "," + data + "," + iv + R"(,"wrap_type":"aes-gcm"})",
      "{" + kid + "," + data + "," + iv + R"(,"wrap_type":"A256CTR"})",  // its iv has 16 bytes
      "{" + kid + "," + data + R"(,"iv":"AAAA","wrap_type":"A256GCM"})",
      "{" + kid + R"(,"wrapped_data":"AAAA",)" + iv + R"(,"wrap_type":"A256GCM"})",
      "{" + kid + R"(,"wrapped_data":"-_-_",)" + iv + R"(,"wrap_type":"A256GCM"})",
      R"({"key_url":"a","wrapped_key":[1],"wrap_type":"x"})",
      "{" + kid + "," + kid + "," + rest + "}",
  };
  for (const auto& each : cases) {
    const auto packet = parse_provider_packet(each);
    ASSERT_FALSE(packet) << each;
    EXPECT_EQ(packet.error().code(), Code::annotation_invalid) << each;
    EXPECT_FALSE(provider_key_ids(with_provider(packet_value(each)))) << each;
  }
}

TEST(ProviderPacket, PacketsUnderAnotherProvidersNameOpenAndForeignOnesDoNotMatter) {
  SystemRandom random;
  const auto kek = random_kek();
  const auto value = provider_annotation(kek, kKeyId, some_options(), random).value();
  KeySource keys;
  keys.kek = kek_of(kek);
  Annotations annotations = {{std::string(kProviderKeysPrefix) + "my-tool", value},
                             {std::string(kPublicOptionsKey), public_options_value()}};
  EXPECT_TRUE(unwrap_layer(annotations, keys));
  EXPECT_EQ(provider_key_ids(annotations).value(), std::vector<std::string>{std::string(kKeyId)});

  const auto foreign = std::string(kProviderKeysPrefix) + "a-cloud";
  for (const auto* text : {"AQID", "not base64", "e30="}) {
    annotations[foreign] = text;
    EXPECT_TRUE(unwrap_layer(annotations, keys)) << text;
    EXPECT_EQ(provider_key_ids(annotations)->size(), 1u) << text;
  }
  annotations.erase(std::string(kProviderKeysPrefix) + "my-tool");
  const auto refused = unwrap_layer(annotations, keys);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Code::annotation_invalid);
}

TEST(ProviderPacket, RefusesPacketsOfIntegersThatAreNone) {
  const std::string kid = R"("kid":"kbs:///a/b/c")";
  std::string data = R"("wrapped_data":[1)";
  for (int i = 0; i < 40; ++i) data += ",2";
  data += "]";
  const std::string iv = R"("iv":[1,2,3,4,5,6,7,8,9,10,11,255])";
  const std::string type = R"("wrap_type":"aes-gcm")";
  ASSERT_TRUE(parse_provider_packet("{" + kid + "," + data + "," + iv + "," + type + "}"));
  const std::vector<std::string> cases = {
      "{" + kid + "," + data + R"(,"iv":"AAAAAAAAAAAAAAAA",)" + type + "}",
      "{" + kid + R"(,"wrapped_data":"AAAA",)" + iv + "," + type + "}",
      "{" + kid + "," + data + R"(,"iv":[1,2,3,4,5,6,7,8,9,10,11,256],)" + type + "}",
      "{" + kid + "," + data + R"(,"iv":[1,2,3,4,5,6,7,8,9,10,11,-1],)" + type + "}",
      "{" + kid + "," + data + R"(,"iv":[1,2,3,4,5,6,7,8,9,10,11,"1"],)" + type + "}",
      "{" + kid + "," + data + R"(,"iv":[1],)" + type + "}",
      "{" + kid + "," + data + "," + iv + R"(,"wrap_type":"A256GCM"})",
      "{" + kid + "," + data + "," + iv + R"(,"wrap_type":"aes-ctr"})",
      "{" + kid + R"(,"wrapped_data":[],)" + iv + "," + type + "}",
  };
  for (const auto& each : cases) {
    const auto packet = parse_provider_packet(each);
    ASSERT_FALSE(packet) << each;
    EXPECT_EQ(packet.error().code(), Code::annotation_invalid) << each;
  }
}

TEST(ProviderPacket, AnyFlippedBitIsUnwrapFailedWithoutDetails) {
  SystemRandom random;
  const auto kek = random_kek();
  const auto packet = wrap_with_kek(kek, kKeyId, some_options(), random).value();
  KeySource keys;
  keys.kek = kek_of(kek);
  std::string message;
  for (std::size_t i = 0; i < packet.wrapped_data.size() + packet.iv.size(); ++i) {
    auto damaged = packet;
    auto& byte = i < packet.wrapped_data.size() ? damaged.wrapped_data[i] : damaged.iv[i - packet.wrapped_data.size()];
    byte ^= 4;
    const auto opened = unwrap_layer(with_provider(packet_value(serialize(damaged))), keys);
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code(), Code::unwrap_failed);
    if (message.empty()) message = opened.error().text();
    EXPECT_EQ(opened.error().text(), message);
  }
}

TEST(ProviderPacket, UnauthenticatedCtrIsReadOnlyWhereItIsAllowed) {
  const auto kek = random_kek();
  const auto options = some_options();
  ProviderPacket packet{.key_id = std::string(kKeyId),
                        .wrapped_data = {},
                        .iv = Bytes(16, 3),
                        .wrap_type = ProviderPacket::WrapType::a256ctr};
  const auto plaintext = serialize(options);
  packet.wrapped_data.resize(plaintext.size());
  crypto::AesCtr::create(kek, packet.iv)->apply(plaintext.view(), packet.wrapped_data);
  const auto annotations = with_provider(packet_value(serialize(packet)));
  KeySource keys;
  keys.kek = kek_of(kek);
  EXPECT_TRUE(unwrap_layer(annotations, keys));

  keys.allow_unauthenticated_ctr = false;
  const auto refused = unwrap_layer(annotations, keys);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Code::annotation_invalid);

  keys.allow_unauthenticated_ctr = true;
  keys.kek = kek_of(random_kek());
  const auto wrong_key = unwrap_layer(annotations, keys);
  ASSERT_FALSE(wrong_key);
  EXPECT_EQ(wrong_key.error().code(), Code::unwrap_failed);
}

TEST(KeyEncryptionKey, DecodesTheFormsAKeyBrokerMayHold) {
  auto key = random_kek();
  key[0] = 0xfb;  // base64 with + and -, so that the alphabets differ
  key[1] = 0xff;
  const auto base64 = base64_encode(key);
  const auto base64url = base64url_encode(key);
  const std::vector<std::string> forms = {
      std::string(text_of(key)),
      base64,
      " \t" + base64 + "\r\n",
      base64.substr(0, 43),
      base64url,
      base64url + "\n",
      hex_encode(key),
      R"({"kty":"oct","k":")" + base64url + R"("})",
      "\n{\"alg\":\"A256GCM\",\"k\":\"" + base64url + "\",\"kty\":\"oct\"}\n",
  };
  for (const auto& form : forms) {
    const auto decoded = decode_key_encryption_key(bytes_of(form));
    ASSERT_TRUE(decoded) << form.size();
    EXPECT_TRUE(decoded->equals(key)) << form.size();
  }
}

TEST(KeyEncryptionKey, RefusesEverythingElseWithoutQuotingIt) {
  const std::vector<std::string> cases = {
      "",
      std::string(31, 'k'),
      std::string(33, 'k'),
      std::string(64, 'z'),
      std::string(44, '!'),
      base64_encode(Bytes(31)),
      base64_encode(Bytes(48, 1)),
      base64url_encode(Bytes(16)),
      "  ",
      R"({"kty":"oct","k":"AAAA"})",
      R"({"kty":"RSA","k":")" + base64url_encode(Bytes(32)) + R"("})",
      R"({"kty":"oct"})",
      std::string(100000, ' '),
      hex_encode(Bytes(32, 7)) + "00",
  };
  for (const auto& each : cases) {
    const auto decoded = decode_key_encryption_key(bytes_of(each));
    ASSERT_FALSE(decoded) << each.size();
    EXPECT_EQ(decoded.error().code(), Code::key_invalid);
    if (each.size() > 8) {
      EXPECT_EQ(decoded.error().text().find(each), std::string::npos);
    }
  }
}

TEST(KeyEncryptionKey, ThePublishedSampleKeyIsRefusedInEveryFormAndForWriting) {
  const auto key = hex_decode(kSampleKey).value();
  for (const auto& form : {std::string(text_of(key)), std::string(kSampleKey), base64_encode(key)}) {
    const auto decoded = decode_key_encryption_key(bytes_of(form));
    ASSERT_FALSE(decoded);
    EXPECT_EQ(decoded.error().code(), Code::key_invalid);
  }
  SystemRandom random;
  EXPECT_FALSE(wrap_with_kek(key, kKeyId, some_options(), random));
  EXPECT_FALSE(wrap_with_kek(random_kek(), "kbs:///default/test-key/1", some_options(), random));
  EXPECT_FALSE(wrap_with_kek(Bytes(31), kKeyId, some_options(), random));
}

TEST(SplitPackets, IsStrict) {
  EXPECT_EQ(split_packets("AQ==,Ag==").value(), (std::vector<Bytes>{{1}, {2}}));
  std::string many = "AQ==";
  for (int i = 1; i < 64; ++i) many += ",AQ==";
  EXPECT_EQ(split_packets(many)->size(), 64u);
  const std::vector<std::string> cases = {"",           ",",
                                          "AQ==,",      ",AQ==",
                                          "AQ==, AQ==", "AQ==\n",
                                          "AQ",         "!!!",
                                          "AQ==,,AQ==", "-_-_",
                                          "AQ==AQ==",   "AQ==;AQ",
                                          "AR==",       many + ",AQ==",
                                          "AQ==,AQ==,", std::string((std::size_t{1} << 20) + 4, 'A')};
  for (const auto& each : cases) {
    const auto packets = split_packets(each);
    ASSERT_FALSE(packets) << each.substr(0, 40);
    EXPECT_EQ(packets.error().code(), Code::annotation_invalid);
  }
}

TEST(JweRecipients, EachRecipientOpensTheLayerAndStrangersDoNot) {
  std::vector<PrivateKey> owners;
  std::vector<crypto::PublicKey> recipients;
  for (const auto kind : {KeyKind::rsa, KeyKind::p256, KeyKind::p384, KeyKind::p521}) {
    owners.push_back(PrivateKey::generate(kind).value());
    recipients.push_back(owners.back().public_key());
  }
  const auto options = some_options();
  const auto annotations = with_jwe(wrap_for_recipients(options, recipients).value());
  EXPECT_TRUE(has_key_pair_recipients(annotations));
  EXPECT_TRUE(provider_key_ids(annotations)->empty());
  EXPECT_EQ(split_packets(annotations.at(std::string(kJweKeysKey)))->size(), owners.size());
  for (const auto& owner : owners) {
    KeySource keys;
    keys.private_key = private_key_of(owner);
    const auto opened = unwrap_layer(annotations, keys);
    ASSERT_TRUE(opened) << opened.error().text();
    EXPECT_TRUE(opened->private_options.key.equals(options.key.view()));
  }
  for (const auto kind : {KeyKind::rsa, KeyKind::p256}) {
    const auto stranger = PrivateKey::generate(kind).value();
    KeySource keys;
    keys.private_key = private_key_of(stranger);
    const auto opened = unwrap_layer(annotations, keys);
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code(), Code::unwrap_failed);
  }
}

TEST(JweRecipients, CannotBeNoneOrASigningKey) {
  EXPECT_FALSE(wrap_for_recipients(some_options(), {}));
  const auto signer = PrivateKey::generate(KeyKind::ed25519)->public_key();
  EXPECT_FALSE(wrap_for_recipients(some_options(), {&signer, 1}));
}

// One layer for a key broker's key and for a private key, and what happens when either is not to be had.
class UnwrapOrder : public ::testing::Test {
 protected:
  UnwrapOrder() : owner_(PrivateKey::generate(KeyKind::p256).value()), kek_(random_kek()) {
    SystemRandom random;
    const auto recipient = owner_.public_key();
    annotations_ = with_provider(provider_annotation(kek_, kKeyId, some_options(), random).value());
    annotations_[std::string(kJweKeysKey)] = wrap_for_recipients(some_options(), {&recipient, 1}).value();
    keys_.kek = [this](std::string_view) -> Result<SecretBytes> {
      calls_ += 'k';
      return kek_error_ ? Result<SecretBytes>(fail(*kek_error_)) : SecretBytes::copy_of(kek_);
    };
    keys_.private_key = [this]() -> Result<SecretBytes> {
      calls_ += 'p';
      return private_error_ ? Result<SecretBytes>(fail(*private_error_)) : owner_.to_pem();
    };
  }

  Annotations annotations_;
  PrivateKey owner_;
  Bytes kek_;
  KeySource keys_;
  std::string calls_;
  std::optional<Error> kek_error_;
  std::optional<Error> private_error_;
};

TEST_F(UnwrapOrder, ProviderPacketsComeFirst) {
  EXPECT_TRUE(unwrap_layer(annotations_, keys_));
  EXPECT_EQ(calls_, "k");
}

TEST_F(UnwrapOrder, JweOpensWhenTheKeyBrokerDenies) {
  kek_error_ = Error(Code::kbs_denied, "policy");
  EXPECT_TRUE(unwrap_layer(annotations_, keys_));
  EXPECT_EQ(calls_, "kp");
}

TEST_F(UnwrapOrder, JweOpensWhenTheProviderAnnotationIsMalformed) {
  annotations_[std::string(kAttestationAgentKeysKey)] = "!!!";
  EXPECT_TRUE(unwrap_layer(annotations_, keys_));
  EXPECT_EQ(calls_, "p");
}

TEST_F(UnwrapOrder, ADenialSurfacesWhenNothingElseOpens) {
  kek_error_ = Error(Code::kbs_denied, "policy");
  private_error_ = Error(Code::kbs_resource_unavailable, "none");
  const auto opened = unwrap_layer(annotations_, keys_);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code(), Code::kbs_denied);
}

TEST_F(UnwrapOrder, AStopEndsTheSearchAtOnce) {
  kek_error_ = Error(Code::cancelled, "stop");
  const auto opened = unwrap_layer(annotations_, keys_);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code(), Code::cancelled);
  EXPECT_EQ(calls_, "k");
}

TEST_F(UnwrapOrder, AKeyOfTheWrongLengthIsNamed) {
  kek_.pop_back();
  annotations_.erase(std::string(kJweKeysKey));
  const auto opened = unwrap_layer(annotations_, keys_);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code(), Code::key_invalid);
}

TEST_F(UnwrapOrder, ASecondPacketOpensAfterTheFirstDoesNotAndItsKeyIsAskedForOnce) {
  SystemRandom random;
  const auto foreign = provider_annotation(random_kek(), kKeyId, some_options(), random).value();
  auto& value = annotations_[std::string(kAttestationAgentKeysKey)];
  value = foreign + "," + value;
  EXPECT_TRUE(unwrap_layer(annotations_, keys_));
  EXPECT_EQ(calls_, "k");
}

TEST_F(UnwrapOrder, SchemesWithoutAKeySourceDoNotCount) {
  keys_.kek = nullptr;
  EXPECT_TRUE(unwrap_layer(annotations_, keys_));
  keys_.private_key = nullptr;
  const auto opened = unwrap_layer(annotations_, keys_);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code(), Code::annotation_invalid);
}

TEST_F(UnwrapOrder, AnnotationsWithoutRecipientsAreInvalid) {
  const auto opened = unwrap_layer({{std::string(kPublicOptionsKey), public_options_value()}}, keys_);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code(), Code::annotation_invalid);
  EXPECT_EQ(calls_, "");
}

TEST_F(UnwrapOrder, PublicOptionsAreCheckedBeforeAnyKeyIsAskedFor) {
  annotations_[std::string(kPublicOptionsKey)] = "e30=";
  EXPECT_FALSE(unwrap_layer(annotations_, keys_));
  EXPECT_EQ(calls_, "");
}

}  // namespace
}  // namespace proplet::ocicrypt
