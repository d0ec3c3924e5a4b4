//! `pounce doctor`: one test item of each signal that goes to an endpoint, sent by `pounce-otlp`'s probe in the very way
//! in which serving sends.

use super::clock::unix_nanos;
use super::export::{Envelopes, batches_of_metrics};
use super::metrics::sample;
use super::resource;
use crate::settings::{HistogramAggregation, MetricsSettings, Settings, Temporality};
use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, SeverityNumber};
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind};
use pounce_otlp::id::{SpanId, TraceId};
use pounce_otlp::probe::{self, Finding};
use pounce_otlp::wire::{self, bytes};
use pounce_otlp::{Batch, Chunk, Endpoint, Signal};
use prost::Message;

/// What was found of all signals that are in force.
pub struct Findings {
    /// Trace id of the test span, in hexadecimal digits.
    pub trace_id: String,
    /// What was found of each signal that goes to an endpoint.
    pub signals: Vec<Finding>,
}

/// Tests every signal that goes to an endpoint; of none if none does.
///
/// `component` names the service where nothing else does.
pub async fn examine(settings: &Settings, component: &str) -> Findings {
    let envelopes = Envelopes::of(settings, component, &resource::encode(settings, component).into());
    let sample = Sample::new();
    let of = |(signal, endpoint): &(Signal, Endpoint)| {
        let batch = sample.batch(*signal, &envelopes, &settings.metrics)?;
        let what = what(*signal, &settings.metrics);
        Some(probe::Sample { signal: *signal, endpoint: endpoint.clone(), batch, what })
    };
    let samples = settings.endpoints.iter().filter_map(of).collect();
    Findings { signals: probe::probe(samples, &settings.proxies).await, trace_id: sample.trace_id() }
}

/// What is sent, as the subject of `taken`.
fn what(signal: Signal, settings: &MetricsSettings) -> String {
    let kind = match settings.temporality {
        Temporality::Cumulative => "cumulative",
        Temporality::Delta | Temporality::LowMemory => "delta",
    };
    let buckets = match settings.histograms {
        HistogramAggregation::Explicit => "",
        HistogramAggregation::Exponential => "exponential ",
    };
    match signal {
        Signal::Traces => "a span was".to_owned(),
        Signal::Metrics => format!("a {kind} sum, a {kind} {buckets}histogram and a gauge were"),
        Signal::Logs => "a log record was".to_owned(),
    }
}

/// What people look for in their backend.
const NAME: &str = "pounce doctor";

/// The ids of the test span.
struct Sample {
    trace: TraceId,
    span: SpanId,
    started: u64,
}

impl Sample {
    fn new() -> Self {
        Sample { trace: TraceId::random(), span: SpanId::random(), started: unix_nanos() }
    }

    fn trace_id(&self) -> String {
        self.trace.to_string()
    }

    /// A request with what is sent of `signal`; metrics are as `settings` have them sent.
    fn batch(&self, signal: Signal, envelopes: &Envelopes, settings: &MetricsSettings) -> Option<Batch> {
        let (entry, envelope) = match signal {
            Signal::Metrics => return batches_of_metrics(&envelopes.host, &sample::collect(settings)).pop(),
            // What is sent of the other signals is mostly guests'.
            Signal::Traces => (self.span(), &envelopes.spans),
            Signal::Logs => (self.record(), &envelopes.host),
        };
        let mut buffer = Vec::new();
        bytes(&mut buffer, wire::ITEM, &entry);
        envelope.batches_of(&[Chunk { bytes: buffer, items: 1 }], 1).pop()
    }

    fn span(&self) -> Vec<u8> {
        let span = Span {
            trace_id: self.trace.0.to_vec(),
            span_id: self.span.0.to_vec(),
            // Sampled, of a random id.
            flags: 0x03 | 0x100,
            name: NAME.to_owned(),
            kind: SpanKind::Internal.into(),
            start_time_unix_nano: self.started,
            // A span without a length is hard to see.
            end_time_unix_nano: unix_nanos().max(self.started + 1_000_000),
            ..Span::default()
        };
        span.encode_to_vec()
    }

    fn record(&self) -> Vec<u8> {
        let now = unix_nanos();
        let record = LogRecord {
            time_unix_nano: now,
            observed_time_unix_nano: now,
            severity_number: SeverityNumber::Info.into(),
            severity_text: "INFO".to_owned(),
            body: Some(AnyValue { value: Some(any_value::Value::StringValue(NAME.to_owned())) }),
            trace_id: self.trace.0.to_vec(),
            span_id: self.span.0.to_vec(),
            flags: 0x03,
            ..LogRecord::default()
        };
        record.encode_to_vec()
    }
}
