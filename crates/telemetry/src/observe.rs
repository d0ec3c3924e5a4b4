//! Telemetry's metrics of itself, from the very counters that the words at exit are made of.

use super::counters::{Counters, Ignored};
use super::export::Sources;
use super::log_records::LogRecords;
use super::metrics::Registries;
use super::metrics::host::Host;
use super::metrics::host::definitions::{self as names, Definition};
use super::pipeline::Pipeline;
use super::semconv;
use pounce_otlp::{Counts, Loss, Stage};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

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

impl Host {
    /// Has the metrics tell what becomes of all that telemetry sends.
    pub(super) fn observe_telemetry(&self, sources: &Sources, logs: Option<&Arc<LogRecords>>) {
        if let Some(spans) = &sources.spans {
            self.observe_buffered(&SPANS, spans);
            for (reason, count) in Counters::REASONS {
                let spans = Arc::clone(spans);
                self.observe_loss(SPANS.signal, reason, move || Some(count(&spans.counters).load(Relaxed)));
            }
        }
        if let Some(logs) = logs {
            self.observe_buffered(&LOGS, &logs.pipeline);
            let records = Arc::clone(&logs.pipeline);
            let attributes = move || Some(records.counters.attributes.load(Relaxed));
            self.observe_loss(LOGS.signal, "attributes", attributes);
        }
        if let Some(metrics) = &sources.metrics {
            self.observe_exports("metrics", &names::POINT_EXPORTED, &metrics.guests.counters);
            self.observe_component(metrics, logs);
        }
    }

    /// Has the metrics of a component tell of what is its own, and not counted with the server's.
    pub(super) fn observe_component(&self, metrics: &Registries, logs: Option<&Arc<LogRecords>>) {
        for (reason, count) in Ignored::REASONS {
            let guests = Arc::clone(&metrics.guests);
            self.observe_loss("metrics", reason, move || Some(count(&guests.ignored).load(Relaxed)));
        }
        if let Some(logs) = logs {
            let logs = Arc::clone(logs);
            self.observe_loss(LOGS.signal, "over_limit", move || Some(logs.refused.load(Relaxed)));
        }
    }

    /// Has the metrics tell of something that telemetry left out, and that is counted elsewhere.
    pub fn observe_loss(
        &self,
        signal: &str,
        reason: &str,
        read: impl Fn() -> Option<u64> + Send + Sync + 'static,
    ) {
        self.observe(&names::TELEMETRY_DROPPED, &[("signal", signal), ("reason", reason)], read);
    }

    /// What becomes of what is sent, and what waits on the disk to be.
    fn observe_exports(&self, signal: &str, exported: &'static Definition, counts: &Arc<Counts>) {
        let arrived = Arc::clone(counts);
        self.observe(exported, &[], move || Some(arrived.exported()));
        self.observe_losses(exported, counts, |loss| loss.stage() == Stage::Endpoint);
        let counts = Arc::clone(counts);
        self.observe(&names::TELEMETRY_SPOOLED, &[("signal", signal)], move || Some(counts.spool().left));
    }

    /// Each loss `of` this instrument, by `error.type`.
    fn observe_losses(
        &self,
        definition: &'static Definition,
        counts: &Arc<Counts>,
        of: impl Fn(&Loss) -> bool,
    ) {
        for loss in Loss::ALL.iter().copied().filter(of) {
            let counts = Arc::clone(counts);
            self.observe(definition, &[(semconv::ERROR_TYPE, loss.name())], move || Some(counts.lost(loss)));
        }
    }

    fn observe_buffered(&self, names: &Buffered, pipeline: &Arc<Pipeline>) {
        let observe = |definition, read: fn(&Pipeline) -> u64| {
            let pipeline = Arc::clone(pipeline);
            self.observe(definition, &[], move || Some(read(&pipeline)));
        };
        self.observe_exports(names.signal, names.exported, pipeline.counts());
        observe(names.inflight, |pipeline| pipeline.flow().under_way);
        observe(names.size, |pipeline| pipeline.flow().waiting);
        observe(names.capacity, |pipeline| pipeline.capacity());
        observe(names.processed, |pipeline| pipeline.flow().processed);
        // Log records are never held back.
        let can_be = |loss: &Loss| *loss != Loss::HeldFull || names.signal == "traces";
        self.observe_losses(names.processed, pipeline.counts(), |loss| {
            loss.stage() != Stage::Endpoint && can_be(loss)
        });
    }
}
