//! What the admin listener shows of telemetry: metrics as a page, recent traces as OTLP JSON, how each export goes.

use super::Telemetry;
use super::metrics::Format;
use super::recent::{self, Recent, Totals as RecentTotals};
use opentelemetry_proto::tonic::resource::v1::Resource;
use pounce_otlp::id::TraceId;
use pounce_otlp::{Counts, Loss, Losses, Signal};
use prost::Message as _;
use serde::{Serialize, Serializer};
use std::sync::Arc;

/// How the export of one signal goes. Counts are since the start, of spans, log records or points of metrics.
#[derive(Clone, Debug, Serialize)]
pub struct Export {
    /// Where it goes, without credentials and query; none where nothing is exported over the network.
    pub endpoint: Option<String>,
    /// Taken by the endpoint, or printed.
    pub exported: u64,
    /// Received by the endpoint and refused.
    pub rejected: u64,
    /// Not received, by reason: every reason of [`Loss`] but that of `rejected`.
    #[serde(serialize_with = "by_reason")]
    pub dropped: Losses,
    /// On the disk now, until the endpoint takes it (`otel.spool`).
    pub spooled: u64,
    /// For how long nothing has arrived that was tried; none while all is well.
    pub failing_for_seconds: Option<f64>,
    /// What was wrong last, also when it is over.
    pub last_error: Option<String>,
    /// How long ago that was.
    pub last_error_seconds_ago: Option<f64>,
}

/// How each signal goes; none where it is not exported.
#[derive(Clone, Debug, Serialize)]
pub struct Exports {
    /// Spans.
    pub traces: Option<Export>,
    /// Points of metrics.
    pub metrics: Option<Export>,
    /// Log records.
    pub logs: Option<Export>,
    /// The ring that `/api/traces` shows; none where it is off.
    pub recent_traces: Option<RecentTotals>,
}

impl Export {
    fn of(counts: &Counts) -> Self {
        let trouble = counts.condition().trouble();
        let losses = counts.losses();
        let (last_error, last_error_seconds_ago) = trouble.last_error.unzip();
        Export {
            endpoint: counts.condition().endpoint(),
            exported: counts.exported(),
            rejected: losses.of(Loss::Rejected),
            dropped: losses,
            spooled: counts.spool().left,
            failing_for_seconds: trouble.failing_for,
            last_error,
            last_error_seconds_ago,
        }
    }
}

fn by_reason<S: Serializer>(losses: &Losses, to: S) -> Result<S::Ok, S::Error> {
    let dropped = losses.iter().filter(|(loss, _)| *loss != Loss::Rejected);
    to.collect_map(dropped.map(|(loss, count)| (loss.name(), count)))
}

impl Telemetry {
    /// The metrics as a page for Prometheus.
    pub fn exposition(&self, format: Format) -> String {
        let Some(on) = &self.0 else {
            return String::new();
        };
        let Some(metrics) = &on.sources.metrics else {
            return String::new();
        };
        let resource = Resource::decode(&*on.envelopes.resource).unwrap_or_default().attributes;
        let components: Vec<_> = on
            .sources
            .others()
            .iter()
            .map(|other| (other.component.clone(), other.metrics.clone()))
            .collect();
        metrics.exposition(format, &resource, &components)
    }

    /// Up to `limit` recent traces as OTLP JSON, the newest first; with `trace_id` that one only.
    pub fn recent_traces(&self, limit: usize, trace_id: Option<TraceId>) -> Vec<u8> {
        let read = self.recent().map(|recent| recent.json(limit, trace_id));
        read.unwrap_or_else(|| recent::nothing(Signal::Traces).to_vec())
    }

    /// The recent trace with `trace_id` as OTLP JSON, or if it is large its outline.
    pub fn recent_outline(&self, trace_id: TraceId) -> Vec<u8> {
        let read = self.recent().map(|recent| recent.outline(trace_id));
        read.unwrap_or_else(|| recent::nothing(Signal::Traces).to_vec())
    }

    /// The log records of the recent trace with `trace_id` as OTLP JSON.
    pub fn recent_logs(&self, trace_id: TraceId) -> Vec<u8> {
        let read = self.recent().map(|recent| recent.logs_json(trace_id));
        read.unwrap_or_else(|| recent::nothing(Signal::Logs).to_vec())
    }

    /// A line about each recent trace that has changed since the cursor `after`, which an earlier answer has given, the
    /// newest first, as JSON; about all of them without one.
    pub fn recent_summaries(&self, after: Option<&str>) -> Vec<u8> {
        self.recent().map_or_else(recent::no_summaries, |recent| recent.summaries(after))
    }

    fn recent(&self) -> Option<&Arc<Recent>> {
        self.traces().and_then(|traces| traces.recent.as_ref())
    }

    /// How the export of each signal goes.
    pub fn exports(&self) -> Exports {
        let sources = self.0.as_ref().map(|on| &on.sources);
        Exports {
            traces: sources
                .and_then(|sources| sources.spans.as_ref())
                .map(|spans| Export::of(spans.counts())),
            metrics: sources
                .and_then(|sources| sources.metrics.as_ref())
                .filter(|metrics| metrics.counters().condition().endpoint().is_some())
                .map(|metrics| Export::of(metrics.counters())),
            logs: sources.and_then(|sources| sources.logs.as_ref()).map(|logs| Export::of(logs.counts())),
            recent_traces: self.recent().map(|recent| recent.totals()),
        }
    }
}
