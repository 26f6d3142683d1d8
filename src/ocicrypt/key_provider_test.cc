#include "ocicrypt/key_provider.h"

#include <gtest/gtest.h>

#include "ocicrypt/test_vectors.h"

namespace proplet::ocicrypt {
namespace {

using testing::vector_bytes;
using testing::vector_json;

constexpr std::string_view kProvider = "attestation-agent";

// What the captured answers hold, in either form.
Bytes captured(const std::string& file, std::string_view outer, std::string_view inner) {
  const auto document = vector_json("kp/" + file);
  const auto& value = document.at(outer).at(inner);
  if (value.is_string()) return base64_decode(std::string_view(value.as_string())).value();
  Bytes bytes;
  for (const auto& each : value.as_array()) bytes.push_back(static_cast<std::uint8_t>(each.as_int64()));
  return bytes;
}

TEST(KeyProvider, ReadsWhatSkopeoAsksFor) {
  const auto wrap = parse_key_provider_request(vector_bytes("kp/cmd-wrap.in.json"), kProvider);
  ASSERT_TRUE(wrap) << wrap.error().text();
  EXPECT_EQ(wrap->operation, KeyProviderRequest::Operation::wrap);
  EXPECT_EQ(wrap->parameters.at("keyid"), "kbs:///default/key/module-kek");
  EXPECT_EQ(wrap->parameters.at("keypath"), "kek.bin");
  EXPECT_EQ(wrap->parameters.at("algorithm"), "A256GCM");
  EXPECT_TRUE(parse_private_options(wrap->options.view(), {}));

  for (const auto* file : {"kp/cmd-unwrap.in.json", "kp/cmd-unwrap-with-params.in.json"}) {
    const auto unwrap = parse_key_provider_request(vector_bytes(file), kProvider);
    ASSERT_TRUE(unwrap) << unwrap.error().text();
    EXPECT_EQ(unwrap->operation, KeyProviderRequest::Operation::unwrap);
    const auto packet = parse_provider_packet(text_of(unwrap->packet));
    ASSERT_TRUE(packet) << packet.error().text();
    EXPECT_EQ(packet->key_id, "kbs:///default/key/module-kek");
  }
  const auto with = parse_key_provider_request(vector_bytes("kp/cmd-unwrap-with-params.in.json"), kProvider);
  EXPECT_EQ(with->parameters.at("foo"), "bar");
}

TEST(KeyProvider, OpensTheCapturedPacketToTheCapturedOptions) {
  const auto request = parse_key_provider_request(vector_bytes("kp/cmd-unwrap.in.json"), kProvider).value();
  const auto packet = parse_provider_packet(text_of(request.packet)).value();
  const auto options = open_packet(packet, vector_bytes("keys/kek.bin"));
  ASSERT_TRUE(options) << options.error().text();
  for (const auto* file : {"cmd-unwrap.out-array.json", "cmd-unwrap.out-base64.json"}) {
    EXPECT_TRUE(options->equals(captured(file, "keyunwrapresults", "optsdata"))) << file;
  }
}

TEST(KeyProvider, AnswersWithIntegers) {
  const Bytes bytes = {0, 9, 10, 99, 100, 255};
  EXPECT_EQ(text_of(unwrap_answer(bytes).view()), R"({"keyunwrapresults":{"optsdata":[0,9,10,99,100,255]}})");
  EXPECT_EQ(text_of(wrap_answer("{}").view()), R"({"keywrapresults":{"annotation":[123,125]}})");
  EXPECT_EQ(text_of(unwrap_answer({}).view()), R"({"keyunwrapresults":{"optsdata":[]}})");
}

TEST(KeyProvider, ReadsBytesInEveryFormThatClientsSend) {
  const auto wrap = [](const std::string& options) {
    return parse_key_provider_request(
        bytes_of(R"({"op":"keywrap","keywrapparams":{"ec":{"Parameters":{"p":["RW5hYmxlZA=="]}},"optsdata":)" +
                 options + "}}"),
        "p");
  };
  EXPECT_EQ(text_of(wrap(R"("eyJhIjoxfQ==")")->options.view()), R"({"a":1})");
  EXPECT_EQ(text_of(wrap(R"("{\"a\":1}")")->options.view()), R"({"a":1})");
  EXPECT_EQ(text_of(wrap("[123,125]")->options.view()), "{}");
  EXPECT_TRUE(wrap("[123,125]")->parameters.empty());
  for (const auto* bad : {"null", "\"\"", "[]", "[256]", "[-1]", "[\"a\"]", "7", "\"!\"", "{}"}) {
    const auto refused = wrap(bad);
    ASSERT_FALSE(refused) << bad;
    EXPECT_EQ(refused.error().code(), Code::message_invalid);
  }
}

TEST(KeyProvider, RefusesEveryOtherRequest) {
  const std::vector<std::string> cases = {
      "",
      "[]",
      "{}",
      R"({"op":"keywrap"})",
      R"({"op":7,"keywrapparams":{}})",
      R"({"op":"wrap","keywrapparams":{}})",
      R"({"op":"keywrap","keywrapparams":null})",
      R"({"op":"keywrap","keywrapparams":[]})",
      R"({"op":"keywrap","keywrapparams":{"ec":null,"optsdata":"e30="}})",
      R"({"op":"keywrap","keywrapparams":{"ec":{"Parameters":{"other":["RW5hYmxlZA=="]}},"optsdata":"e30="}})",
      R"({"op":"keywrap","keywrapparams":{"ec":{"Parameters":{"p":["RW5hYmxlZA==","RW5hYmxlZA=="]}},"optsdata":"e30="}})",
      R"({"op":"keywrap","keywrapparams":{"ec":{"Parameters":{"p":["!"]}},"optsdata":"e30="}})",
      R"({"op":"keywrap","keywrapparams":{"ec":{"Parameters":{"p":["YQ=="]}},"optsdata":"e30="}})",
      R"({"op":"keywrap","keywrapparams":{"ec":{"Parameters":{"p":["YT1iOjphPWM="]}},"optsdata":"e30="}})",
      R"({"op":"keyunwrap","keyunwrapparams":{"dc":null,"annotation":null}})",
      R"({"op":"keyunwrap","keyunwrapparams":{"dc":7,"annotation":"e30="}})",
  };
  for (const auto& each : cases) {
    const auto refused = parse_key_provider_request(bytes_of(each), "p");
    ASSERT_FALSE(refused) << each;
    EXPECT_EQ(refused.error().code(), Code::message_invalid) << each;
  }
}

}  // namespace
}  // namespace proplet::ocicrypt
