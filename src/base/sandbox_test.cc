#include "base/sandbox.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <thread>

namespace proplet {
namespace {

namespace fs = std::filesystem;

// 0, or errno.
int outcome(long result) { return result >= 0 ? 0 : errno; }

int read_byte(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return errno;
  char byte = 0;
  const int result = outcome(::read(fd, &byte, 1));
  ::close(fd);
  return result;
}

int write_byte(const std::string& path) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return errno;
  const int result = outcome(::write(fd, "x", 1));
  ::close(fd);
  return result;
}

int open_socket(int family, int type, int protocol) {
  const int fd = ::socket(family, type, protocol);
  if (fd >= 0) ::close(fd);
  return outcome(fd);
}

// Does something in a child that is in the sandbox; the child's answer, or a number from 200 on if it got no sandbox or
// died.
class SandboxTest : public ::testing::Test {
 protected:
  SandboxTest() {
    std::string name = (fs::temp_directory_path() / "proplet-sandbox-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
    for (const char* part : {"read", "write", "other"}) {
      fs::create_directory(folder_ / part);
      std::ofstream(folder_ / part / "file") << "content";
    }
    policy_.read = system_read_paths();
    policy_.read.push_back(path("read"));
    policy_.read.push_back(path("does-not-exist"));
    policy_.write = {path("write")};
  }
  ~SandboxTest() override { fs::remove_all(folder_); }

  [[nodiscard]] std::string path(const std::string& relative) const { return (folder_ / relative).string(); }

  int inside(const std::function<int()>& action) const {
    const pid_t child = ::fork();
    if (child == 0) {
      const auto report = enter_sandbox(policy_);
      ::_exit(report ? action() : 200);
    }
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 201;
  }

  fs::path folder_;
  SandboxPolicy policy_;
};

TEST_F(SandboxTest, ReportsWhatIsInForce) {
  const int answer = inside([] { return 0; });
  EXPECT_EQ(answer, 0);
  EXPECT_EQ(inside([this] {
              const auto again = enter_sandbox(policy_);  // once more, from inside
              return again && again->system_calls && again->files == (again->landlock_version > 0) ? 0 : 1;
            }),
            0);
}

TEST_F(SandboxTest, FilesAreReadAndWrittenWhereThePolicySays) {
  if (landlock_version() == 0) GTEST_SKIP() << "this kernel has no Landlock";
  EXPECT_EQ(inside([this] { return read_byte(path("read/file")); }), 0);
  EXPECT_EQ(inside([this] { return write_byte(path("read/file")); }), EACCES);
  EXPECT_EQ(inside([this] { return write_byte(path("read/new")); }), EACCES);
  EXPECT_EQ(inside([this] { return outcome(::unlink(path("read/file").c_str())); }), EACCES);

  EXPECT_EQ(inside([this] { return read_byte(path("write/file")); }), 0);
  EXPECT_EQ(inside([this] { return write_byte(path("write/new")); }), 0);
  EXPECT_EQ(inside([this] { return outcome(::rename(path("write/new").c_str(), path("write/old").c_str())); }), 0);
  EXPECT_EQ(inside([this] { return outcome(::mkdir(path("write/folder").c_str(), 0700)); }), 0);
  EXPECT_EQ(inside([this] { return outcome(::unlink(path("write/old").c_str())); }), 0);

  EXPECT_EQ(inside([this] { return read_byte(path("other/file")); }), EACCES);
  EXPECT_EQ(inside([this] { return write_byte(path("other/new")); }), EACCES);
  EXPECT_EQ(inside([this] { return outcome(::rename(path("write/file").c_str(), path("other/stolen").c_str())); }),
            EACCES);
}

TEST_F(SandboxTest, LibrariesFindWhatTheyRead) {
  EXPECT_EQ(inside([] { return read_byte("/etc/hostname"); }), 0);
  EXPECT_EQ(inside([] { return read_byte("/proc/self/status"); }), 0);
  EXPECT_EQ(inside([] { return read_byte("/dev/urandom"); }), 0);
  EXPECT_EQ(inside([] { return write_byte("/dev/null"); }), 0);
}

TEST_F(SandboxTest, NoProgramIsStarted) {
  EXPECT_EQ(inside([] {
              char name[] = "/bin/true";
              char* const arguments[] = {name, nullptr};
              ::execve("/bin/true", arguments, nullptr);
              return errno;
            }),
            ENOSYS);
}

TEST_F(SandboxTest, CallsThatAWorkerNeverNeedsAreRefused) {
  const std::function<long()> calls[] = {
      [] { return ::mount("none", "/tmp", "tmpfs", 0, nullptr); },
      [] { return ::unshare(CLONE_NEWUSER); },
      [] { return ::syscall(SYS_bpf, 0, nullptr, 0); },
      [] { return ::syscall(SYS_io_uring_setup, 1, nullptr); },
      [] { return ::syscall(SYS_keyctl, 0, 0, 0, 0, 0); },
      [] { return ::syscall(SYS_userfaultfd, 0); },
      [] { return ::syscall(SYS_perf_event_open, nullptr, 0, 0, 0, 0); },
      [] { return ::chroot("/"); },
      [] { return ::syscall(SYS_init_module, nullptr, 0, ""); },
      [] { return ::syscall(SYS_process_vm_writev, ::getpid(), nullptr, 0, nullptr, 0, 0); },
  };
  for (std::size_t i = 0; i < std::size(calls); ++i) {
    EXPECT_EQ(inside([&] { return outcome(calls[i]()); }), ENOSYS) << i;
  }
}

TEST_F(SandboxTest, SocketsAreOfTheInternetAndOfThisMachine) {
  EXPECT_EQ(inside([] { return open_socket(AF_INET, SOCK_STREAM, 0); }), 0);
  EXPECT_EQ(inside([] { return open_socket(AF_INET6, SOCK_DGRAM, 0); }), 0);
  EXPECT_EQ(inside([] { return open_socket(AF_UNIX, SOCK_STREAM, 0); }), 0);
  EXPECT_EQ(inside([] { return open_socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE); }), 0);
  EXPECT_EQ(inside([] { return open_socket(AF_NETLINK, SOCK_RAW, NETLINK_AUDIT); }), ENOSYS);
  EXPECT_EQ(inside([] { return open_socket(AF_PACKET, SOCK_RAW, 0); }), ENOSYS);
  EXPECT_EQ(inside([] { return open_socket(AF_VSOCK, SOCK_STREAM, 0); }), ENOSYS);
}

TEST_F(SandboxTest, ThreadsAreMadeAndAreInsideToo) {
  EXPECT_EQ(inside([] {
              int answer = 0;
              std::thread([&] { answer = outcome(::mount("none", "/tmp", "tmpfs", 0, nullptr)); }).join();
              return answer;
            }),
            ENOSYS);
}

TEST_F(SandboxTest, WithProgramsTheyStartAndStayInsideInTheirTurn) {
  policy_.programs = true;
  EXPECT_EQ(inside([] { return std::system("exit 7") == 7 << 8 ? 0 : 1; }), 0);
  EXPECT_EQ(inside([this] { return write_byte(path("other/new")); }), 0) << "their files are not known";
  EXPECT_EQ(inside([] { return outcome(::mount("none", "/tmp", "tmpfs", 0, nullptr)); }), EPERM);
  EXPECT_EQ(inside([] { return outcome(::unshare(CLONE_NEWUSER)); }), EPERM);
  EXPECT_NE(inside([] { return std::system("exec mount -t tmpfs none /mnt 2>/dev/null") == 0 ? 0 : 1; }), 0);
}

}  // namespace
}  // namespace proplet
