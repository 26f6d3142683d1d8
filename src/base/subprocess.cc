#include "base/subprocess.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "base/fd.h"
#include "base/process_stats.h"

namespace proplet {
namespace {

using std::chrono::steady_clock;

constexpr std::size_t kReadBytes = std::size_t{64} << 10;  // as much as a pipe holds

std::string reason(int error) { return std::generic_category().message(error); }

// Above the numbers that the child's own descriptors get, so that none is overwritten before it is used.
UniqueFd raised(int descriptor) {
  constexpr int kFirst = 16;
  return UniqueFd(::fcntl(descriptor, F_DUPFD_CLOEXEC, kFirst));
}

struct Pipe {
  UniqueFd read;
  UniqueFd write;
};

Result<Pipe> make_pipe(bool blocking) {
  std::array<int, 2> ends{-1, -1};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail(Code::io_failed, "cannot make a pipe: {}", reason(errno));
  const UniqueFd low_end(ends[1]);
  Pipe pipe{UniqueFd(ends[0]), raised(low_end.get())};
  if (!pipe.write.valid() || (!blocking && ::fcntl(pipe.read.get(), F_SETFL, O_NONBLOCK) != 0)) {
    return fail(Code::io_failed, "cannot make a pipe: {}", reason(errno));
  }
  return pipe;
}

// What the program reads as stdin. Written before there is anybody to read, so that one that does not read is no harm.
Result<UniqueFd> standard_input(const std::string& input) {
  if (input.empty()) {
    const UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    return raised(null.get());
  }
  if (input.size() > PIPE_BUF) return fail(Code::size_limit, "the input of a program is limited to {} bytes", PIPE_BUF);
  TRY_ASSIGN(const Pipe pipe, make_pipe(true));
  if (std::cmp_not_equal(::write(pipe.write.get(), input.data(), input.size()), input.size())) {
    return fail(Code::io_failed, "cannot fill a pipe: {}", reason(errno));
  }
  return raised(pipe.read.get());
}

// All that the child needs, made ready before it exists.
struct Slate {
  const char* program = nullptr;
  char* const* arguments = nullptr;
  char* const* environment = nullptr;
  int standard_input = -1;
  int standard_output = -1;
  int standard_error = -1;
  int file = -1;
  int report = -1;  // where errno goes if this fails
  pid_t parent = 0;
};

// The child until it becomes the program. It may share its parent's memory, and the parent has other threads: system
// calls only.
[[noreturn]] void become(const Slate& slate) {
  const bool leashed = ::setsid() >= 0 && ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0 &&
                       ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
  if (::getppid() != slate.parent) ::_exit(127);  // it died before it could be noticed
  const bool connected =
      leashed && ::dup2(slate.standard_input, STDIN_FILENO) >= 0 && ::dup2(slate.standard_output, STDOUT_FILENO) >= 0 &&
      ::dup2(slate.standard_error, STDERR_FILENO) >= 0 && (slate.file < 0 || ::dup2(slate.file, kInheritedFile) >= 0);
  const unsigned first_unwanted = kInheritedFile + (slate.file < 0 ? 0 : 1);
  // Whatever a library has opened without O_CLOEXEC stays here.
  if (connected && ::close_range(first_unwanted, UINT_MAX, CLOSE_RANGE_CLOEXEC) == 0) {
    sigset_t none;
    ::sigemptyset(&none);
    ::signal(SIGPIPE, SIG_DFL);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::execve(slate.program, slate.arguments, slate.environment);
  }
  const int error = errno;
  (void)!::write(slate.report, &error, sizeof(error));
  ::_exit(127);
}

// A vfork: forking would copy the page tables of a process that may have many guests. Nothing else in this function,
// as it returns twice.
[[gnu::noinline]] pid_t launch(const Slate& slate) {
  const pid_t pid = ::vfork();  // NOLINT(bugprone-unsafe-functions): posix_spawn cannot set PR_SET_PDEATHSIG
  if (pid == 0) become(slate);
  return pid;
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> list;
  list.reserve(texts.size() + 1);
  for (const std::string& text : texts) list.push_back(const_cast<char*>(text.c_str()));
  list.push_back(nullptr);
  return list;
}

// By its number: the C library of Debian 12 declares this function for C only.
UniqueFd open_handle(pid_t pid) { return UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))); }

