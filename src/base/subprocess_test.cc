#include "base/subprocess.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <thread>
#include <tuple>

#include "base/fd.h"

namespace proplet {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

// A shell that runs `script`.
ProcessSpec shell(std::string script) {
  ProcessSpec spec;
  spec.program = "/bin/sh";
  spec.arguments = {"sh", "-c", std::move(script)};
  spec.environment = {"PATH=/usr/bin:/bin"};
  return spec;
}

// A pipe of the test's own, to learn from a program how far it is and when the last process that holds it is gone.
class Signal {
 public:
  Signal() {
    int ends[2];
    if (::pipe(ends) != 0) std::abort();
    read_ = UniqueFd(ends[0]);
    write_ = UniqueFd(ends[1]);
  }
  // What a program has to be given as its file.
  [[nodiscard]] int descriptor() const { return write_.get(); }
  // Until a program has written something there.
  void wait() {
    char byte = 0;
    ASSERT_EQ(::read(read_.get(), &byte, 1), 1);
  }
  // Until nobody holds it any more; hangs if somebody does.
  void wait_for_last() {
    write_ = UniqueFd();
    char byte = 0;
    while (::read(read_.get(), &byte, 1) > 0) {
    }
  }

 private:
  UniqueFd read_;
  UniqueFd write_;
};

TEST(Subprocess, GivesOutputAndExitStatus) {
  const auto end = run_process(shell("echo out; echo err >&2; exit 3"), {});
  ASSERT_TRUE(end.has_value()) << end.error().text();
  EXPECT_EQ(end->standard_output.text(), "out\n");
  EXPECT_EQ(end->standard_error.text(), "err\n");
  EXPECT_EQ(end->exit_code, 3);
  EXPECT_FALSE(end->succeeded());
  EXPECT_EQ(end->text(), "exit status: 3");
  EXPECT_GT(end->peak_memory_bytes, 100'000U);
}

TEST(Subprocess, NamesTheSignalThatEndedIt) {
  const auto end = run_process(shell("kill -SEGV $$"), {});
  ASSERT_TRUE(end.has_value());
  EXPECT_EQ(end->text(), "signal: 11 (SIGSEGV)");
  EXPECT_FALSE(end->succeeded());
}

TEST(Subprocess, MeasuresProcessorTime) {
  const auto end = run_process(shell("i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done"), {});
  ASSERT_TRUE(end.has_value());
  EXPECT_GT(end->cpu_time, 1ms);
}

TEST(Subprocess, KeepsAPartOfAFloodAndNeverHoldsItUp) {
  ProcessSpec spec = shell("head -c 10485760 /dev/zero; head -c 10485760 /dev/zero >&2; echo end");
  spec.output_bytes = 1000;
  const auto end = run_process(spec, {});
  ASSERT_TRUE(end.has_value());
  EXPECT_TRUE(end->succeeded());
  EXPECT_EQ(end->standard_output.dropped(), 10485760U + 4 - 1000);
  EXPECT_EQ(end->standard_error.dropped(), 10485760U - 1000);
  EXPECT_EQ(end->standard_output.end(4), "end\n");
}

TEST(Subprocess, HasNothingOfThisProcess) {
  ::setenv("PROPLET_API_KEY", "secret", 1);
  int leaked[2];  // as a library would open it, without O_CLOEXEC
  ASSERT_EQ(::pipe(leaked), 0);
  sigset_t term;
  sigemptyset(&term);
  sigaddset(&term, SIGTERM);
  ::pthread_sigmask(SIG_BLOCK, &term, nullptr);
  const auto end = run_process(
      shell("cd /proc/self/fd && echo * && env && grep -E '^Sig(Blk|Ign)|NoNewPrivs' /proc/self/status; cat"), {});
  ::pthread_sigmask(SIG_UNBLOCK, &term, nullptr);
  ::close(leaked[0]);
  ::close(leaked[1]);
  ::unsetenv("PROPLET_API_KEY");
  ASSERT_TRUE(end.has_value());
  const std::string output = end->standard_output.text();
  EXPECT_THAT(output, testing::MatchesRegex("0 1 2( 3)?\n.*"));  // 3 is the folder that the shell lists
  EXPECT_THAT(output, Not(HasSubstr("secret")));
  EXPECT_THAT(output, HasSubstr("SigBlk:\t0000000000000000"));
  // The C library keeps signals 32 and 33 for itself; how they were inherited is nothing that anybody could change.
  EXPECT_THAT(output, testing::ContainsRegex("SigIgn:\t0000000[01][08]0000000"));
  EXPECT_THAT(output, HasSubstr("NoNewPrivs:\t1"));
}

TEST(Subprocess, ReadsTheFileItIsGiven) {
  const auto file = anonymous_file("test", bytes_of("content"));
  ASSERT_TRUE(file.has_value()) << file.error().text();
  ProcessSpec spec = shell("cat /proc/self/fd/3; echo more >> /proc/self/fd/3 && echo written");
  spec.file = file->get();
  const auto end = run_process(spec, {});
  ASSERT_TRUE(end.has_value());
  EXPECT_EQ(end->standard_output.text(), "content");
}

TEST(Subprocess, ReadsItsInputAndThenTheEnd) {
  auto spec = shell("cat; echo done");
  spec.input = "one line\n";
  const auto end = run_process(spec, {});
  ASSERT_TRUE(end) << end.error().text();
  EXPECT_EQ(end->standard_output.text(), "one line\ndone\n");
  // One that does not read it is no harm, whatever the process does about broken pipes.
  auto deaf = shell("exit 0");
  deaf.input = std::string(4096, 'x');
  ASSERT_TRUE(run_process(deaf, {}));
  deaf.input.push_back('x');
  EXPECT_EQ(run_process(deaf, {}).error().code(), Code::size_limit);
}

TEST(Subprocess, LeavesNobodyOfItsGroupWhenItEnds) {
  Signal signal;
  // The child holds the outputs open and would for ever.
  ProcessSpec spec =
      shell("(trap '' TERM HUP INT; echo x >&3; while :; do sleep 1; done) & read -r line < /dev/null; echo done");
  spec.file = signal.descriptor();
  const auto end = run_process(spec, {});
  ASSERT_TRUE(end.has_value());
  EXPECT_EQ(end->standard_output.text(), "done\n");
  signal.wait_for_last();
}

TEST(Subprocess, AStopEndsTheWholeGroupWhateverItIgnores) {
  Signal signal;
  ProcessSpec spec =
      shell("trap '' TERM HUP INT; sleep 1000 & sleep 1000 & echo x >&3; exec >&- 2>&-; while :; do wait; done");
  spec.file = signal.descriptor();
  std::stop_source stop;
  Result<ProcessEnd> end = fail(Code::internal, "not run");
  std::thread runner([&] { end = run_process(spec, stop.get_token()); });
  signal.wait();
  stop.request_stop();
  runner.join();
  signal.wait_for_last();
  ASSERT_FALSE(end.has_value());
  EXPECT_EQ(end.error().code(), Code::cancelled);
}

TEST(Subprocess, DoesNotRunOnceItIsStopped) {
  std::stop_source stop;
  stop.request_stop();
  const auto end = run_process(shell("sleep 1000"), stop.get_token());
  ASSERT_FALSE(end.has_value());
  EXPECT_EQ(end.error().code(), Code::cancelled);
}

TEST(Subprocess, EndsWhenItsTimeIsOver) {
  Signal signal;
  ProcessSpec spec = shell("while :; do :; done & cat /dev/zero");  // floods all the time
  spec.file = signal.descriptor();
  spec.time = 100ms;
  const auto end = run_process(spec, {});
  ASSERT_FALSE(end.has_value());
  EXPECT_EQ(end.error().text(), "TASK_TIMEOUT: the task ran longer than 100 ms");
  signal.wait_for_last();
}

TEST(Subprocess, DiesWithTheProcessThatRunsIt) {
  Signal signal;
  const pid_t worker = ::fork();
  if (worker == 0) {
    ProcessSpec spec = shell("echo x >&3; exec sleep 1000");
    spec.file = signal.descriptor();
    std::ignore = run_process(spec, {});
    ::_exit(0);
  }
  signal.wait();
  ::kill(worker, SIGKILL);
  signal.wait_for_last();
  ::waitpid(worker, nullptr, 0);
}

TEST(Subprocess, SaysWhyItCannotStart) {
  ProcessSpec spec = shell("true");
  spec.program = "/nowhere/program";
  const auto missing = run_process(spec, {});
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().text(), "IO_FAILED: cannot start /nowhere/program: No such file or directory");
  spec.program = "/etc/passwd";
  EXPECT_EQ(run_process(spec, {}).error().text(), "IO_FAILED: cannot start /etc/passwd: Permission denied");
  const ProcessSpec long_argument = shell(std::string(1 << 20, ' '));
  EXPECT_THAT(run_process(long_argument, {}).error().text(), HasSubstr("Argument list too long"));
}

TEST(Subprocess, LeavesNoDescriptorsOrChildren) {
  const auto descriptors = [] {
    int count = 0;
    for (int fd = 0; fd < 256; ++fd) count += ::fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
    return count;
  };
  const int before = descriptors();
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(run_process(shell("echo x"), {}).has_value());
  ProcessSpec missing = shell("true");
  missing.program = "/nowhere";
  ASSERT_FALSE(run_process(missing, {}).has_value());
  EXPECT_EQ(descriptors(), before);
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
}

TEST(FindProgram, LooksInThePathLikeAShell) {
  EXPECT_EQ(find_program("sh", "/nowhere::/bin"), "/bin/sh");
  EXPECT_EQ(find_program("/bin/sh", ""), "/bin/sh");
  for (const char* name : {"no-such-program", "", "/etc", "/etc/passwd", "/bin/no-such-program", "bin/sh"}) {
    const auto found = find_program(name, "/bin:/etc");
    ASSERT_FALSE(found.has_value()) << name;
    EXPECT_EQ(found.error().code(), Code::io_failed);
  }
}

TEST(AnonymousFile, CannotBeChanged) {
  const auto file = anonymous_file("test", bytes_of("content"));
  ASSERT_TRUE(file.has_value());
  EXPECT_EQ(::pwrite(file->get(), "x", 1, 0), -1);
  EXPECT_EQ(::ftruncate(file->get(), 0), -1);
}

}  // namespace
}  // namespace proplet
