#include "module/image_opener.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <thread>

#include "base/json.h"
#include "module/test_support.h"
#include "oci/layout.h"

namespace proplet::module {
namespace {

namespace fs = std::filesystem;
using testing::FakeBroker;
using testing::kek;
using testing::kKeyId;
using testing::MemoryImage;
using testing::uri;
using testing::vector_bytes;
using testing::wasm;

const fs::path kLayout = fs::path(PROPLET_VECTORS) / "ocicrypt" / "layout";

class ImageOpenerTest : public ::testing::Test {
 protected:
  void SetUp() override { broker_.answer = kek(); }

  Result<Module> open(oci::ImageSource& source, Encryption encryption = Encryption::required,
                      const std::optional<kbs::ResourceUri>& wanted = {}, std::stop_token stop = {}) {
    return ImageOpener(options_, &broker_).open(source, encryption, wanted, nullptr, std::move(stop));
  }
  Result<Module> open_tag(const std::string& tag, Encryption encryption,
                          const std::optional<kbs::ResourceUri>& wanted = {}, const fs::path& folder = kLayout) {
    const auto layout = oci::Layout::open(folder.string()).value();
    return open(*layout->source(tag), encryption, wanted);
  }
  // What `image` is refused with, by name; "" if it opens.
  std::string refusal(MemoryImage& image, const std::optional<kbs::ResourceUri>& wanted = {}) {
    const auto module = open(image, Encryption::required, wanted);
    return module ? "" : std::string(module.error().code_name());
  }

