// Base64 and hexadecimal: whatever decodes has exactly one encoding, and encoding undoes decoding.
#include <algorithm>
#include <string>

#include "base/encoding.h"
#include "fuzz.h"

using proplet::fuzz::check;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = proplet::fuzz::text_input(data, size);
  const proplet::ByteView bytes(data, size);

  if (const auto decoded = proplet::base64_decode(text)) {
    check(proplet::base64_encode(*decoded) == text, "base64 has one encoding");
    const auto secret = proplet::base64_decode_secret(text);
    check(secret && secret->equals(*decoded), "both decoders agree");
  }
  if (const auto decoded = proplet::base64url_decode(text)) {
    check(proplet::base64url_encode(*decoded) == text, "base64url has one encoding");
  }
  if (const auto decoded = proplet::hex_decode(text)) {
    std::string lower(text);
    std::ranges::transform(lower, lower.begin(),
                           [](char c) { return c >= 'A' && c <= 'F' ? char(c + ('a' - 'A')) : c; });
    check(proplet::hex_encode(*decoded) == lower, "hex round trip");
  }

  const auto round_trip = proplet::base64_decode(proplet::base64_encode(bytes));
  check(round_trip && std::ranges::equal(*round_trip, bytes), "any bytes survive base64");
  return 0;
}
