#include "base/encoding.h"

#include <array>

namespace proplet {
namespace {

constexpr std::string_view kStandard = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view kUrlSafe = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr std::uint8_t kBad = 0xff;

using DecodeTable = std::array<std::uint8_t, 256>;

constexpr DecodeTable make_table(std::string_view alphabet) {
  DecodeTable table{};
  table.fill(kBad);
  for (std::size_t i = 0; i < alphabet.size(); ++i) {
    table[static_cast<std::uint8_t>(alphabet[i])] = static_cast<std::uint8_t>(i);
  }
  return table;
}

constexpr DecodeTable kStandardTable = make_table(kStandard);
constexpr DecodeTable kUrlSafeTable = make_table(kUrlSafe);

std::string encode(ByteView bytes, std::string_view alphabet, bool padded) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t count = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t group = static_cast<std::uint32_t>(bytes[i]) << 16;
    if (count > 1) group |= static_cast<std::uint32_t>(bytes[i + 1]) << 8;
    if (count > 2) group |= bytes[i + 2];
    for (std::size_t k = 0; k <= count; ++k) text += alphabet[(group >> (18 - 6 * k)) & 63];
    if (padded) text.append(3 - count, '=');
  }
  return text;
}

// Length of the decoded bytes, or an error if `text` cannot be base64 of the given kind. Strips the padding.
Result<std::size_t> prepare(std::string_view& text, bool padded) {
  if (padded) {
    if (text.size() % 4 != 0)
      return fail(Code::format_invalid, "base64: length {} is not a multiple of 4", text.size());
    for (int i = 0; i < 2 && text.ends_with('='); ++i) text.remove_suffix(1);
  }
  if (text.size() % 4 == 1) return fail(Code::format_invalid, "base64: impossible length {}", text.size());
  return text.size() / 4 * 3 + (text.size() % 4 == 0 ? 0 : text.size() % 4 - 1);
}

Status bad_character(std::string_view text, const DecodeTable& table, std::size_t begin) {
  while (table[static_cast<std::uint8_t>(text[begin])] != kBad) ++begin;
  return fail(Code::format_invalid, "base64: character at offset {} is not of the alphabet", begin);
}

Status decode_into(std::string_view text, const DecodeTable& table, MutableByteView out) {
  const auto value = [&](std::size_t i) { return table[static_cast<std::uint8_t>(text[i])]; };
  constexpr unsigned kOnlyBad = 0xc0;  // bits that no value of six bits has
  std::size_t written = 0;
  std::size_t at = 0;
  // Whole modules pass through here, so one check serves four characters.
  for (; at + 4 <= text.size(); at += 4) {
    const unsigned a = value(at);
    const unsigned b = value(at + 1);
    const unsigned c = value(at + 2);
    const unsigned d = value(at + 3);
    if (((a | b | c | d) & kOnlyBad) != 0) return bad_character(text, table, at);
    const unsigned group = a << 18 | b << 12 | c << 6 | d;
    out[written++] = static_cast<std::uint8_t>(group >> 16);
    out[written++] = static_cast<std::uint8_t>(group >> 8);
    out[written++] = static_cast<std::uint8_t>(group);
  }
  unsigned group = 0;
  for (; at < text.size(); ++at) {
    if (value(at) == kBad) return bad_character(text, table, at);
    group = group << 6 | value(at);
  }
  const std::size_t rest = text.size() % 4;
  if (rest == 2) {
    out[written++] = static_cast<std::uint8_t>(group >> 4);
    group &= 0xf;
  } else if (rest == 3) {
    out[written++] = static_cast<std::uint8_t>(group >> 10);
    out[written++] = static_cast<std::uint8_t>(group >> 2);
    group &= 0x3;
  }
  if (rest != 0 && group != 0) return fail(Code::format_invalid, "base64: unused bits of the last character are set");
  return {};
}

template <class Buffer>
Result<Buffer> decode(std::string_view text, const DecodeTable& table, bool padded) {
  TRY_ASSIGN(const std::size_t size, prepare(text, padded));
  Buffer bytes(size);
  if constexpr (std::is_same_v<Buffer, SecretBytes>) {
    TRY(decode_into(text, table, bytes.mutable_view()));
  } else {
    TRY(decode_into(text, table, bytes));
  }
  return bytes;
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

Status hex_into(std::string_view text, MutableByteView out) {
  if (text.size() % 2 != 0) return fail(Code::format_invalid, "hex: odd number of digits ({})", text.size());
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const int high = hex_value(text[i]);
    const int low = hex_value(text[i + 1]);
    if (high < 0 || low < 0) return fail(Code::format_invalid, "hex: bad digit near offset {}", i);
    out[i / 2] = static_cast<std::uint8_t>(high << 4 | low);
  }
  return {};
}

}  // namespace

std::string base64_encode(ByteView bytes) { return encode(bytes, kStandard, true); }
std::string base64url_encode(ByteView bytes) { return encode(bytes, kUrlSafe, false); }

Result<Bytes> base64_decode(std::string_view text) { return decode<Bytes>(text, kStandardTable, true); }
Result<Bytes> base64url_decode(std::string_view text) { return decode<Bytes>(text, kUrlSafeTable, false); }
Result<SecretBytes> base64_decode_secret(std::string_view text) {
  return decode<SecretBytes>(text, kStandardTable, true);
}
Result<SecretBytes> base64url_decode_secret(std::string_view text) {
  return decode<SecretBytes>(text, kUrlSafeTable, false);
}

std::string hex_encode(ByteView bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const std::uint8_t byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 0xf];
  }
  return text;
}

Result<Bytes> hex_decode(std::string_view text) {
  Bytes bytes(text.size() / 2);
  TRY(hex_into(text, bytes));
  return bytes;
}

Result<SecretBytes> hex_decode_secret(std::string_view text) {
  SecretBytes bytes(text.size() / 2);
  TRY(hex_into(text, bytes.mutable_view()));
  return bytes;
}

}  // namespace proplet
