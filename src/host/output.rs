//! The imports that write to a stream, shadowed. Whose line is it? In a store that serves several requests each notes who
//! calls before it writes, so that a line in the log carries the trace of its request. And a guest that writes more at once
//! than it may gets an error of its own, which says so.

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource, StreamReader};
use wasmtime_wasi::cli::{WasiCli, WasiCliView};
use wasmtime_wasi::p2::bindings::io::streams::{self, Host as _, HostOutputStream as _};
use wasmtime_wasi::p2::{DynOutputStream, StreamResult};
use wasmtime_wasi::p3::bindings::cli::{stderr, stdout};

use super::current::current_trace;
use super::state::HostState;
use pounce_telemetry::ServerSpan;

/// Notes who calls, if that is certain. Nobody need ask in a store that serves one request at a time.
fn note(store: &mut StoreContextMut<'_, HostState>) {
    if !store.data().requests.is_shared() {
        return;
    }
    static NOBODY: ServerSpan = ServerSpan::off();
    let output = store.data().output.clone();
    output.set_writer(current_trace(store).map_or(&NOBODY, |trace| &trace.span));
}

/// Bytes that a call which writes and flushes may be given at once (WASI 0.2, `wasi:io/streams`).
const MAX_BLOCKING_WRITE: u64 = 4096;

/// A guest wrote more bytes at once than a call which writes and flushes takes.
#[derive(Debug, thiserror::Error)]
#[error(
    "the guest wrote {bytes} bytes in one call of {call}, which takes {MAX_BLOCKING_WRITE} at most (wasi:io/streams): it \
     must write them in pieces"
)]
pub(crate) struct WriteTooLarge {
    call: &'static str,
    bytes: u64,
}

impl WriteTooLarge {
    fn check(call: &'static str, bytes: u64) -> wasmtime::Result<()> {
        if bytes > MAX_BLOCKING_WRITE {
            return Err(wasmtime::Error::new(Self { call, bytes }));
        }
        Ok(())
    }
}

fn result<T>(
    store: &mut StoreContextMut<'_, HostState>,
    result: StreamResult<T>,
) -> wasmtime::Result<(Result<T, streams::StreamError>,)> {
    Ok((match result {
        Ok(value) => Ok(value),
        Err(error) => Err(store.data_mut().table.convert_stream_error(error)?),
    },))
}

/// Shadows what writes through `wasi:io/streams` (0.2), which Rust's std uses in 0.3 guests too. Where the store is
/// `shared` by several requests, each write notes who calls.
pub(super) fn link_02(linker: &mut Linker<HostState>, shared: bool) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    let mut streams = linker.instance("wasi:io/streams@0.2.12")?;
    if shared {
        streams.func_wrap(
            "[method]output-stream.write",
            |mut store: StoreContextMut<'_, HostState>,
             (stream, bytes): (Resource<DynOutputStream>, Vec<u8>)| {
                note(&mut store);
                let written = store.data_mut().table.write(stream, bytes);
                result(&mut store, written)
            },
        )?;
    }
    streams.func_wrap_async(
        "[method]output-stream.blocking-write-and-flush",
        |mut store: StoreContextMut<'_, HostState>, (stream, bytes): (Resource<DynOutputStream>, Vec<u8>)| {
            Box::new(async move {
                WriteTooLarge::check("blocking-write-and-flush", bytes.len() as u64)?;
                note(&mut store);
                let written = store.data_mut().table.blocking_write_and_flush(stream, bytes).await;
                result(&mut store, written)
            })
        },
    )?;
    streams.func_wrap_async(
        "[method]output-stream.blocking-write-zeroes-and-flush",
        |mut store: StoreContextMut<'_, HostState>, (stream, len): (Resource<DynOutputStream>, u64)| {
            Box::new(async move {
                WriteTooLarge::check("blocking-write-zeroes-and-flush", len)?;
                note(&mut store);
                let written = store.data_mut().table.blocking_write_zeroes_and_flush(stream, len).await;
                result(&mut store, written)
            })
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

/// Shadows `wasi:cli/stdout` and `stderr` (0.3): a stream belongs to whoever opens it.
pub(super) fn link_03(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    linker.instance("wasi:cli/stdout@0.3.0")?.func_wrap(
        "write-via-stream",
        |mut store: StoreContextMut<'_, HostState>, (data,): (StreamReader<u8>,)| {
            note(&mut store);
            let access = wasmtime::component::Access::<_, WasiCli>::new(store, WasiCliView::cli);
            Ok((<WasiCli as stdout::HostWithStore<HostState>>::write_via_stream(access, data)?,))
        },
    )?;
    linker.instance("wasi:cli/stderr@0.3.0")?.func_wrap(
        "write-via-stream",
        |mut store: StoreContextMut<'_, HostState>, (data,): (StreamReader<u8>,)| {
            note(&mut store);
            let access = wasmtime::component::Access::<_, WasiCli>::new(store, WasiCliView::cli);
            Ok((<WasiCli as stderr::HostWithStore<HostState>>::write_via_stream(access, data)?,))
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}
