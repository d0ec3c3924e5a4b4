//! The ring of recent traces, which the admin listener shows (`/api/traces`).
//!
//! It sees each span as it ends, not what the exporter takes: while an endpoint is down, the latest is still here. Each
//! thread adds to a shard of its own, in which it meets readers alone; a trace whose spans ended on several
//! threads is put together when it is read.

use super::pipeline::thread_slot;
use pounce_otlp::id::TraceId;
use pounce_otlp::{Chunk, Entries, Envelope, Signal, json};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Bytes of all traces together.
const MAX_BYTES: usize = 16 * 1024 * 1024;
/// Bytes of one trace in one shard: many requests may share a trace, and it should not push out all others.
const MAX_TRACE: usize = 4 * 1024 * 1024;
/// Shards: each may hold as many traces as are shown, so that more of them cost memory.
const MAX_SHARDS: usize = 8;
/// Bytes of an evicted trace's buffer that is kept for the next trace.
const MAX_SPARE: usize = 16 * 1024;

/// The ring of recent traces, bounded by traces and by bytes.
pub(super) struct Recent {
    max_traces: usize,
    shards: Box<[Mutex<Shard>]>,
    /// Bytes of one shard, and of one trace in it.
    max_bytes: usize,
    max_trace: usize,
    envelope: Envelope,
}

/// The traces of the threads that share a shard.
#[derive(Default)]
struct Shard {
    traces: HashMap<TraceId, Trace>,
    /// The traces by the moment of their first span here, the oldest first.
    order: VecDeque<TraceId>,
    bytes: usize,
    left_out: u64,
    /// The buffer of an evicted trace, for the next one.
    spare: Arc<Vec<u8>>,
}

/// The spans of one trace in one shard.
struct Trace {
    /// When the first of its spans came.
    since: Instant,
    /// Encoded spans. Readers share them, and copy outside the lock; a span that is added to a trace which is being read
    /// copies the trace.
    spans: Arc<Vec<u8>>,
    count: u32,
}

/// A trace put together from all shards.
struct Shown {
    since: Instant,
    parts: Vec<(Arc<Vec<u8>>, u32)>,
}

/// What the ring of recent traces holds, as `/status` shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Totals {
    /// Traces that are shown.
    pub traces: usize,
    /// Traces that may be shown.
    pub limit: usize,
    /// Spans of these traces.
    pub spans: u64,
    /// Bytes of all encoded spans that are held, those of traces that are no longer shown among them.
    pub bytes: usize,
    /// Spans left out since the start, as their trace was too large. They were exported all the same.
    pub spans_left_out: u64,
}

impl Recent {
    /// A ring of up to `max_traces` traces; `None` for zero.
    pub(super) fn new(max_traces: usize, envelope: Envelope) -> Option<Self> {
        let shards = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_SHARDS);
        (max_traces > 0).then(|| Self::with(shards, max_traces, MAX_BYTES, MAX_TRACE, envelope))
    }

    fn with(
        shards: usize,
        max_traces: usize,
        max_bytes: usize,
        max_trace: usize,
        envelope: Envelope,
    ) -> Self {
        let max_bytes = max_bytes / shards;
        Recent {
            max_traces,
            shards: (0..shards).map(|_| Mutex::default()).collect(),
            max_bytes,
            max_trace: max_trace.min(max_bytes),
            envelope,
        }
    }

    /// Adds an encoded span: an entry of a pipeline's buffers.
    pub(super) fn add(&self, span: &[u8]) {
        self.add_in(thread_slot() % self.shards.len(), span);
    }

    fn add_in(&self, shard: usize, span: &[u8]) {
        let Some(trace_id) = Entries(span).next().and_then(|span| span.trace_id()) else { return };
        let evicted = lock(&self.shards[shard]).add(self, trace_id, span);
        // Here, where no other thread waits for the lock.
        drop(evicted);
    }

    /// The traces as OTLP JSON, `{"resourceSpans": […]}`: up to `limit` of them, the newest first, or the one with
    /// `trace_id`. Each has a resource of its own.
    pub(super) fn json(&self, limit: usize, trace_id: Option<TraceId>) -> Vec<u8> {
        let mut request = Vec::new();
        for shown in self.read(limit, trace_id) {
            let chunks: Vec<_> = shown
                .parts
                .iter()
                .map(|(spans, count)| Chunk { bytes: spans.to_vec(), items: *count })
                .collect();
            // Requests one after another are one request with the parts of all.
            let parts = self.envelope.batches_of(&chunks, usize::MAX);
            parts.iter().for_each(|part| request.extend_from_slice(&part.body));
        }
        match json::of_request(Signal::Traces, &request) {
            Ok(json) if !request.is_empty() => json,
            _ => br#"{"resourceSpans":[]}"#.to_vec(),
        }
    }

    /// Up to `limit` of the traces that are shown, the newest first; with `trace_id` that one only.
    fn read(&self, limit: usize, trace_id: Option<TraceId>) -> Vec<Shown> {
        let mut traces: HashMap<TraceId, Shown> = HashMap::new();
        for shard in &self.shards {
            for (id, trace) in &lock(shard).traces {
                let shown =
                    traces.entry(*id).or_insert_with(|| Shown { since: trace.since, parts: Vec::new() });
                shown.since = shown.since.min(trace.since);
                shown.parts.push((Arc::clone(&trace.spans), trace.count));
            }
        }
        let mut traces: Vec<_> = traces.into_iter().collect();
        traces.sort_unstable_by_key(|(_, shown)| std::cmp::Reverse(shown.since));
        traces.truncate(self.max_traces);
        let is_wanted = |(id, _): &(TraceId, Shown)| trace_id.is_none_or(|wanted| wanted == *id);
        traces.into_iter().filter(is_wanted).take(limit).map(|(_, shown)| shown).collect()
    }

    /// What the ring holds now.
    pub(super) fn totals(&self) -> Totals {
        let shown = self.read(usize::MAX, None);
        let spans = shown.iter().flat_map(|shown| &shown.parts).map(|(_, count)| u64::from(*count)).sum();
        let mut totals = Totals { traces: shown.len(), limit: self.max_traces, spans, ..Totals::default() };
        for shard in &self.shards {
            let shard = lock(shard);
            totals.bytes += shard.bytes;
            totals.spans_left_out += shard.left_out;
        }
        totals
    }
}

