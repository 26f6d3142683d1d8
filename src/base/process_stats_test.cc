#include "base/process_stats.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace proplet {
namespace {

using std::chrono::milliseconds;

constexpr std::string_view kStat =
    "16219 (a (b) c) R 16214 16214 8531 0 -1 4194304 102 0 0 0 150 25 0 0 20 0 7 0 65855 3133440 415 "
    "18446744073709551615 94360880660480 94360880680361 140722726403824 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0";

TEST(ProcessStat, IsReadBehindANameWithParentheses) {
  const auto stat = parse_process_stat(kStat);
  ASSERT_TRUE(stat);
  const long tick_ms = 1000 / sysconf(_SC_CLK_TCK);
  EXPECT_EQ(stat->user_time, milliseconds(150 * tick_ms));
  EXPECT_EQ(stat->system_time, milliseconds(25 * tick_ms));
  EXPECT_EQ(stat->threads, 7U);
  EXPECT_EQ(stat->resident_bytes, 415U * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE)));
}

TEST(ProcessStat, IsNothingForOtherText) {
  for (const std::string_view text : {"", "1 (x) R", "1 (x", "1 (x) R 1 1 1 0 -1 4 1 0 0 0 a b 0 0 20 0 7 0 1 1 1"}) {
    EXPECT_FALSE(parse_process_stat(text)) << text;
  }
}

TEST(ProcessStat, OfThisProcessIsReal) {
  const auto stat = read_process_stat(getpid());
  ASSERT_TRUE(stat);
  EXPECT_GE(stat->threads, 1U);
  EXPECT_GT(stat->resident_bytes, 1U << 20U);
  EXPECT_FALSE(read_process_stat(-1));
}

TEST(ProcessIo, CountsTheStorageOnly) {
  const auto io = parse_process_io(
      "rchar: 7276\nwchar: 300\nsyscr: 12\nsyscw: 1\nread_bytes: 8192\nwrite_bytes: 4096\ncancelled_write_bytes: 1\n");
  ASSERT_TRUE(io);
  EXPECT_EQ(io->read_bytes, 8192U);
  EXPECT_EQ(io->write_bytes, 4096U);
  EXPECT_FALSE(parse_process_io("read_bytes: 1\n"));
  EXPECT_FALSE(parse_process_io("read_bytes: x\nwrite_bytes: 4096\n"));
}

TEST(MachineTime, IsTheSumOfAllProcessors) {
  const auto time = parse_machine_time("cpu  100 10 50 800 40 3 2 5 30 0\ncpu0 1 2 3 4 5 6 7 8 9 10\n");
  ASSERT_TRUE(time);
  EXPECT_EQ(time->busy, 170U);
  EXPECT_EQ(time->total, 1010U);
  EXPECT_FALSE(parse_machine_time("cpu0 1 2 3 4 5 6 7 8\n"));
  EXPECT_FALSE(parse_machine_time("cpu 1 2 3\n"));
}

TEST(MachineTime, HasABusyShareFromNothingToAll) {
  EXPECT_DOUBLE_EQ(busy_share({.busy = 100, .total = 1000}, {.busy = 150, .total = 1200}), 0.25);
  EXPECT_DOUBLE_EQ(busy_share({.busy = 100, .total = 1000}, {.busy = 100, .total = 1000}), 0);
  EXPECT_DOUBLE_EQ(busy_share({.busy = 100, .total = 1000}, {.busy = 90, .total = 1100}), 0);
  EXPECT_DOUBLE_EQ(busy_share({.busy = 0, .total = 0}, {.busy = 10, .total = 10}), 1);
}

std::vector<std::string> folders(std::string_view text) {
  std::vector<std::string> folders;
  for (const auto& group : memory_groups(text, "/c")) folders.push_back(group.folder + (group.unified ? " v2" : " v1"));
  return folders;
}

TEST(MemoryGroups, AreFoundInBothVersions) {
  using testing::ElementsAre;
  EXPECT_THAT(folders("0::/\n"), ElementsAre("/c v2"));
  EXPECT_THAT(folders("0::/system.slice/proplet.service\n"),
              ElementsAre("/c/system.slice/proplet.service v2", "/c v2"));
  EXPECT_THAT(folders("5:freezer:/\n4:cpu,memory:/docker/ab\n0::/\n"),
              ElementsAre("/c/memory/docker/ab v1", "/c/memory v1", "/c v2"));
  EXPECT_THAT(folders("0::/../../other\n"), ElementsAre("/c v2"));
  EXPECT_THAT(folders("nonsense\n:\n::\n4:memory\n"), testing::IsEmpty());
}

