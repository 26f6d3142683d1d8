// How a run ended: from Wasmtime's answers and our own notes to a Status. For this folder only.
#pragma once

#include "base/result.h"
#include "wasm/handles.h"
#include "wasm/run_state.h"

namespace proplet::wasm {

// What Wasmtime answered to an instantiation or a call: an error, a trap, or neither.
struct Answer {
  ErrorHandle error;
  TrapHandle trap;
};

// Success if the call returned or the guest exited with code 0. Our own reasons for ending the run come before
// what Wasmtime says, because to it every interruption is an error like any other.
Status verdict(const Answer& answer, const RunState& state, const wtx_limits_t& limits);

}  // namespace proplet::wasm
