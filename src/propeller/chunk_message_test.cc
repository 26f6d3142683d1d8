#include "propeller/chunk_message.h"

#include <gtest/gtest.h>

#include "base/encoding.h"
#include "base/fd.h"
#include "base/json.h"

namespace proplet::propeller {
namespace {

constexpr std::size_t kLimit = 1 << 20;

Result<ChunkMessage> parse(std::string_view text) { return parse_chunk(bytes_of(text), kLimit); }

// Payloads that a real proxy or worker sent on a topic.
std::vector<json::object> recorded(const std::string& file, std::string_view topic) {
  const auto text = read_text_file(std::string(PROPLET_VECTORS) + "/propeller/" + file, 1 << 20);
  const auto document = json::parse_object(*text);
  std::vector<json::object> found;
  for (const auto& exchange : document->at("exchanges").as_array()) {
    const auto& object = exchange.as_object();
    if (object.at("kind").as_string() == "mqtt" && object.at("topic").as_string() == topic) {
      found.push_back(object.at("payload").as_object());
    }
  }
  return found;
}

TEST(ChunkMessage, EveryChunkOfARealProxyIsUnderstood) {
  const auto chunks = recorded("chunks.json", "registry/server");
  ASSERT_EQ(chunks.size(), 3U);
  for (std::uint32_t i = 0; i < chunks.size(); ++i) {
    const std::string text = json::serialize(chunks[i]);  // the recording has members of its own: they do not matter
    const auto chunk = parse(text);
    ASSERT_TRUE(chunk) << chunk.error().text();
    EXPECT_EQ(chunk->app_name, "127.0.0.1:15000/team/add:1");
    EXPECT_EQ(chunk->index, i);
    EXPECT_EQ(chunk->total, 3U);
    EXPECT_EQ(peek_app_name(bytes_of(text)), chunk->app_name);
  }
}

TEST(ChunkMessage, RequestsEqualTheRecordedOnes) {
  for (const auto* file : {"chunks.json", "chunks_unknown.json"}) {
    const auto requests = recorded(file, "registry/proplet");
    ASSERT_EQ(requests.size(), 1U) << file;
    const std::string name(requests[0].at("app_name").as_string());
    EXPECT_EQ(encode_chunk_request(name), json::serialize(requests[0]));
  }
}

TEST(ChunkMessage, WhatIsNoChunkIsRefusedWithTheMember) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {R"({"chunk_idx":0,"total_chunks":1,"data":"AA=="})", "app_name"},
      {R"({"app_name":"","chunk_idx":0,"total_chunks":1,"data":"AA=="})", "app_name"},
      {R"({"app_name":7,"chunk_idx":0,"total_chunks":1,"data":"AA=="})", "app_name"},
      {R"({"app_name":"a","total_chunks":1,"data":"AA=="})", "chunk_idx"},
      {R"({"app_name":"a","chunk_idx":-1,"total_chunks":1,"data":"AA=="})", "chunk_idx"},
      {R"({"app_name":"a","chunk_idx":1.5,"total_chunks":2,"data":"AA=="})", "chunk_idx"},
      {R"({"app_name":"a","chunk_idx":"0","total_chunks":2,"data":"AA=="})", "chunk_idx"},
      {R"({"app_name":"a","chunk_idx":1,"total_chunks":1,"data":"AA=="})", "chunk_idx 1 is not below"},
      {R"({"app_name":"a","chunk_idx":0,"total_chunks":0,"data":"AA=="})", "not below total_chunks 0"},
      {R"({"app_name":"a","chunk_idx":0,"total_chunks":131073,"data":"AA=="})", "total_chunks"},
      {R"({"app_name":"a","chunk_idx":0,"total_chunks":18446744073709551615,"data":"AA=="})", "total_chunks"},
      {R"({"app_name":"a","chunk_idx":0,"total_chunks":1,"data":""})", "data"},
      {R"({"app_name":"a","chunk_idx":0,"total_chunks":1,"data":null})", "data"},
      {R"({"app_name":"a","app_name":"b","chunk_idx":0,"total_chunks":1,"data":"AA=="})", "app_name"},
      {R"(["app_name"])", "object"},
      {"", ""},
  };
  for (const auto& [text, member] : cases) {
    const auto chunk = parse(text);
    ASSERT_FALSE(chunk) << text;
    EXPECT_EQ(chunk.error().code(), Code::message_invalid) << text;
    EXPECT_NE(chunk.error().text().find(member), std::string::npos) << chunk.error().text();
  }
}

TEST(ChunkMessage, TooLargeAMessageIsRefusedUnread) {
  const auto chunk = parse_chunk(bytes_of(R"({"app_name":"a","chunk_idx":0,"total_chunks":1,"data":"AA=="})"), 20);
  ASSERT_FALSE(chunk);
  EXPECT_EQ(chunk.error().code(), Code::message_invalid);
}

TEST(ChunkMessage, ReadsBackWhatItWrites) {
  const ChunkMessage written{.app_name = "r/\"quoted\\\"\u20ac:1", .index = 4, .total = 5, .data_base64 = "AAAA"};
  const auto read = parse(encode(written));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->app_name, written.app_name);
  EXPECT_EQ(read->index, 4U);
  EXPECT_EQ(read->total, 5U);
  EXPECT_EQ(read->data_base64, "AAAA");
}

TEST(PeekAppName, TellsANameOnlyWhenItIsCertain) {
  EXPECT_EQ(peek_app_name(bytes_of(R"({"app_name":"r/x:1","rubbish)")), "r/x:1");
  EXPECT_EQ(peek_app_name(bytes_of(R"({"app_name":"")")), "");
  for (const auto* text : {"", "{", R"({"app_name":"r/x)", R"({"app_name":"r\u002fx"})", R"({ "app_name":"r/x"})",
                           R"({"chunk_idx":0,"app_name":"r/x"})"}) {
    EXPECT_FALSE(peek_app_name(bytes_of(text))) << text;
  }
}

}  // namespace
}  // namespace proplet::propeller
