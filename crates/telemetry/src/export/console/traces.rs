//! Gathers the spans of each trace until the request's own span has ended, which comes last.

use crate::semconv;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use pounce_otlp::wire::IS_REMOTE;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Spans held for requests that still run; with more, all are printed as they are.
const MAX_SPANS: usize = 10_000;
/// A request that runs longer gets what its spans are so far printed without it.
const MAX_WAIT: Duration = Duration::from_secs(300);

/// Spans of one trace, in no order.
pub(super) type Trace = Vec<Span>;

/// Whether it is a request's own span. That of a caller in this process is of another telemetry, and never comes.
fn is_of_request(span: &Span) -> bool {
    let is_root = span.parent_span_id.is_empty() || span.flags & IS_REMOTE != 0;
    let has_path = || span.attributes.iter().any(|attribute| attribute.key == semconv::URL_PATH);
    is_root || (span.kind == SpanKind::Server as i32 && has_path())
}

#[derive(Default)]
pub(super) struct Traces {
    waiting: HashMap<Vec<u8>, Waiting>,
    spans: usize,
    /// Counts the calls of `take_ready`.
    round: u64,
}

struct Waiting {
    spans: Trace,
    /// The round in which the request's own span came.
    root: Option<u64>,
    since: Instant,
}

impl Traces {
    pub(super) fn add(&mut self, spans: Vec<Span>) {
        self.spans += spans.len();
        for span in spans {
            let trace = self.waiting.entry(span.trace_id.clone()).or_insert_with(|| Waiting {
                spans: Vec::new(),
                root: None,
                since: Instant::now(),
            });
            if is_of_request(&span) {
                trace.root = Some(self.round);
            }
            trace.spans.push(span);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether a trace only waits for its last round.
    pub(super) fn has_root(&self) -> bool {
        self.waiting.values().any(|trace| trace.root.is_some())
    }

    /// Traces that are whole. Their root came a round ago: children that ended before it may have been in a buffer
    /// that was drained before the root's.
    pub(super) fn take_ready(&mut self) -> Vec<Trace> {
        let (round, full) = (self.round, self.spans > MAX_SPANS);
        self.round += 1;
        self.take(|trace| {
            full || trace.root.is_some_and(|root| root < round) || trace.since.elapsed() > MAX_WAIT
        })
    }

    /// Everything.
    pub(super) fn take_all(&mut self) -> Vec<Trace> {
        self.take(|_| true)
    }

    fn take(&mut self, ready: impl Fn(&Waiting) -> bool) -> Vec<Trace> {
        let mut traces: Vec<_> =
            self.waiting.extract_if(|_, trace| ready(trace)).map(|(_, waiting)| waiting.spans).collect();
        self.spans -= traces.iter().map(Vec::len).sum::<usize>();
        traces.sort_by_key(|trace| trace.iter().map(|span| span.start_time_unix_nano).min());
        traces
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(trace: u8, parent: &[u8], flags: u32, start: u64) -> Span {
        Span {
            trace_id: vec![trace; 16],
            parent_span_id: parent.to_vec(),
            flags,
            start_time_unix_nano: start,
            ..Span::default()
        }
    }

    #[test]
    fn a_trace_is_ready_one_round_after_its_root() {
        let mut traces = Traces::default();
        traces.add(vec![span(2, &[], 0, 20), span(1, &[9; 8], IS_REMOTE, 10), span(3, &[9; 8], 0, 30)]);
        assert!(traces.has_root());
        assert!(traces.take_ready().is_empty());
        traces.add(vec![span(1, &[8; 8], 0, 11)]);
        let ready = traces.take_ready();
        assert_eq!(
            ready.iter().map(|trace| (trace[0].trace_id[0], trace.len())).collect::<Vec<_>>(),
            [(1, 2), (2, 1)]
        );
        assert!(!traces.has_root() && !traces.is_empty());
        assert_eq!(traces.take_all().len(), 1);
        assert!(traces.is_empty());
    }

    #[test]
    fn spans_without_a_root_do_not_pile_up() {
        let mut traces = Traces::default();
        traces.add((0..=MAX_SPANS).map(|_| span(1, &[1; 8], 0, 0)).collect());
        assert_eq!(traces.take_ready().len(), 1);
        assert!(traces.is_empty());
    }
}
