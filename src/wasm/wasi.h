// WASI 0.1 for guests: Wasmtime's implementation, with the functions replaced that it does not do our way.
//
// Replaced are `poll_oneoff`, which there cannot be interrupted; the clocks, because deadlines of poll_oneoff must
// agree with them; and `proc_exit`, which there takes exit codes from 126 on for a fault of the host. For this folder
// only.
#pragma once

#include "base/result.h"
#include "wasm/handles.h"
#include "wasm/run.h"
#include "wasm/run_state.h"

namespace proplet::wasm {

Result<LinkerHandle> new_wasi_linker(wasm_engine_t* engine);

// What the guest of one run sees: argv, environment, directories, an empty stdin, and outputs that end in `state`.
// `state` must outlive the store. CONFIG_INVALID: a directory cannot be opened; MESSAGE_INVALID: text that C strings or
// UTF-8 cannot carry.
Result<WasiConfigHandle> new_wasi_config(const RunSpec& spec, RunState& state);

}  // namespace proplet::wasm
