#include "propeller/chunk_message.h"

#include <algorithm>
#include <utility>

#include "base/json.h"

namespace proplet::propeller {
namespace {

constexpr std::size_t kMaxDepth = 4;

Result<std::uint32_t> count(const json::object& object, std::string_view name) {
  const json::value* member = object.if_contains(name);
  const auto* number = member == nullptr ? nullptr : member->if_int64();
  if (number == nullptr || *number < 0 || *number > kMaxChunks) {
    return fail(Code::message_invalid, "{} is not a whole number from 0 to {}", name, kMaxChunks);
  }
  return static_cast<std::uint32_t>(*number);
}

Result<std::string_view> text(const json::object& object, std::string_view name) {
  const json::value* member = object.if_contains(name);
  const auto* string = member == nullptr ? nullptr : member->if_string();
  if (string == nullptr || string->empty()) return fail(Code::message_invalid, "{} is not a string with content", name);
  return std::string_view(*string);
}

}  // namespace

std::optional<std::string_view> peek_app_name(ByteView payload) {
  constexpr std::string_view kBeginning = R"({"app_name":")";
  std::string_view rest = text_of(payload);
  if (!rest.starts_with(kBeginning)) return std::nullopt;
  rest.remove_prefix(kBeginning.size());
  const auto end = rest.find_first_of("\"\\");
  if (end == std::string_view::npos || rest[end] == '\\') return std::nullopt;
  return rest.substr(0, end);
}

Result<ChunkMessage> parse_chunk(ByteView payload, std::size_t limit) {
  const auto object = json::parse_object(text_of(payload), {.bytes = limit, .depth = kMaxDepth});
  if (!object) return fail(Error(Code::message_invalid, object.error().message()));
  ChunkMessage chunk;
  TRY_ASSIGN(chunk.app_name, text(*object, "app_name"));
  TRY_ASSIGN(chunk.index, count(*object, "chunk_idx"));
  TRY_ASSIGN(chunk.total, count(*object, "total_chunks"));
  TRY_ASSIGN(chunk.data_base64, text(*object, "data"));
  if (chunk.index >= chunk.total) {
    return fail(Code::message_invalid, "chunk_idx {} is not below total_chunks {}", chunk.index, chunk.total);
  }
  return chunk;
}

std::string encode(const ChunkMessage& chunk) {
  json::object object;
  object["app_name"] = chunk.app_name;
  object["chunk_idx"] = chunk.index;
  object["total_chunks"] = chunk.total;
  object["data"] = chunk.data_base64;
  return json::serialize(object);
}

std::string encode_chunk_request(std::string_view app_name) {
  return json::serialize(json::object{{"app_name", app_name}});
}

}  // namespace proplet::propeller
