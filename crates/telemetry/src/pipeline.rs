//! Where spans and log records go when they end: to the observer, if there is one, and into the buffer that the exporter
//! drains.

use super::counters::Counters;
use pounce_otlp::Buffer;
pub(super) use pounce_otlp::thread_slot;
use pounce_otlp::wire::origin;
use std::cell::Cell;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

/// Bytes that a thread's scratch buffer keeps between spans.
const MAX_SCRATCH: usize = 64 * 1024;

/// The buffer of one signal, with the counts of what was left out before. Components share them, each with a pipeline of
/// its own that marks whose the items are.
pub(super) struct Pipeline {
    buffer: Arc<Buffer>,
    /// Sees each span as it ends.
    observer: Arc<OnceLock<Observer>>,
    pub(super) counters: Arc<Counters>,
    /// Number of the origin in the envelope of the buffer; 0 is the envelope's own.
    origin: u32,
}

/// Called with each encoded span as it ends, an entry of the buffer; on the thread that ends it, outside all locks.
pub(super) type Observer = Box<dyn Fn(&[u8]) + Send + Sync>;

thread_local! {
    /// Where a span is encoded that is both observed and buffered.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

impl Pipeline {
    /// A buffer for `max_items`, which wakes the exporter when about `batch` items wait.
    pub(super) fn new(max_items: usize, batch: usize) -> Self {
        Self::with(Buffer::new(max_items, batch))
    }

    /// Takes nothing in: nothing is exported, but spans need their counters.
    pub(super) fn unread() -> Self {
        Self::with(Buffer::unread())
    }

    fn with(buffer: Buffer) -> Self {
        Pipeline { buffer: Arc::new(buffer), observer: Arc::default(), counters: Arc::default(), origin: 0 }
    }

    /// The way of items of another origin into the same buffer.
    pub(super) fn of_origin(&self, origin: u32) -> Self {
        Pipeline {
            buffer: self.buffer.clone(),
            observer: self.observer.clone(),
            counters: self.counters.clone(),
            origin,
        }
    }

    /// The buffer, for the exporter.
    pub(super) fn buffer(&self) -> &Arc<Buffer> {
        &self.buffer
    }

    /// Has `observer` called with each span that ends from now on, whether there is room for it or not. Only the first
    /// call counts.
    pub(super) fn observe(&self, observer: impl Fn(&[u8]) + Send + Sync + 'static) {
        _ = self.observer.set(Box::new(observer));
    }

    /// One span or record as it stands in the buffer, marked whose it is.
    pub(super) fn entry(&self, encode: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
        let mut entry = Vec::new();
        origin(&mut entry, self.origin);
        encode(&mut entry);
        entry
    }

    /// Takes in one span or record, which `encode` appends to the buffer; it is called again if it does not fit there.
    pub(super) fn push(&self, encode: impl Fn(&mut Vec<u8>)) {
        self.takes(encode);
    }

    /// Takes in one span or record as [`Self::push`] does; whether there was room for it.
    pub(super) fn takes(&self, encode: impl Fn(&mut Vec<u8>)) -> bool {
        let encode = |out: &mut Vec<u8>| {
            origin(out, self.origin);
            encode(out);
        };
        let Some(observer) = self.observer.get() else {
            return self.buffer.push(encode);
        };
        let mut span = SCRATCH.take();
        span.clear();
        encode(&mut span);
        observer(&span);
        let has_room = self.buffer.push(|out| out.extend_from_slice(&span));
        span.shrink_to(MAX_SCRATCH);
        SCRATCH.set(span);
        has_room
    }
}

impl Deref for Pipeline {
    type Target = Buffer;

    fn deref(&self) -> &Buffer {
        &self.buffer
    }
}