impl Shard {
    /// Adds a span; returns what was evicted for it, to be freed outside the lock.
    fn add(&mut self, ring: &Recent, trace_id: TraceId, span: &[u8]) -> Vec<Trace> {
        let mut evicted = Vec::new();
        let known = self.traces.get(&trace_id);
        if known.map_or(0, |trace| trace.spans.len()) + span.len() > ring.max_trace {
            self.left_out += 1;
            return evicted;
        }
        if known.is_none() {
            if self.order.len() >= ring.max_traces {
                self.evict(&mut evicted);
            }
            self.order.push_back(trace_id);
        }
        let trace = self.traces.entry(trace_id).or_insert_with(|| Trace {
            since: Instant::now(),
            spans: std::mem::take(&mut self.spare),
            count: 0,
        });
        Arc::make_mut(&mut trace.spans).extend_from_slice(span);
        trace.count += 1;
        self.bytes += span.len();
        while self.bytes > ring.max_bytes {
            self.evict(&mut evicted);
        }
        evicted
    }

    /// Takes out the oldest trace; its buffer is kept where the next trace can use it.
    fn evict(&mut self, evicted: &mut Vec<Trace>) {
        let oldest = self.order.pop_front().and_then(|oldest| self.traces.remove(&oldest));
        let Some(mut oldest) = oldest else { return };
        self.bytes -= oldest.spans.len();
        match Arc::get_mut(&mut oldest.spans).filter(|spans| spans.capacity() <= MAX_SPARE) {
            Some(spans) if self.spare.capacity() == 0 => {
                spans.clear();
                self.spare = oldest.spans;
            }
            _ => evicted.push(oldest),
        }
    }
}

