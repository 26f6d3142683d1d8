// A Runtime runs a Module once and says how that went.
//
// `run` blocks the calling thread until the guest is done, stopped or out of limits. Every run has its own instance;
// runs on different threads do not influence each other. Within 100 ms of a stop request `run` returns TASK_STOPPED,
// whatever the guest is doing.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/run_gauge.h"
#include "base/stage.h"
#include "module/module.h"

namespace proplet::runtime {

struct Directory {
  std::string host_path;
  std::string guest_path;
  bool read_only = false;
};

struct Limits {
  std::uint64_t memory_bytes = std::uint64_t{256} << 20;  // linear memory of the guest
  std::optional<std::chrono::milliseconds> time;          // wall clock for the run, not for fetching; none: unlimited
  std::optional<std::uint64_t> fuel;                      // about one unit an instruction; none: not counted
  std::size_t output_bytes = std::size_t{1} << 20;        // captured from each of stdout and stderr
};

struct RunRequest {
  std::string task_id;
  // Name of the exported function, as the task gives it; see propeller-protocol 5.1 for what "_start" and others mean.
  std::string function;
  bool function_required = false;      // --invoke was given: no fallback to main, run or _start
  std::vector<std::string> arguments;  // text of the function's arguments, or argv[1..] of a command
  std::vector<std::string> cli_args;   // flags for the command line of an external runtime, as the task gives them
  std::map<std::string, std::string> environment;
  std::vector<Directory> directories;
  Limits limits;
  RunGauge* gauge = nullptr;  // for whoever watches the run; the runtime attaches to it while the guest runs
};

// A finished run. A guest that traps or exits with a code other than 0 is an Error instead.
struct Outcome {
  std::string result;  // the text published in `results`: the first result value, or a command's stdout
  std::string standard_output;
  std::string standard_error;
  std::uint64_t peak_memory_bytes = 0;
  std::chrono::nanoseconds cpu_time{0};
};

// Thread-safe.
class Runtime {
 public:
  virtual ~Runtime() = default;
  // Whether the run can be tried at all, as far as can be told without running: daemons are answered before they run.
  [[nodiscard]] virtual Status accepts(const module::Module& /*module*/, const RunRequest& /*request*/) const {
    return {};
  }
  virtual Result<Outcome> run(module::Module module, const RunRequest& request, StageObserver* observer,
                              std::stop_token stop) = 0;
};

}  // namespace proplet::runtime
