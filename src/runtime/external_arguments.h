// The command line of an external runtime: how a task becomes one, and which flags a task may put on it.
//
// The form is that of the Propeller protocol's host runtime and of the wasmtime command line:
//   RT run [--invoke X] CLI_ARGS... (--env K=V)... FILE [INPUTS...]
// `cli_args` come from strangers, and flags of a runtime can open the host to the guest. So a flag is refused unless it
// is known to be harmless or named by the operator; and what is no flag is refused too, as it would become FILE.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "runtime/runtime.h"

namespace proplet::runtime {

// Which flags tasks may use. Always: --invoke, --argv0, --env K=V, --dir of a folder that guests get anyway, the limits
// of -W, and -Snn. A value; thread-safe.
class AllowedArguments {
 public:
  // Adds the operator's flags, each in one of these forms, where a flag is --name or, of an option group, -Sname:
  //   FLAG         alone or switched on and off (=y, =n)
  //   FLAG=        with any value
  //   FLAG=VALUE   with this value
  // `directories` are the host paths that guests get. CONFIG_INVALID names an entry that has no such form.
  static Result<AllowedArguments> make(const std::vector<std::string>& operators_flags,
                                       std::vector<std::string> directories);

  // CLI_ARGUMENT_REFUSED names the first argument that is not allowed.
  [[nodiscard]] Status check(std::span<const std::string> cli_args) const;

 private:
  struct Entry {
    std::string name;
    bool any_value = false;
    std::optional<std::string> value;  // none and not any: a switch
  };
  class Reader;

  AllowedArguments() = default;
  Status add(std::string_view text);
  [[nodiscard]] bool allows(std::string_view name, const std::optional<std::string_view>& value) const;
  [[nodiscard]] bool takes_value(std::string_view name) const;

  std::vector<Entry> entries_;
  std::vector<std::string> directories_;
};

// A component by its header, in today's form or that of the first tools.
bool is_component(ByteView module);
// A component that handles HTTP requests, for `serve` instead of `run`; recognised as the protocol has it.
bool serves_http(ByteView module);

// argv for `runtime`, with the module in `file`. MESSAGE_INVALID if a name or text of the task could be taken for
// something else. Does not check `cli_args`.
Result<std::vector<std::string>> external_arguments(const std::string& runtime, const std::string& file,
                                                    ByteView module, const RunRequest& request);

}  // namespace proplet::runtime
