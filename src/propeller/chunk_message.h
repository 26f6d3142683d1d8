// The messages by which a proxy delivers images: a request for one, and the chunks that answer it.
//
// Every worker of a channel hears every chunk, so reading is cheap where it can be: `peek_app_name` tells whom a chunk
// is for without reading it, and the bytes stay base64 until somebody wants them. What `parse_chunk` accepts has an
// index below its total, both within kMaxChunks, and some data. Propeller protocol, "Registry request and chunk".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace proplet::propeller {

inline constexpr std::uint32_t kMaxChunks = 131072;

struct ChunkMessage {
  std::string app_name;  // the image, letter for letter as it was asked for
  std::uint32_t index = 0;
  std::uint32_t total = 0;
  std::string data_base64;
};

// The app_name of a chunk that begins with it, as proxies write it; nothing if that cannot be told at a glance. Borrows
// from `payload`. Says nothing about the rest of the message.
std::optional<std::string_view> peek_app_name(ByteView payload);

// MESSAGE_INVALID; also for what is longer than `limit`.
Result<ChunkMessage> parse_chunk(ByteView payload, std::size_t limit);
std::string encode(const ChunkMessage& chunk);

// What asks a proxy for an image.
std::string encode_chunk_request(std::string_view app_name);

}  // namespace proplet::propeller
