// C declarations of what rust/wasmtime-shim adds to Wasmtime's C API.
#pragma once

#include <wasi.h>
#include <wasm.h>
#include <wasmtime.h>

extern "C" {

// Like wasm_engine_new_with_config, but an invalid configuration or a pool that cannot be mapped becomes an error
// instead of the end of the process. Consumes `config`. On success *engine is set, on failure *error; both must be null
// before. Also replaces Rust's panic message, which could contain guest bytes, by the place in the source.
bool wtx_engine_try_new(wasm_config_t* config, wasm_engine_t** engine, wasmtime_error_t** error);

// Bounds the sum of all memories and tables of a store. The caller sets the limits before instantiation and reads the
// rest after the run; the struct must outlive the store.
typedef struct wtx_limits_t {
  uint64_t limit_bytes;
  uint64_t used_bytes;
  uint64_t peak_bytes;
  uint32_t instances;
  uint32_t memories;
  uint32_t tables;
  bool limit_hit;  // a growth or an initial size was refused
} wtx_limits_t;
void wtx_store_limits(wasmtime_store_t* store, wtx_limits_t* limits);

// Hands the guest's stdout and stderr to `callback`, synchronously on the thread that executes the store, and lets file
// access block that thread too. Callback and data must outlive the store.
void wtx_wasi_output(wasi_config_t* config, void (*callback)(void* data, const uint8_t* bytes, size_t length),
                     void* stdout_data, void* stderr_data);

// Whether the Rust heap of the process is wiped block by block as it is freed.
void wtx_wipe_on_free(bool enabled);

}  // extern "C"
