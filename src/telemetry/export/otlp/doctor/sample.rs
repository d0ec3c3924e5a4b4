//! What is sent to see whether it arrives: a span, a log record of that span, and metrics of each kind.

use crate::config;
use crate::telemetry::clock::unix_nanos;
use crate::telemetry::encode::bytes;
use crate::telemetry::export::batch::{Batch, Envelope};
use crate::telemetry::export::signal::Signal;
use crate::telemetry::id::{SpanId, TraceId};
use crate::telemetry::metrics::sample;
use crate::telemetry::pipeline::Chunk;
use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, SeverityNumber};
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind};
use prost::Message;

/// What people look for in their backend.
const NAME: &str = "pounce doctor";
/// The field of entries, in the messages of a scope of all signals.
const ENTRY: u8 = 2;

/// The ids of the test span.
pub(super) struct Sample {
    trace: TraceId,
    span: SpanId,
    started: u64,
}

impl Sample {
    pub(super) fn new() -> Self {
        Sample { trace: TraceId::random(), span: SpanId::random(), started: unix_nanos() }
    }

    pub(super) fn trace_id(&self) -> String {
        self.trace.to_string()
    }

    /// A request with what is sent of `signal`; metrics are as `export` has them sent.
    pub(super) fn batch(
        &self,
        signal: Signal,
        envelope: &Envelope,
        export: &config::MetricsExport,
    ) -> Option<Batch> {
        let entry = match signal {
            Signal::Metrics => return envelope.batches_of_metrics(&sample::collect(export)).pop(),
            Signal::Traces => self.span(),
            Signal::Logs => self.record(),
        };
        let mut buffer = Vec::new();
        bytes(&mut buffer, ENTRY, &entry);
        envelope.batches_of(&[Chunk { bytes: buffer, spans: 1 }], 1).pop()
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
