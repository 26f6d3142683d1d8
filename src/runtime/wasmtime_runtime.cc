#include "runtime/wasmtime_runtime.h"

#include "runtime/call.h"
#include "wasm/run.h"

namespace proplet::runtime {
namespace {

constexpr std::string_view kCommand = "_start";

// Machine code holds the module's data in clear, so that of a confidential module goes when its run ends.
std::optional<std::string> cache_key(const module::Module& module) {
  if (module.digest.empty() || module.confidential) return std::nullopt;
  return module.digest;
}

wasm::RunSpec environment_of(const RunRequest& request) {
  wasm::RunSpec spec;
  spec.environment = request.environment;
  for (const auto& [host_path, guest_path, read_only] : request.directories) {
    spec.preopens.push_back({host_path, guest_path, read_only});
  }
  spec.memory_bytes = request.limits.memory_bytes;
  spec.time = request.limits.time;
  spec.fuel = request.limits.fuel;
  spec.output_bytes = request.limits.output_bytes;
  spec.gauge = request.gauge;
  return spec;
}

// On demand: such runs are rare, and a second pool would take as much address space as the first.
wasm::EngineSettings counting(wasm::EngineSettings settings) {
  settings.counts_fuel = true;
  settings.pooling = false;
  return settings;
}

// A command gets its arguments as argv, any other function as values.
Result<wasm::RunSpec> spec_for(const wasm::Module& module, const RunRequest& request) {
  TRY_ASSIGN(const wasm::FunctionExport* function, choose_function(module, request));
  wasm::RunSpec spec = environment_of(request);
  spec.function = function->name;
  const bool names_program = !request.function.empty() && request.function != kCommand;
  spec.arguments.push_back(names_program ? request.function : "module");
  if (function->name == kCommand && function->type.parameters.empty()) {
    spec.arguments.insert(spec.arguments.end(), request.arguments.begin(), request.arguments.end());
  } else {
    TRY_ASSIGN(spec.values, parse_arguments(*function, request.arguments));
  }
  return spec;
}

Outcome outcome_of(wasm::RunResult result, bool command) {
  Outcome outcome;
  if (command) {
    outcome.result = result.standard_output;
  } else if (result.value) {
    outcome.result = format_value(*result.value);
  }
  outcome.standard_output = std::move(result.standard_output);
  outcome.standard_error = std::move(result.standard_error);
  outcome.peak_memory_bytes = result.measurements.peak_memory_bytes;
  outcome.cpu_time = result.measurements.cpu_time;
  return outcome;
}

}  // namespace

WasmtimeRuntime::WasmtimeRuntime(wasm::Engine& engine, wasm::CacheLimits cache_limits)
    : engine_(engine),
      cache_(engine, cache_limits),
      counting_engine_(counting(engine.settings())),
      counting_cache_(counting_engine_, cache_limits) {}

Result<Outcome> WasmtimeRuntime::run(module::Module module, const RunRequest& request, StageObserver* observer,
                                     std::stop_token stop) {
  wasm::Engine& engine = request.limits.fuel ? counting_engine_ : engine_;
  wasm::ModuleCache& cache = request.limits.fuel ? counting_cache_ : cache_;
  StageTimer compile_timer(Stage::compile, observer);
  const auto key = cache_key(module);
  auto compiled = cache.get(std::move(module.bytes), key, stop);
  if (!compiled) return fail(std::move(compiled.error()).at(Stage::compile));
  compile_timer.stop();

  const StageTimer run_timer(Stage::run, observer);
  auto spec = spec_for(**compiled, request);
  if (!spec) return fail(std::move(spec.error()).at(Stage::run));
  auto result = wasm::run(engine, **compiled, *spec, std::move(stop));
  if (!result) return fail(std::move(result.error()).at(Stage::run));
  return outcome_of(std::move(*result), spec->function == kCommand);
}

wasm::ModuleCache::Counts WasmtimeRuntime::cache_counts() const { return cache_.counts(); }

}  // namespace proplet::runtime
