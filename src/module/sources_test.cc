#include "module/sources.h"

#include <gtest/gtest.h>

#include "base/encoding.h"
#include "module/test_support.h"

namespace proplet::module {
namespace {

using testing::FakeBroker;
using testing::MemoryImage;
using testing::wasm;

// Serves an image that a test owns.
class Borrowed final : public oci::ImageSource {
 public:
  explicit Borrowed(oci::ImageSource& image) : image_(image) {}
  [[nodiscard]] std::string name() const override { return image_.name(); }
  Result<oci::RawManifest> resolve(std::stop_token stop) override { return image_.resolve(std::move(stop)); }
  Result<oci::RawManifest> fetch_manifest(const oci::Descriptor& descriptor, std::stop_token stop) override {
    return image_.fetch_manifest(descriptor, std::move(stop));
  }
  Result<SecretBytes> fetch_blob(const oci::Descriptor& descriptor, std::size_t limit, std::stop_token stop) override {
    return image_.fetch_blob(descriptor, limit, std::move(stop));
  }

 private:
  oci::ImageSource& image_;
};

class SourcesTest : public ::testing::Test {
 protected:
  Result<Module> fetch(const ModuleRequest& request, std::size_t limit = 1 << 20, bool pull_images = true) {
    broker_.answer = testing::kek();
    const ImageOpener opener({.max_module_bytes = limit, .broker_host = {}, .default_key = {}}, &broker_);
    Sources sources(
        [this](const oci::Reference&) {
          ++opened_;
          return std::make_unique<Borrowed>(image_);
        },
        opener, {.max_module_bytes = limit, .pull_images = pull_images});
    return sources.fetch(request, nullptr, {});
  }

  FakeBroker broker_;
  MemoryImage image_;
  int opened_ = 0;
};

ModuleRequest inline_module(std::string base64) {
  return {.image_url = {}, .file_base64 = std::move(base64), .encrypted = false, .kbs_resource_path = {}};
}
ModuleRequest image(std::string url, bool encrypted = false, std::string key = {}) {
  return {.image_url = std::move(url), .file_base64 = {}, .encrypted = encrypted, .kbs_resource_path = std::move(key)};
}

TEST_F(SourcesTest, DecodesInlineModules) {
  const auto module = fetch(inline_module(base64_encode(wasm())));
  ASSERT_TRUE(module) << module.error().text();
  EXPECT_TRUE(module->bytes.equals(wasm()));
  EXPECT_EQ(module->digest, oci::Digest::of(wasm()).text());
  EXPECT_EQ(module->source, "inline");
  EXPECT_FALSE(module->confidential);
  EXPECT_EQ(opened_, 0);
}

TEST_F(SourcesTest, RefusesInlineModulesThatAreNotBase64) {
  for (const auto* text : {"AAA", "AA A", "AAAA\n", "!!!!", "AA-_"}) {
    const auto module = fetch(inline_module(text));
    ASSERT_FALSE(module) << text;
    EXPECT_EQ(module.error().code(), Code::format_invalid);
  }
}

TEST_F(SourcesTest, BoundsInlineModulesToTheByte) {
  for (std::size_t size = 40; size <= 45; ++size) {
    const auto module = fetch(inline_module(base64_encode(Bytes(size, 1))), 42);
    EXPECT_EQ(module.has_value(), size <= 42) << size;
    EXPECT_TRUE(module || module.error().code() == Code::size_limit);
  }
}

TEST_F(SourcesTest, AnInlineModuleIsNoAnswerToADemandForEncryption) {
  auto request = inline_module(base64_encode(wasm()));
  request.encrypted = true;
  request.image_url = "registry.example/add:1";
  const auto module = fetch(request);
  ASSERT_FALSE(module);
  EXPECT_EQ(module.error().code(), Code::not_encrypted);
}

TEST_F(SourcesTest, RefusesDownloadsAndBadReferencesWithoutOpeningAnything) {
  const std::vector<std::pair<std::string, Code>> cases = {
      {"http://example.com/add.wasm", Code::unsupported},
      {"https://example.com/add.wasm", Code::unsupported},
      {"", Code::reference_invalid},
      {"UPPER/case:1", Code::reference_invalid},
      {"a/b@sha256:123", Code::reference_invalid},
      {"../../etc/passwd", Code::reference_invalid},
  };
  for (const auto& [url, code] : cases) {
    for (const bool encrypted : {false, true}) {
      const auto module = fetch(image(url, encrypted));
      ASSERT_FALSE(module) << url;
      EXPECT_EQ(module.error().code_name(), code_info(code).name) << url;
    }
  }
  EXPECT_EQ(opened_, 0);
}

TEST_F(SourcesTest, OpensNoImageWhenPullingIsSwitchedOff) {
  const auto module = fetch(image("localhost/team/add"), 1 << 20, false);
  ASSERT_FALSE(module);
  EXPECT_EQ(module.error().code(), Code::unsupported);
  EXPECT_EQ(opened_, 0);
  EXPECT_TRUE(fetch(inline_module(base64_encode(wasm())), 1 << 20, false));
}

TEST_F(SourcesTest, PullsPlainImagesForPlainTasksOnly) {
  image_.add_layer("application/wasm", wasm());
  const auto module = fetch(image("registry.example/add:1"));
  ASSERT_TRUE(module) << module.error().text();
  EXPECT_TRUE(module->bytes.equals(wasm()));
  EXPECT_FALSE(module->confidential);

  const auto demanded = fetch(image("registry.example/add:1", true));
  ASSERT_FALSE(demanded);
  EXPECT_EQ(demanded.error().code(), Code::not_encrypted);
}

TEST_F(SourcesTest, PullsEncryptedImagesForEncryptedTasksOnly) {
  image_.add_encrypted("application/wasm", wasm());
  const auto module = fetch(image("registry.example/add:1", true, "default/key/k1"));
  ASSERT_TRUE(module) << module.error().text();
  EXPECT_TRUE(module->bytes.equals(wasm()));
  EXPECT_TRUE(module->confidential);

  const auto unmarked = fetch(image("registry.example/add:1"));
  ASSERT_FALSE(unmarked);
  EXPECT_EQ(unmarked.error().code(), Code::media_type_unsupported);
}

TEST_F(SourcesTest, ABadKeyPathStopsEncryptedTasksOnly) {
  const auto encrypted = fetch(image("registry.example/add:1", true, "not a path"));
  ASSERT_FALSE(encrypted);
  EXPECT_EQ(encrypted.error().code(), Code::format_invalid);
  EXPECT_NE(encrypted.error().text().find("kbs_resource_path"), std::string::npos);
  EXPECT_EQ(opened_, 0);

  image_.add_layer("application/wasm", wasm());
  EXPECT_TRUE(fetch(image("registry.example/add:1", false, "not a path")));
}

}  // namespace
}  // namespace proplet::module
