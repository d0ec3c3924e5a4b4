//! Entries of recent traces, encoded, in shards that are bounded by traces and by bytes.
//!
//! Each thread adds to a shard of its own, in which it meets readers alone; a trace whose entries came on several threads is
//! put together when it is read. Readers look for what they want first, and then take it: neither copies anything while
//! a shard is locked.
//!
//! A trace has a small share of each shard for itself. What is beyond that comes out of an account that it has for all
//! shards together, so that only large traces need the account's lock, and none takes more than it may over all shards.

use crate::pipeline::thread_slot;
use pounce_otlp::id::TraceId;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Shards: each may hold as many traces as are shown, so that more of them cost memory.
const MAX_SHARDS: usize = 8;
/// The part of what one trace may take that is spread over the shards, for each to give without asking.
const UNASKED: usize = 16;
/// Bytes of an evicted trace's buffer that is kept for the next trace.
const MAX_SPARE: usize = 16 * 1024;

/// Recent traces of one kind of entries: spans, or log records.
pub(super) struct Ring {
    max_traces: usize,
    shards: Box<[Mutex<Shard>]>,
    /// Bytes of one shard, and so of one trace in it.
    max_bytes: usize,
    /// Bytes of one trace that each shard takes without asking `large`.
    unasked: usize,
    large: Large,
}

/// Bytes of large traces beyond what the shards take without asking.
struct Large {
    /// Bytes that one trace may have.
    max: usize,
    taken: Mutex<HashMap<TraceId, usize>>,
}

/// The traces of the threads that share a shard.
#[derive(Default)]
struct Shard {
    traces: HashMap<TraceId, Trace>,
    /// The traces by the moment of their first entry here, the oldest first.
    order: VecDeque<TraceId>,
    /// Traces taken out of `order` since the start.
    evicted: u64,
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
    /// Traces that the shard had taken in before this one.
    place: u64,
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
    since: Instant,
    /// The shard, and the trace's place in the order of all that the shard has taken in.
    pub(super) place: (usize, u64),
}

/// What a reader is told that has read before.
pub(super) struct Changes {
    /// Traces that have changed since, the newest first.
    pub(super) traces: Vec<Shown>,
    /// Where to go on.
    pub(super) next: Cursor,
    /// The place of the oldest trace that each shard holds: parts before it are evicted.
    pub(super) held_from: Vec<u64>,
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
        let unasked = max_trace / UNASKED / shards;
        Ring {
            max_traces,
            shards: (0..shards).map(|_| Mutex::default()).collect(),
            max_bytes: max_bytes / shards,
            unasked,
            large: Large { max: max_trace - unasked * shards, taken: Mutex::default() },
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
        if limit == 0 {
            return Vec::new();
        }
        match trace_id {
            Some(trace_id) => self.read_one(trace_id).into_iter().collect(),
            None => self.take(self.find(&[]).into_iter().map(|(id, _)| id).take(limit).collect()),
        }
    }

    /// The trace, if it is shown.
    fn read_one(&self, trace_id: TraceId) -> Option<Shown> {
        let shown = self.take(vec![trace_id]).pop()?;
        let since = shown.parts.iter().map(|part| part.since).min()?;
        // A trace with parts in several shards counts several times: near the limit, the whole ring has to be seen.
        let newer: usize = self.shards.iter().map(|shard| lock(shard).newer_than(since)).sum();
        let is_shown = newer < self.max_traces || self.find(&[]).iter().any(|(id, _)| *id == trace_id);
        is_shown.then_some(shown)
    }

    /// The traces that are shown and have changed since `cursor`; all of them for a cursor that is not of this ring.
    pub(super) fn read_changed(&self, cursor: &[u64]) -> Changes {
        let now = |shard: &Mutex<Shard>| {
            let shard = lock(shard);
            (shard.added, shard.evicted)
        };
        let (next, held_from): (Cursor, Vec<u64>) = self.shards.iter().map(now).unzip();
        let changed = if next == cursor { Vec::new() } else { self.find(cursor) };
        let changed = changed.into_iter().filter(|(_, found)| found.has_changed).map(|(id, _)| id);
        Changes { traces: self.take(changed.collect()), next, held_from }
    }

