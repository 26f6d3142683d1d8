// The Engine compiles and runs WebAssembly. A process has one, and a second one if guests are given fuel.
//
// Wasmtime itself is set up at the first use, so that an idle worker does not pay for it. From then on the engine has
// a pool of address space for guests (or allocates on demand where the system cannot map the pool) and a linker with
// WASI 0.1. Compiled modules and runs belong to the engine that made them; the Engine must outlive them all.
// All functions may be called from any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "base/result.h"

namespace proplet::wasm {

struct EngineSettings {
  bool pooling = true;                      // false: always allocate on demand
  std::uint32_t max_concurrent_runs = 256;  // slots of the pool
  std::size_t max_module_bytes = std::size_t{64} << 20;
  // Guests count what they execute (RunSpec::fuel). It slows them down, so that it takes an engine of its own.
  bool counts_fuel = false;
};

enum class Allocation : std::uint8_t {
  pooled,     // instances come from slots mapped beforehand: microseconds
  on_demand,  // mapped for each run: the pool is switched off or does not fit into the address space
};

class Engine {
 public:
  explicit Engine(EngineSettings settings = {});
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Sets up Wasmtime now instead of at the first use. INTERNAL when that is impossible on this machine.
  Status prepare();
  // How instances get their memory. Sets up Wasmtime if needed.
  Result<Allocation> allocation();
  [[nodiscard]] const EngineSettings& settings() const { return settings_; }

  struct Core;  // Wasmtime's objects; for this folder only
  Result<Core*> core();

 private:
  struct State;
  EngineSettings settings_;
  std::unique_ptr<State> state_;
};

// "wasmtime 48.0.8"
std::string_view engine_version();

// Has Wasmtime's heap (compiler temporaries above all) wiped whenever a block is freed or moved. For the whole
// process; to be turned on before the first confidential module is compiled, and then left on.
void wipe_freed_memory(bool enabled);

}  // namespace proplet::wasm
