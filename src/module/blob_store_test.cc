#include "module/blob_store.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <thread>

namespace proplet::module {
namespace {

namespace fs = std::filesystem;

class BlobStoreTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "blob_store.XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
    folder_ = root_ / "deep" / "store";
  }
  void TearDown() override { fs::remove_all(root_); }

  [[nodiscard]] std::unique_ptr<BlobStore> make(std::uint64_t max_bytes = 1 << 20) const {
    auto store = BlobStore::open(folder_.string(), max_bytes);
    EXPECT_TRUE(store) << store.error().text();
    return *std::move(store);
  }
  static oci::Descriptor describe(std::string_view content) {
    return oci::describe("application/x", bytes_of(content));
  }
  static Status put(BlobStore& store, std::string_view content) {
    return store.put(describe(content).digest, bytes_of(content));
  }
  static bool has(BlobStore& store, std::string_view content) {
    const auto found = store.get(describe(content), {});
    return found && text_of(found->view()) == content;
  }
  [[nodiscard]] fs::path file_of(std::string_view content) const {
    return folder_ / ("sha256-" + std::string(describe(content).digest.hex()));
  }
  // As if the blob had last been used that long ago.
  void age(std::string_view content, int hours) const {
    fs::last_write_time(file_of(content), fs::file_time_type::clock::now() - std::chrono::hours(hours));
  }
  [[nodiscard]] std::size_t files() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
  }

  fs::path root_;
  fs::path folder_;
};

TEST_F(BlobStoreTest, KeepsBlobsPrivatelyAndForTheNextProcessToo) {
  EXPECT_TRUE(put(*make(), "ciphertext"));
  EXPECT_TRUE(has(*make(), "ciphertext"));
  EXPECT_FALSE(has(*make(), "something else"));
  EXPECT_EQ(fs::status(folder_).permissions(), fs::perms::owner_all);
  EXPECT_EQ(fs::status(file_of("ciphertext")).permissions(), fs::perms::owner_read | fs::perms::owner_write);
}

TEST_F(BlobStoreTest, RefusesAFolderThatOthersCouldFill) {
  fs::create_directories(folder_);
  for (const ::mode_t mode : {0777U, 0770U, 0702U}) {
    ASSERT_EQ(::chmod(folder_.c_str(), mode), 0);
    const auto store = BlobStore::open(folder_.string(), 100);
    ASSERT_FALSE(store) << mode;
    EXPECT_EQ(store.error().code(), Code::config_invalid);
  }
  ASSERT_EQ(::chmod(folder_.c_str(), 0755), 0);
  EXPECT_TRUE(BlobStore::open(folder_.string(), 100));

  const fs::path link = root_ / "link";
  fs::create_directory_symlink(folder_, link);
  const auto linked = BlobStore::open(link.string(), 100);
  ASSERT_FALSE(linked);
  EXPECT_EQ(linked.error().code(), Code::config_invalid);

  const auto no_folder = BlobStore::open("/dev/null/store", 100);
  ASSERT_FALSE(no_folder);
  EXPECT_EQ(no_folder.error().code(), Code::io_failed);
}

TEST_F(BlobStoreTest, RefusesAFolderOfAnotherUser) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give a folder away";
  fs::create_directories(folder_);
  ASSERT_EQ(::chmod(folder_.c_str(), 0700), 0);
  ASSERT_EQ(::chown(folder_.c_str(), 65534, 65534), 0);
  const auto store = BlobStore::open(folder_.string(), 100);
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().code(), Code::config_invalid);
}

TEST_F(BlobStoreTest, ADamagedBlobIsAMissAndIsRemoved) {
  const auto store = make();
  ASSERT_TRUE(put(*store, "good bytes"));
  std::ofstream(file_of("good bytes")) << "evil bytes";
  EXPECT_FALSE(has(*store, "good bytes"));
  EXPECT_FALSE(fs::exists(file_of("good bytes")));
}

