// A limiter that counts the sum of all memories and tables of a store, remembers its peak, and says afterwards
// whether the limit was hit. The C API's own limiter does none of the three.

use wasmtime::{ResourceLimiter, Result, Store};
use wasmtime_c_api::{WasmtimeStoreData, wasmtime_store_t};

const _: () = assert!(size_of::<wasmtime_store_t>() == size_of::<Store<WasmtimeStoreData>>());
const _: () = assert!(align_of::<wasmtime_store_t>() == align_of::<Store<WasmtimeStoreData>>());

const BYTES_PER_TABLE_ELEMENT: usize = 8;

#[repr(C)]
pub struct wtx_limits_t {
    limit_bytes: u64,
    used_bytes: u64,
    peak_bytes: u64,
    instances: u32,
    memories: u32,
    tables: u32,
    limit_hit: bool,
}

impl wtx_limits_t {
    fn grow(&mut self, bytes: usize) -> bool {
        let wanted = self.used_bytes.saturating_add(bytes as u64);
        if wanted > self.limit_bytes {
            self.limit_hit = true;
            return false;
        }
        self.used_bytes = wanted;
        self.peak_bytes = self.peak_bytes.max(wanted);
        true
    }
}

impl ResourceLimiter for wtx_limits_t {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        // Beyond the memory's own maximum the growth fails anyway and is no matter of ours.
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        Ok(self.grow(desired.saturating_sub(current)))
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        Ok(self.grow(desired.saturating_sub(current).saturating_mul(BYTES_PER_TABLE_ELEMENT)))
    }

    fn instances(&self) -> usize {
        self.instances as usize
    }
    fn memories(&self) -> usize {
        self.memories as usize
    }
    fn tables(&self) -> usize {
        self.tables as usize
    }
}

struct LimitsPointer(*mut wtx_limits_t);
// The C side uses a store on one thread at a time, and the limits only from there.
unsafe impl Send for LimitsPointer {}
unsafe impl Sync for LimitsPointer {}

impl LimitsPointer {
    fn get(&mut self) -> &'static mut wtx_limits_t {
        unsafe { &mut *self.0 }
    }
}

/// # Safety
/// `limits` outlives the store and is not touched while the store executes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wtx_store_limits(store: *mut wasmtime_store_t, limits: *mut wtx_limits_t) {
    let store = unsafe { &mut *store.cast::<Store<WasmtimeStoreData>>() };
    let mut limits = LimitsPointer(limits);
    store.limiter(move |_| limits.get());
}
