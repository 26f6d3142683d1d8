// Standard output and error of a guest, handed to a callback on the guest's own thread.
//
// The C API's `wasi_config_set_stdout_custom` sends every write through a task of a global runtime: slower, concurrent,
// and able to outlive the store. This stream is synchronous, and gone when the store is.

use std::ffi::c_void;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::AsyncWrite;
use wasmtime_c_api::wasi_config_t;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError};
use wasmtime_wasi::{WasiCtxBuilder, async_trait};
use wasmtime_wasi_io::bytes::Bytes;

const _: () = assert!(size_of::<wasi_config_t>() == size_of::<WasiCtxBuilder>());
const _: () = assert!(align_of::<wasi_config_t>() == align_of::<WasiCtxBuilder>());

const WRITE_BUDGET: usize = 1 << 20;

type Callback = extern "C" fn(data: *mut c_void, bytes: *const u8, length: usize);

struct Sink {
    callback: Callback,
    data: *mut c_void,
}
// The C side promises that the callback may be called on whichever thread executes the store.
unsafe impl Send for Sink {}
unsafe impl Sync for Sink {}

impl Sink {
    fn write(&self, bytes: &[u8]) {
        (self.callback)(self.data, bytes.as_ptr(), bytes.len());
    }
}

#[derive(Clone)]
struct Output(Arc<Sink>);

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}

#[async_trait]
impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> Result<(), StreamError> {
        self.0.write(&bytes);
        Ok(())
    }
    fn flush(&mut self) -> Result<(), StreamError> {
        Ok(())
    }
    fn check_write(&mut self) -> Result<usize, StreamError> {
        Ok(WRITE_BUDGET)
    }
}

impl AsyncWrite for Output {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.write(bytes);
        Poll::Ready(Ok(bytes.len()))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// # Safety
/// `config` comes from `wasi_config_new`; the callback and both data pointers outlive the store it is given to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wtx_wasi_output(
    config: *mut wasi_config_t,
    callback: Callback,
    stdout_data: *mut c_void,
    stderr_data: *mut c_void,
) {
    let builder = unsafe { &mut *config.cast::<WasiCtxBuilder>() };
    builder.stdout(Output(Arc::new(Sink { callback, data: stdout_data })));
    builder.stderr(Output(Arc::new(Sink { callback, data: stderr_data })));
    // Files are read and written on the guest's thread too: its CPU time is the task's.
    builder.allow_blocking_current_thread(true);
}
