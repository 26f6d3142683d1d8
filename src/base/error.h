// Error: what went wrong, in a form that programs can match and people can act on.
//
// An Error carries a stable Code, a one-line message that names the thing that failed, an optional stage, and the
// errors that caused it, outermost first. `text()` is what users see: "CODE: message: cause: cause", always one line
// and never with a secret in it; whoever writes a message keeps keys, tokens and plaintext out of it. Errors are
// values. Every code has a page in docs/errors.md and a test that produces it.
#pragma once

#include <fmt/core.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/stage.h"

namespace proplet {

// Stable: a code is never renamed or reused. The catalogue in error.cc has its name, meaning and hint.
enum class Code : std::uint8_t {
  // Configuration and messages
  config_invalid,
  message_invalid,
  // Tasks
  task_limit_reached,
  task_stopped,
  task_timeout,
  task_failed,
  worker_stopping,
  worker_restarted,
  result_lost,
  unsupported,
  policy_unsupported,
  cli_argument_refused,
  // Trusted execution environment and key broker
  tee_unavailable,
  evidence_failed,
  kbs_not_configured,
  kbs_not_allowed,
  kbs_unreachable,
  kbs_protocol,
  kbs_attestation_rejected,
  kbs_denied,
  kbs_resource_unavailable,
  // Keys
  key_mismatch,
  key_invalid,
  unwrap_failed,
  jwe_invalid,
  jwt_invalid,
  // Images
  reference_invalid,
  insecure_transport,
  destination_refused,
  registry_unreachable,
  registry_unauthorized,
  registry_failed,
  transfer_incomplete,
  image_not_found,
  download_failed,
  proxy_failed,
  manifest_invalid,
  media_type_unsupported,
  digest_mismatch,
  size_mismatch,
  size_limit,
  not_encrypted,
  partly_encrypted,
  annotation_invalid,
  mac_mismatch,
  // Guests
  module_invalid,
  import_missing,
  export_not_found,
  argument_mismatch,
  guest_trap,
  guest_exit,
  memory_limit,
  // General
  format_invalid,
  network_failed,
  redirect_refused,
  mqtt_failed,
  io_failed,
  state_unusable,
  crypto_failed,
  cancelled,
  internal,
};

struct CodeInfo {
  Code code;
  std::string_view name;     // "NOT_ENCRYPTED"
  std::string_view meaning;  // one sentence
  std::string_view hint;     // what to do about it, one sentence
};

std::span<const CodeInfo> code_catalogue();
const CodeInfo& code_info(Code code);
// Case-insensitive.
std::optional<Code> code_from_name(std::string_view name);

class Error {
 public:
  Error(Code code, std::string message);

  [[nodiscard]] Code code() const { return code_; }
  [[nodiscard]] std::string_view code_name() const { return code_info(code_).name; }
  [[nodiscard]] const std::string& message() const { return message_; }
  [[nodiscard]] std::optional<Stage> stage() const { return stage_; }
  // Messages of the causes, outermost first.
  [[nodiscard]] const std::vector<std::string>& causes() const { return causes_; }

  // "CODE: message: cause: cause", one line, control characters replaced by spaces.
  [[nodiscard]] std::string text() const;

  // Sets the stage unless an inner step has set it already.
  Error at(Stage stage) &&;
  // Wraps this error: the new message comes first, the present one becomes a cause. The code stays.
  Error because(std::string outer_message) &&;
  // Adds the text of `cause` behind this error's own causes.
  Error caused_by(const Error& cause) &&;

 private:
  Code code_;
  std::string message_;
  std::optional<Stage> stage_;
  std::vector<std::string> causes_;
};

}  // namespace proplet