// A running or ended program that nobody has waited for yet, so that its number is not given to another.
class Child {
 public:
  explicit Child(pid_t pid) : pid_(pid), handle_(open_handle(pid)) {}
  ~Child() {
    kill_group();
    rusage unused{};
    if (pid_ > 0) wait(unused);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  [[nodiscard]] int handle() const { return handle_.get(); }  // readable once the program has ended

  void kill_group() const {
    if (pid_ > 0) ::kill(-pid_, SIGKILL);
  }

  // How it has ended. Only once.
  void reap(ProcessEnd& end) {
    rusage usage{};
    const int status = wait(usage);
    end.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    end.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    end.peak_memory_bytes = static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
    for (const timeval& time : {usage.ru_utime, usage.ru_stime}) {
      end.cpu_time += std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_usec);
    }
  }

 private:
  int wait(rusage& usage) {
    constexpr int kUnknown = 255 << 8;  // exit status 255
    int status = kUnknown;
    while (::wait4(pid_, &status, 0, &usage) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    return status;
  }

  pid_t pid_;
  UniqueFd handle_;
};

// One output of the child.
class Stream {
 public:
  Stream(UniqueFd source, BoundedOutput& kept) : source_(std::move(source)), kept_(kept) {}

  [[nodiscard]] int source() const { return source_.get(); }

  // Takes what is there now, up to what the pipe can hold: the other end may be filling it all the time.
  void take(std::string& buffer) {
    if (!source_.valid()) return;
    ssize_t count = 0;
    while ((count = ::read(source_.get(), buffer.data(), buffer.size())) < 0 && errno == EINTR) {
    }
    if (count > 0) kept_.append(std::string_view(buffer.data(), static_cast<std::size_t>(count)));
    if (count == 0 || (count < 0 && errno != EAGAIN)) source_ = UniqueFd();
  }

 private:
  UniqueFd source_;
  BoundedOutput& kept_;
};

int poll_timeout(const std::optional<steady_clock::time_point>& deadline) {
  if (!deadline) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(*deadline - steady_clock::now());
  return static_cast<int>(
      std::clamp<std::int64_t>(left.count(), 0, std::chrono::milliseconds(std::chrono::hours(1)).count()));
}

// Until the child has ended by itself.
Status watch(const Child& child, std::array<Stream, 2>& streams, const ProcessSpec& spec, int wake,
             std::string& buffer) {
  std::optional<steady_clock::time_point> deadline;
  if (spec.time) deadline = steady_clock::now() + *spec.time;
  while (true) {
    std::array<pollfd, 4> set{{{child.handle(), POLLIN, 0},
                               {wake, POLLIN, 0},
                               {streams[0].source(), POLLIN, 0},
                               {streams[1].source(), POLLIN, 0}}};
    if (::poll(set.data(), set.size(), poll_timeout(deadline)) < 0 && errno != EINTR) {
      return fail(Code::io_failed, "cannot wait for {}: {}", spec.program, reason(errno));
    }
    if (set[1].revents != 0) return fail(Code::cancelled, "{} was stopped", spec.program);
    if (set[0].revents != 0) return {};
    if (deadline && steady_clock::now() >= *deadline) {
      return fail(Code::task_timeout, "the task ran longer than {} ms", spec.time->count());
    }
    for (std::size_t i = 0; i < streams.size(); ++i) {
      if (set.at(2 + i).revents != 0) streams.at(i).take(buffer);
    }
  }
}

// The errno of a child that could not become the program; 0 if it has.
int launch_error(const UniqueFd& report) {
  int error = 0;
  ssize_t count = 0;
  while ((count = ::read(report.get(), &error, sizeof(error))) < 0 && errno == EINTR) {
  }
  return count == sizeof(error) ? error : 0;
}

}  // namespace