    /// The traces that are shown, the newest first.
    fn find(&self, cursor: &[u64]) -> Vec<(TraceId, Found)> {
        let mut seen = Vec::new();
        for (at, shard) in self.shards.iter().enumerate() {
            let before = cursor.get(at).copied().unwrap_or(0);
            let shard = lock(shard);
            seen.extend(shard.traces.iter().map(|(id, trace)| (*id, trace.since, trace.changed > before)));
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
        traces
    }

    /// The parts of these traces, as far as they are still there.
    fn take(&self, ids: Vec<TraceId>) -> Vec<Shown> {
        let mut shown: Vec<_> = ids.into_iter().map(|id| Shown { id, parts: Vec::new() }).collect();
        for (at, shard) in self.shards.iter().enumerate() {
            let shard = lock(shard);
            for shown in &mut shown {
                let part = |trace: &Trace| Part {
                    entries: Arc::clone(&trace.entries),
                    count: trace.count,
                    since: trace.since,
                    place: (at, trace.place),
                };
                shown.parts.extend(shard.traces.get(&shown.id).map(part));
            }
        }
        shown.retain(|shown| !shown.parts.is_empty());
        shown
    }

    /// How many of the bytes that a trace has in one shard come out of its account.
    fn beyond(&self, bytes: usize) -> usize {
        bytes.saturating_sub(self.unasked)
    }

    /// Traces that are shown and their entries, bytes of all entries, and entries left out since the start.
    pub(super) fn totals(&self) -> (usize, u64, usize, u64) {
        let shown = self.find(&[]);
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
        let before = known.map_or(0, |trace| trace.entries.len());
        let after = before + entry.len();
        let beyond = ring.beyond(after) - ring.beyond(before);
        if after > ring.max_bytes || !ring.large.take(trace_id, beyond) {
            self.left_out += 1;
            return evicted;
        }
        if known.is_none() {
            if self.order.len() >= ring.max_traces {
                self.evict(ring, &mut evicted);
            }
            self.order.push_back(trace_id);
        }
        let place = self.evicted + self.order.len() as u64 - 1;
        self.added += 1;
        let trace = self.traces.entry(trace_id).or_insert_with(|| Trace {
            since: Instant::now(),
            changed: 0,
            place,
            entries: std::mem::take(&mut self.spare),
            count: 0,
        });
        Arc::make_mut(&mut trace.entries).extend_from_slice(entry);
        trace.changed = self.added;
        trace.count += 1;
        self.bytes += entry.len();
        while self.bytes > ring.max_bytes {
            self.evict(ring, &mut evicted);
        }
        evicted
    }

    /// Traces whose first entry came here after `since`. They are in order.
    fn newer_than(&self, since: Instant) -> usize {
        let is_older = |id: &TraceId| self.traces.get(id).is_none_or(|trace| trace.since <= since);
        self.order.len() - self.order.partition_point(is_older)
    }

    /// Takes out the oldest trace; its buffer is kept where the next trace can use it.
    fn evict(&mut self, ring: &Ring, evicted: &mut Vec<Trace>) {
        let Some(id) = self.order.pop_front() else { return };
        self.evicted += 1;
        let Some(mut oldest) = self.traces.remove(&id) else { return };
        self.bytes -= oldest.entries.len();
        ring.large.give_back(id, ring.beyond(oldest.entries.len()));
        match Arc::get_mut(&mut oldest.entries).filter(|entries| entries.capacity() <= MAX_SPARE) {
            Some(entries) if self.spare.capacity() == 0 => {
                entries.clear();
                self.spare = oldest.entries;
            }
            _ => evicted.push(oldest),
        }
    }
}

/// Its lock is taken while a shard is locked, and none other while it is.
impl Large {
    /// Takes bytes for the trace; whether it may have them.
    fn take(&self, trace_id: TraceId, bytes: usize) -> bool {
        if bytes == 0 {
            return true;
        }
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let all = taken.get(&trace_id).copied().unwrap_or(0) + bytes;
        if all > self.max {
            return false;
        }
        taken.insert(trace_id, all);
        true
    }

