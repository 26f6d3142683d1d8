#include "propeller/messages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>

#include "base/fd.h"
#include "base/json.h"
#include "propeller/session.h"

namespace proplet::propeller {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Parsed<StartCommand> start(std::string_view text) { return parse_start(bytes_of(text)); }

// Calls `each` with the payload of every recorded message on `topic`; returns their number.
int for_each_recorded(std::string_view topic, const std::function<void(const std::string& payload)>& each) {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(PROPLET_VECTORS "/propeller")) {
    if (entry.path().extension() != ".json") continue;
    const auto file = json::parse_object(read_text_file(entry.path(), 1 << 20).value()).value();
    const auto* exchanges = file.if_contains("exchanges");
    if (exchanges == nullptr) continue;
    for (const auto& exchange : exchanges->as_array()) {
      const auto* its_topic = exchange.as_object().if_contains("topic");
      if (its_topic == nullptr || its_topic->as_string() != topic) continue;
      SCOPED_TRACE(entry.path().filename());
      each(json::serialize(exchange.at("payload")));
      ++count;
    }
  }
  return count;
}

TEST(StartMessage, EveryStartOfARealManagerIsUnderstood) {
  const int count = for_each_recorded("control/manager/start", [](const std::string& payload) {
    const auto command = start(payload);
    ASSERT_TRUE(command.has_value()) << command.error().error.text();
    EXPECT_FALSE(command->id.empty());
    EXPECT_FALSE(command->name.empty());
    EXPECT_NE(command->file_base64.empty(), command->image_url.empty());
  });
  EXPECT_GE(count, 18);
}

TEST(StopMessage, EveryStopOfARealManagerIsUnderstood) {
  const int count = for_each_recorded("control/manager/stop", [](const std::string& payload) {
    const auto command = parse_stop(bytes_of(payload));
    ASSERT_TRUE(command.has_value()) << command.error().error.text();
    EXPECT_FALSE(command->id.empty());
  });
  EXPECT_GE(count, 4);
}

TEST(InvokeMessage, EveryInvokeOfARealManagerIsUnderstood) {
  const int count = for_each_recorded("control/manager/invoke", [](const std::string& payload) {
    const auto command = parse_invoke(bytes_of(payload));
    ASSERT_TRUE(command.has_value()) << command.error().error.text();
    EXPECT_FALSE(command->invocation_id.empty());
  });
  EXPECT_GE(count, 2);
}

TEST(StartMessage, CarriesEveryField) {
  const auto command = start(R"({"id":"t","name":"add","state":3,"image_url":"r/x:1","file":null,"inputs":["1","2"],
      "cli_args":["--invoke","f"],"broadcast":false,"daemon":true,"latent":true,"env":{"K":"v"},"encrypted":true,
      "kbs_resource_path":"a/b/c","proplet_id":"p","monitoring_profile":{"enabled":true},"mode":"infer",
      "metadata":{"elastic":{"note":1}},"parent_results":{"x":1},"new_field":[1],"report":"stages"})");
  ASSERT_TRUE(command.has_value()) << command.error().error.text();
  EXPECT_EQ(command->image_url, "r/x:1");
  EXPECT_THAT(command->inputs, ElementsAre("1", "2"));
  EXPECT_THAT(command->cli_args, ElementsAre("--invoke", "f"));
  EXPECT_TRUE(command->daemon && command->latent && command->encrypted && command->report_stages);
  EXPECT_EQ(command->env.at("K"), "v");
  EXPECT_EQ(command->kbs_resource_path, "a/b/c");
  EXPECT_EQ(command->target.proplet_id, "p");
}

TEST(StartMessage, NullStandsForEveryOptionalField) {
  const auto command = start(R"({"id":"t","name":"f","file":"AA==","state":null,"image_url":null,"inputs":null,
      "cli_args":null,"broadcast":null,"daemon":null,"latent":null,"env":null,"encrypted":null,
      "kbs_resource_path":null,"proplet_id":null,"monitoring_profile":null,"metadata":null,"report":null})");
  ASSERT_TRUE(command.has_value()) << command.error().error.text();
  EXPECT_FALSE(command->report_stages);
  EXPECT_TRUE(command->target.includes("anybody"));
}

