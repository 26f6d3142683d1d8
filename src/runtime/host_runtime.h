// HostRuntime runs plain modules in an external runtime: a program such as the wasmtime command line, one process a
// run.
//
// The command line is that of the Propeller protocol's host runtime, so what worked there works here: core modules,
// components, and what the program can do beyond them. Which of a task's flags reach it, AllowedArguments says. The
// module is handed over in memory, as /proc/self/fd/3, and lies in no folder. The program sees PATH, HOME, TMPDIR and
// LD_LIBRARY_PATH of the worker and no other variable; the task's variables are for the guest alone, in arguments.
//
// Time and output are bounded here; memory is what the program's own flags allow. What a run may do to this process is
// bounded by base/subprocess.h. Confidential modules are refused: they never leave this process. Thread-safe.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "runtime/external_arguments.h"
#include "runtime/runtime.h"

namespace proplet::runtime {

class HostRuntime final : public Runtime {
 public:
  // `name` is a path or is looked up in PATH of `environment`, the worker's own. IO_FAILED if there is no such program.
  static Result<std::unique_ptr<HostRuntime>> make(const std::string& name, AllowedArguments allowed,
                                                   const std::map<std::string, std::string, std::less<>>& environment);

  // CLI_ARGUMENT_REFUSED, MESSAGE_INVALID, or UNSUPPORTED for confidential modules and components that serve HTTP.
  [[nodiscard]] Status accepts(const module::Module& module, const RunRequest& request) const override;

  // GUEST_EXIT if the program ends with anything but exit status 0. The result is its stdout, unchanged.
  Result<Outcome> run(module::Module module, const RunRequest& request, StageObserver* observer,
                      std::stop_token stop) override;

 private:
  HostRuntime(std::string name, std::string program, AllowedArguments allowed, std::vector<std::string> environment);
  [[nodiscard]] Result<std::vector<std::string>> arguments_for(const module::Module& module,
                                                               const RunRequest& request) const;

  std::string name_;     // as the operator wrote it
  std::string program_;  // where it was found
  AllowedArguments allowed_;
  std::vector<std::string> environment_;
};

}  // namespace proplet::runtime
