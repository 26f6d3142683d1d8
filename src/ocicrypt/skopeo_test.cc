// skopeo as the other side: what it encrypts we open, what we encrypt it opens.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "crypto/key.h"
#include "ocicrypt/key_wrap.h"
#include "ocicrypt/test_vectors.h"

namespace proplet::ocicrypt {
namespace {

namespace fs = std::filesystem;
using testing::annotations_of;
using testing::text;
using testing::vector_path;

constexpr std::string_view kTarType = "application/vnd.oci.image.layer.v1.tar";

class Skopeo : public ::testing::Test {
 protected:
  Skopeo() {
    std::string pattern = (fs::temp_directory_path() / "proplet-skopeo-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  ~Skopeo() override { fs::remove_all(folder_); }

  int copy(const std::string& arguments) {
    const auto command =
        fmt::format("cd '{}' && skopeo --insecure-policy copy {} >skopeo.log 2>&1", folder_.string(), arguments);
    return std::system(command.c_str());
  }
  Bytes read(const std::string& name) { return read_file((folder_ / name).string(), std::size_t{1} << 24).value(); }
  std::string log() { return std::string(text_of(read("skopeo.log"))); }

  // Stores a blob in the OCI layout `made` and returns its descriptor.
  json::object store(std::string_view media_type, ByteView bytes) {
    const auto hex = hex_encode(crypto::sha256(bytes));
    fs::create_directories(folder_ / "made/blobs/sha256");
    EXPECT_TRUE(write_file_atomically((folder_ / "made/blobs/sha256" / hex).string(), bytes, 0644));
    return {{"mediaType", media_type}, {"digest", "sha256:" + hex}, {"size", bytes.size()}};
  }
  void write(std::string_view name, std::string_view content) {
    EXPECT_TRUE(write_file_atomically((folder_ / name).string(), bytes_of(content), 0644));
  }
  void make_layout(ByteView plaintext, const EncryptedLayer& layer, const std::string& jwe_annotation) {
    const json::object config = {
        {"architecture", "amd64"},
        {"os", "linux"},
        {"rootfs", {{"type", "layers"}, {"diff_ids", {"sha256:" + hex_encode(crypto::sha256(plaintext))}}}}};
    auto descriptor = store(std::string(kTarType) + std::string(kEncryptedSuffix), layer.ciphertext);
    descriptor["annotations"] = {{kJweKeysKey, jwe_annotation},
                                 {kPublicOptionsKey, public_options_annotation(layer.public_options)}};
    const json::object manifest = {
        {"schemaVersion", 2},
        {"mediaType", "application/vnd.oci.image.manifest.v1+json"},
        {"config", store("application/vnd.oci.image.config.v1+json", bytes_of(json::serialize(config)))},
        {"layers", json::array{descriptor}}};
    const auto stored = store("application/vnd.oci.image.manifest.v1+json", bytes_of(json::serialize(manifest)));
    write("made/index.json", json::serialize(json::object{{"schemaVersion", 2}, {"manifests", json::array{stored}}}));
    write("made/oci-layout", R"({"imageLayoutVersion":"1.0.0"})");
  }

  fs::path folder_;
};

TEST_F(Skopeo, OpensWhatWeEncryptedForEachRecipient) {
  const auto plaintext = testing::vector_bytes(
      "layout/blobs/sha256/9291f03f24ad9a6ec5431762c95e25880189430c32e39219d87b6d62b252f4c2");  // a tar file
  SystemRandom random;
  const auto layer = encrypt_layer(plaintext, random);
  std::vector<crypto::PublicKey> recipients;
  for (const auto* name : {"keys/rsa1.pub.pem", "keys/ec.pub.pem", "keys/ec521.pub.pem"}) {
    recipients.push_back(crypto::PublicKey::from_pem(text_of(testing::vector_bytes(name))).value());
  }
  make_layout(plaintext, layer, wrap_for_recipients(layer.private_options, recipients).value());
  const auto hex = hex_encode(crypto::sha256(plaintext));
  for (const auto* name : {"keys/rsa1.key.pem", "keys/ec.key.pem", "keys/ec521.key.pem"}) {
    SCOPED_TRACE(name);
    fs::remove_all(folder_ / "out");
    ASSERT_EQ(copy(fmt::format("--decryption-key '{}' oci:made dir:out", vector_path(name))), 0) << log();
    EXPECT_EQ(read("out/" + hex), plaintext);
  }
  EXPECT_NE(copy(fmt::format("--decryption-key '{}' oci:made dir:other", vector_path("keys/rsa2.key.pem"))), 0);
}

TEST_F(Skopeo, EncryptsWhatWeOpen) {
  const auto command =
      fmt::format("--encryption-key 'jwe:{}' --encryption-key 'jwe:{}' 'oci:{}:plain-compat' dir:out",
                  vector_path("keys/rsa1.pub.pem"), vector_path("keys/ec.pub.pem"), vector_path("layout"));
  ASSERT_EQ(copy(command), 0) << log();
  const auto manifest = json::parse(text_of(read("out/manifest.json"))).value();
  const auto& layer = manifest.at("layers").at(0);
  const auto annotations = annotations_of(layer);
  ASSERT_EQ(is_encrypted(text(layer, "mediaType"), annotations).value(), true);
  const auto blob = read("out/" + text(layer, "digest").substr(7));
  for (const auto* name : {"keys/rsa1.key.pem", "keys/ec.key.pem"}) {
    KeySource keys;
    keys.private_key = [&]() -> Result<SecretBytes> { return SecretBytes::copy_of(testing::vector_bytes(name)); };
    const auto opened = unwrap_layer(annotations, keys);
    ASSERT_TRUE(opened) << opened.error().text();
    const auto plaintext =
        decrypt_in_place(SecretBytes::copy_of(blob), opened->public_options, opened->private_options);
    ASSERT_TRUE(plaintext) << plaintext.error().text();
    EXPECT_EQ("sha256:" + hex_encode(crypto::sha256(plaintext->view())), opened->private_options.digest);
  }
}

}  // namespace
}  // namespace proplet::ocicrypt