TEST(StartMessage, InputsMayBeNumbers) {
  const auto command = start(R"({"id":"t","name":"f","file":"AA==","inputs":[10,-3,2.5,"x",null]})");
  ASSERT_TRUE(command.has_value());
  EXPECT_THAT(command->inputs, ElementsAre("10", "-3", "2.5", "x", ""));
}

TEST(StartMessage, OciReferenceIsASynonymOfImageUrl) {
  EXPECT_EQ(start(R"({"id":"t","name":"f","oci_reference":"r/x:1"})")->image_url, "r/x:1");
  EXPECT_EQ(start(R"({"id":"t","name":"f","oci_reference":"r/x:1","image_url":"r/x:1"})")->image_url, "r/x:1");
  EXPECT_FALSE(start(R"({"id":"t","name":"f","oci_reference":"r/x:1","image_url":"r/x:2"})").has_value());
}

struct Refusal {
  std::string_view payload;
  std::string_view text;
  std::string_view id;
};

class RefusedStart : public testing::TestWithParam<Refusal> {};

TEST_P(RefusedStart, SaysWhyAndWhoWaits) {
  const auto command = start(GetParam().payload);
  ASSERT_FALSE(command.has_value());
  EXPECT_EQ(command.error().error.text(), GetParam().text);
  EXPECT_EQ(command.error().id, GetParam().id);
}

INSTANTIATE_TEST_SUITE_P(
    Messages, RefusedStart,
    testing::Values(
        Refusal{R"({"id":"","name":"f","file":"AA=="})", "MESSAGE_INVALID: id is required", ""},
        Refusal{R"({"name":"f","file":"AA=="})", "MESSAGE_INVALID: id is required", ""},
        Refusal{R"({"id":7,"name":"f","file":"AA=="})", "MESSAGE_INVALID: id is not a string", ""},
        Refusal{R"({"id":"t","file":"AA=="})", "MESSAGE_INVALID: name is required", "t"},
        Refusal{R"({"id":"t","name":"f"})", "MESSAGE_INVALID: either file or image_url must be provided", "t"},
        Refusal{R"({"id":"t","name":"f","encrypted":true,"file":"AA=="})",
                "MESSAGE_INVALID: image_url is required for encrypted workloads", "t"},
        Refusal{R"({"id":"t","name":"f","encrypted":true,"file":"AA==","image_url":"r/x"})",
                "MESSAGE_INVALID: encrypted workloads should only use image_url, not file", "t"},
        Refusal{R"({"id":"t","name":"f","file":"AA==","daemon":"yes"})", "MESSAGE_INVALID: daemon is not a boolean",
                "t"},
        Refusal{R"({"id":"t","name":"f","file":"AA==","inputs":[{}]})",
                "MESSAGE_INVALID: inputs has an element that is not a string", "t"},
        Refusal{R"({"id":"t","name":"f","file":"AA==","inputs":"1"})",
                "MESSAGE_INVALID: inputs is not an array of at most 4096 strings", "t"},
        Refusal{R"({"id":"t","name":"f","file":"AA==","env":{"K":1}})",
                "MESSAGE_INVALID: env has a value that is not a string", "t"},
        Refusal{R"({"id":"t","name":"f","file":"AA==","metadata":{"elastic":{"wasi_security":{}}}})",
                "POLICY_UNSUPPORTED: metadata.elastic.wasi_security: this worker cannot enforce WASI policies", "t"},
        Refusal{R"({"id":"t","name":"f","file":"AA==","metadata":{"elastic":{"wasi_pep":"x"}}})",
                "POLICY_UNSUPPORTED: metadata.elastic.wasi_pep: this worker cannot enforce WASI policies", "t"}));

TEST(StartMessage, UnreadableBytesNameNobody) {
  const std::string deep = R"({"id":"t","x":)" + std::string(1000, '[') + std::string(1000, ']') + "}";
  const std::string twice = R"({"id":"t","id":"u","name":"f","file":"AA=="})";
  const std::string not_utf8 = "{\"id\":\"\xff\"}";
  for (const std::string& payload : {std::string(), std::string("null"), std::string("[]"), std::string("{"), deep,
                                     twice, not_utf8, std::string("\0\1\2", 3)}) {
    const auto command = start(payload);
    ASSERT_FALSE(command.has_value()) << payload;
    EXPECT_EQ(command.error().id, "");
    EXPECT_EQ(command.error().error.code(), Code::message_invalid);
    EXPECT_FALSE(command.error().target.has_value());
  }
}

