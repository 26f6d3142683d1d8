// Wasmtime's published C API as a static library, plus what that API lacks. Functions of ours start with `wtx_`;
// their C declarations and contracts stand in src/wasm/wtx.h.
//
// Some of them look inside handles of the C API. That is sound because those are #[repr(C)] structs with one field,
// because the versions are pinned to each other exactly, and because sizes are checked where a cast is made.
pub use wasmtime_c_api::*;

mod engine;
mod limits;
mod output;
mod wiping;
