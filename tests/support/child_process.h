// Real tools as child processes of tests.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace proplet::test_support {

// A folder that exists as long as its owner.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// A program found on PATH, with its output in `log`; ended by SIGTERM on destruction.
class ChildProcess {
 public:
  ChildProcess(const std::vector<std::string>& command, const std::string& log);
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  // Waits for the end and returns the exit status; -1 for a signal.
  int wait();
  // Ends the program at once, without giving it a chance to put anything in order.
  void kill();
  [[nodiscard]] bool running() const;

 private:
  pid_t pid_ = -1;
};

// Runs a program to its end. The exit status; its output is in `log`.
int run(const std::vector<std::string>& command, const std::string& log);

// A loopback port that was free a moment ago.
int free_port();
// Until something accepts connections there; false after 20 seconds or when `process` has ended.
bool wait_for_port(int port, const ChildProcess& process);

void write_text(const std::string& path, const std::string& text);

}  // namespace proplet::test_support