    fn give_back(&self, trace_id: TraceId, bytes: usize) {
        if bytes == 0 {
            return;
        }
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut of_trace) = taken.entry(trace_id) {
            *of_trace.get_mut() -= bytes;
            if *of_trace.get() == 0 {
                of_trace.remove();
            }
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
    fn a_trace_has_its_share_of_all_shards_together() {
        let ring = Ring::with(4, 100, 16_000, 3200);
        let bytes = |n: u8| sizes(&ring.read(9, Some(id(n)))).first().map_or(0, |(_, bytes)| *bytes);
        for _ in 0..100 {
            (0..4).for_each(|shard| ring.add_in(shard, id(1), &[1; 25]));
        }
        assert_eq!((bytes(1), ring.totals().3), (3200, 400 - 3200 / 25), "spread over all of them");
        (0..200).for_each(|_| ring.add_in(0, id(2), &[2; 25]));
        assert_eq!(bytes(2), 3200 - 3 * 50, "in one of them all but what the others keep for it");
        ring.add_in(3, id(2), &[2; 50]);
        ring.add_in(3, id(2), &[2; 1]);
        assert_eq!(bytes(2), 3200 - 2 * 50);
        // What is evicted is given back.
        for n in 3..=250 {
            (0..4).for_each(|shard| ring.add_in(shard, id(n), &[n; 50]));
        }
        assert!(ring.large.taken.lock().unwrap().is_empty());
        (0..200).for_each(|_| ring.add_in(1, id(1), &[1; 25]));
        assert_eq!(bytes(1), 3200 - 3 * 50);
        (0..200).for_each(|_| ring.add_in(0, id(1), &[1; 25]));
        assert_eq!(bytes(1), 3200 - 2 * 50);
    }

    #[test]
    fn one_trace_is_read_only_if_it_is_among_those_that_are_shown() {
        let ring = Ring::with(2, 3, 2000, 500);
        for n in 1..=4 {
            ring.add_in(usize::from(n) % 2, id(n), &[n; 30]);
        }
        let is_read = |n| !ring.read(1, Some(id(n))).is_empty();
        assert_eq!([1, 2, 3, 4].map(is_read), [false, true, true, true], "the first is held, and too old");
        ring.add_in(1, id(4), &[4; 30]);
        assert_eq!([1, 2, 3, 4].map(is_read), [false, true, true, true], "a trace in two shards counts once");
    }

    #[test]
    fn who_reads_on_gets_whole_traces_that_have_changed() {
        let ring = Ring::with(2, 3, 2000, 500);
        ring.add_in(0, id(1), &[1; 30]);
        ring.add_in(1, id(2), &[2; 30]);
        let first = ring.read_changed(&[]);
        assert_eq!(sizes(&first.traces), [(2, 30), (1, 30)]);
        let then = ring.read_changed(&first.next);
        assert!(then.traces.is_empty() && then.next == first.next);
        ring.add_in(1, id(1), &[1; 20]);
        ring.add_in(1, id(3), &[3; 10]);
        let then = ring.read_changed(&then.next);
        let with_parts = "with the part in the shard that has not changed";
        assert_eq!(sizes(&then.traces), [(3, 10), (1, 50)], "{with_parts}");
        assert_eq!(then.next, [1, 3]);
        assert_eq!(ring.read_changed(&[9, 9, 9]).traces.len(), 0);
        ring.add_in(0, id(4), &[4; 10]);
        let all = ring.read_changed(&[]);
        assert_eq!(sizes(&all.traces), [(4, 10), (3, 10), (2, 30)], "only what is shown");
    }

    #[test]
    fn who_reads_on_is_told_what_is_evicted() {
        let ring = Ring::with(2, 100, 200, 100);
        let places = |changes: &Changes| -> Vec<Vec<(usize, u64)>> {
            let of = |shown: &Shown| shown.parts.iter().map(|part| part.place).collect();
            changes.traces.iter().map(of).collect()
        };
        ring.add_in(0, id(1), &[1; 50]);
        ring.add_in(1, id(1), &[1; 20]);
        ring.add_in(0, id(2), &[2; 50]);
        let first = ring.read_changed(&[]);
        assert_eq!(places(&first), [vec![(0, 1)], vec![(0, 0), (1, 0)]]);
        assert_eq!(first.held_from, [0, 0]);
        ring.add_in(0, id(3), &[3; 40]);
        let then = ring.read_changed(&first.next);
        assert_eq!((places(&then), then.held_from), (vec![vec![(0, 2)]], vec![1, 0]));
        // The first comes back to where a part of it was evicted.
        ring.add_in(0, id(1), &[1; 50]);
        let then = ring.read_changed(&then.next);
        assert_eq!((places(&then), then.held_from), (vec![vec![(0, 3), (1, 0)]], vec![2, 0]));
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
