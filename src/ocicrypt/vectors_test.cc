// Every vector of tests/vectors/ocicrypt: what other tools wrote, and what a hostile one might.
#include <gtest/gtest.h>

#include <map>

#include "ocicrypt/key_wrap.h"
#include "ocicrypt/test_vectors.h"

namespace proplet::ocicrypt {
namespace {

using testing::annotations_of;
using testing::text;
using testing::vector_bytes;
using testing::vector_json;

KeySource keys_from(const std::string& key_path) {
  KeySource keys;
  if (key_path.ends_with(".pem")) {
    keys.private_key = [key_path]() -> Result<SecretBytes> { return SecretBytes::copy_of(vector_bytes(key_path)); };
  } else {
    keys.kek = [key_path](std::string_view) -> Result<SecretBytes> {
      return SecretBytes::copy_of(vector_bytes(key_path));
    };
  }
  return keys;
}

Result<SecretBytes> open_layer(std::string_view media_type, const Annotations& annotations, ByteView blob,
                               const KeySource& keys) {
  TRY_ASSIGN(const bool encrypted, is_encrypted(media_type, annotations));
  if (!encrypted) return fail(Code::not_encrypted, "plain layer");
  TRY_ASSIGN(const auto opened, unwrap_layer(annotations, keys));
  return decrypt_in_place(SecretBytes::copy_of(blob), opened.public_options, opened.private_options);
}

std::string sha256_hex(ByteView bytes) { return hex_encode(crypto::sha256(bytes)); }

TEST(OcicryptVectors, EveryHostileLayerIsRefusedForItsReasonAndEveryGoodOneOpens) {
  const std::map<std::string, Code> reasons = {
      {"bad-hmac", Code::mac_mismatch},
      {"short-hmac", Code::annotation_invalid},
      {"empty-hmac", Code::annotation_invalid},
      {"ciphertext-bit-flip", Code::mac_mismatch},
      {"ciphertext-truncated", Code::mac_mismatch},
      {"ciphertext-extended", Code::mac_mismatch},
      {"no-pubopts", Code::annotation_invalid},
      {"unknown-cipher", Code::annotation_invalid},
      {"nonce-absent", Code::annotation_invalid},
      {"nonce-12", Code::annotation_invalid},
      {"public-nonce-overrides", Code::annotation_invalid},
      {"symkey-31", Code::key_invalid},
      {"annotation-url-safe", Code::annotation_invalid},
      {"annotation-unpadded", Code::annotation_invalid},
      {"comma-space", Code::annotation_invalid},
      {"list-bad-item-first", Code::annotation_invalid},
      {"other-recipient-only", Code::unwrap_failed},
      {"jwe-tag-flip", Code::unwrap_failed},
      {"jwe-protected-reordered", Code::unwrap_failed},
      {"suffix-absent", Code::annotation_invalid},
  };
  const auto cases = vector_json("layer-cases.json");
  ASSERT_EQ(cases.as_array().size(), 38u);
  for (const auto& each : cases.as_array()) {
    const auto name = text(each, "name");
    SCOPED_TRACE(name);
    const auto blob = base64_decode(text(each, "blob")).value();
    const auto opened = open_layer(text(each, "mediaType"), annotations_of(each), blob, keys_from(text(each, "key")));
    if (text(each, "expect") == "ok") {
      ASSERT_TRUE(opened) << opened.error().text();
      EXPECT_EQ(sha256_hex(opened->view()), text(each, "plaintextSha256"));
    } else {
      ASSERT_FALSE(opened);
      ASSERT_TRUE(reasons.contains(name));
      EXPECT_EQ(opened.error().code_name(), code_info(reasons.at(name)).name) << opened.error().text();
    }
  }
}

Bytes blob_of(const json::value& descriptor) {
  const auto digest = text(descriptor, "digest");
  const auto blob = vector_bytes("layout/blobs/sha256/" + digest.substr(digest.find(':') + 1));
  EXPECT_EQ("sha256:" + sha256_hex(blob), digest);
  return blob;
}

json::value manifest_of(const std::string& tag) {
  const auto index = vector_json("layout/index.json");
  for (const auto& entry : index.at("manifests").as_array()) {
    if (text(entry.at("annotations"), "org.opencontainers.image.ref.name") != tag) continue;
    auto manifest = json::parse(text_of(blob_of(entry))).value();
    if (!manifest.as_object().contains("manifests")) return manifest;
    for (const auto& instance : manifest.at("manifests").as_array()) {
      if (text(instance.at("platform"), "os") == "wasip1") return json::parse(text_of(blob_of(instance))).value();
    }
  }
  ADD_FAILURE() << "no tag " << tag;
  return json::object();
}

TEST(OcicryptVectors, EveryEncryptedTagOpensWithEachOfItsKeys) {
  const auto expected = vector_json("expected.json");
  int opened_layers = 0;
  for (const auto& tag : expected.as_object()) {
    const std::string name = tag.key();
    SCOPED_TRACE(name);
    const auto manifest = manifest_of(name);
    for (const auto& key : tag.value().at("keys").as_array()) {
      const auto keys = keys_from(std::string(key.as_string()));
      const auto& layers = manifest.at("layers").as_array();
      for (std::size_t i = 0; i < layers.size(); ++i) {
        const auto annotations = annotations_of(layers[i]);
        const auto media_type = text(layers[i], "mediaType");
        if (!is_encrypted(media_type, annotations).value()) continue;
        const auto plaintext = open_layer(media_type, annotations, blob_of(layers[i]), keys);
        ASSERT_TRUE(plaintext) << plaintext.error().text();
        EXPECT_EQ(sha256_hex(plaintext->view()), text(tag.value().at("layers").at(i), "sha256"));
        ++opened_layers;
      }
    }
  }
  EXPECT_EQ(opened_layers, 14);
}

TEST(OcicryptVectors, APkcs7RecipientIsNotAnyRsaKey) {
  const auto manifest = manifest_of("pkcs7");
  const auto& layer = manifest.at("layers").at(0);
  for (const auto* key : {"keys/rsa2.key.pem", "keys/ec.key.pem"}) {
    const auto opened = open_layer(text(layer, "mediaType"), annotations_of(layer), blob_of(layer), keys_from(key));
    ASSERT_FALSE(opened) << key;
    EXPECT_EQ(opened.error().code(), Code::unwrap_failed) << opened.error().text();
  }
}

TEST(OcicryptVectors, PacketsOfEveryAgeOpen) {
  const auto vectors = vector_json("annotation-packets.json");
  const auto kek = hex_decode(text(vectors, "kek")).value();
  const auto expected = parse_private_options(bytes_of(text(vectors, "optsdata")), {}).value();
  PublicOptions public_options;
  KeySource keys;
  keys.kek = [&](std::string_view) -> Result<SecretBytes> { return SecretBytes::copy_of(kek); };
  for (const auto& each : vectors.at("packets").as_array()) {
    const auto name = text(each, "name");
    SCOPED_TRACE(name);
    const auto packet = text(each, "packet");
    const Annotations annotations = {{std::string(kAttestationAgentKeysKey), base64_encode(bytes_of(packet))},
                                     {std::string(kPublicOptionsKey), public_options_annotation(public_options)}};
    const auto opened = unwrap_layer(annotations, keys);
    ASSERT_TRUE(opened) << opened.error().text();
    EXPECT_TRUE(opened->private_options.key.equals(expected.key.view()));
    EXPECT_EQ(opened->private_options.nonce, expected.nonce);
    EXPECT_EQ(parse_provider_packet(packet)->key_id,
              name == "2022-bare-kid" ? "default/key/module-kek" : "kbs:///default/key/module-kek");
    if (name.starts_with("v1")) {
      EXPECT_EQ(serialize(*parse_provider_packet(packet)), packet);
    }
  }
}

TEST(OcicryptVectors, EveryEncodingOfAKeyEncryptionKeyDecodes) {
  const auto vectors = vector_json("annotation-packets.json");
  const auto kek = hex_decode(text(vectors, "kek")).value();
  for (const auto& each : vectors.at("kekFormats").as_array()) {
    const auto decoded = decode_key_encryption_key(base64_decode(text(each, "b64")).value());
    ASSERT_TRUE(decoded) << text(each, "name");
    EXPECT_TRUE(decoded->equals(kek)) << text(each, "name");
  }
  for (const auto* file : {"keys/kek.bin", "keys/kek.b64", "keys/kek.hex"}) {
    EXPECT_TRUE(decode_key_encryption_key(vector_bytes(file)).value().equals(kek)) << file;
  }
}

}  // namespace
}  // namespace proplet::ocicrypt
