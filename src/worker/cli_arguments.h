// What the `cli_args` of a task mean here: the flags of the wasmtime command line that have a meaning inside this
// process, in every spelling that command line has ("--env K=V", "--env=K=V", "-W a,b=1", "-Wa", "-W=a", "--wasm a").
//
// What is not understood is named, never guessed: by flag and option name, since values can be secrets. An external
// runtime is not our concern: it gets the arguments as they are.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace proplet::worker {

// --dir HOST[::GUEST]
struct DirectoryArgument {
  std::string host_path;
  std::string guest_path;
};

struct CliArguments {
  std::optional<std::string> invoke;
  std::map<std::string, std::string> environment;    // --env K=V
  std::optional<std::uint64_t> memory_bytes;         // -W max-memory-size=N
  std::optional<std::chrono::milliseconds> timeout;  // -W timeout=10s
  std::optional<std::uint64_t> fuel;                 // -W fuel=N
  std::vector<DirectoryArgument> directories;
  std::vector<std::string> unknown;  // "-S nn", "--addr"
};

// MESSAGE_INVALID when a known flag has no or a malformed value.
Result<CliArguments> parse_cli_arguments(std::span<const std::string> arguments);

}  // namespace proplet::worker
