#include "cli/worker_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "propeller/messages.h"
#include "propeller/topics.h"

namespace proplet::cli {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(Printable, LeavesNothingThatATerminalObeys) {
  const std::pair<const char*, const char*> cases[] = {
      {"plain text", "plain text"},
      {"\x1b[31mred\x1b]0;title\x07", " [31mred ]0;title "},
      {"a\r\nb\tc\x7f", "a  b c "},
      {"\xc2\x9b"
       "2J \xc2\xa0 \xc3\xa4",
       " 2J \xc2\xa0 \xc3\xa4"},
      {"\xc2", "\xc2"},
  };
  for (const auto& [text, shown] : cases) EXPECT_EQ(printable(text), shown);
  EXPECT_EQ(printable_lines("a\n\tb\x1b", 100), "a\n\tb ");
}

TEST(Printable, IsCutBetweenCharacters) {
  EXPECT_EQ(printable("abcdef", 3), "abc...");
  EXPECT_EQ(printable("ab\xc3\xa4"
                      "cd",
                      3),
            "ab\xc3\xa4...");
  EXPECT_EQ(printable("abc", 3), "abc");
}

TEST(Describe, SaysWhatMattersOfEachMessage) {
  propeller::Discovery discovery;
  discovery.proplet_id = "w";
  discovery.tags = {"gpu", "lab"};
  discovery.proplet_version = "1.2";
  discovery.wasm_runtime = "wasmtime-internal";
  discovery.os = "linux";
  discovery.cpu_arch = "x86_64";
  discovery.total_memory_bytes = std::uint64_t{8} << 30;
  const auto line = describe(propeller::kCreateTopic, bytes_of(encode(discovery)));
  EXPECT_EQ(line.kind, "discovery");
  EXPECT_EQ(line.worker, "w");
  EXPECT_EQ(line.text, "version 1.2, wasmtime-internal, tags gpu,lab, linux/x86_64, 8192 MiB");

  const std::tuple<std::string_view, std::string_view, std::string_view, std::string_view> cases[] = {
      {propeller::kAliveTopic, R"({"proplet_id":"w"})", "w", ""},
      {propeller::kResultsTopic, R"({"task_id":"t","proplet_id":"w","results":"30","error":null})", "w",
       "task t: result 30"},
      {propeller::kResultsTopic, R"({"task_id":"t","proplet_id":"w","results":"","error":"X"})", "w",
       "task t: error X"},
      {propeller::kResultsTopic, R"({"task_id":"t","results":{"proplet_id":"w","round_id":"r"},"error":null})", "w",
       R"(task t: result {"proplet_id":"w","round_id":"r"})"},
      {"control/proplet/metrics",
       R"({"proplet_id":"w","cpu_metrics":{"percent":12.5},"memory_metrics":{"rss_bytes":1048576}})", "w",
       "CPU 12.5 %, memory 1.0 MiB"},
      {"control/proplet/task_metrics",
       R"({"task_id":"t","proplet_id":"w","metrics":{"cpu_percent":3,"memory_bytes":2097152,"uptime_seconds":4}})", "w",
       "task t: CPU 3.0 %, memory 2.0 MiB, up 4 s"},
      {propeller::kResultsTopic, "[]", "", "not understood: FORMAT_INVALID: JSON: the text is not an object"},
      {"control/proplet/metrics", R"({"cpu_metrics":7,"memory_metrics":null})", "", "CPU 0.0 %, memory 0.0 MiB"},
      {"control/proplet/new\x1b", "123", "", "3 bytes"},
  };
  for (const auto& [topic, payload, worker, text] : cases) {
    const auto found = describe(topic, bytes_of(payload));
    EXPECT_EQ(found.worker, worker) << payload;
    EXPECT_EQ(found.text, text) << payload;
    EXPECT_EQ(found.kind.find('\x1b'), std::string::npos);
  }
}

TEST(RosterTest, TellsNewWorkersAndThoseThatFallSilent) {
  Roster roster;
  const Roster::Time start;
  const auto beat = [&](std::string_view id, std::chrono::seconds after) {
    return roster.hear(propeller::kAliveTopic, bytes_of(R"({"proplet_id":")" + std::string(id) + "\"}"), start + after);
  };
  EXPECT_TRUE(beat("a", 0s));
  EXPECT_TRUE(beat("b", 1s));
  EXPECT_FALSE(beat("a", 4s));
  EXPECT_FALSE(roster.hear(propeller::kAliveTopic, bytes_of("nonsense"), start));
  EXPECT_FALSE(roster.hear(propeller::kAliveTopic, bytes_of("{}"), start));
  EXPECT_THAT(roster.fallen_silent(start + 11s), IsEmpty());
  EXPECT_THAT(roster.fallen_silent(start + 12s), ElementsAre("b"));
  EXPECT_THAT(roster.fallen_silent(start + 13s), IsEmpty());
  EXPECT_TRUE(beat("b", 20s));
}

TEST(RosterTest, ListsWhatIsKnown) {
  Roster roster;
  const Roster::Time start;
  roster.hear(propeller::kAliveTopic, bytes_of(R"({"proplet_id":"quiet"})"), start + 5s);
  roster.hear(propeller::kCreateTopic,
              bytes_of(R"({"proplet_id":"told","metadata":{"tags":["x\u001b",1],"proplet_version":7,"os":"linux"}})"),
              start);
  const std::string table = roster.table(start + 8s);
  EXPECT_THAT(table, HasSubstr("quiet   -        -        -        -       3 s ago    -"));
  EXPECT_THAT(table, HasSubstr("told    7        -        linux/   -       -          x"));
  EXPECT_EQ(table.find('\x1b'), std::string::npos);
  const auto list = roster.to_json(start + 8s);
  ASSERT_EQ(list.size(), 2U);
  EXPECT_EQ(list[0].at("id"), "quiet");
  EXPECT_EQ(list[0].at("seconds_since_heartbeat"), 3.0);
  EXPECT_TRUE(list[0].at("metadata").is_null());
  EXPECT_TRUE(list[1].at("seconds_since_heartbeat").is_null());
}

}  // namespace
}  // namespace proplet::cli