  FakeBroker broker_;
  ImageOpenerOptions options_{.max_module_bytes = 1 << 20, .broker_host = "kbs.example", .default_key = {}};
};

TEST_F(ImageOpenerTest, OpensEveryPlainVector) {
  for (const auto* tag : {"plain-compat", "wasm-w2o-plain", "wasm-cncf-plain"}) {
    SCOPED_TRACE(tag);
    for (const auto encryption : {Encryption::forbidden, Encryption::either}) {
      const auto module = open_tag(tag, encryption);
      ASSERT_TRUE(module) << module.error().text();
      EXPECT_TRUE(module->bytes.equals(wasm()));
      EXPECT_EQ(module->digest, oci::Digest::of(wasm()).text());
      EXPECT_FALSE(module->confidential);
    }
  }
  EXPECT_TRUE(broker_.asked.empty());
}

TEST_F(ImageOpenerTest, OpensEveryEncryptedVectorWithEachOfItsKeys) {
  const auto expected = json::parse(text_of(vector_bytes("expected.json"))).value();
  int opened = 0;
  for (const auto& tag : expected.as_object()) {
    const std::string name = tag.key();
    if (name == "mixed") continue;  // refused, see below
    for (const auto& key : tag.value().at("keys").as_array()) {
      const std::string file(key.as_string());
      SCOPED_TRACE(name + " with " + file);
      const bool recipient = file.ends_with(".pem");
      broker_.answer = vector_bytes(file);
      const auto wanted = uri(recipient ? "default/key/mine" : "default/key/module-kek");
      const auto module = open_tag(name, Encryption::required, wanted);
      ASSERT_TRUE(module) << module.error().text();
      EXPECT_TRUE(module->bytes.equals(wasm()));
      EXPECT_TRUE(module->confidential);
      EXPECT_NE(module->source.find(module->digest), std::string::npos);
      const std::string manifest(tag.value().at("manifest").as_string());
      EXPECT_EQ(module->digest == manifest, name != "index") << module->digest;
      EXPECT_EQ(broker_.asked, std::vector<std::string>{wanted->path()});
      broker_.asked.clear();
      ++opened;
    }
  }
  EXPECT_EQ(opened, 13);
}

TEST_F(ImageOpenerTest, RefusesVectorsByTheirManifestWithoutAskingForAKey) {
  struct Case {
    std::string tag;
    Encryption encryption;
    Code code;
  };
  const auto required = Encryption::required;
  const std::vector<Case> cases = {
      {"plain-compat", required, Code::not_encrypted},
      {"wasm-w2o-plain", required, Code::not_encrypted},
      {"wasm-cncf-plain", required, Code::not_encrypted},
      {"mixed", required, Code::partly_encrypted},
      {"mixed", Encryption::either, Code::partly_encrypted},
      {"mixed", Encryption::forbidden, Code::partly_encrypted},
      {"pkcs7", required, Code::key_invalid},  // no key named, and no default
      {"wasm-keyprovider", Encryption::forbidden, Code::media_type_unsupported},
      {"jwe-rsa", required, Code::key_invalid},  // likewise
      {"no-such-tag", required, Code::image_not_found},
  };
  for (const auto& each : cases) {
    SCOPED_TRACE(each.tag);
    const auto module = open_tag(each.tag, each.encryption);
    ASSERT_FALSE(module);
    EXPECT_EQ(module.error().code_name(), code_info(each.code).name) << module.error().text();
  }
  EXPECT_TRUE(broker_.asked.empty());
}

TEST_F(ImageOpenerTest, DamageInTheStoreIsADigestMismatch) {
  std::string pattern = (fs::temp_directory_path() / "image_opener.XXXXXX").string();
  const fs::path root = ::mkdtemp(pattern.data());
  const auto manifest_digest = std::string("453bde828c74015d10ec225d57d3765c3c08ad984f473d202763a1f066db2346");
  const auto config_digest = std::string("59a6e7f58787419ab3e5b3724a1cb85604f1d5ea8bae3a1f7357b682103d1cc5");
  const auto layer_digest = std::string("c01e34d2060417309ff071ea3708fa28080d664360da3a99a912448f4555c1a4");
  const std::vector<std::array<std::string, 3>> cases = {{"manifest", "wasm-keyprovider", manifest_digest},
                                                         {"config", "plain-compat", config_digest},
                                                         {"layer", "wasm-keyprovider", layer_digest}};
  for (const auto& [what, tag, digest] : cases) {
    SCOPED_TRACE(what);
    const fs::path folder = root / what;
    fs::copy(kLayout, folder, fs::copy_options::recursive);
    const fs::path blob = folder / "blobs" / "sha256" / digest;
    ASSERT_TRUE(fs::exists(blob));
    Bytes bytes = read_file(blob.string(), 1 << 20).value();
    bytes.back() ^= 1;
    ASSERT_TRUE(write_file_atomically(blob.string(), bytes, 0644));
    const auto flipped = open_tag(tag, Encryption::either, {}, folder);
    ASSERT_FALSE(flipped);
    EXPECT_EQ(flipped.error().code(), Code::digest_mismatch) << flipped.error().text();

    fs::resize_file(blob, bytes.size() - 1);
    const auto truncated = open_tag(tag, Encryption::either, {}, folder);
    ASSERT_FALSE(truncated);
    EXPECT_EQ(truncated.error().code(), Code::size_mismatch) << truncated.error().text();
  }
  fs::remove_all(root);
}

TEST_F(ImageOpenerTest, AFlippedByteUnderARightDigestIsAMacMismatch) {
  for (const std::size_t flip : {1U, 20U, 41U}) {
    MemoryImage image;
    image.add_encrypted("application/wasm", wasm(), kKeyId, flip);
    EXPECT_EQ(refusal(image), "MAC_MISMATCH");
  }
}

TEST_F(ImageOpenerTest, PlaintextMustBeWhatTheConfigSays) {
  const auto right = oci::Digest::of(wasm()).text();
  const auto wrong = oci::Digest::of(bytes_of("other")).text();
  for (const auto& [type, before, after] : std::vector<std::array<std::string, 3>>{
           {"application/vnd.wasm.config.v0+json", R"({"layerDigests":[")", R"("]})"},
           {"application/vnd.oci.image.config.v1+json", R"({"rootfs":{"diff_ids":[")", R"("]}})"}}) {
    MemoryImage image;
    image.add_encrypted("application/wasm", wasm());
    image.set_config(type, before + right + after);
    EXPECT_EQ(refusal(image), "");
    image.set_config(type, before + wrong + after);
    EXPECT_EQ(refusal(image), "DIGEST_MISMATCH");
    image.set_config(type, before + right + "\",\"" + right + after);
    EXPECT_EQ(refusal(image), "MANIFEST_INVALID");
  }
}

TEST_F(ImageOpenerTest, KeysThatDoNotFit) {
  MemoryImage image;
  image.add_encrypted("application/wasm", wasm());
  const std::vector<std::pair<Bytes, std::string>> cases = {{Bytes(32, 7), "UNWRAP_FAILED"},
                                                            {Bytes(31, 7), "KEY_INVALID"},
                                                            {Bytes(33, 7), "KEY_INVALID"},
                                                            {Bytes(), "KEY_INVALID"},
                                                            {kek(), ""}};
  for (const auto& [key, expected] : cases) {
    broker_.answer = key;
    EXPECT_EQ(refusal(image), expected);
  }
}

TEST_F(ImageOpenerTest, AJweForAnotherKeyDoesNotOpen) {
  broker_.answer = vector_bytes("keys/rsa2.key.pem");
  const auto other = open_tag("jwe-rsa", Encryption::required, uri("default/key/mine"));
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code(), Code::unwrap_failed);

