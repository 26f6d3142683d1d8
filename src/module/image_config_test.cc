#include "module/image_config.h"

#include <gtest/gtest.h>

namespace proplet::module {
namespace {

constexpr std::string_view kOci = "application/vnd.oci.image.config.v1+json";
constexpr std::string_view kCncf = "application/vnd.wasm.config.v0+json";

std::string digest_text(std::string_view content) { return oci::Digest::of(bytes_of(content)).text(); }

TEST(ImageConfig, ReadsDigestsAndTheEntryPoint) {
  const auto config =
      parse_image_config(fmt::format(R"({{"os":"linux","config":{{"Entrypoint":["/app.wasm","-v"],"Cmd":["x"]}},)"
                                     R"("rootfs":{{"type":"layers","diff_ids":["{}","{}"]}}}})",
                                     digest_text("a"), digest_text("b")),
                         kOci, 2);
  ASSERT_TRUE(config) << config.error().text();
  EXPECT_EQ(config->entry_point, "/app.wasm");
  ASSERT_EQ(config->diff_ids.size(), 2U);
  EXPECT_EQ(config->diff_ids[1].text(), digest_text("b"));
  EXPECT_TRUE(config->layer_digests.empty());
}

TEST(ImageConfig, FallsBackToTheCommandAndToNothing) {
  EXPECT_EQ(parse_image_config(R"({"config":{"Entrypoint":null,"Cmd":["b.wasm"]}})", kOci, 1)->entry_point, "b.wasm");
  EXPECT_EQ(parse_image_config(R"({"config":{"Entrypoint":[]}})", kOci, 1)->entry_point, std::nullopt);
  EXPECT_EQ(parse_image_config("{}", "application/vnd.wasm.config.v1+json", 3)->entry_point, std::nullopt);
}

TEST(ImageConfig, VerifiesPlaintextByDiffId) {
  const auto config = parse_image_config(
      fmt::format(R"({{"rootfs":{{"diff_ids":["{}","{}"]}}}})", digest_text("a"), digest_text("b")), kOci, 2);
  ASSERT_TRUE(config);
  const auto stored = oci::Digest::of(bytes_of("stored"));
  EXPECT_TRUE(config->verify_layer(0, stored, bytes_of("a")));
  EXPECT_TRUE(config->verify_layer(1, stored, bytes_of("b")));
  const auto swapped = config->verify_layer(0, stored, bytes_of("b"));
  ASSERT_FALSE(swapped);
  EXPECT_EQ(swapped.error().code(), Code::digest_mismatch);
  // diff_ids are of the plaintext; that the stored bytes have the digest proves nothing.
  EXPECT_FALSE(config->verify_layer(0, oci::Digest::of(bytes_of("a")), bytes_of("b")));
}

TEST(ImageConfig, LayerDigestsMayBeOfTheStoredLayerOrOfItsPlaintext) {
  const auto config = parse_image_config(fmt::format(R"({{"layerDigests":["{}"]}})", digest_text("a")), kCncf, 1);
  ASSERT_TRUE(config);
  EXPECT_TRUE(config->verify_layer(0, oci::Digest::of(bytes_of("a")), bytes_of("anything")));
  EXPECT_TRUE(config->verify_layer(0, oci::Digest::of(bytes_of("ciphertext")), bytes_of("a")));
  const auto neither = config->verify_layer(0, oci::Digest::of(bytes_of("ciphertext")), bytes_of("b"));
  ASSERT_FALSE(neither);
  EXPECT_EQ(neither.error().code(), Code::digest_mismatch);
}

TEST(ImageConfig, ChecksNothingWhenNothingIsStated) {
  const auto config = parse_image_config(R"({"rootfs":{"diff_ids":[]}})", kOci, 1);
  ASSERT_TRUE(config);
  EXPECT_TRUE(config->verify_layer(0, oci::Digest::of(bytes_of("x")), bytes_of("y")));
}

TEST(ImageConfig, RefusesMalformedOnes) {
  const std::string one = digest_text("a");
  const std::vector<std::pair<std::string, std::string_view>> cases = {
      {"", kOci},
      {"[]", kOci},
      {"{", kOci},
      {R"({"rootfs":{},"rootfs":{}})", kOci},
      {R"({"rootfs":"x"})", kOci},
      {R"({"rootfs":{"diff_ids":"x"}})", kOci},
      {R"({"rootfs":{"diff_ids":[1,2]}})", kOci},
      {R"({"rootfs":{"diff_ids":["sha256:../../etc","x"]}})", kOci},
      {R"({"rootfs":{"diff_ids":[")" + one + R"("]}})", kOci},
      {R"({"config":{"Entrypoint":[7]}})", kOci},
      {R"({"config":{"Entrypoint":"/a.wasm"}})", kOci},
      {R"({"layerDigests":[")" + one + R"("]})", kCncf},
      {R"({"layerDigests":{}})", kCncf},
      {std::string(40, '[') + std::string(40, ']'), kOci},
      {R"({"x":")" + std::string(oci::kMaxManifestBytes, 'x') + R"("})", kOci},
  };
  for (const auto& [text, type] : cases) {
    const auto config = parse_image_config(text, type, 2);
    ASSERT_FALSE(config) << text.substr(0, 80);
    EXPECT_EQ(config.error().code(), Code::manifest_invalid);
  }
}

}  // namespace
}  // namespace proplet::module