/// A shard whose holder panicked is whole but for the span that was being added.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pounce_otlp::wire::bytes;

    fn ring(max_traces: usize, max_bytes: usize, max_trace: usize) -> Recent {
        Recent::with(1, max_traces, max_bytes, max_trace, envelope())
    }

    fn envelope() -> Envelope {
        let resource = crate::resource::encode(&crate::tests::settings(), "hello").into();
        crate::export::of_spans(&resource, crate::settings::Semconv::Compat)
    }

    fn id(n: u8) -> TraceId {
        TraceId([n; 16])
    }

    /// Adds a span of `size` bytes, at least 24 of them.
    fn add(recent: &Recent, n: u8, size: usize) {
        add_in(recent, 0, n, size);
    }

    fn add_in(recent: &Recent, shard: usize, n: u8, size: usize) {
        let span = |filler: usize| {
            let (mut span, mut out) = (Vec::new(), Vec::new());
            bytes(&mut span, 1, &id(n).0);
            bytes(&mut span, 5, &vec![b'n'; filler]);
            bytes(&mut out, 2, &span);
            out
        };
        let fits = (0..size).map(span).find(|span| span.len() == size);
        recent.add_in(shard, &fits.expect("a span of this size"));
    }

    /// The first byte of the id and the length of each trace.
    fn shown(recent: &Recent, limit: usize) -> Vec<(u8, usize)> {
        let trace =
            |spans: &[u8]| Entries(spans).next().and_then(|span| span.trace_id()).expect("an id").0[0];
        let len = |shown: &Shown| shown.parts.iter().map(|(spans, _)| spans.len()).sum();
        recent.read(limit, None).iter().map(|shown| (trace(&shown.parts[0].0), len(shown))).collect()
    }

    #[test]
    fn the_newest_traces_are_kept_with_all_their_spans() {
        assert!(Recent::new(0, envelope()).is_none());
        let recent = ring(3, 1000, 500);
        for n in 1..=4 {
            add(&recent, n, 30);
        }
        add(&recent, 2, 25);
        assert_eq!(shown(&recent, 9), [(4, 30), (3, 30), (2, 55)], "a late span joins its trace");
        assert_eq!(shown(&recent, 1), [(4, 30)]);
        assert_eq!(recent.read(9, Some(id(2))).len(), 1);
        assert!(recent.read(9, Some(id(1))).is_empty() && recent.read(0, Some(id(2))).is_empty());
        let totals = Totals { traces: 3, limit: 3, spans: 4, bytes: 115, spans_left_out: 0 };
        assert_eq!(recent.totals(), totals);
    }

    #[test]
    fn bytes_are_bounded_in_all_and_of_each_trace() {
        let recent = ring(100, 1000, 400);
        for n in 0..50 {
            add(&recent, n, 90);
        }
        assert_eq!(recent.totals().bytes, 990);
        assert_eq!(shown(&recent, 100).first(), Some(&(49, 90)));
        for _ in 0..10 {
            add(&recent, 99, 100);
        }
        assert_eq!(shown(&recent, 1), [(99, 400)]);
        let totals = recent.totals();
        assert_eq!((totals.spans_left_out, totals.bytes <= 1000), (6, true));
        add(&recent, 77, 5000);
        assert_eq!((recent.totals().spans_left_out, shown(&recent, 1)), (7, vec![(99, 400)]));
    }

    #[test]
    fn spans_of_a_trace_that_ended_on_several_threads_are_shown_as_one_trace() {
        let recent = Recent::with(2, 2, 2000, 500, envelope());
        add_in(&recent, 0, 1, 30);
        for n in [2, 3, 2] {
            add_in(&recent, 1, n, 40);
            add_in(&recent, 0, n, 30);
        }
        assert_eq!(shown(&recent, 9), [(3, 70), (2, 140)], "as many traces as one shard would show");
        assert!(recent.read(9, Some(id(1))).is_empty());
        let totals = recent.totals();
        assert_eq!((totals.traces, totals.spans, totals.limit), (2, 6, 2));
        let json = String::from_utf8(recent.json(9, Some(id(2)))).unwrap();
        assert_eq!(json.matches("\"spanId\"").count(), 0, "these spans have no id");
        assert_eq!(json.matches(&"02".repeat(16)).count(), 4, "{json}");
    }

    #[test]
    fn threads_add_to_shards_of_their_own() {
        let recent = Recent::with(4, 1000, MAX_BYTES, MAX_TRACE, envelope());
        std::thread::scope(|threads| {
            for thread in 0..4 {
                let recent = &recent;
                threads.spawn(move || {
                    for n in 0..50 {
                        let (mut span, mut entry) = (Vec::new(), Vec::new());
                        bytes(&mut span, 1, &id(thread * 50 + n).0);
                        bytes(&mut entry, 2, &span);
                        (0..2).for_each(|_| recent.add(&entry));
                    }
                });
            }
        });
        let totals = recent.totals();
        assert_eq!((totals.traces, totals.spans), (200, 400));
    }

    #[test]
    fn who_reads_is_not_in_the_way_of_who_adds() {
        let recent = ring(10, 1000, 400);
        add(&recent, 1, 30);
        let read = recent.read(1, None);
        add(&recent, 1, 30);
        assert_eq!((read[0].parts[0].0.len(), shown(&recent, 1)), (30, vec![(1, 60)]));
    }

    #[test]
    fn the_buffer_of_an_evicted_trace_serves_the_next_unless_it_is_read_or_large() {
        let recent = ring(1, 100_000, 50_000);
        let buffer = || lock(&recent.shards[0]).traces.values().next().map(|trace| trace.spans.as_ptr());
        add(&recent, 1, 30);
        let first = buffer();
        add(&recent, 2, 30);
        assert_eq!(buffer(), first, "evicted and used again");
        let read = recent.read(1, None);
        add(&recent, 3, 30);
        assert_ne!(buffer(), first, "it is being read");
        assert_eq!(read[0].parts[0].0.len(), 30);
        add(&recent, 3, MAX_SPARE);
        add(&recent, 4, 30);
        assert_eq!(lock(&recent.shards[0]).spare.capacity(), 0, "too large to be kept");
    }
}
