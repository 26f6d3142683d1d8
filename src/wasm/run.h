// One run of a Module: a fresh instance with WASI 0.1, called once.
//
// `run` uses the calling thread, or, if less than kGuestStackBytes of its stack are left, a thread of its own. Guests
// see an empty stdin, the environment and directories given here, and nothing else of the host: no sockets, no
// inherited environment. Output beyond the limit is dropped in the middle and counted. Within 100 ms of a stop request
// or the time limit the run ends, whatever the guest is doing; one bulk memory operation at most is completed first.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "base/run_gauge.h"
#include "wasm/module.h"

namespace proplet::wasm {

inline constexpr std::size_t kGuestStackBytes = std::size_t{4} << 20;

struct Preopen {
  std::string host_path;
  std::string guest_path;
  bool read_only = false;
};

using Value = std::variant<std::int32_t, std::int64_t, float, double>;

struct RunSpec {
  std::string function;                // an exported function
  std::vector<Value> values;           // its parameters, of the right number and types
  std::vector<std::string> arguments;  // argv, the program's name first
  std::map<std::string, std::string> environment;
  std::vector<Preopen> preopens;
  std::uint64_t memory_bytes = std::uint64_t{256} << 20;  // sum of all linear memories and tables
  std::optional<std::chrono::milliseconds> time;
  // Roughly one unit an instruction, set-up included; for engines that count it, where none means without end.
  std::optional<std::uint64_t> fuel;
  std::size_t output_bytes = std::size_t{1} << 20;  // kept of stdout, and of stderr
  RunGauge* gauge = nullptr;                        // tells CPU time and memory of the guest while it runs
};

struct Measurements {
  std::uint64_t peak_memory_bytes = 0;
  std::chrono::nanoseconds cpu_time{0};
};

struct RunResult {
  std::optional<Value> value;  // the first result, if it is a number
  std::string standard_output;
  std::string standard_error;
  Measurements measurements;
};

// Fails with TASK_STOPPED, TASK_TIMEOUT, MEMORY_LIMIT, GUEST_EXIT (code and end of stderr), GUEST_TRAP (trap and
// innermost functions; "out of fuel" is one), EXPORT_NOT_FOUND, ARGUMENT_MISMATCH, CONFIG_INVALID (a directory that
// cannot be opened).
Result<RunResult> run(Engine& engine, const Module& module, const RunSpec& spec, std::stop_token stop);

}  // namespace proplet::wasm
