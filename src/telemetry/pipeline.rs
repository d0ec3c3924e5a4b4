//! The buffers between requests and the exporter: bounded by spans and by bytes, and never in a request's way. Log
//! records have such buffers of their own.
//!
//! A span is encoded straight into the buffer of its thread (a *shard*), under a lock that only the exporter shares.
//! Full shards spill into others; when all are full, the span is dropped and counted.

use super::counters::{Counters, Totals};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tokio::sync::Notify;

/// Bytes that all shards may hold together; half a kilobyte a span makes this 65 thousand spans.
const MAX_BYTES: usize = 32 * 1024 * 1024;
/// More shards than this only make draining slower.
const MAX_SHARDS: usize = 64;

/// Bytes of a new buffer beyond what the last one held: a span is written where it fits with ease.
const SPARE: usize = 4096;
/// Bytes that a thread's scratch buffer keeps between spans.
const MAX_SCRATCH: usize = 64 * 1024;

/// Where ended spans wait for the exporter.
pub(super) struct Pipeline {
    shards: Box<[Padded<Mutex<Shard>>]>,
    /// Spans one shard adds to `pending` at a time.
    step: u32,
    /// Spans that make a batch.
    batch: usize,
    /// Spans and bytes that may wait, those held elsewhere among them.
    most: (usize, usize),
    /// Spans that wait, up to `step - 1` of each shard not yet counted.
    pending: Padded<AtomicUsize>,
    /// A span was dropped since the last look.
    was_full: AtomicBool,
    /// Sees each span as it ends.
    observer: OnceLock<Observer>,
    /// Tells the exporter that a batch is there.
    pub(super) batch_ready: Notify,
    pub(super) counters: Arc<Counters>,
}

/// Called with each encoded span as it ends, an entry of the buffers; on the thread that ends it, outside all locks.
pub(super) type Observer = Box<dyn Fn(&[u8]) + Send + Sync>;

thread_local! {
    /// Where a span is encoded that is both observed and buffered.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Keeps neighbours off each other's cache lines (two, because processors fetch pairs).
#[repr(align(128))]
struct Padded<T>(T);

#[derive(Default)]
struct Shard {
    bytes: Vec<u8>,
    /// Bytes of whole spans; what is beyond is of one that did not fit, or whose encoding panicked.
    valid: usize,
    spans: u32,
    uncounted: u32,
    /// Spans ever taken in.
    taken: u64,
    max_spans: u32,
    max_bytes: usize,
    /// Bytes of the largest span that it takes.
    largest: usize,
    closed: bool,
}

/// Encoded spans, one after another, as entries of `ScopeSpans.spans`; or log records, as entries of
/// `ScopeLogs.log_records`.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) bytes: Vec<u8>,
    pub(super) spans: u32,
}

/// Where the spans of a pipeline are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flow {
    /// In the buffers.
    pub(super) waiting: u64,
    /// Taken out of them so far, for an export.
    pub(super) processed: u64,
    /// Of those, the ones whose export is not over.
    pub(super) under_way: u64,
}

enum Pushed {
    /// Holds how many more spans wait than the exporter was told.
    Yes(u32),
    Full,
    /// No shard will ever take it.
    TooLarge,
    Closed,
}

