//! What the host keeps for a guest beside its memory: header fields, bodies, requests, calls under way, streams, tasks.
//!
//! A guest has all of it made by calling the host, so it is added up every few calls: what is in the tables of its store
//! at the price of its kind, which is at least what it takes (`tests/integration/hoard` shows it), and calls under way at what
//! they carry. The sum counts against `guest.max-total-memory` as linear memory does, and an instance has a limit of
//! its own. A guest that goes over either is ended: the interfaces know no other refusal.

use std::any::{Any, TypeId};
use std::mem::size_of_val;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderMap;
use wasmtime::{CallHook, Store, StoreContextMut};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, ReaddirIterator};
use wasmtime_wasi_http::p2::bindings::http::types::{Method, Scheme};
use wasmtime_wasi_http::p2::body::{HostIncomingBody, HostOutgoingBody};
use wasmtime_wasi_http::p2::types::{HostIncomingResponse, HostOutgoingRequest, HostOutgoingResponse};
use wasmtime_wasi_http::{FieldMap, p3};

use super::limits::Refused;
use super::sockets::{self, Lookup};
use super::state::HostState;

/// Bytes that one instance may have the host keep.
pub(crate) const MAX_HELD: u64 = 32 << 20;
/// Bytes that a guest may put into a body at once; as many again wait behind them.
pub(super) const BODY_CHUNK: usize = 64 * 1024;
/// Things of the engine's own for one store: tasks, streams, futures and sets of them.
pub(crate) const MAX_TASKS: usize = 1 << 15;

/// Calls to the host between two sums. One call adds a full header map or chunk of a body at most.
const EVERY: u32 = 8;
/// Bytes in which the sum is charged, so that it seldom changes.
const STEP: u64 = 16 * 1024;

/// Bytes for anything in a table: the entry, its box, and the guest's handle.
const ENTRY: usize = 512;
/// Bytes for a handle that is the guest's alone.
const HANDLE: usize = 32;
/// Handles that a guest may hold, beside those of `pounce:telemetry` that do nothing. They are not charged where the
/// guest has made them for itself: this many cost less than half a megabyte.
const HANDLES: usize = 1 << 14;
/// Bytes for a thing of the engine's own; a call to the host that waits is the largest, with its future and its timer.
const TASK: usize = 1280;
/// Bytes of a body that wait for their reader.
const BODY: usize = 3 * BODY_CHUNK;
/// Bytes that a stream of a file has read ahead, or waits to write.
const FILE_CHUNK: usize = 64 * 1024;
/// Bytes of a directory's listing, which is read at once.
const LISTING: usize = 1 << 20;
/// Header fields that are looked at one by one; more are taken to be as large as they may be.
const FEW_FIELDS: usize = 64;
/// Bytes for a header field beside its name and value: its bucket, room for one more, and two allocations.
const FIELD: usize = 192;

/// A guest has its host keep more than it may.
#[derive(Debug, thiserror::Error)]
#[error("the host keeps more for the guest than it may")]
pub(crate) struct HeldTooMuch(pub(crate) Refused);

/// Bytes of the outgoing calls of one store that are under way.
#[derive(Clone, Debug, Default)]
pub(super) struct Calls(Arc<AtomicU64>);

/// One of them, until it is dropped.
#[derive(Debug)]
pub(super) struct UnderWay {
    calls: Calls,
    bytes: u64,
}

impl Calls {
    /// A call that begins, with these headers and perhaps a body.
    pub(super) fn begin<B: http_body::Body>(&self, request: &http::Request<B>) -> UnderWay {
        let body = if request.body().is_end_stream() { 0 } else { BODY };
        let uri = request.uri();
        let target = uri.path().len() + uri.query().map_or(0, str::len);
        let bytes = (8 * TASK + fields(request.headers()) + target + body) as u64;
        self.0.fetch_add(bytes, Ordering::Relaxed);
        UnderWay { calls: self.clone(), bytes }
    }

    fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.calls.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Has `store` add up what the host keeps for its guest, and its meter run if it has one.
pub(crate) fn install(store: &mut Store<HostState>) {
    store.set_max_component_handles(HANDLES);
    if let Some(tasks) = store.concurrent_resource_table() {
        tasks.set_max_capacity(MAX_TASKS);
    }
    let meter = store.data().meter.clone();
    let mut calls = 0_u32;
    store.call_hook(move |mut store, event| {
        if matches!(event, CallHook::ReturningFromHost) {
            calls = calls.wrapping_add(1);
            if calls.is_multiple_of(EVERY) {
                add_up(&mut store)?;
            }
        }
        if let Some(meter) = &meter {
            meter.on(store, event);
        }
        Ok(())
    });
}

fn add_up(store: &mut StoreContextMut<'_, HostState>) -> wasmtime::Result<()> {
    let tasks = store.concurrent_resource_table().map_or(0, |tasks| tasks.iter_mut().count());
    let state = store.data_mut();
    // Streams of files look like any other: each may be one, where there are files.
    let stream = if state.capabilities.dirs.is_empty() { 0 } else { FILE_CHUNK };
    let things: usize = state.table.iter_mut().map(|thing| price(thing, stream)).sum();
    let empty = state.empty_handles;
    let held = (things + tasks * TASK + empty * HANDLE) as u64 + state.outgoing.calls.bytes();
    state.limits.hold(held.next_multiple_of(STEP)).map_err(HeldTooMuch)?;
    store.set_max_component_handles(HANDLES.saturating_add(empty).min(super::MAX_HANDLES));
    Ok(())
}

/// Bytes that a thing in a table takes at most; `stream` of them are a stream's beside its entry.
fn price(thing: &(dyn Any + Send), stream: usize) -> usize {
    let thing: &dyn Any = thing;
    // Asked for once: most things are of none of these types, and each question is a call.
    let of = thing.type_id();
    let more = if let Some(map) = downcast::<FieldMap>(thing, of) {
        fields(map)
    } else if let Some(request) = downcast::<HostOutgoingRequest>(thing, of) {
        let texts = [request.authority.as_deref(), request.path_with_query.as_deref()];
        let method = if let Method::Other(method) = &request.method { method.len() } else { 0 };
        let scheme = if let Some(Scheme::Other(scheme)) = &request.scheme { scheme.len() } else { 0 };
        let body = if request.body.is_some() { BODY } else { 0 };
        let texts: usize = texts.into_iter().flatten().map(str::len).sum();
        texts + method + scheme + fields(&request.headers) + body
    } else if let Some(response) = downcast::<HostOutgoingResponse>(thing, of) {
        fields(&response.headers) + if response.body.is_some() { BODY } else { 0 }
    } else if let Some(response) = downcast::<HostIncomingResponse>(thing, of) {
        fields(&response.headers) + if response.body.is_some() { BODY_CHUNK } else { 0 }
    } else if let Some(request) = downcast::<p3::Request>(thing, of) {
        let path = request.path_with_query.as_ref().map_or(0, |path| path.as_str().len());
        let authority = request.authority.as_ref().map_or(0, |authority| authority.as_str().len());
        path + authority + request.method.as_str().len() + fields(&request.headers)
    } else if let Some(response) = downcast::<p3::Response>(thing, of) {
        fields(&response.headers)
    } else if of == TypeId::of::<HostOutgoingBody>() {
        BODY
    } else if of == TypeId::of::<HostIncomingBody>() {
        BODY_CHUNK
    } else if of == TypeId::of::<DynInputStream>() || of == TypeId::of::<DynOutputStream>() {
        stream
    } else if of == TypeId::of::<ReaddirIterator>() {
        LISTING
    } else if of == TypeId::of::<Lookup>() {
        sockets::LOOKUP
    } else {
        0
    };
    ENTRY + size_of_val(thing) + more
}

/// `thing` as a `T`, where `of` is its type.
fn downcast<T: 'static>(thing: &dyn Any, of: TypeId) -> Option<&T> {
    if of == TypeId::of::<T>() { thing.downcast_ref() } else { None }
}

/// Bytes that header fields take at most.
fn fields(map: &HeaderMap) -> usize {
    let content = if map.len() <= FEW_FIELDS {
        map.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
    } else {
        super::MAX_FIELDS_SIZE
    };
    FIELD * map.capacity().max(map.len()) + content
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_cost_their_content_and_their_place() {
        let mut map = HeaderMap::new();
        assert_eq!(fields(&map), 0);
        map.insert("x-a", vec![b'v'; 1000].try_into().unwrap());
        assert!((1003..2500).contains(&fields(&map)), "{}", fields(&map));
        for n in 0..100 {
            map.append("x-a", n.into());
        }
        assert!(fields(&map) > super::super::MAX_FIELDS_SIZE, "{}", fields(&map));
    }

    #[test]
    fn calls_count_while_they_are_under_way() {
        let calls = Calls::default();
        let request = |body: &'static str| {
            http::Request::get("http://a/long?path")
                .body(http_body_util::Full::<bytes::Bytes>::from(body))
                .unwrap()
        };
        let one = calls.begin(&request(""));
        let without = calls.bytes();
        assert!(without > 0);
        let two = calls.begin(&request("body"));
        assert_eq!(calls.bytes(), 2 * without + BODY as u64);
        drop((one, two));
        assert_eq!(calls.bytes(), 0);
    }
}
