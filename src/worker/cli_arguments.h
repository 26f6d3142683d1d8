// What the `cli_args` of a task mean here: the few flags of the wasmtime command line that tasks written for an
// external runtime use, read as that command line reads them. What is not understood is named, never guessed.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "runtime/runtime.h"

namespace proplet::worker {

struct CliArguments {
  std::optional<std::string> invoke;
  std::map<std::string, std::string> environment;    // --env K=V
  std::optional<std::uint64_t> memory_bytes;         // -W max-memory-size=N
  std::optional<std::chrono::milliseconds> timeout;  // -W timeout=10s
  std::vector<runtime::Directory> directories;       // --dir HOST[::GUEST]
  std::vector<std::string> unknown;
};

// MESSAGE_INVALID when a known flag has no or a malformed value.
Result<CliArguments> parse_cli_arguments(std::span<const std::string> arguments);

}  // namespace proplet::worker
