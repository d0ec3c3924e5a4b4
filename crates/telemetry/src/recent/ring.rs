//! Entries of recent traces, encoded, in shards that are bounded by traces and by bytes.
//!
//! Each thread adds to a shard of its own, in which it meets readers alone; a trace whose entries came on several threads is
//! put together when it is read. Readers look for what they want first, and then take it: neither copies anything while
//! a shard is locked.

use crate::pipeline::thread_slot;
use pounce_otlp::id::TraceId;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Shards: each may hold as many traces as are shown, so that more of them cost memory.
const MAX_SHARDS: usize = 8;
/// Bytes of an evicted trace's buffer that is kept for the next trace.
const MAX_SPARE: usize = 16 * 1024;

/// Recent traces of one kind of entries: spans, or log records.
pub(super) struct Ring {
    max_traces: usize,
    shards: Box<[Mutex<Shard>]>,
    /// Bytes of one shard, and of one trace in it.
    max_bytes: usize,
    max_trace: usize,
}

/// The traces of the threads that share a shard.
#[derive(Default)]
struct Shard {
    traces: HashMap<TraceId, Trace>,
    /// The traces by the moment of their first entry here, the oldest first.
    order: VecDeque<TraceId>,
    bytes: usize,
    left_out: u64,
    /// Entries added since the start.
    added: u64,
    /// The buffer of an evicted trace, for the next one.
    spare: Arc<Vec<u8>>,
}

/// The entries of one trace in one shard.
struct Trace {
    /// When the first of them came.
    since: Instant,
    /// `Shard::added` as of the last of them.
    changed: u64,
    /// Readers share them, and copy outside the lock; an entry that is added to a trace which is being read copies the
    /// trace.
    entries: Arc<Vec<u8>>,
    count: u32,
}

/// A trace put together from all shards.
pub(super) struct Shown {
    pub(super) id: TraceId,
    pub(super) parts: Vec<Part>,
}

/// The entries of a trace that one shard holds.
pub(super) struct Part {
    pub(super) entries: Arc<Vec<u8>>,
    pub(super) count: u32,
}

/// How far a reader has read: of each shard, the entries added until then.
pub(super) type Cursor = Vec<u64>;

/// A trace as a reader finds it before it takes anything.
struct Found {
    since: Instant,
    has_changed: bool,
}

impl Ring {
    /// A ring of up to `max_traces` traces and `max_bytes` bytes, of which one trace takes `max_trace` at most.
    pub(super) fn new(max_traces: usize, max_bytes: usize, max_trace: usize) -> Self {
        let shards = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_SHARDS);
        Self::with(shards, max_traces, max_bytes, max_trace)
    }

    pub(super) fn with(shards: usize, max_traces: usize, max_bytes: usize, max_trace: usize) -> Self {
        let max_bytes = max_bytes / shards;
        Ring {
            max_traces,
            shards: (0..shards).map(|_| Mutex::default()).collect(),
            max_bytes,
            max_trace: max_trace.min(max_bytes),
        }
    }

    /// Adds an entry of `trace_id`.
    pub(super) fn add(&self, trace_id: TraceId, entry: &[u8]) {
        self.add_in(thread_slot() % self.shards.len(), trace_id, entry);
    }

    fn add_in(&self, shard: usize, trace_id: TraceId, entry: &[u8]) {
        let evicted = lock(&self.shards[shard]).add(self, trace_id, entry);
        // Here, where no other thread waits for the lock.
        drop(evicted);
    }

    /// Traces that may be shown.
    pub(super) fn limit(&self) -> usize {
        self.max_traces
    }

    /// Up to `limit` of the traces that are shown, the newest first; with `trace_id` that one only.
    pub(super) fn read(&self, limit: usize, trace_id: Option<TraceId>) -> Vec<Shown> {
        let (found, _) = self.find(&[]);
        let ids = found.into_iter().map(|(id, _)| id);
        self.take(ids.filter(|id| trace_id.is_none_or(|wanted| wanted == *id)).take(limit).collect())
    }

    /// The traces that are shown and have changed since `cursor`, the newest first, and where to go on; all of them for
    /// a cursor that is not of this ring.
    pub(super) fn read_changed(&self, cursor: &[u64]) -> (Vec<Shown>, Cursor) {
        let (found, next) = self.find(cursor);
        let changed = found.into_iter().filter(|(_, found)| found.has_changed).map(|(id, _)| id);
        (self.take(changed.collect()), next)
    }

    /// The traces that are shown, the newest first.
    fn find(&self, cursor: &[u64]) -> (Vec<(TraceId, Found)>, Cursor) {
        let mut next = Vec::with_capacity(self.shards.len());
        let mut seen = Vec::new();
        for (at, shard) in self.shards.iter().enumerate() {
            let before = cursor.get(at).copied().unwrap_or(0);
            let shard = lock(shard);
            seen.extend(shard.traces.iter().map(|(id, trace)| (*id, trace.since, trace.changed > before)));
            next.push(shard.added);
        }
        let mut traces: HashMap<TraceId, Found> = HashMap::with_capacity(seen.len());
        for (id, since, has_changed) in seen {
            let found = traces.entry(id).or_insert(Found { since, has_changed });
            found.since = found.since.min(since);
            found.has_changed |= has_changed;
        }
        let mut traces: Vec<_> = traces.into_iter().collect();
        traces.sort_unstable_by_key(|(_, found)| std::cmp::Reverse(found.since));
        traces.truncate(self.max_traces);
        (traces, next)
    }

    /// The parts of these traces, as far as they are still there.
    fn take(&self, ids: Vec<TraceId>) -> Vec<Shown> {
        let mut shown: Vec<_> = ids.into_iter().map(|id| Shown { id, parts: Vec::new() }).collect();
        for shard in &self.shards {
            let shard = lock(shard);
            for shown in &mut shown {
                let trace = shard.traces.get(&shown.id);
                let part = |trace: &Trace| Part { entries: Arc::clone(&trace.entries), count: trace.count };
                shown.parts.extend(trace.map(part));
            }
        }
        shown.retain(|shown| !shown.parts.is_empty());
        shown
    }

    /// Traces that are shown and their entries, bytes of all entries, and entries left out since the start.
    pub(super) fn totals(&self) -> (usize, u64, usize, u64) {
        let shown = self.find(&[]).0;
        let ids: HashSet<_> = shown.iter().map(|(id, _)| *id).collect();
        let (mut entries, mut bytes, mut left_out) = (0, 0, 0);
        for shard in &self.shards {
            let shard = lock(shard);
            let of_shown = shard.traces.iter().filter(|(id, _)| ids.contains(id));
            entries += of_shown.map(|(_, trace)| u64::from(trace.count)).sum::<u64>();
            bytes += shard.bytes;
            left_out += shard.left_out;
        }
        (shown.len(), entries, bytes, left_out)
    }
}