  broker_.answer = kek();
  const auto no_private_key = open_tag("jwe-rsa", Encryption::required, uri("default/key/mine"));
  ASSERT_FALSE(no_private_key);
  EXPECT_EQ(no_private_key.error().code(), Code::key_invalid);
}

TEST_F(ImageOpenerTest, TheDefaultKeyOpensRecipientImages) {
  options_.default_key = uri("default/key/worker");
  broker_.answer = vector_bytes("keys/ec.key.pem");
  ASSERT_TRUE(open_tag("jwe-ec", Encryption::required));
  EXPECT_EQ(broker_.asked, std::vector<std::string>{"default/key/worker"});
}

TEST_F(ImageOpenerTest, ForeignKeysAndBrokersAreRefusedBeforeAnythingIsFetched) {
  struct Case {
    std::string key_id;
    std::string wanted;
    std::string expected;
  };
  for (const auto& each : {Case{"kbs:///default/key/k1", "default/key/k2", "KEY_MISMATCH"},
                           Case{"kbs://evil.example/default/key/k1", "default/key/k1", "KBS_NOT_ALLOWED"},
                           Case{"kbs:///default/key/k1", "kbs://evil.example/default/key/k1", "KBS_NOT_ALLOWED"},
                           Case{"file:///etc/shadow", "default/key/k1", "ANNOTATION_INVALID"}}) {
    MemoryImage image;
    image.add_encrypted("application/wasm", wasm(), each.key_id);
    EXPECT_EQ(refusal(image, uri(each.wanted)), each.expected);
    EXPECT_EQ(image.fetches, 0);
  }
  EXPECT_TRUE(broker_.asked.empty());
}

TEST_F(ImageOpenerTest, WithoutABrokerItsAbsenceIsTheReasonAndNothingIsFetched) {
  MemoryImage image;
  image.add_encrypted("application/wasm", wasm());
  const ImageOpener opener(options_, fail(Code::tee_unavailable, "no TEE here"));
  const auto module = opener.open(image, Encryption::required, {}, nullptr, {});
  ASSERT_FALSE(module);
  EXPECT_EQ(module.error().code(), Code::tee_unavailable);
  EXPECT_EQ(image.fetches, 0);

  MemoryImage plain;
  plain.add_layer("application/wasm", wasm());
  EXPECT_TRUE(opener.open(plain, Encryption::forbidden, {}, nullptr, {}));
}

TEST_F(ImageOpenerTest, PassesOnWhatTheBrokerAndTheRegistrySay) {
  MemoryImage image;
  image.add_encrypted("application/wasm", wasm());
  for (const auto code : {Code::kbs_unreachable, Code::kbs_denied, Code::kbs_protocol, Code::jwe_invalid}) {
    broker_.error = Error(code, "as the broker says");
    const auto module = open(image);
    ASSERT_FALSE(module);
    EXPECT_EQ(module.error().code(), code);
    EXPECT_EQ(module.error().stage(), Stage::key);
  }
  broker_.error.reset();
  for (const auto code : {Code::registry_unreachable, Code::registry_unauthorized, Code::size_mismatch}) {
    image.error = Error(code, "as the registry says");
    const auto module = open(image);
    ASSERT_FALSE(module);
    EXPECT_EQ(module.error().code(), code);
    EXPECT_EQ(module.error().stage(), Stage::pull);
  }
}

TEST_F(ImageOpenerTest, RefusesPlaintextThatIsNotWebAssembly) {
  for (const std::string_view plaintext : {"", "\0as", "(module)", "#!/bin/sh\nexec secret-canary"}) {
    MemoryImage image;
    image.add_encrypted("application/wasm", bytes_of(plaintext));
    const auto module = open(image);
    ASSERT_FALSE(module);
    EXPECT_EQ(module.error().code(), Code::module_invalid);
    EXPECT_EQ(module.error().text().find("canary"), std::string::npos);
  }
}

TEST_F(ImageOpenerTest, BoundsAllLayersTogetherBeforeFetchingAny) {
  options_.max_module_bytes = 100;
  MemoryImage image;
  for (int i = 0; i < 3; ++i) image.add_encrypted("application/vnd.oci.image.layer.v1.tar", Bytes(40, 1));
  EXPECT_EQ(refusal(image), "SIZE_LIMIT");
  image.manifest.layers.erase(image.manifest.layers.begin() + 1, image.manifest.layers.end());
  image.manifest.layers.front().size = std::uint64_t{10} << 30;
  EXPECT_EQ(refusal(image), "SIZE_LIMIT");
  image.manifest.layers.front().size = 101;
  EXPECT_EQ(refusal(image), "SIZE_LIMIT");
  EXPECT_EQ(image.fetches, 0);
  EXPECT_TRUE(broker_.asked.empty());
}

// An archive with a module.wasm of `size` bytes, most of them zero, compressed to almost nothing.
Bytes compressed_archive(std::size_t size) {
  std::string pattern = (fs::temp_directory_path() / "image_opener.XXXXXX").string();
  const fs::path folder = ::mkdtemp(pattern.data());
  std::ofstream(folder / "module.wasm") << std::string("\0asm\1\0\0\0", 8);
  fs::resize_file(folder / "module.wasm", size);
  const std::string command = "cd '" + folder.string() + "' && tar -czf out.tgz module.wasm";
  EXPECT_EQ(std::system(command.c_str()), 0);  // NOLINT(cert-env33-c): the real tar
  Bytes archive = read_file((folder / "out.tgz").string(), 1 << 20).value();
  fs::remove_all(folder);
  return archive;
}

TEST_F(ImageOpenerTest, BoundsWhatLayersUnpackToAndTheModuleInside) {
  options_.max_module_bytes = 200'000;
  const std::vector<std::pair<std::size_t, std::string>> cases = {
      {200'000, ""}, {200'001, "SIZE_LIMIT"}, {std::size_t{20} << 20, "SIZE_LIMIT"}};
  for (const auto& [size, expected] : cases) {
    MemoryImage image;
    image.add_encrypted("application/vnd.oci.image.layer.v1.tar+gzip", compressed_archive(size));
    EXPECT_EQ(refusal(image), expected) << size;
  }
  // Each is within the limit, all together are not.
  MemoryImage stack;
  const Bytes archive = compressed_archive(std::size_t{10} << 20);
  for (int i = 0; i < 2; ++i) stack.add_encrypted("application/vnd.oci.image.layer.v1.tar+gzip", archive);
  stack.add_encrypted("application/vnd.oci.image.layer.v1.tar+gzip", compressed_archive(1000));  // replaces both
  EXPECT_EQ(refusal(stack), "SIZE_LIMIT");
}

TEST_F(ImageOpenerTest, AsksOnceForAKeyThatSeveralLayersShare) {
  MemoryImage image;
  const Bytes end_of_archive(1024, 0);
  for (int i = 0; i < 3; ++i) image.add_encrypted("application/vnd.oci.image.layer.v1.tar", end_of_archive);
  EXPECT_EQ(refusal(image), "MODULE_INVALID");  // three empty archives
  EXPECT_EQ(broker_.asked.size(), 1U);
}

// Generous: a step that waits for what never comes would take the test's whole time.
void expect_soon(std::chrono::steady_clock::time_point start) {
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
}

TEST_F(ImageOpenerTest, AFailedPullEndsTheWaitForTheKey) {
  MemoryImage image;
  image.add_encrypted("application/wasm", wasm());
  image.error = Error(Code::registry_failed, "gone");
  broker_.blocks = true;
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(refusal(image), "REGISTRY_FAILED");
  expect_soon(start);
}

TEST_F(ImageOpenerTest, ARefusedKeyEndsThePull) {
  MemoryImage image;
  image.add_encrypted("application/wasm", wasm());
  image.blocks = true;
  broker_.error = Error(Code::kbs_denied, "no");
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(refusal(image), "KBS_DENIED");
  expect_soon(start);
}

TEST_F(ImageOpenerTest, AStopRequestEndsBoth) {
  MemoryImage image;
  image.add_encrypted("application/wasm", wasm());
  image.blocks = true;
  broker_.blocks = true;
  std::stop_source stop;
  auto opening =
      std::async(std::launch::async, [&] { return open(image, Encryption::required, {}, stop.get_token()); });
  while (image.fetches == 0) std::this_thread::yield();
  const auto start = std::chrono::steady_clock::now();
  stop.request_stop();
  const auto module = opening.get();
  expect_soon(start);
  ASSERT_FALSE(module);
  EXPECT_EQ(module.error().code(), Code::cancelled);
}

TEST_F(ImageOpenerTest, ReportsItsStages) {
  struct Observer final : StageObserver {
    void stage_finished(Stage stage, std::chrono::nanoseconds) override {
      const std::lock_guard lock(mutex);
      stages.push_back(stage);
    }
    std::mutex mutex;
    std::vector<Stage> stages;
  } observer;
  MemoryImage image;
  image.add_encrypted("application/wasm", wasm());
  ASSERT_TRUE(ImageOpener(options_, &broker_).open(image, Encryption::required, {}, &observer, {}));
  EXPECT_EQ(observer.stages, (std::vector<Stage>{Stage::resolve, Stage::pull, Stage::decrypt}));
}

}  // namespace
}  // namespace proplet::module
