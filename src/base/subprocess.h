// Runs another program to its end, on a clean slate and a short leash.
//
// The program gets the arguments and variables given here and nothing else of this process: no other variable, no
// descriptor but stdin, its output pipes and one file, no blocked signal, no new privileges. It leads a
// session and process group of its own. The whole group is killed when the program ends, is stopped or runs out of
// time; the program itself is killed even when this process dies without a chance to do anything (what it has started
// then lives on, as does at any time what has left the group). Output is read while it is written, so that a program
// that writes much is never held up, and only a bounded part of it is kept. Thread-safe; the calling thread waits.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/bounded_output.h"
#include "base/result.h"
#include "base/run_gauge.h"

namespace proplet {

// Where the program finds ProcessSpec::file.
inline constexpr int kInheritedFile = 3;

struct ProcessSpec {
  std::string program;                              // path of the executable
  std::vector<std::string> arguments;               // argv, beginning with the program's name
  std::vector<std::string> environment;             // "NAME=value"
  std::string input = {};                           // what stdin holds: at most 4 KiB, so that it fits a pipe
  int file = -1;                                    // a descriptor the program gets as kInheritedFile; -1: none
  std::size_t output_bytes = std::size_t{1} << 20;  // kept of stdout, and of stderr
  std::optional<std::chrono::milliseconds> time;    // none: as long as it likes
  RunGauge* gauge = nullptr;                        // shows what the program uses while it runs; none: nobody looks
};

struct ProcessEnd {
  int exit_code = 0;
  int signal = 0;  // that ended it; 0: it exited
  BoundedOutput standard_output;
  BoundedOutput standard_error;
  // The kernel's figures for the program and the children it waited for. The memory is never less than what this
  // process had when the program was started: the kernel starts counting before exec.
  std::uint64_t peak_memory_bytes = 0;
  std::chrono::nanoseconds cpu_time{0};

  [[nodiscard]] bool succeeded() const { return signal == 0 && exit_code == 0; }
  // "exit status: 3" or "signal: 9 (SIGKILL)".
  [[nodiscard]] std::string text() const;
};

// IO_FAILED when the program cannot be started, CANCELLED after a stop request, TASK_TIMEOUT. How the program itself
// ends is no error.
Result<ProcessEnd> run_process(const ProcessSpec& spec, std::stop_token stop);

// The path of an executable: `name` itself if it has a slash, else the first one of that name in `search_path`, a list
// with colons. Absolute. IO_FAILED if there is none.
Result<std::string> find_program(const std::string& name, std::string_view search_path);

}  // namespace proplet