impl Shard {
    /// Adds an entry; returns what was evicted for it, to be freed outside the lock.
    fn add(&mut self, ring: &Ring, trace_id: TraceId, entry: &[u8]) -> Vec<Trace> {
        let mut evicted = Vec::new();
        let known = self.traces.get(&trace_id);
        if known.map_or(0, |trace| trace.entries.len()) + entry.len() > ring.max_trace {
            self.left_out += 1;
            return evicted;
        }
        if known.is_none() {
            if self.order.len() >= ring.max_traces {
                self.evict(&mut evicted);
            }
            self.order.push_back(trace_id);
        }
        self.added += 1;
        let trace = self.traces.entry(trace_id).or_insert_with(|| Trace {
            since: Instant::now(),
            changed: 0,
            entries: std::mem::take(&mut self.spare),
            count: 0,
        });
        Arc::make_mut(&mut trace.entries).extend_from_slice(entry);
        trace.changed = self.added;
        trace.count += 1;
        self.bytes += entry.len();
        while self.bytes > ring.max_bytes {
            self.evict(&mut evicted);
        }
        evicted
    }

    /// Takes out the oldest trace; its buffer is kept where the next trace can use it.
    fn evict(&mut self, evicted: &mut Vec<Trace>) {
        let oldest = self.order.pop_front().and_then(|oldest| self.traces.remove(&oldest));
        let Some(mut oldest) = oldest else { return };
        self.bytes -= oldest.entries.len();
        match Arc::get_mut(&mut oldest.entries).filter(|entries| entries.capacity() <= MAX_SPARE) {
            Some(entries) if self.spare.capacity() == 0 => {
                entries.clear();
                self.spare = oldest.entries;
            }
            _ => evicted.push(oldest),
        }
    }
}

