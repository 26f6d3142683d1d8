#include "base/process.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <mutex>
#include <sstream>
#include <system_error>
#include <utility>

namespace proplet {
namespace {

// Turn on guest debug information, log guest output, print panics with more than their place, and make libcurl write
// the keys of its TLS sessions to a file.
constexpr const char* kUnwantedVariables[] = {
    "WASMTIME_BACKTRACE_DETAILS", "WASMTIME_LOG", "RUST_LOG", "RUST_BACKTRACE", "RUST_LIB_BACKTRACE", "SSLKEYLOGFILE"};

constexpr timespec kPollInterval{.tv_sec = 0, .tv_nsec = 50'000'000};

sigset_t signals_of(StopSignals::Hangup hangup) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  if (hangup == StopSignals::Hangup::calls) sigaddset(&signals, SIGHUP);
  return signals;
}

}  // namespace

Status harden_process() {
  const rlimit no_core{.rlim_cur = 0, .rlim_max = 0};
  if (::setrlimit(RLIMIT_CORE, &no_core) != 0 || ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) {
    return fail(Code::io_failed, "cannot forbid core dumps: {}", std::generic_category().message(errno));
  }
  for (const char* name : kUnwantedVariables) ::unsetenv(name);
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGCHLD, SIG_DFL);  // ignored, as some parents leave it, the exit status of children would be lost
  ::signal(SIGXFSZ, SIG_IGN);
  return {};
}

void release_startup_code() {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    std::istringstream fields(line);
    std::uintptr_t begin = 0;
    std::uintptr_t end = 0;
    char dash = 0;
    std::string access;
    std::string rest;
    fields >> std::hex >> begin >> dash >> end >> access;
    std::getline(fields, rest);
    // Code of files is never written to, not even by the dynamic linker, so that it can be read from there again.
    const bool code_of_file = access == "r-xp" && rest.find('/') != std::string::npos;
    if (!fields || !code_of_file) continue;
    // NOLINTNEXTLINE(performance-no-int-to-ptr): the kernel tells addresses as text
    ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
  }
}

void wait_for_stop(const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any never;
  std::unique_lock lock(mutex);
  never.wait(lock, stop, [] { return false; });
}

StopSignals::StopSignals(std::stop_source stop, Hangup hangup) {
  const sigset_t signals = signals_of(hangup);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  thread_ =
      std::jthread([this, signals, stop](const std::stop_token& end) mutable { wait_for_signals(signals, end, stop); });
}

void StopSignals::on_hangup(std::function<void()> action) {
  const std::lock_guard lock(mutex_);
  hangup_ = std::move(action);
}

void StopSignals::wait_for_signals(const sigset_t& signals, const std::stop_token& end, std::stop_source& stop) {
  while (!end.stop_requested()) {
    const int signal = ::sigtimedwait(&signals, nullptr, &kPollInterval);
    if (signal < 0) continue;
    if (signal == SIGHUP) {
      hang_up();
      continue;
    }
    if (stop.stop_requested()) ::_exit(128 + signal);
    stop.request_stop();
  }
}

void StopSignals::hang_up() {
  const std::lock_guard lock(mutex_);
  if (hangup_) hangup_();
}

StopSignals::~StopSignals() = default;

}  // namespace proplet