TEST(StartMessage, IsBoundedInSize) {
  const std::string payload = R"({"id":"t","name":"f","file":")" + std::string(2000, 'A') + "\"}";
  EXPECT_TRUE(start(payload).has_value());
  EXPECT_FALSE(parse_start(bytes_of(payload), 1000).has_value());
}

TEST(StartMessage, AnOverlongIdCannotBeAnswered) {
  const auto command = start(R"({"name":"f","file":"AA==","id":")" + std::string(kMaxIdBytes + 1, 'a') + "\"}");
  ASSERT_FALSE(command.has_value());
  EXPECT_THAT(command.error().id, IsEmpty());
}

TEST(StartMessage, AMalformedOneStillTellsItsAddressee) {
  auto command = start(R"({"id":"t","proplet_id":"p","broadcast":false})");
  ASSERT_FALSE(command.has_value());
  ASSERT_TRUE(command.error().target.has_value());
  EXPECT_TRUE(command.error().target->includes("p"));
  EXPECT_FALSE(command.error().target->includes("q"));

  command = start(R"({"id":"t","name":"f","file":"AA==","proplet_id":5})");
  ASSERT_FALSE(command.has_value());
  EXPECT_FALSE(command.error().target.has_value());
}

TEST(StartMessage, IsReadAsItWasWritten) {
  StartCommand command;
  command.id = "t";
  command.name = "f";
  command.image_url = "r/x@sha256:0";
  command.inputs = {"1", "\"quoted\""};
  command.cli_args = {"--invoke", "g"};
  command.env = {{"K", "v\n"}};
  command.encrypted = true;
  command.kbs_resource_path = "a/b/c";
  command.target.proplet_id = "p";
  command.report_stages = true;
  const auto read = start(encode(command));
  ASSERT_TRUE(read.has_value()) << read.error().error.text();
  EXPECT_EQ(encode(*read), encode(command));
}

TEST(ResultMessage, HasExactlyFourMembersInOrder) {
  ResultMessage message{.task_id = "t", .proplet_id = "p", .results = "30", .error = {}, .timing = {}};
  EXPECT_EQ(encode(message), R"({"task_id":"t","proplet_id":"p","results":"30","error":null})");
  message.results = "";
  message.error = "GUEST_TRAP: unreachable";
  EXPECT_EQ(encode(message), R"({"task_id":"t","proplet_id":"p","results":"","error":"GUEST_TRAP: unreachable"})");
}

