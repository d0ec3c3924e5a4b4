//! The settings of metrics and logs, which only standard variables set.
//!
//! Both go to `otel.endpoint` unless their own variables say otherwise, also where spans go to the console or nowhere.

use std::time::Duration;

use http::{HeaderName, HeaderValue};

use super::otel::Batch;
use super::transport::Transport;
use super::value::{Endpoint, ExemplarFilter, HistogramAggregation, Temporality, Timeout};

/// Where one signal beside traces is sent.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Destination {
    /// Whether it is sent at all (`OTEL_METRICS_EXPORTER`, `OTEL_LOGS_EXPORTER`).
    pub enabled: bool,
    /// Its own endpoint; derived from `otel.endpoint` when absent.
    pub endpoint: Option<Endpoint>,
    /// Its own headers; `otel.headers` when absent. Values are marked sensitive.
    pub headers: Option<Vec<(HeaderName, HeaderValue)>>,
    /// How it is sent; as spans are when absent.
    pub transport: Option<Transport>,
    /// Time one attempt to export may take.
    pub timeout: Timeout,
}

/// How metrics are collected and sent.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct MetricsExport {
    /// Where they go.
    pub to: Destination,
    /// Time between two collections (`OTEL_METRIC_EXPORT_INTERVAL`); never zero.
    pub interval: Duration,
    /// Time sending one collection may take, retries included (`OTEL_METRIC_EXPORT_TIMEOUT`).
    pub export_timeout: Timeout,
    /// Whether sums and histograms say all since the start, or what came since the last time.
    pub temporality: Temporality,
    /// Which measurements may be exemplars.
    pub exemplars: ExemplarFilter,
    /// How histograms are added up.
    pub histograms: HistogramAggregation,
}

/// How log records are gathered and sent.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct LogsExport {
    /// Where they go.
    pub to: Destination,
    /// How they are gathered (`OTEL_BLRP_*`).
    pub batch: Batch,
}

impl Default for Destination {
    fn default() -> Self {
        Self {
            enabled: true,
            endpoint: None,
            headers: None,
            transport: None,
            timeout: Timeout(Some(Duration::from_secs(10))),
        }
    }
}

impl Default for MetricsExport {
    fn default() -> Self {
        Self {
            to: Destination::default(),
            interval: Duration::from_secs(60),
            export_timeout: Timeout(Some(Duration::from_secs(30))),
            temporality: Temporality::Cumulative,
            exemplars: ExemplarFilter::TraceBased,
            histograms: HistogramAggregation::Explicit,
        }
    }
}

impl Default for LogsExport {
    fn default() -> Self {
        let batch = Batch { schedule_delay: Duration::from_secs(1), ..Batch::default() };
        Self { to: Destination::default(), batch }
    }
}
