#include "module/decompress.h"

// For the allocator that wipes, which the library's maintainers call experimental and keep since version 1.3.
#define ZSTD_STATIC_LINKING_ONLY
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <optional>
#include <string_view>

namespace proplet::module {
namespace {

constexpr std::size_t kStep = std::size_t{4} << 20;  // bytes between two looks at the stop token
constexpr std::size_t kFirstBuffer = std::size_t{64} << 10;
constexpr std::size_t kFreeExpansion = std::size_t{16} << 20;
constexpr std::size_t kMaxRatio = 256;
constexpr int kMaxZstdWindow = 27;  // log2 of bytes: what `zstd -19 --long` writes

// The libraries keep a window of the plaintext in memory of their own; the length in front lets us wipe it on release.
constexpr std::size_t kAllocationHeader = 16;

void* allocate(std::size_t bytes) {
  auto* block = static_cast<std::uint8_t*>(std::calloc(1, bytes + kAllocationHeader));
  if (block == nullptr) return nullptr;
  std::memcpy(block, &bytes, sizeof bytes);
  return block + kAllocationHeader;
}

void release(void* address) {
  if (address == nullptr) return;
  auto* block = static_cast<std::uint8_t*>(address) - kAllocationHeader;
  std::size_t bytes = 0;
  std::memcpy(&bytes, block, sizeof bytes);
  wipe({block, bytes + kAllocationHeader});
  std::free(block);
}

// One step of a decoder: reads from `in`, writes to `out`, says how much of each and whether the input may end here.
struct Progress {
  std::size_t read = 0;
  std::size_t written = 0;
  bool complete = false;
};

// Nothing for damaged input.
class Decoder {
 public:
  virtual ~Decoder() = default;
  virtual std::optional<Progress> step(ByteView in, MutableByteView out) = 0;
};

class GzipDecoder final : public Decoder {
 public:
  GzipDecoder() {
    stream_.zalloc = [](void*, unsigned count, unsigned size) { return allocate(std::size_t{count} * size); };
    stream_.zfree = [](void*, void* address) { release(address); };
    if (inflateInit2(&stream_, 16 + MAX_WBITS) != Z_OK) std::abort();
  }
  ~GzipDecoder() override { inflateEnd(&stream_); }
  GzipDecoder(const GzipDecoder&) = delete;
  GzipDecoder& operator=(const GzipDecoder&) = delete;

  std::optional<Progress> step(ByteView in, MutableByteView out) override {
    if (member_ended_ && inflateReset(&stream_) != Z_OK) return std::nullopt;
    const auto in_size = std::min<std::size_t>(in.size(), std::size_t{1} << 30);
    stream_.next_in = const_cast<std::uint8_t*>(in.data());  // zlib does not write there
    stream_.avail_in = static_cast<unsigned>(in_size);
    stream_.next_out = out.data();
    stream_.avail_out = static_cast<unsigned>(out.size());
    const int status = inflate(&stream_, Z_NO_FLUSH);
    if (status != Z_OK && status != Z_STREAM_END) return std::nullopt;
    member_ended_ = status == Z_STREAM_END;
    return Progress{in_size - stream_.avail_in, out.size() - stream_.avail_out, member_ended_};
  }

 private:
  z_stream stream_{};
  bool member_ended_ = false;
};

class ZstdDecoder final : public Decoder {
 public:
  ZstdDecoder() {
    const ZSTD_customMem memory = {.customAlloc = [](void*, std::size_t size) { return allocate(size); },
                                   .customFree = [](void*, void* address) { release(address); },
                                   .opaque = nullptr};
    context_.reset(ZSTD_createDCtx_advanced(memory));
    if (!context_) std::abort();
    if (ZSTD_isError(ZSTD_DCtx_setParameter(context_.get(), ZSTD_d_windowLogMax, kMaxZstdWindow)) != 0) std::abort();
  }

  std::optional<Progress> step(ByteView in, MutableByteView out) override {
    ZSTD_inBuffer input = {in.data(), in.size(), 0};
    ZSTD_outBuffer output = {out.data(), out.size(), 0};
    const std::size_t left = ZSTD_decompressStream(context_.get(), &output, &input);
    if (ZSTD_isError(left) != 0) return std::nullopt;
    return Progress{input.pos, output.pos, left == 0};
  }

 private:
  struct Free {
    void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
  };
  std::unique_ptr<ZSTD_DCtx, Free> context_;
};

SecretBytes grown(const SecretBytes& bytes, std::size_t size) {
  SecretBytes larger(size);
  std::ranges::copy(bytes.view(), larger.mutable_view().begin());
  return larger;
}

Result<SecretBytes> decompress(Decoder& decoder, ByteView in, std::size_t limit, std::string_view format,
                               const std::stop_token& stop) {
  limit = std::min(limit, expansion_limit(in.size()));
  SecretBytes out(std::min(limit + 1, std::max(in.size() * 4, kFirstBuffer)));
  std::size_t filled = 0;
  bool complete = false;
  while (!in.empty() || !complete) {
    if (stop.stop_requested()) return fail(Code::cancelled, "decompressing was stopped");
    if (filled == out.size()) out = grown(out, std::min(limit + 1, out.size() * 2));
    const auto progress = decoder.step(in, out.mutable_view().subspan(filled, std::min(kStep, out.size() - filled)));
    const bool stuck = progress && progress->read == 0 && progress->written == 0 && !progress->complete;
    if (!progress || stuck || (progress->complete && progress->read == 0 && complete)) {
      return fail(Code::format_invalid, "{}: damaged, truncated or followed by something else", format);
    }
    in = in.subspan(progress->read);
    filled += progress->written;
    complete = progress->complete;
    if (filled > limit) return fail(Code::size_limit, "{} data expands to more than {} bytes", format, limit);
  }
  out.truncate(filled);
  return out;
}

}  // namespace

std::size_t expansion_limit(std::size_t compressed) {
  return compressed > std::numeric_limits<std::size_t>::max() / kMaxRatio - 1
             ? std::numeric_limits<std::size_t>::max() - 1
             : std::max(kFreeExpansion, compressed * kMaxRatio);
}

Result<SecretBytes> gunzip(ByteView compressed, std::size_t limit, const std::stop_token& stop) {
  GzipDecoder decoder;
  return decompress(decoder, compressed, limit, "gzip", stop);
}

Result<SecretBytes> unzstd(ByteView compressed, std::size_t limit, const std::stop_token& stop) {
  ZstdDecoder decoder;
  return decompress(decoder, compressed, limit, "zstd", stop);
}

}  // namespace proplet::module