TEST_F(BlobStoreTest, ATruncatedBlobIsAMissUntilItIsPutAgain) {
  const auto store = make();
  ASSERT_TRUE(put(*store, "good bytes"));
  fs::resize_file(file_of("good bytes"), 4);
  EXPECT_FALSE(has(*store, "good bytes"));
  ASSERT_TRUE(put(*store, "good bytes"));
  EXPECT_TRUE(has(*store, "good bytes"));
}

TEST_F(BlobStoreTest, ADescriptorThatLiesAboutTheSizeDoesNoHarm) {
  const auto store = make();
  ASSERT_TRUE(put(*store, "good bytes"));
  auto lie = describe("good bytes");
  lie.size = std::uint64_t{1} << 60;
  EXPECT_FALSE(store->get(lie, {}));
  EXPECT_TRUE(has(*store, "good bytes"));
}

TEST_F(BlobStoreTest, NeitherLinksNorPipesAreRead) {
  const auto store = make();
  const fs::path elsewhere = root_ / "elsewhere";
  std::ofstream(elsewhere) << "linked";
  fs::create_symlink(elsewhere, file_of("linked"));
  EXPECT_FALSE(has(*store, "linked"));
  ASSERT_EQ(::mkfifo(file_of("piped").c_str(), 0600), 0);
  EXPECT_FALSE(has(*store, "piped"));
}

TEST_F(BlobStoreTest, TheLeastRecentlyUsedBlobGoesFirst) {
  const auto store = make(11);
  ASSERT_TRUE(put(*store, "aaaa"));
  ASSERT_TRUE(put(*store, "bbbb"));
  age("aaaa", 3);
  age("bbbb", 2);
  EXPECT_TRUE(has(*store, "aaaa"));  // now the most recent one
  ASSERT_TRUE(put(*store, "cccc"));
  EXPECT_TRUE(has(*store, "aaaa"));
  EXPECT_FALSE(has(*store, "bbbb"));
  EXPECT_TRUE(has(*store, "cccc"));

  const auto too_large = put(*store, "twelve bytes");
  ASSERT_FALSE(too_large);
  EXPECT_EQ(too_large.error().code(), Code::size_limit);
  EXPECT_EQ(files(), 2U);
}

TEST_F(BlobStoreTest, TheLimitIsExact) {
  const auto store = make(8);
  ASSERT_TRUE(put(*store, "aaaa"));
  ASSERT_TRUE(put(*store, "bbbb"));
  EXPECT_EQ(files(), 2U);
  age("aaaa", 1);
  ASSERT_TRUE(put(*store, "c"));
  EXPECT_FALSE(has(*store, "aaaa"));
  EXPECT_TRUE(has(*store, "bbbb"));
  ASSERT_TRUE(put(*store, "dddd"));  // nine bytes
  EXPECT_EQ(files(), 2U);
}

TEST_F(BlobStoreTest, CleansUpAfterDeadWritersButTouchesNothingElse) {
  const auto store = make(4);
  std::ofstream(folder_ / ".new-dead") << "half";
  std::ofstream(folder_ / ".new-alive") << "half";
  std::ofstream(folder_ / "notes.txt") << "kept, though it is old and large";
  fs::last_write_time(folder_ / ".new-dead", fs::file_time_type::clock::now() - std::chrono::hours(2));
  ASSERT_TRUE(put(*store, "aaaa"));
  EXPECT_FALSE(fs::exists(folder_ / ".new-dead"));
  EXPECT_TRUE(fs::exists(folder_ / ".new-alive"));
  EXPECT_TRUE(fs::exists(folder_ / "notes.txt"));
  EXPECT_TRUE(has(*store, "aaaa"));
}

