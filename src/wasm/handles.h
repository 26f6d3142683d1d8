// Owners of Wasmtime's C handles, and the text of its errors. For this folder only.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "wasm/wtx.h"

namespace proplet::wasm {

template <auto kDelete>
struct HandleDeleter {
  template <class T>
  void operator()(T* handle) const {
    kDelete(handle);
  }
};
template <class T, auto kDelete>
using Handle = std::unique_ptr<T, HandleDeleter<kDelete>>;

using ConfigHandle = Handle<wasm_config_t, wasm_config_delete>;
using PoolConfigHandle = Handle<wasmtime_pooling_allocation_config_t, wasmtime_pooling_allocation_config_delete>;
using EngineHandle = Handle<wasm_engine_t, wasm_engine_delete>;
using LinkerHandle = Handle<wasmtime_linker_t, wasmtime_linker_delete>;
using ModuleHandle = Handle<wasmtime_module_t, wasmtime_module_delete>;
using InstancePreHandle = Handle<wasmtime_instance_pre_t, wasmtime_instance_pre_delete>;
using StoreHandle = Handle<wasmtime_store_t, wasmtime_store_delete>;
using WasiConfigHandle = Handle<wasi_config_t, wasi_config_delete>;
using FunctionTypeHandle = Handle<wasm_functype_t, wasm_functype_delete>;
using ErrorHandle = Handle<wasmtime_error_t, wasmtime_error_delete>;
using TrapHandle = Handle<wasm_trap_t, wasm_trap_delete>;

inline std::string_view name_view(const wasm_name_t& name) { return {name.data, name.size}; }

// The text of an error with its causes: one line, bounded, printable. Guests influence it.
std::string text_of(const wasmtime_error_t& error);
// At most `limit` bytes of `text`, line breaks and control characters replaced.
std::string one_line(std::string_view text, std::size_t limit);

}  // namespace proplet::wasm
