#include "module/archive.h"

#include <gtest/gtest.h>

#include <algorithm>
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
    EXPECT_EQ(std::system(line.c_str()), 0) << line;  // NOLINT(cert-env33-c): the real tar
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

TEST_F(Archive, OpaqueFoldersHideWhatIsBelowAndOnlyThat) {
  put("app/a.wasm", "a");
  put("apple.wasm", "b");
  const Bytes lower = make("tar -c app/a.wasm apple.wasm");
  put("app/.wh..wh..opq", "");
  const Bytes opaque = make("tar -c app/.wh..wh..opq");
  EXPECT_TRUE(find_module_in_layers(layers({lower}), "app/a.wasm"));
  EXPECT_FALSE(find_module_in_layers(layers({lower, opaque}), "app/a.wasm"));
  EXPECT_TRUE(find_module_in_layers(layers({lower, opaque}), "apple.wasm"));
  put(".wh.app", "");
  const Bytes folder_removed = make("tar -c .wh.app");
  EXPECT_FALSE(find_module_in_layers(layers({lower, folder_removed}), "app/a.wasm"));
  EXPECT_TRUE(find_module_in_layers(layers({lower, folder_removed}), "apple.wasm"));
}

TEST_F(Archive, ALinkOrFolderHidesTheFileBelow) {
  put("module.wasm", "lower");
  const Bytes lower = make("tar -c module.wasm");
  for (const std::string what : {"ln -sf other module.wasm", "mkdir module.wasm", "mkfifo module.wasm"}) {
    const Bytes higher = make("rm -rf module.wasm && " + what + " && tar -c module.wasm");
    EXPECT_FALSE(find_module_in_layers(layers({lower, higher}), std::nullopt)) << what;
  }
}

// A ustar header with a right checksum, and `content` behind it.
Bytes entry(char type, std::string_view name, std::string_view content, std::size_t stated_size) {
  Bytes block(512, 0);
  const auto write = [&](std::size_t offset, std::string_view text) {
    std::ranges::copy(text, block.begin() + static_cast<std::ptrdiff_t>(offset));
  };
  write(0, name);
  write(124, fmt::format("{:011o}", stated_size));
  block[156] = static_cast<std::uint8_t>(type);
  write(257, std::string_view("ustar\00000", 8));
  write(148, "        ");
  unsigned sum = 0;
  for (const std::uint8_t byte : block) sum += byte;
  write(148, fmt::format("{:06o}", sum));
  block.insert(block.end(), content.begin(), content.end());
  block.resize((block.size() + 511) / 512 * 512);
  return block;
}

Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

TEST_F(Archive, RefusesWhatReadersDisagreeAbout) {
  const Bytes module = entry('0', "module.wasm", "content", 7);
  ASSERT_TRUE(find_module_in_layers(layers({module}), std::nullopt));
  const std::vector<std::pair<std::string, Bytes>> cases = {
      {"a symbolic link with content", entry('2', "link", std::string(512, 'x'), 512) + module},
      {"a folder with content", entry('5', "folder", std::string(512, 'x'), 512) + module},
      {"a GNU sparse file", entry('S', "module.wasm", "content", 7)},
      {"a global size", entry('g', "g", "9 size=0\n", 9) + module},
      {"a global path", entry('g', "g", "10 path=a\n", 10) + module},
      {"a pax sparse file", entry('x', "x", "22 GNU.sparse.major=1\n", 22) + module},
      {"a malformed pax record", entry('x', "x", "99 path=a\n", 10) + module},
      {"a whiteout of nothing", entry('0', ".wh.", "", 0) + module},
      {"more content than there is", entry('0', "module.wasm", "content", 1 << 20)},
  };
  for (const auto& [what, archive] : cases) {
    const auto found = find_module_in_layers(layers({archive}), std::nullopt);
    ASSERT_FALSE(found) << what;
    EXPECT_EQ(found.error().code(), Code::format_invalid) << what;
  }
}

TEST_F(Archive, ThePaxSizeCountsForContentAndForTheNextHeader) {
  // With the header's own size (0) the hidden entry would be read instead of being content.
  const Bytes hidden = entry('0', "plugin.wasm", "", 0);
  const std::string content(text_of(hidden));
  const Bytes archive = entry('x', "x", "12 size=512\n", 12) + entry('0', "module.wasm", content, 0);
  TarReader reader(archive);
  const auto first = reader.next();
  ASSERT_TRUE(first && *first);
  EXPECT_EQ((*first)->name, "module.wasm");
  EXPECT_EQ((*first)->content.size(), 512U);
  const auto end = reader.next();
  ASSERT_TRUE(end);
  EXPECT_FALSE(*end);
}

TEST_F(Archive, WhiteoutsByTheThousandCostWhatTheyRemove) {
  Bytes lower;
  Bytes higher;
  for (int i = 0; i < 20'000; ++i) {
    const Bytes file = entry('0', fmt::format("d/{}.wasm", i), "", 0);
    const Bytes whiteout = entry('0', fmt::format("e/.wh.{}", i), "", 0);
    lower.insert(lower.end(), file.begin(), file.end());
    higher.insert(higher.end(), whiteout.begin(), whiteout.end());
  }
  // 4 * 10^8 comparisons if each whiteout looked at each file: minutes in this build.
  EXPECT_FALSE(find_module_in_layers(layers({lower, higher}), std::nullopt));
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

}  // namespace
}  // namespace proplet::module
