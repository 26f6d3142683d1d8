// The allocator of all Rust code in this library. Once switched on, memory is wiped before it is given back, so that
// compiler temporaries of a confidential module do not stay behind in the heap.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, Ordering};

static WIPE: AtomicBool = AtomicBool::new(false);

unsafe extern "C" {
    // Unlike a plain write, no optimiser may drop this one before `free`.
    fn explicit_bzero(address: *mut c_void, length: usize);
}

struct WipingAllocator;

#[global_allocator]
static ALLOCATOR: WipingAllocator = WipingAllocator;

unsafe impl GlobalAlloc for WipingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        unsafe {
            if WIPE.load(Ordering::Relaxed) {
                explicit_bzero(block.cast(), layout.size());
            }
            System.dealloc(block, layout);
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        unsafe {
            if !WIPE.load(Ordering::Relaxed) {
                return System.realloc(block, layout, size);
            }
            let moved = System.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !moved.is_null() {
                moved.copy_from_nonoverlapping(block, layout.size().min(size));
                self.dealloc(block, layout);
            }
            moved
        }
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn wtx_wipe_on_free(enabled: bool) {
    WIPE.store(enabled, Ordering::Relaxed);
}