TEST(ResultMessage, ReplacesWhatIsNotUtf8) {
  const std::pair<std::string, std::string> cases[] = {
      {"caf\xC3\xA9 \xF0\x9F\x98\x80", "caf\xC3\xA9 \xF0\x9F\x98\x80"},
      {"a\xFFz", "a\xEF\xBF\xBDz"},
      {"\xC0\xAF", "\xEF\xBF\xBD\xEF\xBF\xBD"},                  // overlong
      {"\xED\xA0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},  // surrogate
      {"\xE2\x82", "\xEF\xBF\xBD"},                              // cut off
      {"\xF0\x9F\x98z", "\xEF\xBF\xBDz"},
  };
  for (const auto& [bytes, expected] : cases) {
    ResultMessage message;
    message.task_id = "t";
    message.results = bytes;
    const auto read = parse_result(bytes_of(encode(message)));
    ASSERT_TRUE(read.has_value()) << read.error().text();
    EXPECT_EQ(read->results, expected);
  }
}

TEST(ResultMessage, CarriesTheStagesOnlyForThoseWhoAsk) {
  ResultMessage message;
  message.task_id = "t";
  message.timing = ResultMessage::Timing{.stages_ms = {{"pull", 1.5}, {"run", 0.25}}, .worker_ms = 2};
  const auto read = parse_result(bytes_of(encode(message)));
  ASSERT_TRUE(read.has_value());
  ASSERT_TRUE(read->timing.has_value());
  EXPECT_THAT(read->timing->stages_ms,
              ElementsAre(std::pair<std::string, double>("pull", 1.5), std::pair<std::string, double>("run", 0.25)));
  EXPECT_EQ(read->timing->worker_ms, 2);
}

// The recordings also hold malformed results, which a Manager ignores; so is what they say here.
TEST(ResultMessage, RecordedResultsAreUnderstoodUnlessMalformed) {
  const int count = for_each_recorded("control/proplet/results", [](const std::string& payload) {
    const auto object = json::parse_object(payload);
    if (!object) return;
    const auto* id = object->if_contains("task_id");
    const auto* error = object->if_contains("error");
    const bool names_task = id != nullptr && id->is_string() && !id->as_string().empty();
    const bool error_is_text = error == nullptr || error->is_null() || error->is_string();
    EXPECT_EQ(parse_result(bytes_of(payload)).has_value(), names_task && error_is_text) << payload;
  });
  EXPECT_GE(count, 10);
}

TEST(Discovery, LeavesOutWhatIsUnknown) {
  Discovery discovery;
  discovery.proplet_id = "p";
  discovery.tags = {"tee", "tee:sample"};
  discovery.os = "linux";
  discovery.total_memory_bytes = 16633872384;
  EXPECT_EQ(encode(discovery),
            R"({"proplet_id":"p","namespace":"default","metadata":{"tags":["tee","tee:sample"],"environment":"",)"
            R"("os":"linux","cpu_arch":"","total_memory_bytes":16633872384,"proplet_version":"","wasm_runtime":""}})");
}

TEST(Heartbeat, IsWhatManagersExpect) {
  EXPECT_EQ(encode(Heartbeat{.proplet_id = "p", .namespace_name = "default"}),
            R"({"proplet_id":"p","status":"alive","namespace":"default"})");
}

struct AddressCase {
  std::string_view text;
  std::string_view host;
  int port;
  bool tls;
};

TEST(BrokerAddress, AcceptsUrlsAndHostsWithOrWithoutPort) {
  const AddressCase cases[] = {
      {"tcp://localhost:1883", "localhost", 1883, false},
      {"mqtt://broker", "broker", 1883, false},
      {"ssl://broker", "broker", 8883, true},
      {"TLS://broker:1", "broker", 1, true},
      {"mqtts://[::1]:8884", "::1", 8884, true},
      {"localhost:1884", "localhost", 1884, false},
      {"10.0.0.7:1885", "10.0.0.7", 1885, false},
      {"[fe80::1]", "fe80::1", 1883, false},
      {"broker", "broker", 1883, false},
      {"ws://broker/path", "broker", 1883, false},
  };
  for (const auto& [text, host, port, tls] : cases) {
    const auto address = BrokerAddress::parse(text);
    ASSERT_TRUE(address.has_value()) << text << ": " << address.error().text();
    EXPECT_EQ(address->host, host) << text;
    EXPECT_EQ(address->port, port) << text;
    EXPECT_EQ(address->tls, tls) << text;
  }
}

TEST(BrokerAddress, RefusesWhatNamesNoPlace) {
  for (const std::string_view text : {"", "tcp://", "host:", "host:0", "host:65536", "host:12x", "::1", "[::1",
                                      "[::1]x", "tcp://:1883", "tcp://user:secret@host"}) {
    const auto address = BrokerAddress::parse(text);
    ASSERT_FALSE(address.has_value()) << text;
    EXPECT_EQ(address.error().code(), Code::config_invalid);
    EXPECT_THAT(address.error().text(), testing::Not(HasSubstr("secret")));
  }
}

// Propeller protocol 2.8.
TEST(ResultMessage, OfAFederatedRoundAreAnObjectThatNamesTheWorker) {
  ResultMessage message;
  message.task_id = "t";
  message.proplet_id = "w";
  message.results = "4\xff";
  message.federated = FederatedResult{.round_id = "r1", .num_samples = 3};
  EXPECT_EQ(encode(message),
            R"({"task_id":"t","results":{"task_id":"t","round_id":"r1","proplet_id":"w","num_samples":3,)"
            R"("update_b64":"NP8=","format":"f32-delta","metrics":{}},"error":null})");
}

}  // namespace
}  // namespace proplet::propeller
