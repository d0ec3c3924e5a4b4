//! The buffer between the threads that make items and the exporter: bounded by items and by bytes, and never in the way
//! of who pushes.
//!
//! An item (a span or a log record) is encoded straight into the part (a *shard*) of its thread, under a lock that only
//! the exporter shares. Full shards spill into others; when all are full, the item is dropped and counted.

use crate::losses::{Counts, Loss, Totals};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Bytes that all shards may hold together: 65 thousand spans of half a kilobyte each.
const MAX_BYTES: usize = 32 * 1024 * 1024;
/// More shards than this only make draining slower.
const MAX_SHARDS: usize = 64;

/// Bytes of a new buffer beyond what the last one held: an item is written where it fits with ease.
const SPARE: usize = 4096;

/// Bounded buffer of the encoded items of one signal, which wait in it for the exporter.
pub struct Buffer {
    shards: Box<[Padded<Mutex<Shard>>]>,
    /// Items that one shard adds to `pending` at a time.
    step: u32,
    /// Items that make a batch.
    batch: usize,
    /// Items and bytes that may wait, those held elsewhere among them.
    most: (usize, usize),
    /// Items that wait, up to `step - 1` of each shard not yet counted.
    pending: Padded<AtomicUsize>,
    /// An item was dropped since the last look.
    was_full: AtomicBool,
    /// Tells the exporter that a batch is there.
    batch_ready: Notify,
    counts: Arc<Counts>,
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Buffer")
            .field("shards", &self.shards.len())
            .field("most", &self.most)
            .finish_non_exhaustive()
    }
}

/// Keeps neighbours off each other's cache lines (two, because processors fetch pairs).
#[repr(align(128))]
struct Padded<T>(T);

#[derive(Default)]
struct Shard {
    bytes: Vec<u8>,
    /// Bytes of whole items; what is beyond is of one that did not fit, or whose encoding panicked.
    valid: usize,
    items: u32,
    uncounted: u32,
    /// Items ever taken in.
    taken: u64,
    max_items: u32,
    max_bytes: usize,
    /// Bytes of the largest item that it takes.
    largest: usize,
    closed: bool,
}

/// Encoded items taken out of a buffer, one entry after another: `ScopeSpans.spans`, or `ScopeLogs.log_records`.
#[derive(Debug)]
pub struct Chunk {
    /// The entries.
    pub bytes: Vec<u8>,
    /// Number of entries.
    pub items: u32,
}

/// Numbers of the items of a buffer by where they are.
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    /// Items in the buffer.
    pub waiting: u64,
    /// Items taken out of the buffer so far, for an export.
    pub processed: u64,
    /// Processed items whose export is not over.
    pub under_way: u64,
}

enum Pushed {
    /// Holds how many more items wait than the exporter was told.
    Yes(u32),
    Full,
    /// No shard will ever take it.
    TooLarge,
    Closed,
}

