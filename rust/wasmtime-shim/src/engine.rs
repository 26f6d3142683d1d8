// Engine creation that reports what is wrong instead of ending the process.

use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;
use wasmtime::{Config, Engine};
use wasmtime_c_api::{wasm_config_t, wasm_engine_t, wasmtime_error_t};

const _: () = assert!(size_of::<wasm_config_t>() == size_of::<Config>());
const _: () = assert!(align_of::<wasm_config_t>() == align_of::<Config>());
const _: () = assert!(size_of::<wasm_engine_t>() == size_of::<Engine>());
const _: () = assert!(align_of::<wasm_engine_t>() == align_of::<Engine>());

static PANIC_HOOK: Once = Once::new();

// The text of a panic may contain bytes of a guest or of a confidential module; its place in the source cannot.
fn install_panic_hook() {
    PANIC_HOOK.call_once(|| {
        panic::set_hook(Box::new(|info| match info.location() {
            Some(place) => eprintln!("wasmtime: panic at {}:{}", place.file(), place.line()),
            None => eprintln!("wasmtime: panic"),
        }));
    });
}

/// # Safety
/// `config` comes from `wasm_config_new` and is consumed; `engine` and `error` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wtx_engine_try_new(
    config: *mut wasm_config_t,
    engine: *mut *mut wasm_engine_t,
    error: *mut *mut wasmtime_error_t,
) -> bool {
    install_panic_hook();
    let config = unsafe { Box::from_raw(config.cast::<Config>()) };
    let created = panic::catch_unwind(AssertUnwindSafe(|| Engine::new(&config)))
        .unwrap_or_else(|_| Err(wasmtime::Error::msg("panic while creating the engine")));
    match created {
        Ok(created) => unsafe { *engine = Box::into_raw(Box::new(created)).cast() },
        Err(reason) => unsafe { *error = Box::into_raw(Box::new(reason.into())) },
    }
    unsafe { !(*engine).is_null() }
}
