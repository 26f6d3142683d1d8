#include "module/sources.h"

#include <gtest/gtest.h>

#include "base/encoding.h"
#include "module/test_support.h"
#include "propeller/chunk_message.h"
#include "support/scripted_server.h"

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

// A proxy that answers every request at once, with the bytes of one module.
class FakeProxy final : public ChunkRequester {
 public:
  Status request_chunks(std::string_view app_name) override {
    asked.emplace_back(app_name);
    if (delivers) {
      const std::string text =
          encode(propeller::ChunkMessage{std::string(app_name), 0, 1, base64_encode(testing::wasm())});
      source->chunk(bytes_of(text));
    }
    return {};
  }

  ChunkSource* source = nullptr;
  bool delivers = true;
  std::vector<std::string> asked;
};

class SourcesTest : public ::testing::Test {
 protected:
  SourcesTest()
      : chunks_(proxy_, log_,
                {.max_module_bytes = 1 << 20,
                 .first_pause = std::chrono::milliseconds(50),
                 .patience = std::chrono::milliseconds(200)}) {
    proxy_.source = &chunks_;
    net::HttpClientOptions options;
    options.allow_plain_http = true;
    http_ = *net::make_http_client(std::move(options));
    downloads_ = std::make_unique<HttpSource>(*http_, clock_, random_, HttpSourceOptions{.retry = {.attempts = 1}});
  }

  Result<Module> fetch(const ModuleRequest& request, std::size_t limit = 1 << 20, PullMode pull = PullMode::automatic) {
    broker_.answer = testing::kek();
    const ImageOpener opener({.max_module_bytes = limit, .broker_host = {}, .default_key = {}}, &broker_);
    const auto open = [this](const oci::Reference&) {
      ++opened_;
      return std::make_unique<Borrowed>(image_);
    };
    Sources sources({.registry = open,
                     .registry_at_first = open,
                     .has_credentials = [this](const oci::Reference&) { return has_credentials_; },
                     .opener = opener,
                     .http = *downloads_,
                     .chunks = chunks_,
                     .log = log_},
                    {.max_module_bytes = limit, .pull = pull});
    auto module = sources.fetch(request, nullptr, {});
    if (again_) module = sources.fetch(request, nullptr, {});
    return module;
  }

