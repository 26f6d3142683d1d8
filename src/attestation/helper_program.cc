#include "attestation/helper_program.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <system_error>

#include "base/fd.h"

namespace proplet::attestation {
namespace {

constexpr int kPollMilliseconds = 50;  // how soon a stop is seen
constexpr std::size_t kErrorBytes = 300;

struct Pipe {
  UniqueFd read;
  UniqueFd write;
};

Result<Pipe> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail(Code::evidence_failed, "no pipe for the attester program");
  return Pipe{.read = UniqueFd(ends[0]), .write = UniqueFd(ends[1])};
}

// The input is in the pipe before anybody can read it, so that a program that does not read cannot hurt us.
Status fill(const Pipe& pipe, std::string_view input) {
  const ssize_t count = ::write(pipe.write.get(), input.data(), input.size());
  if (count == static_cast<ssize_t>(input.size())) return {};
  return fail(Code::evidence_failed, "no room for the input of the attester program");
}

// A running helper; its whole group is gone when this is.
class Helper {
 public:
  static Result<Helper> start(const std::string& path, std::string_view input);
  Helper(Helper&& other) noexcept
      : output(std::move(other.output)), errors(std::move(other.errors)), pid_(std::exchange(other.pid_, -1)) {}
  Helper& operator=(Helper&&) = delete;
  Helper(const Helper&) = delete;
  Helper& operator=(const Helper&) = delete;
  ~Helper() { end(); }

  // Kills what is left and collects the status.
  int end() {
    if (pid_ <= 0) return -1;
    int status = 0;
    // The leader is not collected yet, so the group's number is still ours.
    ::kill(-pid_, SIGKILL);
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  [[nodiscard]] bool ended() const {
    siginfo_t info{};
    return ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0;
  }

  UniqueFd output;  // we read
  UniqueFd errors;  // we read

 private:
  explicit Helper(pid_t pid) : pid_(pid) {}

  pid_t pid_;
};

class SpawnSettings {
 public:
  SpawnSettings() {
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawnattr_init(&attributes);
  }
  ~SpawnSettings() {
    ::posix_spawnattr_destroy(&attributes);
    ::posix_spawn_file_actions_destroy(&actions);
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;

  posix_spawn_file_actions_t actions{};
  posix_spawnattr_t attributes{};
};

Result<Helper> Helper::start(const std::string& path, std::string_view input_text) {
  TRY_ASSIGN(Pipe input, make_pipe());
  TRY(fill(input, input_text));
  TRY_ASSIGN(Pipe output, make_pipe());
  TRY_ASSIGN(Pipe errors, make_pipe());
  SpawnSettings settings;
  ::posix_spawn_file_actions_adddup2(&settings.actions, input.read.get(), STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&settings.actions, output.write.get(), STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&settings.actions, errors.write.get(), STDERR_FILENO);
  // Libraries of ours may have opened files without close-on-exec.
  ::posix_spawn_file_actions_addclosefrom_np(&settings.actions, STDERR_FILENO + 1);
  ::posix_spawn_file_actions_addchdir_np(&settings.actions, "/");
  sigset_t none;
  sigset_t all;
  ::sigemptyset(&none);
  ::sigfillset(&all);
  ::posix_spawnattr_setsigmask(&settings.attributes, &none);
  ::posix_spawnattr_setsigdefault(&settings.attributes, &all);
  ::posix_spawnattr_setflags(&settings.attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);

  std::string name = path;
  std::string search_path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  const std::array<char*, 2> arguments{name.data(), nullptr};
  const std::array<char*, 2> environment{search_path.data(), nullptr};
  pid_t pid = -1;
  const int error =
      ::posix_spawn(&pid, path.c_str(), &settings.actions, &settings.attributes, arguments.data(), environment.data());
  if (error != 0) {
    return fail(Code::evidence_failed, "cannot start {}: {}", path, std::generic_category().message(error));
  }
  Helper helper(pid);
  helper.output = std::move(output.read);
  helper.errors = std::move(errors.read);
  for (const int fd : {helper.output.get(), helper.errors.get()}) ::fcntl(fd, F_SETFL, O_NONBLOCK);
  return helper;
}

// Appends what can be read now. False at the end of the stream.
bool drain(UniqueFd& fd, std::string& text, std::size_t limit) {
  std::array<char, 16384> block{};
  while (text.size() <= limit) {
    const ssize_t count = ::read(fd.get(), block.data(), block.size());
    if (count < 0) return errno == EAGAIN || errno == EINTR;
    if (count == 0) return false;
    text.append(block.data(), static_cast<std::size_t>(count));
  }
  return true;
}

}  // namespace

Result<HelperOutcome> run_helper(const std::string& path, std::string_view input, const HelperLimits& limits,
                                 const std::stop_token& stop) {
  TRY_ASSIGN(Helper helper, Helper::start(path, input));
  const auto deadline = std::chrono::steady_clock::now() + limits.time;
  HelperOutcome outcome;
  std::string errors;
  bool output_open = true;
  bool errors_open = true;
  bool ended = false;
  // A grandchild may keep the streams open; the program's own end counts.
  while (!ended) {
    if (stop.stop_requested()) return fail(Code::cancelled, "stopped while the attester program ran");
    if (std::chrono::steady_clock::now() > deadline) {
      return fail(Code::evidence_failed, "{} took longer than {} ms", path, limits.time.count());
    }
    std::array<pollfd, 2> streams{pollfd{.fd = output_open ? helper.output.get() : -1, .events = POLLIN, .revents = 0},
                                  pollfd{.fd = errors_open ? helper.errors.get() : -1, .events = POLLIN, .revents = 0}};
    ::poll(streams.data(), streams.size(), kPollMilliseconds);
    ended = helper.ended();  // before the last look, so that nothing it wrote is missed
    output_open = output_open && drain(helper.output, outcome.output, limits.output_bytes);
    std::string more_errors;
    errors_open = errors_open && drain(helper.errors, more_errors, kErrorBytes * 64);
    errors.append(more_errors, 0, kErrorBytes - std::min(kErrorBytes, errors.size()));
    if (outcome.output.size() > limits.output_bytes) {
      return fail(Code::evidence_failed, "{} wrote more than {} bytes", path, limits.output_bytes);
    }
  }
  outcome.exit_status = helper.end();
  outcome.error_line = errors.substr(0, errors.find('\n'));
  return outcome;
}

}  // namespace proplet::attestation
