// WasmtimeRuntime runs core modules with WASI 0.1 inside this process.
//
// Which function runs and how arguments and results are written follows the Propeller protocol (the rules of its
// embedded runtime for core modules). A command, that is a module whose `_start` is called, gets the arguments as
// argv[1..] and its stdout becomes the result. Compiled modules are kept in memory, but those of confidential modules
// are freed after the run; plaintext is wiped after compilation. Thread-safe.
//
// Runs with fuel have an engine and a cache of their own, which are set up when the first such run comes: counting
// costs time in every instruction, and nobody else shall pay for it.
#pragma once

#include "runtime/runtime.h"
#include "wasm/engine.h"
#include "wasm/module_cache.h"

namespace proplet::runtime {

class WasmtimeRuntime final : public Runtime {
 public:
  explicit WasmtimeRuntime(wasm::Engine& engine, wasm::CacheLimits cache_limits = {});

  Result<Outcome> run(module::Module module, const RunRequest& request, StageObserver* observer,
                      std::stop_token stop) override;

  [[nodiscard]] wasm::ModuleCache::Counts cache_counts() const;

 private:
  wasm::Engine& engine_;
  wasm::ModuleCache cache_;
  wasm::Engine counting_engine_;
  wasm::ModuleCache counting_cache_;
};

}  // namespace proplet::runtime
