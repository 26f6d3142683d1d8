#include "module/image_keys.h"

#include <gtest/gtest.h>

#include "module/test_support.h"

namespace proplet::module {
namespace {

using testing::FakeBroker;
using testing::kek;
using testing::kKeyId;
using testing::uri;
using testing::vector_bytes;

ocicrypt::EncryptedLayer sealed() {
  SystemRandom random;
  return ocicrypt::encrypt_layer(bytes_of("plaintext"), random);
}

// Annotations with one provider packet for each key id, and perhaps a JWE recipient (rsa1).
ocicrypt::Annotations annotations_for(const std::vector<std::string>& key_ids, bool jwe = false) {
  const auto layer = sealed();
  ocicrypt::Annotations annotations;
  annotations.emplace(ocicrypt::kPublicOptionsKey, ocicrypt::public_options_annotation(layer.public_options));
  std::string packets;
  for (const auto& key_id : key_ids) {
    packets += (packets.empty() ? "" : ",") + testing::provider_annotation(key_id, layer.private_options);
  }
  if (!packets.empty()) annotations.emplace(ocicrypt::kAttestationAgentKeysKey, packets);
  if (jwe) {
    const auto pem = vector_bytes("keys/rsa1.pub.pem");
    const std::vector<crypto::PublicKey> recipients = {crypto::PublicKey::from_pem(text_of(pem)).value()};
    annotations.emplace(ocicrypt::kJweKeysKey,
                        ocicrypt::wrap_for_recipients(layer.private_options, recipients).value());
  }
  return annotations;
}

KeyRules rules(std::optional<kbs::ResourceUri> wanted = {}, std::optional<kbs::ResourceUri> default_key = {}) {
  return {.wanted = std::move(wanted), .default_key = std::move(default_key), .broker_host = "kbs.example:8080"};
}

TEST(CheckKeyIds, DecidesBeforeAnybodyIsAsked) {
  struct Case {
    std::string what;
    ocicrypt::Annotations annotations;
    KeyRules rules;
    std::optional<Code> refused;
  };
  const std::string k1(kKeyId);
  const std::string ours = "kbs://kbs.example:8080/default/key/k1";
  const std::string theirs = "kbs://evil.example/default/key/k1";
  auto no_options = annotations_for({k1});
  no_options.erase(std::string(ocicrypt::kPublicOptionsKey));
  auto garbage = annotations_for({k1});
  garbage[std::string(ocicrypt::kAttestationAgentKeysKey)] += ",x";
  const std::vector<Case> cases = {
      {"nothing named", annotations_for({k1}), rules(), {}},
      {"the same key", annotations_for({k1}), rules(uri("default/key/k1")), {}},
      {"our host", annotations_for({ours}), rules(uri("default/key/k1")), {}},
      {"one of two", annotations_for({"kbs:///default/key/k2", k1}), rules(uri("default/key/k1")), {}},
      {"another key", annotations_for({k1}), rules(uri("default/key/k2")), Code::key_mismatch},
      {"a prefix of the key", annotations_for({"kbs:///default/key/k"}), rules(uri(k1)), Code::key_mismatch},
      {"a foreign host", annotations_for({theirs}), rules(), Code::kbs_not_allowed},
      {"a foreign host, same key", annotations_for({theirs}), rules(uri(k1)), Code::kbs_not_allowed},
      {"our host at another port", annotations_for({"kbs://kbs.example/default/key/k1"}), rules(),
       Code::kbs_not_allowed},
      {"the task names a foreign host", annotations_for({k1}), rules(uri(theirs)), Code::kbs_not_allowed},
      {"the task names a foreign host for JWE", annotations_for({}, true), rules(uri(theirs)), Code::kbs_not_allowed},
      {"no resource", annotations_for({"/etc/passwd"}), rules(), Code::annotation_invalid},
      {"another plugin", annotations_for({"kbs+pkcs11:///a/b/c"}), rules(), Code::annotation_invalid},
      {"a path upwards", annotations_for({"kbs:///a/../c"}), rules(), Code::annotation_invalid},
      {"JWE and no key", annotations_for({}, true), rules(), Code::key_invalid},
      {"JWE and the task's key", annotations_for({}, true), rules(uri("default/key/rsa")), {}},
      {"JWE and the default key", annotations_for({}, true), rules({}, uri("default/key/rsa")), {}},
      {"another key, but JWE too", annotations_for({"kbs:///default/key/k2"}, true), rules(uri(k1)), {}},
      {"the default key is no rule for packets", annotations_for({k1}), rules({}, uri("default/key/rsa")), {}},
      {"no recipients", annotations_for({}), rules(uri(k1)), Code::annotation_invalid},
      {"no public options", no_options, rules(), Code::annotation_invalid},
      {"one damaged packet", garbage, rules(), Code::annotation_invalid},
  };
  for (const auto& each : cases) {
    SCOPED_TRACE(each.what);
    const auto status = check_key_ids(each.annotations, each.rules);
    EXPECT_EQ(status.has_value(), !each.refused) << (status ? "" : status.error().text());
    if (!status && each.refused) {
      EXPECT_EQ(status.error().code_name(), code_info(*each.refused).name) << status.error().text();
    }
  }
}

TEST(KeyRing, AsksForAKeyOnceForAllLayers) {
  FakeBroker broker;
  broker.answer = kek();
  const KeyRules any = rules();
  KeyRing ring(any, broker, nullptr, {});
  for (const auto* key_id :
       {"kbs:///default/key/k1", "kbs:///default/key/k1", "kbs://kbs.example:8080/default/key/k1"}) {
    const auto keys = ring.unwrap(annotations_for({key_id}));
    ASSERT_TRUE(keys) << keys.error().text();
    EXPECT_EQ(keys->private_options.key.size(), 32U);
  }
  EXPECT_EQ(broker.asked, std::vector<std::string>{"default/key/k1"});
}

TEST(KeyRing, ARefusedKeyIsNotAskedForAgain) {
  FakeBroker broker;
  broker.error = Error(Code::kbs_denied, "no");
  const KeyRules any = rules();
  KeyRing ring(any, broker, nullptr, {});
  for (int i = 0; i < 3; ++i) {
    const auto keys = ring.unwrap(annotations_for({std::string(kKeyId)}));
    ASSERT_FALSE(keys);
    EXPECT_EQ(keys.error().code(), Code::kbs_denied);
  }
  EXPECT_EQ(broker.asked.size(), 1U);
}

TEST(KeyRing, AnImageCannotHaveTheBrokerAskedWithoutEnd) {
  FakeBroker broker;
  broker.error = Error(Code::kbs_denied, "no");
  const KeyRules any = rules();
  KeyRing ring(any, broker, nullptr, {});
  for (int layer = 0; layer < 4; ++layer) {
    std::vector<std::string> key_ids;
    key_ids.reserve(16);
    for (int i = 0; i < 16; ++i) key_ids.push_back(fmt::format("kbs:///default/key/{}-{}", layer, i));
    EXPECT_FALSE(ring.unwrap(annotations_for(key_ids)));
  }
  EXPECT_EQ(broker.asked.size(), KeyRing::kMaxKeys);
}

TEST(KeyRing, NeverAsksForKeysOutsideTheRules) {
  FakeBroker broker;
  broker.answer = kek();
  const KeyRules strict = rules(uri(kKeyId));
  KeyRing ring(strict, broker, nullptr, {});
  const auto annotations =
      annotations_for({"kbs:///default/key/other", "kbs://evil.example/default/key/k1", std::string(kKeyId)});
  EXPECT_TRUE(ring.unwrap(annotations));
  EXPECT_EQ(broker.asked, std::vector<std::string>{"default/key/k1"});
}

TEST(KeyRing, OpensJweRecipientsWithTheTasksKeyElseWithTheDefault) {
  const auto annotations = annotations_for({}, true);
  for (const bool by_task : {true, false}) {
    FakeBroker broker;
    broker.resources = {{"default/key/task", vector_bytes("keys/rsa1.key.pem")},
                        {"default/key/default", vector_bytes("keys/rsa1.key.pem")}};
    const KeyRules key = rules(by_task ? uri("default/key/task") : std::nullopt, uri("default/key/default"));
    const auto keys = KeyRing(key, broker, nullptr, {}).unwrap(annotations);
    ASSERT_TRUE(keys) << keys.error().text();
    EXPECT_EQ(broker.asked, std::vector<std::string>{by_task ? "default/key/task" : "default/key/default"});
  }
}

TEST(KeyRing, FindsAmongSeveralPacketsTheOneThatOpens) {
  FakeBroker broker;
  broker.resources = {{"default/key/k1", Bytes(32, 7)}, {"default/key/k2", kek()}};
  const KeyRules any = rules();
  EXPECT_TRUE(
      KeyRing(any, broker, nullptr, {}).unwrap(annotations_for({"kbs:///default/key/k1", "kbs:///default/key/k2"})));
  EXPECT_EQ(broker.asked.size(), 2U);
}

TEST(KeyRing, KeysThatDoNotFitSaySo) {
  const std::vector<std::pair<Bytes, Code>> cases = {
      {Bytes(32, 7), Code::unwrap_failed}, {Bytes(31, 7), Code::key_invalid}, {Bytes(), Code::key_invalid}};
  for (const auto& [resource, code] : cases) {
    FakeBroker broker;
    broker.answer = resource;
    const KeyRules any = rules();
    const auto keys = KeyRing(any, broker, nullptr, {}).unwrap(annotations_for({std::string(kKeyId)}));
    ASSERT_FALSE(keys);
    EXPECT_EQ(keys.error().code_name(), code_info(code).name);
  }
}

}  // namespace
}  // namespace proplet::module