  FakeBroker broker_;
  MemoryImage image_;
  int opened_ = 0;
  bool has_credentials_ = false;
  bool again_ = false;  // the second answer counts
  Log log_{LogLevel::error, LogFormat::json};
  SystemClock clock_;
  SystemRandom random_;
  FakeProxy proxy_;
  ChunkSource chunks_;
  std::unique_ptr<net::HttpClient> http_;
  std::unique_ptr<HttpSource> downloads_;
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

TEST_F(SourcesTest, RefusesBadReferencesInEveryMode) {
  for (const auto* url : {"", "UPPER/case:1", "a/b@sha256:123", "../../etc/passwd", "ftp://example.com/a"}) {
    for (const bool encrypted : {false, true}) {
      for (const auto pull : {PullMode::automatic, PullMode::always, PullMode::never}) {
        const auto module = fetch(image(url, encrypted), 1 << 20, pull);
        ASSERT_FALSE(module) << url;
        EXPECT_EQ(module.error().code(), Code::reference_invalid) << url;
      }
    }
  }
  EXPECT_EQ(opened_, 0);
  EXPECT_TRUE(proxy_.asked.empty());
}

TEST_F(SourcesTest, DownloadsForPlainTasksOnly) {
  test_support::ScriptedServer server([](test_support::Connection& connection, const test_support::RecordedRequest&) {
    const Bytes module = wasm();
    return connection.write(test_support::response(200, text_of(module)));
  });
  for (const auto pull : {PullMode::automatic, PullMode::always, PullMode::never}) {
    const auto module = fetch(image(server.origin() + "/add.wasm"), 1 << 20, pull);
    ASSERT_TRUE(module) << module.error().text();
    EXPECT_TRUE(module->bytes.equals(wasm()));
  }
  const auto before = server.requests().size();
  const auto demanded = fetch(image(server.origin() + "/add.wasm", true));
  ASSERT_FALSE(demanded);
  EXPECT_EQ(demanded.error().code(), Code::not_encrypted);
  EXPECT_EQ(server.requests().size(), before);
  EXPECT_EQ(opened_, 0);
}

// Lets the registry fail while the image is resolved.
struct Failing {
  Code code;
  bool has_credentials;
  bool proxy_is_asked;
};

TEST_F(SourcesTest, TheProxyIsAskedOnlyWhenTheRegistryCannotBeReached) {
  const std::vector<Failing> cases = {
      {Code::registry_unreachable, false, true},
      {Code::registry_unreachable, true, true},
      {Code::registry_unauthorized, false, true},
      {Code::registry_unauthorized, true, false},
      {Code::image_not_found, false, false},
      {Code::registry_failed, false, false},
      {Code::digest_mismatch, false, false},
      {Code::manifest_invalid, false, false},
      {Code::media_type_unsupported, false, false},
      {Code::insecure_transport, false, false},
      {Code::cancelled, false, false},
  };
  for (const auto& [code, has_credentials, proxy_is_asked] : cases) {
    image_.resolve_error = Error(code, "the registry's answer");
    has_credentials_ = has_credentials;
    for (const auto pull : {PullMode::automatic, PullMode::always}) {
      proxy_.asked.clear();
      const auto module = fetch(image("registry.example/team/add:1"), 1 << 20, pull);
      const bool expected = proxy_is_asked && pull == PullMode::automatic;
      EXPECT_EQ(module.has_value(), expected) << code_info(code).name;
      EXPECT_EQ(proxy_.asked.size(), expected ? 1U : 0U) << code_info(code).name;
      EXPECT_TRUE(module || module.error().code() == code) << code_info(code).name;
    }
    proxy_.asked.clear();
    EXPECT_FALSE(fetch(image("registry.example/team/add:1", true)));
    EXPECT_TRUE(proxy_.asked.empty()) << "an encrypted image was asked of the proxy";
  }
}

TEST_F(SourcesTest, WhatHasBegunStraightIsNotFinishedByTheProxy) {
  image_.add_layer("application/wasm", wasm());
  image_.error = Error(Code::registry_unreachable, "gone");
  const auto module = fetch(image("registry.example/team/add:1"));
  ASSERT_FALSE(module);
  EXPECT_EQ(module.error().code(), Code::registry_unreachable);
  EXPECT_TRUE(proxy_.asked.empty());
}

TEST_F(SourcesTest, ARegistryThatCouldNotBeReachedIsNotTriedAgainSoon) {
  image_.resolve_error = Error(Code::registry_unreachable, "no route");
  again_ = true;
  EXPECT_TRUE(fetch(image("registry.example/team/add:1")));
  EXPECT_EQ(opened_, 1);
  EXPECT_EQ(proxy_.asked.size(), 2U);
}

TEST_F(SourcesTest, NamesBothReasonsWhenTheProxyIsNoHelp) {
  image_.resolve_error = Error(Code::registry_unreachable, "no route");
  proxy_.delivers = false;
  const auto module = fetch(image("registry.example/team/add:1"));
  ASSERT_FALSE(module);
  const std::string text = module.error().text();
  EXPECT_TRUE(text.find(": Timeout waiting for binary chunks") != std::string::npos) << text;
  EXPECT_NE(text.find("no route"), std::string::npos) << text;
}

TEST_F(SourcesTest, WithoutConnectionsToRegistriesPlainImagesComeFromTheProxyAndEncryptedOnesNotAtAll) {
  const auto module = fetch(image("registry.example/Team:1"), 1 << 20, PullMode::never);
  EXPECT_FALSE(module);  // not a reference
  const auto plain = fetch(image("registry.example/team/add:1"), 1 << 20, PullMode::never);
  ASSERT_TRUE(plain) << plain.error().text();
  EXPECT_TRUE(plain->bytes.equals(wasm()));
  EXPECT_EQ(proxy_.asked, std::vector<std::string>{"registry.example/team/add:1"});

  const auto encrypted = fetch(image("registry.example/team/add:1", true), 1 << 20, PullMode::never);
  ASSERT_FALSE(encrypted);
  EXPECT_EQ(encrypted.error().code(), Code::unsupported);
  EXPECT_NE(encrypted.error().text().find("PROPLET_OCI_PULL"), std::string::npos);
  EXPECT_EQ(opened_, 0);
  EXPECT_TRUE(fetch(inline_module(base64_encode(wasm())), 1 << 20, PullMode::never));
}

TEST_F(SourcesTest, ADigestInTheReferenceHoldsForChunksToo) {
  const std::string pinned = "registry.example/team/add@" + oci::Digest::of(wasm()).text();
  EXPECT_TRUE(fetch(image(pinned), 1 << 20, PullMode::never));
  EXPECT_EQ(proxy_.asked.back(), pinned);
  const std::string manifest = "registry.example/team/add@" + oci::Digest::of(bytes_of("manifest")).text();
  const auto module = fetch(image(manifest), 1 << 20, PullMode::never);
  ASSERT_FALSE(module);
  EXPECT_EQ(module.error().code(), Code::digest_mismatch);
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