std::string ProcessEnd::text() const {
  if (signal == 0) return fmt::format("exit status: {}", exit_code);
  const char* name = ::sigabbrev_np(signal);
  return name != nullptr ? fmt::format("signal: {} (SIG{})", signal, name) : fmt::format("signal: {}", signal);
}

Result<ProcessEnd> run_process(const ProcessSpec& spec, std::stop_token stop) {
  const auto arguments = pointers(spec.arguments);
  const auto environment = pointers(spec.environment);
  TRY_ASSIGN(UniqueFd input, standard_input(spec.input));
  const UniqueFd file = spec.file < 0 ? UniqueFd() : raised(spec.file);
  const UniqueFd wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!input.valid() || !wake.valid() || file.valid() != (spec.file >= 0)) {
    return fail(Code::io_failed, "cannot start {}: {}", spec.program, reason(errno));
  }
  TRY_ASSIGN(Pipe output, make_pipe(false));
  TRY_ASSIGN(Pipe error, make_pipe(false));
  TRY_ASSIGN(Pipe report, make_pipe(true));

  const pid_t pid = launch({.program = spec.program.c_str(),
                            .arguments = arguments.data(),
                            .environment = environment.data(),
                            .standard_input = input.get(),
                            .standard_output = output.write.get(),
                            .standard_error = error.write.get(),
                            .file = file.get(),
                            .report = report.write.get(),
                            .parent = ::getpid()});
  if (pid < 0) return fail(Code::io_failed, "cannot start {}: {}", spec.program, reason(errno));
  Child child(pid);
  input = UniqueFd();
  // Only the child's copies may keep the pipes open, else their ends would never show.
  for (Pipe* pipe : {&output, &error, &report}) pipe->write = UniqueFd();
  if (const int failure = launch_error(report.read); failure != 0) {
    return fail(Code::io_failed, "cannot start {}: {}", spec.program, reason(failure));
  }
  if (child.handle() < 0) return fail(Code::io_failed, "cannot watch {}: no descriptor left", spec.program);

  ProcessEnd end{.standard_output = BoundedOutput(spec.output_bytes),
                 .standard_error = BoundedOutput(spec.output_bytes)};
  std::array<Stream, 2> streams{Stream(std::move(output.read), end.standard_output),
                                Stream(std::move(error.read), end.standard_error)};
  std::string buffer(kReadBytes, '\0');
  const std::stop_callback on_stop(stop, [&wake] { ::eventfd_write(wake.get(), 1); });
  {
    const ProcessUsage usage(pid);
    const RunGauge::Attachment attachment(spec.gauge, usage);
    TRY(watch(child, streams, spec, wake.get(), buffer));
  }
  // First the rest of the group, which would go on writing; what the program itself wrote is in the pipes by now.
  child.kill_group();
  for (Stream& stream : streams) stream.take(buffer);
  child.reap(end);
  return end;
}

Result<std::string> find_program(const std::string& name, std::string_view search_path) {
  const auto usable = [](const std::filesystem::path& path) {
    std::error_code ignored;
    return std::filesystem::is_regular_file(path, ignored) && ::access(path.c_str(), X_OK) == 0;
  };
  std::error_code failed;
  if (name.find('/') != std::string::npos) {
    if (usable(name)) return std::filesystem::absolute(name, failed).string();
    return fail(Code::io_failed, "{} is no executable file", name);
  }
  while (!name.empty() && !search_path.empty()) {
    const auto end = std::min(search_path.find(':'), search_path.size());
    const std::filesystem::path folder(search_path.substr(0, end));
    search_path.remove_prefix(std::min(end + 1, search_path.size()));
    if (!folder.empty() && usable(folder / name)) return std::filesystem::absolute(folder / name, failed).string();
  }
  return fail(Code::io_failed, "no executable file named '{}' in PATH", name);
}

}  // namespace proplet