TEST_F(BlobStoreTest, AFullDiskIsAnErrorThatLeavesNothingBehind) {
  const auto store = make();
  const std::string large(100'000, 'x');
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit small = before;
  small.rlim_cur = 50'000;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const auto status = put(*store, large);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, old_handler);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code(), Code::io_failed);
  EXPECT_EQ(files(), 0U);
}

TEST_F(BlobStoreTest, AFolderThatVanishedIsAMissNotAFailure) {
  const auto store = make();
  ASSERT_TRUE(put(*store, "aaaa"));
  fs::remove_all(folder_);
  EXPECT_FALSE(has(*store, "aaaa"));
  EXPECT_FALSE(put(*store, "aaaa"));
}

TEST_F(BlobStoreTest, ThreadsAndStoresShareAFolder) {
  std::vector<std::jthread> threads;
  threads.reserve(4);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([this] {
      const auto store = make(60);
      for (int i = 0; i < 50; ++i) {
        const std::string content = "blob number " + std::to_string(i % 7);
        EXPECT_TRUE(put(*store, content));
        const auto found = store->get(describe(content), {});
        EXPECT_TRUE(!found || text_of(found->view()) == content);
      }
    });
  }
  threads.clear();
  std::uintmax_t total = 0;
  for (const auto& file : fs::directory_iterator(folder_)) total += file.file_size();
  EXPECT_LE(total, 60U);
}

// Counts what reaches it.
class Origin final : public oci::ImageSource {
 public:
  explicit Origin(int& requests) : requests_(requests) {}
  [[nodiscard]] std::string name() const override { return "origin"; }
  Result<oci::RawManifest> resolve(std::stop_token stop) override {
    return fetch_manifest(oci::describe(std::string(oci::kOciManifestType), bytes_of("{}")), std::move(stop));
  }
  Result<oci::RawManifest> fetch_manifest(const oci::Descriptor& descriptor, std::stop_token) override {
    ++requests_;
    return oci::RawManifest{descriptor.digest, descriptor.media_type, "{}"};
  }
  Result<SecretBytes> fetch_blob(const oci::Descriptor& descriptor, std::size_t limit, std::stop_token) override {
    ++requests_;
    if (descriptor.size > limit) return fail(Code::size_limit, "too large");
    return SecretBytes::copy_of(bytes_of("layer"));
  }

 private:
  int& requests_;
};

TEST_F(BlobStoreTest, ACachedSourceAsksOnceForWhatHasADigestAndAlwaysForNames) {
  const auto store = make();
  int requests = 0;
  CachedImageSource source(std::make_unique<Origin>(requests), *store);
  const auto layer = oci::describe("application/wasm", bytes_of("layer"));
  const auto manifest = oci::describe(std::string(oci::kOciManifestType), bytes_of("{}"));
  for (int i = 0; i < 3; ++i) {
    const auto blob = source.fetch_blob(layer, 100, {});
    ASSERT_TRUE(blob);
    EXPECT_EQ(text_of(blob->view()), "layer");
    const auto raw = source.fetch_manifest(manifest, {});
    ASSERT_TRUE(raw);
    EXPECT_EQ(raw->bytes, "{}");
    EXPECT_EQ(raw->media_type, oci::kOciManifestType);
    EXPECT_EQ(raw->digest, manifest.digest);
  }
  EXPECT_EQ(requests, 2);
  EXPECT_TRUE(source.resolve({}));
  EXPECT_TRUE(source.resolve({}));
  EXPECT_EQ(requests, 4);

  const auto limited = source.fetch_blob(layer, 4, {});
  ASSERT_FALSE(limited);
  EXPECT_EQ(limited.error().code(), Code::size_limit);
}

TEST_F(BlobStoreTest, ACachedSourceWorksWithABrokenStore) {
  const auto store = make();
  fs::remove_all(folder_);
  int requests = 0;
  CachedImageSource source(std::make_unique<Origin>(requests), *store);
  const auto layer = oci::describe("application/wasm", bytes_of("layer"));
  EXPECT_TRUE(source.fetch_blob(layer, 100, {}));
  EXPECT_TRUE(source.fetch_blob(layer, 100, {}));
  EXPECT_EQ(requests, 2);
}

}  // namespace
}  // namespace proplet::module
