// Reading of DER (X.690), the little that envelopes need: elements with one-byte tags and definite lengths.
//
// Internal to crypto/. A DerReader walks the elements of one level and borrows its bytes; nothing is copied, nothing is
// allocated, and nothing outside the bytes it was given is ever looked at. FORMAT_INVALID.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/result.h"

namespace proplet::crypto {

namespace der {
inline constexpr std::uint8_t kInteger = 0x02;
inline constexpr std::uint8_t kOctetString = 0x04;
inline constexpr std::uint8_t kObjectId = 0x06;
inline constexpr std::uint8_t kSequence = 0x30;
inline constexpr std::uint8_t kSet = 0x31;
// Context-specific 0 in its two encodings.
inline constexpr std::uint8_t kContext0 = 0xa0;
inline constexpr std::uint8_t kContext0Primitive = 0x80;
}  // namespace der

struct DerElement {
  std::uint8_t tag = 0;
  ByteView content;
};

class DerReader {
 public:
  explicit DerReader(ByteView bytes) : rest_(bytes) {}

  [[nodiscard]] bool at_end() const { return rest_.empty(); }
  // The tag of the next element; 0 at the end.
  [[nodiscard]] std::uint8_t peek() const { return rest_.empty() ? std::uint8_t{0} : rest_.front(); }
  Result<DerElement> next();
  // The content of the next element, which must have this tag.
  Result<ByteView> expect(std::uint8_t tag);
  // FORMAT_INVALID unless everything was read.
  [[nodiscard]] Status finish() const;

 private:
  ByteView rest_;
};

}  // namespace proplet::crypto
