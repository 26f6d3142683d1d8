// Wasmtime's process-wide objects, as Engine holds them. For this folder only.
#pragma once

#include "wasm/engine.h"
#include "wasm/handles.h"
#include "wasm/ticker.h"

namespace proplet::wasm {

struct Engine::Core {
  Core(EngineHandle engine_handle, LinkerHandle linker_handle, Allocation how)
      : engine(std::move(engine_handle)), linker(std::move(linker_handle)), allocation(how), ticker(engine.get()) {}

  EngineHandle engine;
  LinkerHandle linker;  // WASI 0.1 and our replacements; not changed after set-up, hence shared freely
  Allocation allocation;
  Ticker ticker;
};

}  // namespace proplet::wasm
