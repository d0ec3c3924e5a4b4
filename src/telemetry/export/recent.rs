//! The most recent traces, kept to be looked at: a ring that is bounded by traces and by bytes.
//!
//! It gets each span as it ends, not what the exporter takes: while an endpoint is down, the latest is still here. That
//! costs a lock and a copy for each recorded span, and only where the admin listener is on.

use super::batch::Envelope;
use super::entries::Entries;
use super::otlp_json;
use super::signal::Signal;
use crate::telemetry::id::TraceId;
use crate::telemetry::pipeline::Chunk;
use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes of all traces together.
const MAX_BYTES: usize = 16 * 1024 * 1024;
/// Bytes of one trace: many requests may share one, and it should not push out all others.
const MAX_TRACE: usize = 4 * 1024 * 1024;

/// Bytes of a span that a thread keeps room for.
const MAX_SCRATCH: usize = 64 * 1024;

thread_local! {
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The ring.
pub(in crate::telemetry) struct Recent {
    max_traces: usize,
    max_bytes: usize,
    max_trace: usize,
    held: Mutex<Ring>,
    envelope: Envelope,
}

#[derive(Default)]
struct Ring {
    traces: HashMap<TraceId, Trace>,
    /// By the moment of their first span here, the oldest first.
    order: VecDeque<TraceId>,
    bytes: usize,
    spans: u64,
    left_out: u64,
}

struct Trace {
    /// Shared with those who read: nobody copies under the lock, except who adds to a trace that is being read.
    spans: Arc<Vec<u8>>,
    count: u32,
}

/// How much there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Totals {
    /// Traces that are held.
    pub(crate) traces: usize,
    /// Traces that may be held.
    pub(crate) limit: usize,
    /// Spans of these traces.
    pub(crate) spans: u64,
    /// Memory they take.
    pub(crate) bytes: usize,
    /// Spans left out since the start, as their trace was too large. They were exported all the same.
    pub(crate) spans_left_out: u64,
}

impl Recent {
    /// Keeps up to `max_traces`; none if that is none.
    pub(in crate::telemetry) fn new(max_traces: usize, envelope: Envelope) -> Option<Self> {
        (max_traces > 0).then(|| Self::with(max_traces, MAX_BYTES, MAX_TRACE, envelope))
    }

    fn with(max_traces: usize, max_bytes: usize, max_trace: usize, envelope: Envelope) -> Self {
        Recent { max_traces, max_bytes, max_trace, held: Mutex::default(), envelope }
    }

    /// Adds a span, which `encode` appends.
    pub(in crate::telemetry) fn add(&self, encode: impl FnOnce(&mut Vec<u8>)) {
        // Before the lock, for which requests of all threads would wait meanwhile.
        let mut span = SCRATCH.take();
        span.clear();
        encode(&mut span);
        self.keep(&span);
        span.shrink_to(MAX_SCRATCH);
        SCRATCH.set(span);
    }

    fn keep(&self, span: &[u8]) {
        let size = span.len();
        let Some(trace_id) = Entries(span).next().and_then(|span| span.trace_id()) else { return };
        let mut held = self.lock();
        let held = &mut *held;
        let known = held.traces.get(&trace_id).map_or(0, |trace| trace.spans.len());
        if known + size > self.max_trace.min(self.max_bytes) {
            held.left_out += 1;
            return;
        }
        let trace = held.traces.entry(trace_id).or_insert_with(|| {
            held.order.push_back(trace_id);
            Trace { spans: Arc::default(), count: 0 }
        });
        Arc::make_mut(&mut trace.spans).extend_from_slice(span);
        trace.count += 1;
        held.spans += 1;
        held.bytes += size;
        while held.order.len() > self.max_traces || held.bytes > self.max_bytes {
            let Some(oldest) = held.order.pop_front() else { break };
            if let Some(gone) = held.traces.remove(&oldest) {
                held.bytes -= gone.spans.len();
                held.spans -= u64::from(gone.count);
            }
        }
    }

    /// The same as OTLP JSON, `{"resourceSpans": […]}`, each trace with its resource.
    pub(in crate::telemetry) fn json(&self, limit: usize, trace_id: Option<TraceId>) -> Vec<u8> {
        let mut request = Vec::new();
        for (spans, count) in self.read(limit, trace_id) {
            let chunk = Chunk { bytes: spans.to_vec(), spans: count };
            // Requests one after another are one request with the parts of all.
            let parts = self.envelope.batches_of(&[chunk], usize::MAX);
            parts.iter().for_each(|part| request.extend_from_slice(&part.body));
        }
        match otlp_json::of_request(Signal::Traces, &request) {
            Ok(json) if !request.is_empty() => json,
            _ => br#"{"resourceSpans":[]}"#.to_vec(),
        }
    }

    /// Up to `limit` traces, the newest first; with `trace_id` that one only.
    fn read(&self, limit: usize, trace_id: Option<TraceId>) -> Vec<(Arc<Vec<u8>>, u32)> {
        let held = self.lock();
        let spans = |id: &TraceId| held.traces.get(id).map(|trace| (Arc::clone(&trace.spans), trace.count));
        match trace_id {
            Some(id) => spans(&id).into_iter().take(limit).collect(),
            None => held.order.iter().rev().take(limit).filter_map(spans).collect(),
        }
    }

    pub(in crate::telemetry) fn totals(&self) -> Totals {
        let held = self.lock();
        Totals {
            traces: held.traces.len(),
            limit: self.max_traces,
            spans: held.spans,
            bytes: held.bytes,
            spans_left_out: held.left_out,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::encode::bytes;

    fn ring(max_traces: usize, max_bytes: usize, max_trace: usize) -> Recent {
        Recent::with(max_traces, max_bytes, max_trace, envelope())
    }

    fn envelope() -> Envelope {
        let resource =
            crate::telemetry::resource::encode(&crate::telemetry::tests::settings(), "hello").into();
        Envelope::of_spans(&resource, crate::config::Semconv::Compat)
    }

    fn id(n: u8) -> TraceId {
        TraceId([n; 16])
    }

    /// Adds a span of `size` bytes, at least 24 of them.
    fn add(recent: &Recent, n: u8, size: usize) {
        let span = |filler: usize| {
            let (mut span, mut out) = (Vec::new(), Vec::new());
            bytes(&mut span, 1, &id(n).0);
            bytes(&mut span, 5, &vec![b'n'; filler]);
            bytes(&mut out, 2, &span);
            out
        };
        let fits = (0..size).map(span).find(|span| span.len() == size);
        recent.add(|out| out.extend(fits.expect("a span of this size")));
    }

    /// The first byte of the id and the length of each trace.
    fn shown(recent: &Recent, limit: usize) -> Vec<(u8, usize)> {
        let trace =
            |spans: &[u8]| Entries(spans).next().and_then(|span| span.trace_id()).expect("an id").0[0];
        recent.read(limit, None).iter().map(|(spans, _)| (trace(spans), spans.len())).collect()
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
    fn who_reads_is_not_in_the_way_of_who_adds() {
        let recent = ring(10, 1000, 400);
        add(&recent, 1, 30);
        let read = recent.read(1, None);
        add(&recent, 1, 30);
        assert_eq!((read[0].0.len(), shown(&recent, 1)), (30, vec![(1, 60)]));
        let panics = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            recent.add(|out| {
                out.push(1);
                panic!("half a span");
            });
        }));
        assert!(panics.is_err());
        add(&recent, 3, 30);
        assert_eq!(shown(&recent, 1), [(3, 30)], "without the half");
    }
}