impl Pipeline {
    /// Buffers for `max_spans`, which tell the exporter when about `batch` spans wait.
    pub(super) fn new(max_spans: usize, batch: usize) -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self::with_shards(threads.min(MAX_SHARDS), max_spans, batch, MAX_BYTES)
    }

    /// Takes nothing in: nothing is exported, but spans need their counters.
    pub(super) fn unread() -> Self {
        Pipeline { shards: Box::default(), ..Self::with_shards(1, 1, 1, 0) }
    }

    fn with_shards(count: usize, max_spans: usize, batch: usize, max_bytes: usize) -> Self {
        let max_spans = max_spans.max(1);
        let (count, batch) = (count.clamp(1, max_spans), batch.clamp(1, max_spans));
        let shard = |at| Shard {
            max_spans: share(max_spans, count, at),
            max_bytes: max_bytes / count,
            largest: max_bytes / count,
            ..Shard::default()
        };
        Pipeline {
            shards: (0..count).map(|at| Padded(Mutex::new(shard(at)))).collect(),
            // An eighth of a batch may wait uncounted: a shared counter that each span writes would cost more.
            step: u32::try_from(batch / (8 * count)).unwrap_or(u32::MAX).max(1),
            batch,
            most: (max_spans, max_bytes),
            pending: Padded(AtomicUsize::new(0)),
            was_full: AtomicBool::new(false),
            observer: OnceLock::new(),
            batch_ready: Notify::new(),
            counters: Arc::default(),
        }
    }

    /// Has `observer` called with each span that ends from now on, whether there is room for it or not. Only the first
    /// call counts.
    pub(super) fn observe(&self, observer: impl Fn(&[u8]) + Send + Sync + 'static) {
        _ = self.observer.set(Box::new(observer));
    }

    /// Whether nothing is exported, and spans are only looked at here.
    pub(super) fn is_unread(&self) -> bool {
        self.shards.is_empty()
    }

    /// Takes in one span, which `encode` appends to the buffer; it is called again if it does not fit there.
    pub(super) fn push(&self, encode: impl Fn(&mut Vec<u8>)) {
        self.takes(encode);
    }

    /// The same; whether there was room for it.
    pub(super) fn takes(&self, encode: impl Fn(&mut Vec<u8>)) -> bool {
        let Some(observer) = self.observer.get() else {
            return self.store(encode);
        };
        let mut span = SCRATCH.take();
        span.clear();
        encode(&mut span);
        observer(&span);
        let has_room = self.store(|out| out.extend_from_slice(&span));
        span.shrink_to(MAX_SCRATCH);
        SCRATCH.set(span);
        has_room
    }

    /// Puts a span into the buffers.
    fn store(&self, encode: impl Fn(&mut Vec<u8>)) -> bool {
        if self.is_unread() {
            return false;
        }
        let own = thread_slot() % self.shards.len();
        for at in (own..self.shards.len()).chain(0..own) {
            let mut shard = lock(&self.shards[at].0);
            match shard.push(self.step, &encode) {
                Pushed::Yes(0) => return true,
                Pushed::Yes(more) => {
                    // Before the lock is given back, so that a drain never takes off what was not yet added.
                    let before = self.pending.0.fetch_add(more as usize, Relaxed);
                    drop(shard);
                    if before < self.batch && before + more as usize >= self.batch {
                        self.batch_ready.notify_one();
                    }
                    return true;
                }
                Pushed::Closed => {
                    Counters::add(&self.counters.shutdown, 1u32);
                    return false;
                }
                Pushed::TooLarge => {
                    Counters::add(&self.counters.too_large, 1u32);
                    return false;
                }
                Pushed::Full => {}
            }
        }
        // Uncounted spans can fill a queue that is no larger than a batch while the exporter sleeps.
        if !self.was_full.swap(true, Relaxed) {
            self.batch_ready.notify_one();
        }
        Counters::add(&self.counters.queue_full, 1u32);
        false
    }

    /// So many spans and bytes are held elsewhere, and leave that much less room here.
    pub(super) fn hold(&self, spans: usize, bytes: usize) {
        let (spans, bytes) = (self.most.0.saturating_sub(spans), self.most.1.saturating_sub(bytes));
        let count = self.shards.len();
        for (at, shard) in self.shards.iter().enumerate() {
            let mut shard = lock(&shard.0);
            (shard.max_spans, shard.max_bytes) = (share(spans, count, at), bytes / count);
        }
    }

    /// Whether so much that is held elsewhere leaves no room here.
    pub(super) fn is_filled_by(&self, spans: usize, bytes: usize) -> bool {
        spans >= self.most.0 || bytes >= self.most.1
    }

    /// Whether to drain now: a batch waits, or the buffers were full.
    pub(super) fn is_due(&self) -> bool {
        self.was_full.swap(false, Relaxed) || self.pending.0.load(Relaxed) >= self.batch
    }

    /// Closes the buffers and counts every span that has not arrived as dropped at shutdown.
    pub(super) fn settle(&self) {
        drop(self.drain(true));
        Counters::add(&self.counters.shutdown, self.taken().saturating_sub(self.counters.settled()));
    }

    /// Takes all that waits. With `close`, spans that come later are dropped and counted.
    pub(super) fn drain(&self, close: bool) -> Vec<Chunk> {
        let mut chunks = Vec::new();
        for shard in &self.shards {
            // The next buffer is made here, so that a request does not have to; a little larger, for the next is never
            // of the same size, and growing copies it all.
            let last = lock(&shard.0).valid;
            let spare = Vec::with_capacity(if last > 0 { last + last / 4 + SPARE } else { 0 });
            let mut shard = lock(&shard.0);
            shard.closed |= close;
            let valid = std::mem::take(&mut shard.valid);
            shard.bytes.truncate(valid);
            let chunk = Chunk { bytes: std::mem::replace(&mut shard.bytes, spare), spans: shard.spans };
            let counted = shard.spans - shard.uncounted;
            (shard.spans, shard.uncounted) = (0, 0);
            self.pending.0.fetch_sub(counted as usize, Relaxed);
            drop(shard);
            if chunk.spans > 0 {
                chunks.push(chunk);
            }
        }
        chunks
    }

    /// Spans that there is room for.
    pub(super) fn capacity(&self) -> u64 {
        self.shards.iter().map(|shard| u64::from(lock(&shard.0).max_spans)).sum()
    }

    /// Where the spans are now.
    pub(super) fn flow(&self) -> Flow {
        // Before the buffers are looked at, so that nothing is over that was not taken.
        let over = self.counters.settled();
        let (mut taken, mut waiting) = (0, 0);
        for shard in &self.shards {
            let shard = lock(&shard.0);
            taken += shard.taken;
            waiting += u64::from(shard.spans);
        }
        let processed = taken.saturating_sub(waiting);
        Flow { waiting, processed, under_way: processed.saturating_sub(over) }
    }

    /// What became of all spans so far.
    pub(super) fn totals(&self) -> Totals {
        // Spans refused after the close are counted as dropped at shutdown, and have ended too.
        self.counters.totals(self.taken())
    }

    /// Spans that were ever taken into a buffer.
    fn taken(&self) -> u64 {
        self.shards.iter().map(|shard| lock(&shard.0).taken).sum()
    }
}

