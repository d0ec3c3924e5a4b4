//! What is recorded beside spans: metrics and log records, as far as somebody wants them.

use super::counters::{LogTotals, MetricTotals};
use super::log_records::LogRecords;
use super::metrics::Metrics;
use super::metrics::host::Host;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// Handle on both, and on the host's own metrics; cheap to clone. Where one is not exported there is nothing, and nothing is aggregated.
#[derive(Clone, Default)]
pub struct Signals {
    /// Guests' metrics.
    pub metrics: Option<Arc<Metrics>>,
    /// Log records.
    pub logs: Option<Arc<LogRecords>>,
    /// The host's own metrics.
    pub host: Option<Arc<Host>>,
}

impl Signals {
    /// What became of the log records so far.
    pub(super) fn log_totals(&self) -> LogTotals {
        let Some(logs) = &self.logs else {
            return LogTotals::default();
        };
        let totals = logs.pipeline.totals();
        LogTotals {
            records: totals.spans,
            over_limit: logs.refused.load(Relaxed),
            attributes_dropped: totals.attributes_dropped,
        }
    }

    /// What became of the metrics so far.
    pub(super) fn metric_totals(&self) -> MetricTotals {
        let Some(metrics) = &self.metrics else {
            return MetricTotals::default();
        };
        let ignored = &metrics.ignored;
        MetricTotals {
            points: metrics.counters.totals(0),
            invalid_name: ignored.name.load(Relaxed),
            invalid_number: ignored.number.load(Relaxed),
            kind_conflict: ignored.kind.load(Relaxed),
            instruments_full: ignored.instruments.load(Relaxed),
            over_limit: ignored.invocation.load(Relaxed),
            waiting_full: ignored.waiting.load(Relaxed),
            series_full: ignored.series.load(Relaxed),
            overflowed: ignored.overflowed.load(Relaxed),
            attributes_dropped: ignored.attributes.load(Relaxed),
        }
    }
}
