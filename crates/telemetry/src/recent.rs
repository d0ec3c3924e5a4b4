//! The ring of recent traces, which the admin listener shows: spans (`/api/traces`), the log records that belong to them
//! (`/api/logs`), the outline of a large trace (`/api/traces/outline`), and a line about each trace
//! (`/api/traces/summary`).
//!
//! It sees each span as it ends, and each log record as it is made, not what the exporter takes: while an endpoint is
//! down, the latest is still here. Log records have room of their own, as most of them come before the spans that
//! they belong to; a guest that logs much pushes out others' records, and nobody's spans.

mod outline;
mod ring;
mod summary;

use outline::{Outline, Outlined};
use pounce_otlp::id::TraceId;
use pounce_otlp::{Chunk, Entries, Envelope, Signal, json};
use ring::{Changes, Cursor, Part, Ring, Shown};
use summary::{Summaries, Summary};

/// The share of the memory for spans that one trace may take: many requests may share a trace, and it should not push
/// out all others. Log records have this much more, and a trace the same share of it.
const SHARE: usize = 4;

/// Spans of a trace up to which its outline is all of it: reading that takes a browser a moment.
const OUTLINED: u32 = 1_000;

/// How much of recent traces is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecentTraces {
    /// Traces, the newest; 0 for none.
    pub traces: usize,
    /// Bytes of their spans, of which one trace takes a quarter at most, and less where one of many threads ends all its
    /// spans. Their log records take a quarter more.
    pub memory: usize,
}

/// No traces, in 16 MiB.
impl Default for RecentTraces {
    fn default() -> Self {
        Self { traces: 0, memory: 16 * 1024 * 1024 }
    }
}

/// The ring of recent traces, bounded by traces and by bytes.
pub(super) struct Recent {
    spans: Ring,
    logs: Ring,
    spans_envelope: Envelope,
    logs_envelope: Envelope,
    /// Tells cursors of this ring from those of another process.
    epoch: u32,
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
    /// Bytes of all encoded log records that are held.
    pub log_bytes: usize,
    /// Log records left out since the start, as their trace had too many.
    pub logs_left_out: u64,
}

impl Recent {
    /// A ring of the size of `kept`; `None` for no traces. The envelopes stand around what is read from it.
    pub(super) fn new(kept: RecentTraces, of_spans: &Envelope, of_logs: &Envelope) -> Option<Self> {
        let RecentTraces { traces, memory } = kept;
        let for_logs = memory / SHARE;
        (traces > 0).then(|| Recent {
            spans: Ring::new(traces, memory, memory / SHARE),
            logs: Ring::new(traces, for_logs, for_logs / SHARE),
            spans_envelope: of_spans.clone(),
            logs_envelope: of_logs.clone(),
            epoch: fastrand::u32(..),
        })
    }

    /// Adds an encoded span: an entry of a pipeline's buffers.
    pub(super) fn add(&self, span: &[u8]) {
        let Some(trace_id) = Entries(span).next().and_then(|span| span.trace_id()) else { return };
        self.spans.add(trace_id, span);
    }

    /// Adds an encoded log record of this trace: an entry of a pipeline's buffers.
    pub(super) fn add_log(&self, trace_id: TraceId, record: &[u8]) {
        self.logs.add(trace_id, record);
    }

    /// The traces as OTLP JSON, `{"resourceSpans": […]}`: up to `limit` of them, the newest first, or the one with
    /// `trace_id`. Each has a resource of its own.
    pub(super) fn json(&self, limit: usize, trace_id: Option<TraceId>) -> Vec<u8> {
        let request = request(&self.spans_envelope, &self.spans.read(limit, trace_id));
        written(Signal::Traces, &request)
    }

    /// The trace with `trace_id` as OTLP JSON, or if it is large its outline, `{"outline": {…}}`.
    pub(super) fn outline(&self, trace_id: TraceId) -> Vec<u8> {
        let shown = self.spans.read(1, Some(trace_id));
        let large =
            shown.iter().find(|shown| shown.parts.iter().map(|part| part.count).sum::<u32>() > OUTLINED);
        match large {
            Some(large) => serde_json::to_vec(&Outlined { outline: Outline::of(large) }).unwrap_or_default(),
            None => written(Signal::Traces, &request(&self.spans_envelope, &shown)),
        }
    }

    /// The log records of the trace with `trace_id` as OTLP JSON, `{"resourceLogs": […]}`.
    pub(super) fn logs_json(&self, trace_id: TraceId) -> Vec<u8> {
        let request = request(&self.logs_envelope, &self.logs.read(1, Some(trace_id)));
        written(Signal::Logs, &request)
    }

    /// A line about each trace that has changed since the cursor `after`, the newest first, as JSON; about all of them
    /// without a cursor of this ring.
    pub(super) fn summaries(&self, after: Option<&str>) -> Vec<u8> {
        let known = after.and_then(|after| self.read_cursor(after));
        let changes = self.spans.read_changed(known.as_deref().unwrap_or_default());
        let Changes { traces, next, held_from } = changes;
        let summaries = Summaries {
            cursor: self.write_cursor(&next),
            is_whole: known.is_none(),
            limit: self.spans.limit(),
            held_from,
            traces: traces.iter().filter_map(Summary::of).collect(),
        };
        serde_json::to_vec(&summaries).unwrap_or_default()
    }

    fn write_cursor(&self, cursor: &Cursor) -> String {
        let mut text = format!("{:08x}", self.epoch);
        cursor.iter().for_each(|read| text.push_str(&format!("-{read}")));
        text
    }

    fn read_cursor(&self, text: &str) -> Option<Cursor> {
        let (epoch, read) = text.split_once('-')?;
        let is_ours = u32::from_str_radix(epoch, 16).ok()? == self.epoch;
        let read: Cursor = read.split('-').map(str::parse).collect::<Result<_, _>>().ok()?;
        is_ours.then_some(read)
    }

    /// What the ring holds now.
    pub(super) fn totals(&self) -> Totals {
        let (traces, spans, bytes, spans_left_out) = self.spans.totals();
        let (_, _, log_bytes, logs_left_out) = self.logs.totals();
        Totals { traces, limit: self.spans.limit(), spans, bytes, spans_left_out, log_bytes, logs_left_out }
    }
}

/// The traces as one request of OTLP.
fn request(envelope: &Envelope, shown: &[Shown]) -> Vec<u8> {
    let mut request = Vec::new();
    let chunk = |part: &Part| Chunk { bytes: part.entries.to_vec(), items: part.count };
    for shown in shown {
        let chunks: Vec<_> = shown.parts.iter().map(chunk).collect();
        // Requests one after another are one request with the parts of all.
        let parts = envelope.batches_of(&chunks, usize::MAX);
        parts.iter().for_each(|part| request.extend_from_slice(&part.body));
    }
    request
}

/// The request as JSON; with an empty list where there is nothing in it.
fn written(signal: Signal, request: &[u8]) -> Vec<u8> {
    match json::of_request(signal, request) {
        Ok(json) if !request.is_empty() => json,
        _ => nothing(signal).to_vec(),
    }
}

/// What a ring without any traces writes.
pub(super) fn nothing(signal: Signal) -> &'static [u8] {
    match signal {
        Signal::Traces => br#"{"resourceSpans":[]}"#,
        Signal::Logs => br#"{"resourceLogs":[]}"#,
        Signal::Metrics => br#"{"resourceMetrics":[]}"#,
    }
}

/// What is told of no traces where none are kept.
pub(super) fn no_summaries() -> Vec<u8> {
    serde_json::to_vec(&Summaries::default()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
