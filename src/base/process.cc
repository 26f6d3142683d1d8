#include "base/process.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <mutex>
#include <system_error>

namespace proplet {
namespace {

// Turn on guest debug information, log guest output, print panics with more than their place, and make libcurl write
// the keys of its TLS sessions to a file.
constexpr const char* kUnwantedVariables[] = {
    "WASMTIME_BACKTRACE_DETAILS", "WASMTIME_LOG", "RUST_LOG", "RUST_BACKTRACE", "RUST_LIB_BACKTRACE", "SSLKEYLOGFILE"};

constexpr timespec kPollInterval{.tv_sec = 0, .tv_nsec = 50'000'000};

sigset_t stop_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  return signals;
}

void wait_for_signals(const std::stop_token& end, std::stop_source& stop) {
  const sigset_t signals = stop_signals();
  while (!end.stop_requested()) {
    const int signal = ::sigtimedwait(&signals, nullptr, &kPollInterval);
    if (signal < 0) continue;
    if (stop.stop_requested()) ::_exit(128 + signal);
    stop.request_stop();
  }
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
  return {};
}

void wait_for_stop(const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any never;
  std::unique_lock lock(mutex);
  never.wait(lock, stop, [] { return false; });
}

StopSignals::StopSignals(std::stop_source stop) {
  const sigset_t signals = stop_signals();
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  thread_ = std::jthread([stop](const std::stop_token& end) mutable { wait_for_signals(end, stop); });
}

StopSignals::~StopSignals() = default;

}  // namespace proplet
