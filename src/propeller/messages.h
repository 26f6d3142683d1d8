// The messages of the Propeller protocol, read from bytes and written as bytes.
//
// Reading is lenient where Managers are (Propeller protocol: null stands for every optional field, unknown fields are
// ignored, numbers count as text in `inputs`) and strict where running something else than was meant would follow.
// A command that cannot be used is a MalformedCommand; whoever receives it answers if the task's id and the
// addressee could be read, so that no Manager waits for ever. Ids are names to answer under, never parts of paths.
// Everything here is a value; functions are pure.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "propeller/metrics_messages.h"

namespace proplet::propeller {

inline constexpr std::size_t kMaxIdBytes = 4096;
inline constexpr std::size_t kMaxMessageBytes = std::size_t{10} << 20;

// Whom a command is for: every worker, the one named, or (when nobody is named) again every worker.
struct Target {
  bool broadcast = false;
  std::string proplet_id;  // empty: nobody is named

  [[nodiscard]] bool includes(std::string_view own_id) const {
    return broadcast || proplet_id.empty() || proplet_id == own_id;
  }
};

struct StartCommand {
  std::string id;
  std::string name;  // of the exported function
  std::string image_url;
  std::string file_base64;  // wins over image_url
  std::vector<std::string> inputs;
  std::vector<std::string> cli_args;
  std::map<std::string, std::string> env;
  bool daemon = false;
  bool latent = false;
  bool encrypted = false;
  std::string kbs_resource_path;
  MonitoringProfile monitoring;
  Target target;
  // Whoever sends this has seen an answer of this task: its state was completed, failed, skipped or interrupted.
  bool answered_before = false;
  // Our own extension, `"report": "stages"`: the result message then tells the time of each stage.
  bool report_stages = false;
};

struct StopCommand {
  std::string id;
  Target target;
};

struct InvokeCommand {
  std::string id;
  std::string invocation_id;
  std::vector<std::string> inputs;
  std::map<std::string, std::string> env;
  Target target;
};

// Why a command cannot be used, and what is known about who waits for an answer.
struct MalformedCommand {
  Error error;
  std::string id;                // empty: unreadable, nobody can be answered
  std::string invocation_id;     // of an invoke command, if readable
  std::optional<Target> target;  // none: the addressee could not be read
};

template <class Command>
using Parsed = tl::expected<Command, MalformedCommand>;

// The error is MESSAGE_INVALID with the text the protocol fixes for missing fields, or POLICY_UNSUPPORTED when the
// task's metadata demands a WASI policy.
Parsed<StartCommand> parse_start(ByteView payload, std::size_t limit = kMaxMessageBytes);
Parsed<StopCommand> parse_stop(ByteView payload);
Parsed<InvokeCommand> parse_invoke(ByteView payload, std::size_t limit = kMaxMessageBytes);
std::string encode(const StartCommand& command);
std::string encode(const StopCommand& command);

// What the worker tells about itself when it starts.
struct Discovery {
  std::string proplet_id;
  std::string namespace_name = "default";
  std::string description;  // empty text and empty lists are left out
  std::vector<std::string> tags;
  std::string location;
  std::string ip;
  std::string environment;
  std::string os;
  std::string hostname;
  std::string cpu_arch;
  std::uint64_t total_memory_bytes = 0;
  std::string proplet_version;
  std::string wasm_runtime;
};
std::string encode(const Discovery& discovery);

struct Heartbeat {
  std::string proplet_id;
  std::string namespace_name = "default";
};
std::string encode(const Heartbeat& heartbeat);

// What the answer to a task of a federated round says besides its output.
struct FederatedResult {
  std::string round_id;
  std::uint64_t num_samples = 1;
  std::string format = "f32-delta";
};

// The answer to a start command.
struct ResultMessage {
  struct Timing {
    std::vector<std::pair<std::string, double>> stages_ms;
    double worker_ms = 0;  // from receiving the command to handing over the result
  };

  std::string task_id;
  std::string proplet_id;
  std::string results;
  std::optional<std::string> error;
  std::optional<FederatedResult> federated{};  // `results` is then written inside an object, as base64
  std::optional<Timing> timing;                // written only for tasks that ask: Managers expect exactly four members
  bool confidential = false;                   // of an encrypted task, so never to be written to a file; not encoded
};
// Members in the order task_id, proplet_id, results, error; bytes that are not UTF-8 are replaced. That of a federated
// round has an object as results, which has the proplet_id in it.
std::string encode(const ResultMessage& message);
// For those who wait for results. MESSAGE_INVALID. Results that are no string are given as their JSON text.
Result<ResultMessage> parse_result(ByteView payload, std::size_t limit = kMaxMessageBytes);

// The answer to an invoke command.
struct InvokeResultMessage {
  std::string task_id;
  std::string invocation_id;
  std::string proplet_id;
  std::string results;
  std::optional<std::string> error;
};
std::string encode(const InvokeResultMessage& message);

}  // namespace proplet::propeller
