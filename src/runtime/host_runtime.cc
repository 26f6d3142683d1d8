#include "runtime/host_runtime.h"

#include <array>
#include <utility>

#include "base/fd.h"
#include "base/subprocess.h"

namespace proplet::runtime {
namespace {

// What programs need to find others, their settings, room, and libraries of neural network back ends.
constexpr std::array<std::string_view, 4> kInherited{"PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH"};
constexpr std::size_t kStderrInMessage = 4096;  // bytes

// The words in which the protocol reports it.
Error exit_error(const ProcessEnd& end) {
  return {Code::guest_exit, fmt::format("Process exited with status: {}, stderr: {}", end.text(),
                                        end.standard_error.end(kStderrInMessage))};
}

Result<Outcome> run_program(const ProcessSpec& spec, std::stop_token stop) {
  TRY_ASSIGN(const ProcessEnd end, run_process(spec, std::move(stop)));
  if (!end.succeeded()) return fail(exit_error(end));
  Outcome outcome;
  outcome.result = end.standard_output.text();
  outcome.standard_output = outcome.result;
  outcome.standard_error = end.standard_error.text();
  outcome.peak_memory_bytes = end.peak_memory_bytes;
  outcome.cpu_time = end.cpu_time;
  return outcome;
}

}  // namespace

Result<std::unique_ptr<HostRuntime>> HostRuntime::make(
    const std::string& name, AllowedArguments allowed,
    const std::map<std::string, std::string, std::less<>>& environment) {
  std::vector<std::string> inherited;
  for (const std::string_view variable : kInherited) {
    const auto found = environment.find(variable);
    if (found != environment.end()) inherited.push_back(fmt::format("{}={}", variable, found->second));
  }
  const auto path = environment.find("PATH");
  TRY_ASSIGN(auto program, find_program(name, path == environment.end() ? std::string_view() : path->second));
  return std::unique_ptr<HostRuntime>(
      new HostRuntime(name, std::move(program), std::move(allowed), std::move(inherited)));
}

HostRuntime::HostRuntime(std::string name, std::string program, AllowedArguments allowed,
                         std::vector<std::string> environment)
    : name_(std::move(name)),
      program_(std::move(program)),
      allowed_(std::move(allowed)),
      environment_(std::move(environment)) {}

Result<std::vector<std::string>> HostRuntime::arguments_for(const module::Module& module,
                                                            const RunRequest& request) const {
  if (module.confidential) return fail(Code::unsupported, "encrypted modules do not run in an external runtime");
  if (serves_http(module.bytes.view())) {
    return fail(Code::unsupported, "components that serve HTTP (wasi:http/incoming-handler) are not supported");
  }
  TRY(allowed_.check(request.cli_args));
  return external_arguments(name_, fmt::format("/proc/self/fd/{}", kInheritedFile), module.bytes.view(), request);
}

Status HostRuntime::accepts(const module::Module& module, const RunRequest& request) const {
  TRY(arguments_for(module, request));
  return {};
}

Result<Outcome> HostRuntime::run(module::Module module, const RunRequest& request, StageObserver* observer,
                                 std::stop_token stop) {
  const StageTimer timer(Stage::run, observer);
  const auto outcome = [&]() -> Result<Outcome> {
    ProcessSpec spec;
    spec.program = program_;
    TRY_ASSIGN(spec.arguments, arguments_for(module, request));
    spec.environment = environment_;
    TRY_ASSIGN(const UniqueFd file, anonymous_file("proplet-module", module.bytes.view()));
    module.bytes.reset();
    spec.file = file.get();
    spec.output_bytes = request.limits.output_bytes;
    spec.time = request.limits.time;
    spec.gauge = request.gauge;
    return run_program(spec, std::move(stop));
  };
  auto result = outcome();
  if (!result) return fail(std::move(result.error()).at(Stage::run));
  return result;
}

}  // namespace proplet::runtime
