#include "crypto/der.h"

namespace proplet::crypto {
namespace {

constexpr std::uint8_t kHighTag = 0x1f;     // all bits of the tag number set: more bytes follow
constexpr std::uint8_t kLongLength = 0x80;  // the other bits count the bytes of the length
constexpr std::size_t kMaxLengthBytes = 4;

tl::unexpected<Error> invalid(std::string_view what) { return fail(Code::format_invalid, "DER: {}", what); }

}  // namespace

Result<DerElement> DerReader::next() {
  if (rest_.size() < 2) return invalid("truncated");
  const std::uint8_t tag = rest_[0];
  if ((tag & kHighTag) == kHighTag) return invalid("a tag of several bytes");
  std::size_t length = rest_[1];
  ByteView content = rest_.subspan(2);
  if ((length & kLongLength) != 0) {
    const std::size_t count = length & 0x7fU;
    // A count of 0 is the indefinite length of BER.
    if (count == 0 || count > kMaxLengthBytes || count > content.size()) return invalid("bad length");
    length = 0;
    for (const auto byte : content.first(count)) length = length << 8 | byte;
    content = content.subspan(count);
  }
  if (length > content.size()) return invalid("an element is longer than what holds it");
  rest_ = content.subspan(length);
  return DerElement{tag, content.first(length)};
}

Result<ByteView> DerReader::expect(std::uint8_t tag) {
  if (peek() != tag) return invalid("an element of another type than expected");
  TRY_ASSIGN(const auto element, next());
  return element.content;
}

Status DerReader::finish() const {
  if (!rest_.empty()) return invalid("bytes after the end");
  return {};
}

}  // namespace proplet::crypto
