#include "runtime/host_runtime.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace proplet::runtime {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

// A shell script as the external runtime.
class HostRuntimeTest : public testing::Test {
 protected:
  HostRuntimeTest() {
    if (::mkdtemp(folder_.data()) == nullptr) std::abort();
    request_.function = "add";
    request_.arguments = {"1", "2"};
  }
  ~HostRuntimeTest() override {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  std::unique_ptr<HostRuntime> make(const std::string& script) {
    const std::string path = folder_ + "/runtime";
    std::ofstream(path) << "#!/bin/sh\n" << script;
    ::chmod(path.c_str(), 0700);
    auto runtime =
        HostRuntime::make("runtime", *AllowedArguments::make({}, {}),
                          {{"PATH", folder_ + ":/usr/bin:/bin"}, {"HOME", "/home"}, {"PROPLET_API_KEY", "k"}});
    EXPECT_TRUE(runtime.has_value());
    return std::move(*runtime);
  }
  Result<Outcome> run(const std::string& script, std::string_view module = "module") {
    return make(script)->run(load(module), request_, nullptr, {});
  }
  static module::Module load(std::string_view text) {
    return {SecretBytes::copy_of(bytes_of(text)), "", "test", false};
  }

  std::string folder_ = "/tmp/proplet-host-XXXXXX";
  RunRequest request_;
};

TEST_F(HostRuntimeTest, GivesStdoutUnchangedAsTheResult) {
  const auto outcome = run("echo 30; echo note >&2");
  ASSERT_TRUE(outcome.has_value()) << outcome.error().text();
  EXPECT_EQ(outcome->result, "30\n");
  EXPECT_EQ(outcome->standard_error, "note\n");
  EXPECT_GT(outcome->peak_memory_bytes, 0U);
}

TEST_F(HostRuntimeTest, HandsTheModuleOverInMemory) {
  const auto outcome = run("echo \"$*\"; for file; do if test -e $file; then cat $file; fi; done", "the module");
  ASSERT_TRUE(outcome.has_value()) << outcome.error().text();
  EXPECT_EQ(outcome->result, "run --invoke add /proc/self/fd/3 1 2\nthe module");
}

TEST_F(HostRuntimeTest, LetsTheProgramSeeNoVariableButAFew) {
  request_.environment = {{"LD_PRELOAD", "/x.so"}, {"PATH", "/evil"}};
  const auto outcome = run("env | grep -vE '^(_|PWD|SHLVL|OLDPWD)=' | sort");
  ASSERT_TRUE(outcome.has_value()) << outcome.error().text();
  EXPECT_EQ(outcome->result, "HOME=/home\nPATH=" + folder_ + ":/usr/bin:/bin\n");
}

TEST_F(HostRuntimeTest, ReportsAFailureInTheWordsOfTheProtocol) {
  const auto exit = run("echo lost; echo why >&2; exit 1");
  ASSERT_FALSE(exit.has_value());
  EXPECT_EQ(exit.error().text(), "GUEST_EXIT: Process exited with status: exit status: 1, stderr: why ");
  EXPECT_EQ(exit.error().stage(), Stage::run);
  EXPECT_EQ(run("kill -9 $$").error().text(), "GUEST_EXIT: Process exited with status: signal: 9 (SIGKILL), stderr: ");
  EXPECT_LT(run("yes >&2 & sleep 0.1; exit 1").error().text().size(), 5000U);
}

TEST_F(HostRuntimeTest, MarksWhatItDropsOfAFlood) {
  request_.limits.output_bytes = 10;
  const auto outcome = run("echo aaaaaaaaaa; echo bbbbbbbbbb");
  ASSERT_TRUE(outcome.has_value());
  EXPECT_EQ(outcome->result, "aaaaa\n[12 bytes of output dropped]\nbbbb\n");
}

TEST_F(HostRuntimeTest, KeepsToTheTimeLimit) {
  request_.limits.time = std::chrono::milliseconds(50);
  EXPECT_THAT(run("sleep 1000").error().text(), StartsWith("TASK_TIMEOUT: the task ran longer than 50 ms"));
}

TEST_F(HostRuntimeTest, RefusesWhatItMustNotRun) {
  const auto runtime = make("echo ran");
  module::Module confidential = load("secret");
  confidential.confidential = true;
  EXPECT_THAT(runtime->accepts(confidential, request_).error().text(), StartsWith("UNSUPPORTED: encrypted modules"));
  EXPECT_FALSE(runtime->run(std::move(confidential), request_, nullptr, {}).has_value());

  const auto server = load(std::string_view("\0asm\x0d\0\1\0..wasi:http/incoming-handler", 36));
  EXPECT_THAT(runtime->accepts(server, request_).error().text(), StartsWith("UNSUPPORTED: components that serve HTTP"));

  request_.cli_args = {"--dir=/"};
  EXPECT_THAT(runtime->accepts(load("m"), request_).error().text(),
              StartsWith("CLI_ARGUMENT_REFUSED: cli_args: --dir=/"));
  EXPECT_FALSE(runtime->run(load("m"), request_, nullptr, {}).has_value());
}

TEST_F(HostRuntimeTest, SaysThatAProgramIsNotThere) {
  const auto missing = HostRuntime::make("no-such-runtime", *AllowedArguments::make({}, {}), {{"PATH", "/bin"}});
  ASSERT_FALSE(missing.has_value());
  EXPECT_THAT(missing.error().text(), HasSubstr("no executable file named 'no-such-runtime' in PATH"));
}

}  // namespace
}  // namespace proplet::runtime
