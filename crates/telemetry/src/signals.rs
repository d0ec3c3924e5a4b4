//! What is recorded beside spans: metrics and log records, as far as somebody wants them.

use super::counters::{LogTotals, MetricTotals};
use super::log_records::LogRecords;
use super::metrics::Metrics;
use super::metrics::host::Host;
use super::propagation::Propagator;
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
    /// What writes the trace context of outgoing requests; none where there are no spans.
    pub propagator: Option<Propagator>,
}

impl Signals {
    /// What became of the log records so far.
    pub(super) fn log_totals(&self) -> LogTotals {
        let Some(logs) = &self.logs else {
            return LogTotals::default();
        };
        LogTotals {
            records: logs.pipeline.totals(),
            over_limit: logs.refused.load(Relaxed),
            attributes_dropped: logs.pipeline.counters.totals().attributes,
        }
    }

    /// What became of the metrics so far.
    pub(super) fn metric_totals(&self) -> MetricTotals {
        let Some(metrics) = &self.metrics else {
            return MetricTotals::default();
        };
        MetricTotals { points: metrics.counters.totals(0), ignored: metrics.ignored.totals() }
    }
}