/// A shard whose holder panicked is whole but for the entry that was being added.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(max_traces: usize, max_bytes: usize, max_trace: usize) -> Ring {
        Ring::with(1, max_traces, max_bytes, max_trace)
    }

    fn id(n: u8) -> TraceId {
        TraceId([n; 16])
    }

    fn add(ring: &Ring, n: u8, size: usize) {
        ring.add_in(0, id(n), &vec![n; size]);
    }

    /// The first byte of the id and the bytes of each trace.
    fn sizes(shown: &[Shown]) -> Vec<(u8, usize)> {
        let bytes = |shown: &Shown| shown.parts.iter().map(|part| part.entries.len()).sum();
        shown.iter().map(|shown| (shown.id.0[0], bytes(shown))).collect()
    }

    fn shown(ring: &Ring, limit: usize) -> Vec<(u8, usize)> {
        sizes(&ring.read(limit, None))
    }

    #[test]
    fn the_newest_traces_are_kept_with_all_their_entries() {
        let ring = ring(3, 1000, 500);
        for n in 1..=4 {
            add(&ring, n, 30);
        }
        add(&ring, 2, 25);
        assert_eq!(shown(&ring, 9), [(4, 30), (3, 30), (2, 55)], "a late entry joins its trace");
        assert_eq!(shown(&ring, 1), [(4, 30)]);
        assert_eq!(ring.read(9, Some(id(2))).len(), 1);
        assert!(ring.read(9, Some(id(1))).is_empty() && ring.read(0, Some(id(2))).is_empty());
        assert_eq!(ring.totals(), (3, 4, 115, 0));
    }

    #[test]
    fn bytes_are_bounded_in_all_and_of_each_trace() {
        let ring = ring(100, 1000, 400);
        for n in 0..50 {
            add(&ring, n, 90);
        }
        assert_eq!(ring.totals().2, 990);
        assert_eq!(shown(&ring, 100).first(), Some(&(49, 90)));
        for _ in 0..10 {
            add(&ring, 99, 100);
        }
        assert_eq!(shown(&ring, 1), [(99, 400)]);
        let (_, _, bytes, left_out) = ring.totals();
        assert_eq!((left_out, bytes <= 1000), (6, true));
        add(&ring, 77, 5000);
        assert_eq!((ring.totals().3, shown(&ring, 1)), (7, vec![(99, 400)]));
    }

    #[test]
    fn entries_of_a_trace_that_came_on_several_threads_are_shown_as_one_trace() {
        let ring = Ring::with(2, 2, 2000, 500);
        ring.add_in(0, id(1), &[1; 30]);
        for n in [2, 3, 2] {
            ring.add_in(1, id(n), &[n; 40]);
            ring.add_in(0, id(n), &[n; 30]);
        }
        assert_eq!(shown(&ring, 9), [(3, 70), (2, 140)], "as many traces as one shard would show");
        assert!(ring.read(9, Some(id(1))).is_empty());
        let (traces, entries, ..) = ring.totals();
        assert_eq!((traces, entries, ring.limit()), (2, 6, 2));
    }

    #[test]
    fn who_reads_on_gets_whole_traces_that_have_changed() {
        let ring = Ring::with(2, 3, 2000, 500);
        ring.add_in(0, id(1), &[1; 30]);
        ring.add_in(1, id(2), &[2; 30]);
        let (first, cursor) = ring.read_changed(&[]);
        assert_eq!(sizes(&first), [(2, 30), (1, 30)]);
        let (nothing, cursor) = ring.read_changed(&cursor);
        assert!(nothing.is_empty());
        ring.add_in(1, id(1), &[1; 20]);
        ring.add_in(1, id(3), &[3; 10]);
        let (changed, cursor) = ring.read_changed(&cursor);
        assert_eq!(sizes(&changed), [(3, 10), (1, 50)], "with the part in the shard that has not changed");
        assert_eq!(cursor, [1, 3]);
        assert_eq!(ring.read_changed(&[9, 9, 9]).0.len(), 0);
        ring.add_in(0, id(4), &[4; 10]);
        assert_eq!(sizes(&ring.read_changed(&[]).0), [(4, 10), (3, 10), (2, 30)], "only what is shown");
    }

    #[test]
    fn threads_add_to_shards_of_their_own() {
        let ring = Ring::with(4, 1000, 1 << 20, 1 << 18);
        std::thread::scope(|threads| {
            for thread in 0..4 {
                let ring = &ring;
                threads.spawn(move || {
                    for n in 0..50 {
                        (0..2).for_each(|_| ring.add(id(thread * 50 + n), &[0; 10]));
                    }
                });
            }
        });
        let (traces, entries, ..) = ring.totals();
        assert_eq!((traces, entries), (200, 400));
    }

    #[test]
    fn who_reads_is_not_in_the_way_of_who_adds() {
        let ring = ring(10, 1000, 400);
        add(&ring, 1, 30);
        let read = ring.read(1, None);
        add(&ring, 1, 30);
        assert_eq!((read[0].parts[0].entries.len(), shown(&ring, 1)), (30, vec![(1, 60)]));
    }

    #[test]
    fn the_buffer_of_an_evicted_trace_serves_the_next_unless_it_is_read_or_large() {
        let ring = ring(1, 100_000, 50_000);
        let buffer = || lock(&ring.shards[0]).traces.values().next().map(|trace| trace.entries.as_ptr());
        add(&ring, 1, 30);
        let first = buffer();
        add(&ring, 2, 30);
        assert_eq!(buffer(), first, "evicted and used again");
        let read = ring.read(1, None);
        add(&ring, 3, 30);
        assert_ne!(buffer(), first, "it is being read");
        assert_eq!(read[0].parts[0].entries.len(), 30);
        add(&ring, 3, MAX_SPARE);
        add(&ring, 4, 30);
        assert_eq!(lock(&ring.shards[0]).spare.capacity(), 0, "too large to be kept");
    }
}
