// Wasmtime's objects behind a Module. For this folder only.
#pragma once

#include "wasm/handles.h"
#include "wasm/module.h"

namespace proplet::wasm {

struct Module::Handles {
  ModuleHandle module;
  InstancePreHandle instance_pre;  // imports resolved
};

}  // namespace proplet::wasm
