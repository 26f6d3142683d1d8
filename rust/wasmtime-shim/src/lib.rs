// Wasmtime's published C API as a static library, plus what that API lacks. Functions of ours start with `wtx_`;
// their C declarations stand in src/wasm/wtx.h.
pub use wasmtime_c_api::*;
