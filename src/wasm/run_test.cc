#include "wasm/run.h"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "wasm/test_guest.h"

namespace proplet::wasm {
namespace {

using testing::HasSubstr;
using testing::Not;

Result<RunResult> run_guest(const std::string& name, const RunSpec& spec, std::stop_token stop = {}) {
  const auto module = guest(name);
  return run(test_engine(), *module, spec, std::move(stop));
}

RunSpec command(std::vector<std::string> arguments = {}) {
  RunSpec spec;
  spec.function = "_start";
  spec.arguments = std::move(arguments);
  spec.arguments.insert(spec.arguments.begin(), "guest");
  return spec;
}

RunSpec function(std::string name, std::vector<Value> values = {}) {
  RunSpec spec;
  spec.function = std::move(name);
  spec.values = std::move(values);
  return spec;
}

std::string output_of(const std::string& name, const RunSpec& spec) {
  const auto result = run_guest(name, spec);
  EXPECT_TRUE(result) << result.error().text();
  return result ? result->standard_output : "";
}

void expect_failure(const Result<RunResult>& result, Code code, const std::string& text) {
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), code) << result.error().text();
  EXPECT_THAT(result.error().text(), HasSubstr(text));
  EXPECT_EQ(result.error().text().find('\n'), std::string::npos);
}

TEST(Run, GivesACommandArgumentsAndEnvironmentAndCapturesItsOutput) {
  RunSpec spec = command({"one", "", "drei \xc3\xa4"});
  spec.environment["GREETING"] = "hello there";
  const auto result = run_guest("hello", spec);
  ASSERT_TRUE(result) << result.error().text();
  EXPECT_EQ(result->standard_output,
            "argument 0: guest\nargument 1: one\nargument 2: \nargument 3: drei \xc3\xa4\ngreeting: hello there\n");
  EXPECT_EQ(result->standard_error, "a line on stderr\n");
  EXPECT_FALSE(result->value);
}

TEST(Run, ShowsTheGuestNothingOfTheWorkersEnvironment) {
  ::setenv("WORKER_SECRET", "do not tell", 1);
  EXPECT_EQ(output_of("environment", command()), "");
  RunSpec spec = command();
  spec.environment = {{"A", "1"}, {"B", ""}};
  EXPECT_EQ(output_of("environment", spec), "A=1\nB=\n");
}

TEST(Run, GivesAnEmptyStdin) { EXPECT_EQ(output_of("stdin", command()), "0"); }

TEST(Run, RefusesTextThatAGuestCannotReceive) {
  RunSpec zero = command();
  zero.environment["NAME"] = std::string("a\0b", 3);
  expect_failure(run_guest("hello", zero), Code::message_invalid, "NAME contains a zero byte");
  expect_failure(run_guest("hello", command({std::string("a\0b", 3)})), Code::message_invalid, "zero byte");
  expect_failure(run_guest("hello", command({"\xff\xfe"})), Code::message_invalid, "not UTF-8");
}

TEST(Run, TakesExitCodeZeroForSuccess) {
  const auto result = run_guest("exit", command({"0"}));
  ASSERT_TRUE(result) << result.error().text();
  EXPECT_EQ(result->standard_output, "some output\n");
}

TEST(Run, ReportsEveryOtherExitCodeWithTheEndOfStderr) {
  for (const char* code : {"1", "7", "125", "126", "130", "255"}) {
    expect_failure(run_guest("exit", command({code})), Code::guest_exit,
                   std::string("guest exited with code ") + code + ": reason of the exit");
  }
}

TEST(Run, InitializesALibraryOnceBeforeTheCall) {
  const auto initialized = run_guest("math_reactor", function("initialized"));
  ASSERT_TRUE(initialized) << initialized.error().text();
  EXPECT_EQ(std::get<std::int32_t>(*initialized->value), 1);
  const auto sum = run_guest("math_reactor", function("add", {std::int32_t{2}, std::int32_t{-44}}));
  EXPECT_EQ(std::get<std::int32_t>(*sum->value), -42);
}

TEST(Run, TakesTheFirstResultIfItIsANumber) {
  EXPECT_EQ(std::get<std::int32_t>(*run_guest("numbers", function("two"))->value), 1);
  for (const char* name : {"nothing", "vector", "reference"}) {
    const auto result = run_guest("numbers", function(name));
    ASSERT_TRUE(result) << name;
    EXPECT_FALSE(result->value) << name;
  }
  const auto mixed = run_guest("numbers", function("mixed", {std::int32_t{1}, std::int64_t{2}, 0.5F, 0.25}));
  EXPECT_EQ(std::get<double>(*mixed->value), 3.75);
}

