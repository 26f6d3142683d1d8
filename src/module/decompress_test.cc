#include "module/decompress.h"

#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include <functional>
#include <string>
#include <vector>

namespace proplet::module {
namespace {

Bytes gzip(std::string_view text) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 9, Z_DEFLATED, 16 + MAX_WBITS, 9, Z_DEFAULT_STRATEGY), Z_OK);
  Bytes out(deflateBound(&stream, text.size()));
  Bytes in(text.begin(), text.end());
  stream.next_in = in.data();
  stream.avail_in = static_cast<unsigned>(in.size());
  stream.next_out = out.data();
  stream.avail_out = static_cast<unsigned>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

Bytes zstd(std::string_view text) {
  Bytes out(ZSTD_compressBound(text.size()));
  const auto size = ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 19);
  EXPECT_EQ(ZSTD_isError(size), 0U);
  out.resize(size);
  return out;
}

Bytes joined(const std::vector<Bytes>& parts) {
  Bytes all;
  for (const auto& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

// The same expectations for both formats.
struct Format {
  std::string name;
  std::function<Bytes(std::string_view)> compress;
  std::function<Result<SecretBytes>(ByteView, std::size_t, const std::stop_token&)> expand;
};

class Decompress : public testing::TestWithParam<Format> {
 protected:
  static Bytes compress(std::string_view text) { return GetParam().compress(text); }
  static Result<SecretBytes> expand(ByteView bytes, std::size_t limit, const std::stop_token& stop = {}) {
    return GetParam().expand(bytes, limit, stop);
  }
};

INSTANTIATE_TEST_SUITE_P(Formats, Decompress,
                         testing::Values(Format{"gzip", gzip, gunzip}, Format{"zstd", zstd, unzstd}),
                         [](const auto& each) { return each.param.name; });

TEST_P(Decompress, ReadsSeveralPartsAndBoundsTheResult) {
  const Bytes two = joined({compress(std::string(300000, 'a')), compress(""), compress("bbb")});
  const auto both = expand(two, 300003);
  ASSERT_TRUE(both) << both.error().text();
  EXPECT_EQ(both->size(), 300003U);
  EXPECT_EQ(text_of(both->view()).substr(299999), "abbb");
  const auto limited = expand(two, 300002);
  ASSERT_FALSE(limited);
  EXPECT_EQ(limited.error().code(), Code::size_limit);
  EXPECT_TRUE(expand(compress(""), 0));
}

TEST_P(Decompress, EndsWhenStopped) {
  std::stop_source stop;
  stop.request_stop();
  const auto stopped = expand(compress(std::string(100000, 'a')), 200000, stop.get_token());
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code(), Code::cancelled);
}

TEST_P(Decompress, RefusesGarbageTruncationAndTrailers) {
  const Bytes good = compress("some text to compress, some text to compress");
  std::vector<Bytes> cases = {joined({good, {'x'}}), joined({good, Bytes(64, 0)}), {}, {1, 2, 3}};
  for (std::size_t size = 1; size < good.size(); ++size)
    cases.emplace_back(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size));
  for (const auto& bad : cases) {
    const auto result = expand(bad, 1000);
    ASSERT_FALSE(result) << bad.size();
    EXPECT_EQ(result.error().code(), Code::format_invalid);
  }
}

TEST_P(Decompress, ABombIsRefusedWhateverTheLimit) {
  const Bytes bomb = compress(std::string(std::size_t{40} << 20, '\0'));
  ASSERT_LT(bomb.size(), std::size_t{64} << 10);
  const auto result = expand(bomb, std::size_t{1} << 30);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), Code::size_limit);
}

TEST(Zstd, SkippableFramesAreSkipped) {
  const Bytes skippable = {0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 'x', 'y', 'z'};
  const auto opened = unzstd(joined({skippable, zstd("content"), skippable}), 100);
  ASSERT_TRUE(opened) << opened.error().text();
  EXPECT_EQ(text_of(opened->view()), "content");
}

TEST(Gzip, AnyHeaderFieldsAreFine) {
  // FEXTRA, FNAME and FCOMMENT before the content of a plain member.
  const Bytes plain = gzip("content");
  Bytes fancy = {0x1f, 0x8b, 8, 0x1c, 0, 0, 0, 0, 0, 3, 4, 0, 'A', 'B', 0, 0, 'n', 0, 'c', 0};
  fancy.insert(fancy.end(), plain.begin() + 10, plain.end());
  const auto opened = gunzip(fancy, 100);
  ASSERT_TRUE(opened) << opened.error().text();
  EXPECT_EQ(text_of(opened->view()), "content");
}

TEST(ExpansionLimit, IsGenerousForSmallThingsAndProportionalForLargeOnes) {
  EXPECT_EQ(expansion_limit(0), std::size_t{16} << 20);
  EXPECT_EQ(expansion_limit(std::size_t{1} << 20), std::size_t{256} << 20);
  EXPECT_GT(expansion_limit(std::numeric_limits<std::size_t>::max()), std::size_t{1} << 60);
}

}  // namespace
}  // namespace proplet::module
