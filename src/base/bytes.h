// Byte views and the conversions between text and bytes that every layer needs.
//
// A ByteView borrows; whoever made it keeps the bytes alive. `Bytes` owns. Secret bytes are SecretBytes
// (secret_bytes.h), never `Bytes` or std::string.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace proplet {

using Bytes = std::vector<std::uint8_t>;
using ByteView = std::span<const std::uint8_t>;
using MutableByteView = std::span<std::uint8_t>;

inline ByteView bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

inline std::string_view text_of(ByteView bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

// Compares in time that depends on the lengths only. Different lengths are unequal.
bool equal_constant_time(ByteView a, ByteView b);

}  // namespace proplet