TEST(Run, RefusesCallsThatDoNotFit) {
  expect_failure(run_guest("numbers", function("absent")), Code::export_not_found, "absent");
  expect_failure(run_guest("numbers", function("i32")), Code::argument_mismatch, "i32");
  expect_failure(run_guest("numbers", function("i32", {std::int64_t{1}})), Code::argument_mismatch, "i32");
  expect_failure(run_guest("numbers", function("takes_reference", {std::int32_t{1}})), Code::argument_mismatch, "");
}

TEST(Run, NamesTheTrapAndTheInnermostFunctions) {
  expect_failure(run_guest("traps", function("unreachable")), Code::guest_trap,
                 "unreachable instruction executed in innermost < middle");
  expect_failure(run_guest("traps", function("out_of_bounds")), Code::guest_trap, "out of bounds memory access");
  expect_failure(run_guest("traps", function("divide", {std::int32_t{0}})), Code::guest_trap, "integer divide by zero");
  expect_failure(run_guest("traps", function("indirect")), Code::guest_trap, "uninitialized element");
}

TEST(Run, SurvivesEndlessRecursion) {
  for (int i = 0; i < 3; ++i) {
    expect_failure(run_guest("traps", function("recurse")), Code::guest_trap, "call stack exhausted in recurse");
  }
}

TEST(Run, SurvivesEndlessRecursionOnASmallThread) {
  // A thread with less stack than guests need: the run must move to another one.
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, std::size_t{1} << 20);
  pthread_t thread{};
  const auto body = [](void*) -> void* {
    expect_failure(run_guest("traps", function("recurse")), Code::guest_trap, "call stack exhausted");
    return nullptr;
  };
  ASSERT_EQ(pthread_create(&thread, &attributes, body, nullptr), 0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
}

TEST(Run, HoldsEveryKindOfMemoryBombToItsLimit) {
  RunSpec spec = command();
  spec.memory_bytes = std::uint64_t{64} << 20;
  expect_failure(run_guest("bomb", spec), Code::memory_limit, "guest exited with code 1: out of memory");
  spec.arguments.emplace_back("abort");
  expect_failure(run_guest("bomb", spec), Code::memory_limit, "67108864 bytes");
  RunSpec from_start = function("run");
  from_start.memory_bytes = std::uint64_t{256} << 20;
  expect_failure(run_guest("large_memory", from_start), Code::memory_limit, "268435456 bytes");
  from_start.memory_bytes = std::uint64_t{1} << 30;
  EXPECT_EQ(std::get<std::int32_t>(*run_guest("large_memory", from_start)->value), 8192);
}

TEST(Run, LetsAGuestLiveWithRefusedMemory) {
  RunSpec spec = function("run");
  spec.memory_bytes = std::uint64_t{16} << 20;
  const auto result = run_guest("grow", spec);
  ASSERT_TRUE(result) << result.error().text();
  EXPECT_EQ(std::get<std::int32_t>(*result->value), 241);  // 1 page and 15 times 16; one more step would be 257
  EXPECT_EQ(result->measurements.peak_memory_bytes, 241U * 65536);
}

TEST(Run, MeasuresMemoryAndCpuTime) {
  const auto result = run_guest("hold", command({"100"}));
  ASSERT_TRUE(result) << result.error().text();
  const auto megabytes = result->measurements.peak_memory_bytes >> 20;
  EXPECT_GE(megabytes, 100U);
  EXPECT_LE(megabytes, 110U);
  EXPECT_GT(result->measurements.cpu_time.count(), 0);
}

TEST(Run, BoundsWhatItKeepsOfAFlood) {
  RunSpec spec = command({"300"});
  spec.output_bytes = 1000;
  const auto result = run_guest("flood", spec);
  ASSERT_TRUE(result) << result.error().text();
  EXPECT_LT(result->standard_output.size(), 1100U);
  EXPECT_THAT(result->standard_output, HasSubstr("[314571800 bytes of output dropped]"));
  EXPECT_LT(result->standard_error.size(), 1100U);
}

TEST(Run, KeepsClocksAndSleepsInAgreement) {
  EXPECT_EQ(output_of("clock", command()), "ok");
  EXPECT_EQ(output_of("sleep", command({"20"})), "awake");
}

TEST(Run, AnswersBadPollsWithAnErrno) {
  struct Case {
    std::int32_t in, out, count, events, expected;
  };
  const Case cases[] = {
      {0, 0, 0, 0, 28},        // nothing to wait for
      {0, 0, 1000000, 0, 28},  // too much to wait for
      {65535, 0, 1, 0, 21},    // subscriptions out of bounds
      {0, 65510, 1, 0, 21},    // events out of bounds
      {0, 0, 1, 65534, 21},    // number of events out of bounds
      {-1, -1, 4096, -1, 21},  // the same, by overflow
  };
  for (const auto& [in, out, count, events, expected] : cases) {
    const auto result = run_guest("poll", function("poll", {in, out, count, events}));
    ASSERT_TRUE(result) << result.error().text();
    EXPECT_EQ(std::get<std::int32_t>(*result->value), expected);
  }
  const auto event = [](std::int32_t tag, std::int32_t clock) {
    return std::get<std::int32_t>(*run_guest("poll", function("wait", {tag, clock}))->value);
  };
  EXPECT_EQ(event(0, 0), 0);
  EXPECT_EQ(event(0, 1), 0);
  EXPECT_EQ(event(0, 2), 58);  // no waiting for CPU time
  EXPECT_EQ(event(1, 0), 0);   // stdin is at its end
  EXPECT_EQ(event(9, 0), 28);
  const auto clock = run_guest("poll", function("clock", {std::int32_t{1}, std::int32_t{65535}}));
  EXPECT_EQ(std::get<std::int32_t>(*clock->value), 21);
}