TEST(MemoryLimit, IsNothingWhenUnlimited) {
  EXPECT_EQ(parse_memory_limit("536870912\n"), 536870912U);
  for (const std::string_view text : {"max\n", "0\n", "9223372036854771712\n", "", "x"}) {
    EXPECT_FALSE(parse_memory_limit(text)) << text;
  }
}

class ContainerMemoryTest : public testing::Test {
 protected:
  void SetUp() override {
    root_ = testing::TempDir() + "proplet-cgroup-" + testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::create_directories(root_);
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  void write(const std::string& name, std::string_view text) {
    const std::filesystem::path path = root_ + "/" + name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }
  ContainerMemory read() { return read_container_memory(root_ + "/self", root_); }

  std::string root_;
};

TEST_F(ContainerMemoryTest, ComesFromTheOwnGroupOfVersionTwo) {
  write("self", "0::/a/b\n");
  write("a/b/memory.current", "1000\n");
  write("a/b/memory.max", "2000\n");
  write("memory.current", "9\n");
  EXPECT_EQ(read().usage_bytes, 1000U);
  EXPECT_EQ(read().limit_bytes, 2000U);
}

TEST_F(ContainerMemoryTest, ComesFromTheMountWhenThePathIsTheHosts) {
  write("self", "4:memory:/docker/ab\n");
  write("memory/memory.usage_in_bytes", "1000\n");
  write("memory/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_EQ(read().usage_bytes, 1000U);
  EXPECT_EQ(read().limit_bytes, std::nullopt);
}

TEST_F(ContainerMemoryTest, IsNothingWithoutControlGroups) {
  EXPECT_EQ(read().usage_bytes, 0U);
  write("self", "0::/\n");
  EXPECT_EQ(read().usage_bytes, 0U);
  EXPECT_EQ(read().limit_bytes, std::nullopt);
}

TEST(ProcessUsage, OfThisProcessIsReal) {
  const Usage usage = ProcessUsage(getpid()).usage();
  EXPECT_GT(usage.memory_bytes.value_or(0), 1U << 20U);
  EXPECT_TRUE(usage.cpu_time);
  EXPECT_GE(usage.threads.value_or(0), 1U);
  EXPECT_GE(usage.file_descriptors.value_or(0), 3U);
}

TEST(ProcessUsage, OfNoProcessIsUnknown) {
  const Usage usage = ProcessUsage(-1).usage();
  EXPECT_FALSE(usage.memory_bytes || usage.cpu_time || usage.threads || usage.file_descriptors);
}

class FixedUsage final : public UsageSource {
 public:
  [[nodiscard]] Usage usage() const override { return now; }
  Usage now;
};

TEST(RunGauge, KnowsNothingBeforeTheRunAndItsLastUsageAfterIt) {
  RunGauge gauge;
  EXPECT_FALSE(gauge.read());
  FixedUsage source;
  {
    source.now.memory_bytes = 1;
    const RunGauge::Attachment attachment(&gauge, source);
    EXPECT_EQ(gauge.read()->usage.memory_bytes, 1U);
    source.now.memory_bytes = 2;
    source.now.threads = 3;
  }
  source.now.memory_bytes = 4;
  ASSERT_TRUE(gauge.read());
  EXPECT_EQ(gauge.read()->usage.memory_bytes, 2U);
  EXPECT_EQ(gauge.read()->usage.threads, 3U);
  EXPECT_LE(gauge.read()->started, gauge.read()->taken);
}

TEST(RunGauge, KeepsWhatTheSourceDoesNotKnowAnyMore) {
  RunGauge gauge;
  FixedUsage source;
  source.now.memory_bytes = 1;
  const RunGauge::Attachment attachment(&gauge, source);
  gauge.read();
  source.now.memory_bytes.reset();
  EXPECT_EQ(gauge.read()->usage.memory_bytes, 1U);
  const RunGauge::Attachment none(nullptr, source);
}

}  // namespace
}  // namespace proplet