impl Buffer {
    /// A buffer for `max_items`, which wakes the exporter when about `batch` items wait.
    #[must_use]
    pub fn new(max_items: usize, batch: usize) -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self::with_shards(threads.min(MAX_SHARDS), max_items, batch, MAX_BYTES)
    }

    /// A buffer that takes nothing in, for a program that counts items and exports none.
    #[must_use]
    pub fn unread() -> Self {
        Buffer { shards: Box::default(), ..Self::with_shards(1, 1, 1, 0) }
    }

    fn with_shards(count: usize, max_items: usize, batch: usize, max_bytes: usize) -> Self {
        let max_items = max_items.max(1);
        let (count, batch) = (count.clamp(1, max_items), batch.clamp(1, max_items));
        let shard = |at| Shard {
            max_items: share(max_items, count, at),
            max_bytes: max_bytes / count,
            largest: max_bytes / count,
            ..Shard::default()
        };
        Buffer {
            shards: (0..count).map(|at| Padded(Mutex::new(shard(at)))).collect(),
            // An eighth of a batch may wait uncounted: a shared counter that each item writes would cost more.
            step: u32::try_from(batch / (8 * count)).unwrap_or(u32::MAX).max(1),
            batch,
            most: (max_items, max_bytes),
            pending: Padded(AtomicUsize::new(0)),
            was_full: AtomicBool::new(false),
            batch_ready: Notify::new(),
            counts: Arc::default(),
        }
    }

    /// Whether the buffer takes nothing in, because nobody exports: [`Buffer::unread`].
    #[must_use]
    pub fn is_unread(&self) -> bool {
        self.shards.is_empty()
    }

    /// Takes in the item that `encode` appends, as an entry that begins with its key and its length
    /// ([`SpanWriter`](crate::wire::SpanWriter) writes such entries). `encode` is called again if the item does not fit
    /// where it was written.
    ///
    /// False if the item is lost, which is then counted. Never blocks on the exporter's work.
    pub fn push(&self, encode: impl Fn(&mut Vec<u8>)) -> bool {
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
                    self.counts.lose(Loss::Shutdown, 1u32);
                    return false;
                }
                Pushed::TooLarge => {
                    self.counts.lose(Loss::TooLarge, 1u32);
                    return false;
                }
                Pushed::Full => {}
            }
        }
        // Uncounted items can fill a queue that is no larger than a batch while the exporter sleeps.
        if !self.was_full.swap(true, Relaxed) {
            self.batch_ready.notify_one();
        }
        self.counts.lose(Loss::QueueFull, 1u32);
        false
    }

    /// Leaves that much less room here, for items that are held elsewhere.
    pub(crate) fn hold(&self, items: usize, bytes: usize) {
        let (items, bytes) = (self.most.0.saturating_sub(items), self.most.1.saturating_sub(bytes));
        let count = self.shards.len();
        for (at, shard) in self.shards.iter().enumerate() {
            let mut shard = lock(&shard.0);
            (shard.max_items, shard.max_bytes) = (share(items, count, at), bytes / count);
        }
    }

    /// Whether so many items and bytes that are held elsewhere leave no room here.
    pub(crate) fn is_filled_by(&self, items: usize, bytes: usize) -> bool {
        items >= self.most.0 || bytes >= self.most.1
    }

    /// Whether to drain now: a batch waits, or the buffer was full.
    pub(crate) fn is_due(&self) -> bool {
        self.was_full.swap(false, Relaxed) || self.pending.0.load(Relaxed) >= self.batch
    }

    /// Waits until a batch waits, or the buffer is full.
    pub async fn ready(&self) {
        self.batch_ready.notified().await;
    }

    /// What became of the items, and how the endpoint is.
    #[must_use]
    pub fn counts(&self) -> &Arc<Counts> {
        &self.counts
    }

    /// Closes the buffer and counts every item that has not arrived as lost at shutdown. A second call changes nothing.
    pub fn settle(&self) {
        drop(self.drain(true));
        self.counts.lose(Loss::Shutdown, self.taken().saturating_sub(self.counts.settled()));
    }

    /// Takes all that waits. With `close`, items that come later are lost and counted.
    #[must_use = "what is drained is in nobody else's hands"]
    pub fn drain(&self, close: bool) -> Vec<Chunk> {
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
            let chunk = Chunk { bytes: std::mem::replace(&mut shard.bytes, spare), items: shard.items };
            let counted = shard.items - shard.uncounted;
            (shard.items, shard.uncounted) = (0, 0);
            self.pending.0.fetch_sub(counted as usize, Relaxed);
            drop(shard);
            if chunk.items > 0 {
                chunks.push(chunk);
            }
        }
        chunks
    }

    /// Number of items for which there is room.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.shards.iter().map(|shard| u64::from(lock(&shard.0).max_items)).sum()
    }

    /// Where the items are now.
    #[must_use]
    pub fn flow(&self) -> Flow {
        // Before the buffers are looked at, so that nothing is over that was not taken.
        let over = self.counts.settled();
        let (mut taken, mut waiting) = (0, 0);
        for shard in &self.shards {
            let shard = lock(&shard.0);
            taken += shard.taken;
            waiting += u64::from(shard.items);
        }
        let processed = taken.saturating_sub(waiting);
        Flow { waiting, processed, under_way: processed.saturating_sub(over) }
    }

    /// What became of all items so far.
    #[must_use]
    pub fn totals(&self) -> Totals {
        // Items refused after the close are counted as dropped at shutdown, and have ended too.
        self.counts.totals(self.taken())
    }

    /// Number of items that were ever taken into a buffer.
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
        if self.items >= self.max_items {
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
        self.items += 1;
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

/// Number of the calling thread, small and dense, so that threads spread evenly over what is sharded as a [`Buffer`] is.
#[must_use]
pub fn thread_slot() -> usize {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    thread_local! {
        static SLOT: Cell<usize> = Cell::new(NEXT.fetch_add(1, Relaxed) as usize);
    }
    SLOT.get()
}

#[cfg(test)]
mod tests;