class Directories : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = std::filesystem::temp_directory_path() / "proplet-run-XXXXXX";
    root_ = ::mkdtemp(pattern.data());
    std::filesystem::create_directory(root_ / "shared");
    std::ofstream(root_ / "secret") << "outside";
    std::ofstream(root_ / "shared" / "file") << "inside";
    std::filesystem::create_symlink(root_ / "secret", root_ / "shared" / "absolute");
    std::filesystem::create_symlink("../secret", root_ / "shared" / "relative");
    std::filesystem::create_symlink("..", root_ / "shared" / "parent");
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  std::string files(std::vector<std::string> arguments, bool read_only) {
    RunSpec spec = command(std::move(arguments));
    spec.preopens = {{root_ / "shared", "/data", read_only}};
    return output_of("files", spec);
  }

  std::filesystem::path root_;
};

TEST_F(Directories, AreReadableAndWritableAsAllowed) {
  EXPECT_EQ(files({"read", "/data/file"}, true), "inside");
  EXPECT_THAT(files({"write", "/data/file", "changed"}, true), HasSubstr("error"));
  EXPECT_THAT(files({"write", "/data/new", "changed"}, true), HasSubstr("error"));
  EXPECT_EQ(files({"read", "/data/file"}, true), "inside");
  EXPECT_EQ(files({"write", "/data/new", "changed"}, false), "written");
  EXPECT_EQ(files({"read", "/data/new"}, true), "changed");
}

TEST_F(Directories, CannotBeLeft) {
  for (const char* path : {"/data/../secret", "/data/absolute", "/data/relative", "/data/parent/secret", "/secret",
                           "/data/file/../../secret", "/data//../secret", "/etc/passwd", "/data/absolute/", "../secret",
                           "/data/./parent/./secret"}) {
    EXPECT_THAT(files({"read", path}, false), HasSubstr("error")) << path;
    EXPECT_THAT(files({"write", path, "x"}, false), HasSubstr("error")) << path;
  }
  EXPECT_THAT(files({"list", "/data/parent"}, false), HasSubstr("error"));
  EXPECT_THAT(files({"link", "/etc", "/data/etc"}, false), HasSubstr("error"));
  if (files({"link", "../..", "/data/up"}, false) == "linked") {
    EXPECT_THAT(files({"list", "/data/up"}, false), HasSubstr("error"));
  }
}

TEST_F(Directories, MustExist) {
  RunSpec spec = command({"read", "/data/file"});
  spec.preopens = {{root_ / "absent", "/data", true}};
  expect_failure(run_guest("files", spec), Code::config_invalid, "absent");
}

std::size_t entries(const char* path) {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(path), {}));
}

TEST(Run, LeavesNeitherThreadsNorFilesBehind) {
  const auto hello = guest("hello");
  const auto traps = guest("traps");
  const auto once = [&] {
    ASSERT_TRUE(run(test_engine(), *hello, command(), {}));
    ASSERT_FALSE(run(test_engine(), *traps, function("unreachable"), {}));
  };
  once();  // starts the helpers that the process keeps
  const auto threads = entries("/proc/self/task");
  const auto files = entries("/proc/self/fd");
  for (int i = 0; i < 200; ++i) once();
  EXPECT_EQ(entries("/proc/self/task"), threads);
  EXPECT_EQ(entries("/proc/self/fd"), files);
}

TEST(Run, KeepsParallelRunsApart) {
  const auto module = guest("hello");
  constexpr int kThreads = 32;
  std::vector<std::string> outputs(kThreads);
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back([&, i] {
        for (int round = 0; round < 5; ++round) {
          const auto result = run(test_engine(), *module, command({std::to_string(i)}), {});
          outputs[static_cast<std::size_t>(i)] = result ? result->standard_output : result.error().text();
        }
      });
    }
  }
  for (int i = 0; i < kThreads; ++i) {
    EXPECT_EQ(outputs[static_cast<std::size_t>(i)],
              fmt::format("argument 0: guest\nargument 1: {}\ngreeting: none\n", i));
  }
}

}  // namespace
}  // namespace proplet::wasm