impl Shard {
    fn push(&mut self, step: u32, encode: &impl Fn(&mut Vec<u8>)) -> Pushed {
        if self.closed {
            self.taken += 1;
            return Pushed::Closed;
        }
        if self.spans >= self.max_spans {
            return Pushed::Full;
        }
        self.bytes.truncate(self.valid);
        encode(&mut self.bytes);
        if self.bytes.len() - self.valid > self.largest {
            self.bytes.truncate(self.valid);
            self.bytes.shrink_to(self.largest);
            return Pushed::TooLarge;
        }
        if self.bytes.len() > self.max_bytes {
            return Pushed::Full;
        }
        self.valid = self.bytes.len();
        self.taken += 1;
        self.spans += 1;
        self.uncounted += 1;
        Pushed::Yes(if self.uncounted >= step { std::mem::take(&mut self.uncounted) } else { 0 })
    }
}

/// What one of `count` has of `all`.
fn share(all: usize, count: usize, at: usize) -> u32 {
    u32::try_from(all / count + usize::from(at < all % count)).unwrap_or(u32::MAX)
}

/// A shard whose holder panicked is still whole, see `Shard::valid`.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A number of the calling thread, small and dense, so that threads spread over the shards evenly.
pub(super) fn thread_slot() -> usize {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    thread_local! {
        static SLOT: Cell<usize> = Cell::new(NEXT.fetch_add(1, Relaxed) as usize);
    }
    SLOT.get()
}

#[cfg(test)]
mod tests;
