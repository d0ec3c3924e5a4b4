//! Telemetry's metrics of itself, from the very counters that the words at exit are made of.

use super::counters::Counters;
use super::export::Sources;
use super::log_records::LogRecords;
use super::metrics::Ignored;
use super::metrics::host::Host;
use super::metrics::host::definitions::{self as names, Definition};
use super::pipeline::Pipeline;
use super::semconv;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The instruments of one signal that waits in buffers.
struct Buffered {
    signal: &'static str,
    exported: &'static Definition,
    inflight: &'static Definition,
    size: &'static Definition,
    capacity: &'static Definition,
    processed: &'static Definition,
}

const SPANS: Buffered = Buffered {
    signal: "traces",
    exported: &names::SPAN_EXPORTED,
    inflight: &names::SPAN_INFLIGHT,
    size: &names::SPAN_QUEUE_SIZE,
    capacity: &names::SPAN_QUEUE_CAPACITY,
    processed: &names::SPAN_PROCESSED,
};

const LOGS: Buffered = Buffered {
    signal: "logs",
    exported: &names::LOG_EXPORTED,
    inflight: &names::LOG_INFLIGHT,
    size: &names::LOG_QUEUE_SIZE,
    capacity: &names::LOG_QUEUE_CAPACITY,
    processed: &names::LOG_PROCESSED,
};

/// Why something was dropped, and where it is counted.
type Reason = (&'static str, fn(&Pipeline) -> &AtomicU64);

impl Host {
    /// Has the metrics tell what becomes of all that telemetry sends.
    pub(super) fn observe_telemetry(&self, sources: &Sources, logs: Option<&Arc<LogRecords>>) {
        if let Some(spans) = &sources.spans {
            self.observe_buffered(&SPANS, spans);
            self.observe_dropped(
                &SPANS,
                spans,
                &[
                    ("events", |pipeline| &pipeline.counters.events),
                    ("links", |pipeline| &pipeline.counters.links),
                    ("children", |pipeline| &pipeline.counters.children),
                    ("unended", |pipeline| &pipeline.counters.unended),
                    ("late_writes", |pipeline| &pipeline.counters.late_writes),
                    ("baggage", |pipeline| &pipeline.counters.baggage),
                ],
            );
        }
        if let Some(logs) = logs {
            self.observe_buffered(&LOGS, &logs.pipeline);
            self.observe_dropped(&LOGS, &logs.pipeline, &[]);
            let logs = Arc::clone(logs);
            self.observe_loss(LOGS.signal, "over_limit", move || Some(logs.refused.load(Relaxed)));
        }
        if let Some(guests) = &sources.metrics {
            type Reason = (&'static str, fn(&Ignored) -> &AtomicU64);
            self.observe_exports("metrics", &names::POINT_EXPORTED, &guests.guests.counters);
            let reasons: [Reason; 11] = [
                ("invalid_name", |ignored| &ignored.name),
                ("invalid_number", |ignored| &ignored.number),
                ("kind_conflict", |ignored| &ignored.kind),
                ("instruments_full", |ignored| &ignored.instruments),
                ("over_limit", |ignored| &ignored.invocation),
                ("waiting_full", |ignored| &ignored.waiting),
                ("series_full", |ignored| &ignored.series),
                ("overflowed", |ignored| &ignored.overflowed),
                ("attributes", |ignored| &ignored.attributes),
                ("name_collision", |ignored| &ignored.collided),
                ("page_full", |ignored| &ignored.unshown),
            ];
            for (reason, count) in reasons {
                let guests = Arc::clone(&guests.guests);
                self.observe_loss("metrics", reason, move || Some(count(&guests.ignored).load(Relaxed)));
            }
        }
    }

    /// Has the metrics tell of something that telemetry left out, and that is counted elsewhere.
    pub(crate) fn observe_loss(
        &self,
        signal: &str,
        reason: &str,
        read: impl Fn() -> Option<u64> + Send + Sync + 'static,
    ) {
        self.observe(&names::TELEMETRY_DROPPED, &[("signal", signal), ("reason", reason)], read);
    }

    fn observe_dropped(&self, names: &Buffered, pipeline: &Arc<Pipeline>, reasons: &[Reason]) {
        let attributes: Reason = ("attributes", |p| &p.counters.attributes);
        for (reason, count) in reasons.iter().chain([&attributes]) {
            let (pipeline, count) = (Arc::clone(pipeline), *count);
            self.observe_loss(names.signal, reason, move || Some(count(&pipeline).load(Relaxed)));
        }
    }

    /// What becomes of what is sent, and what waits on the disk to be.
    fn observe_exports(&self, signal: &str, exported: &'static Definition, counters: &Arc<Counters>) {
        type Count = fn(&Counters) -> &AtomicU64;
        let ends: [(Option<&'static str>, Count); 6] = [
            (None, |counters| &counters.exported),
            (Some("rejected"), |counters| &counters.rejected),
            (Some("export_failed"), |counters| &counters.export_failed),
            (Some("too_large_for_endpoint"), |counters| &counters.too_large_for_endpoint),
            (Some("spool_full"), |counters| &counters.spool_full),
            (Some("spool_unreadable"), |counters| &counters.spool_unreadable),
        ];
        for (error, count) in ends {
            let (counters, attributes) = (Arc::clone(counters), attributes(error));
            self.observe(exported, &attributes[..usize::from(error.is_some())], move || {
                Some(count(&counters).load(Relaxed))
            });
        }
        let counters = Arc::clone(counters);
        self.observe(&names::TELEMETRY_SPOOLED, &[("signal", signal)], move || {
            Some(counters.spooled.load(Relaxed))
        });
    }

    fn observe_buffered(&self, names: &Buffered, pipeline: &Arc<Pipeline>) {
        let observe = |definition, error, read: fn(&Pipeline) -> u64| {
            let pipeline = Arc::clone(pipeline);
            let attributes = attributes(error);
            self.observe(definition, &attributes[..usize::from(error.is_some())], move || {
                Some(read(&pipeline))
            });
        };
        self.observe_exports(names.signal, names.exported, &pipeline.counters);
        observe(names.inflight, None, |pipeline| pipeline.flow().under_way);
        observe(names.size, None, |pipeline| pipeline.flow().waiting);
        observe(names.capacity, None, Pipeline::capacity);
        observe(names.processed, None, |pipeline| pipeline.flow().processed);
        observe(names.processed, Some("queue_full"), |p| p.counters.queue_full.load(Relaxed));
        observe(names.processed, Some("too_large"), |p| p.counters.too_large.load(Relaxed));
        observe(names.processed, Some("shutdown"), |p| p.counters.shutdown.load(Relaxed));
        // Log records are never held back.
        if names.signal == "traces" {
            observe(names.processed, Some("held_full"), |p| p.counters.held_full.load(Relaxed));
        }
    }
}

/// The attribute of what failed.
fn attributes(error: Option<&'static str>) -> [(&'static str, &'static str); 1] {
    [(semconv::ERROR_TYPE, error.unwrap_or_default())]
}
