#include "module/archive.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/fd.h"

namespace proplet::module {
namespace {

namespace fs = std::filesystem;

// A folder that real tar and gzip work in.
class Archive : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "archive.XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  void TearDown() override { fs::remove_all(folder_); }

  void put(const std::string& name, std::string_view content) const {
    fs::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name) << content;
  }
  [[nodiscard]] Bytes make(const std::string& command) const {
    const std::string line = "cd '" + folder_.string() + "' && " + command + " > out.bin";
    EXPECT_EQ(std::system(line.c_str()), 0) << line;
    return read_file((folder_ / "out.bin").string(), 64 << 20).value();
  }
  static std::vector<SecretBytes> layers(std::initializer_list<Bytes> archives) {
    std::vector<SecretBytes> stack;
    for (const auto& archive : archives) stack.push_back(SecretBytes::copy_of(archive));
    return stack;
  }

  fs::path folder_;
};

TEST_F(Archive, FindsTheModuleInEveryTarFormat) {
  const std::string long_name = std::string(120, 'd') + "/" + std::string(130, 'f') + ".wasm";
  put("module.wasm", "the module");
  put("other.txt", "text");
  put(long_name, "deep");
  for (const std::string format : {"ustar", "pax", "gnu"}) {
    const Bytes archive =
        make("tar --format=" + format + " -c ./module.wasm other.txt" + (format == "ustar" ? "" : " " + long_name));
    const auto module = find_module_in_layers(layers({archive}), std::nullopt);
    ASSERT_TRUE(module) << format << ": " << module.error().text();
    EXPECT_EQ(text_of(module->view()), "the module");
    if (format != "ustar") {
      const auto deep = find_module_in_layers(layers({archive}), "/" + long_name);
      ASSERT_TRUE(deep) << format << ": " << deep.error().text();
      EXPECT_EQ(text_of(deep->view()), "deep");
    }
  }
}

TEST_F(Archive, HigherLayersReplaceAndWhiteOut) {
  put("module.wasm", "old");
  const Bytes old = make("tar -c module.wasm");
  put("module.wasm", "new");
  const Bytes newer = make("tar -c module.wasm");
  put(".wh.module.wasm", "");
  const Bytes removed = make("tar -c .wh.module.wasm");

  const auto module = find_module_in_layers(layers({old, newer}), std::nullopt);
  ASSERT_TRUE(module);
  EXPECT_EQ(text_of(module->view()), "new");
  EXPECT_FALSE(find_module_in_layers(layers({old, removed}), std::nullopt));
  EXPECT_TRUE(find_module_in_layers(layers({removed, newer}), std::nullopt));
}

TEST_F(Archive, RefusesEscapesAndAmbiguity) {
  put("a.wasm", "a");
  put("b.wasm", "b");
  EXPECT_FALSE(find_module_in_layers(layers({make("tar -c a.wasm b.wasm")}), std::nullopt));
  const auto escape = find_module_in_layers(layers({make("tar -cP --transform 's,^,../,' a.wasm")}), std::nullopt);
  ASSERT_FALSE(escape);
  EXPECT_EQ(escape.error().code(), Code::format_invalid);
}

TEST_F(Archive, RefusesDamagedHeadersAndTruncation) {
  put("module.wasm", std::string(2000, 'x'));
  Bytes archive = make("tar -c module.wasm");
  Bytes truncated(archive.begin(), archive.begin() + 1024);
  EXPECT_FALSE(find_module_in_layers(layers({truncated}), std::nullopt));
  archive[20] ^= 1;
  EXPECT_FALSE(find_module_in_layers(layers({archive}), std::nullopt));
}

TEST_F(Archive, GunzipReadsSeveralMembersAndBoundsTheResult) {
  put("a", std::string(300000, 'a'));
  put("b", "bbb");
  const Bytes two = make("sh -c 'gzip -c a; gzip -9c b'");
  const auto both = gunzip(two, 300003);
  ASSERT_TRUE(both) << both.error().text();
  EXPECT_EQ(both->size(), 300003U);
  EXPECT_EQ(text_of(both->view()).substr(299999), "abbb");
  const auto limited = gunzip(two, 300002);
  ASSERT_FALSE(limited);
  EXPECT_EQ(limited.error().code(), Code::size_limit);
}

TEST_F(Archive, GunzipRefusesGarbageTruncationAndTrailers) {
  put("a", "some text to compress");
  const Bytes good = make("gzip -c a");
  Bytes trailing = good;
  trailing.push_back('x');
  const Bytes truncated(good.begin(), good.end() - 4);
  Bytes flipped = good;
  flipped[good.size() - 6] ^= 1;
  for (const auto& bad : {trailing, truncated, flipped, Bytes{}, Bytes{1, 2, 3}}) {
    const auto result = gunzip(bad, 1000);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code(), Code::format_invalid);
  }
}

}  // namespace
}  // namespace proplet::module
