//! Log records: bounded as events of spans are, and encoded into a pipeline of their own. Those of guests, lines of their
//! output among them, are in the scope `pounce.guest`, the host's own in `pounce`.

use super::clock::unix_nanos;
use super::context::SpanContext;
use super::counters::add;
use super::limits::{Attributes, Bounds, Limits, MAX_NAME, MAX_SPAN, UNSET};
use super::otlp_value::{any_value_of, key_value};
use super::pipeline::Pipeline;
use super::recent::Recent;
use super::scope;
use super::semconv::{self, is_reserved};
use super::value::{Value, shortened};
use crate::settings;
use opentelemetry_proto::tonic::logs::v1 as otlp;
use pounce_otlp::Loss;
use pounce_otlp::id::TraceId;
use pounce_otlp::wire::bytes;
use prost::Message;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Bytes of a body, of structured ones in all; longer ones are cut. More than an attribute's: it may hold a stack trace.
const MAX_BODY: usize = 16 * 1024;

/// How severe a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Finer than debugging.
    Trace,
    /// For debugging.
    Debug,
    /// Something happened.
    Info,
    /// Something is not as it should be.
    Warn,
    /// Something went wrong.
    Error,
    /// The program cannot go on.
    Fatal,
}

/// What somebody says, within the limits.
#[derive(Debug)]
pub struct LogRecord {
    /// How severe it is.
    pub severity: Severity,
    /// What it says.
    pub body: Value,
    /// Names what kind of event it is; the attributes of one kind are alike.
    pub event_name: Option<String>,
    attributes: Attributes,
    sdk: Option<SdkRecord>,
}

/// What only an SDK of the guest's own, or the host, says of a record.
#[derive(Debug, Default)]
pub struct SdkRecord {
    /// 1 to 24; 0 for none.
    pub severity_number: u8,
    /// The source's own word for the severity.
    pub severity_text: Option<String>,
    /// Unix time in nanoseconds; now when `None`.
    pub time: Option<u64>,
    /// Unix time in nanoseconds; now when `None`.
    pub observed: Option<u64>,
}

impl LogRecord {
    /// Takes a record within the limits; attributes beyond them are counted in it.
    pub fn new(
        severity: Severity,
        mut body: Value,
        event_name: Option<String>,
        mut given: Vec<(String, Value)>,
    ) -> Self {
        body.bound(MAX_BODY);
        let count = given.len();
        given.retain(|(key, _)| !is_reserved(key));
        let reserved = u32::try_from(count - given.len()).unwrap_or(u32::MAX);
        let mut attributes = bounded(given);
        attributes.dropped += reserved;
        let event_name = event_name.filter(|name| !name.is_empty());
        let event_name = event_name.map(|name| shortened(&name, MAX_NAME).to_owned());
        LogRecord { severity, body, event_name, attributes, sdk: None }
    }

    /// A line that a guest wrote to `iostream`, which is `stdout` or `stderr`.
    pub fn of_line(severity: Severity, iostream: &str, line: &str) -> Self {
        let stream = (semconv::LOG_IOSTREAM.to_owned(), Value::Text(iostream.to_owned()));
        Self::new(severity, Value::Text(line.to_owned()), None, vec![stream])
    }

    /// What the host says itself, now; it may have any attribute.
    pub(super) fn of_host(
        severity: Severity,
        text: &str,
        event_name: Option<&str>,
        given: Vec<(String, Value)>,
    ) -> Self {
        let body = Value::Text(shortened(text, MAX_BODY).to_owned());
        let (number, name) = severity.otlp();
        let now = unix_nanos();
        let said = SdkRecord {
            severity_number: u8::try_from(i32::from(number)).unwrap_or_default(),
            severity_text: Some(name.to_owned()),
            time: Some(now),
            observed: Some(now),
        };
        let event_name = event_name.map(str::to_owned);
        LogRecord { severity, body, event_name, attributes: bounded(given), sdk: Some(said) }
    }

    /// With what the guest's SDK says. Its times are not in the future, nor its severities beyond the last.
    pub fn of_sdk(mut self, mut sdk: SdkRecord) -> Self {
        sdk.severity_number = sdk.severity_number.min(MAX_SEVERITY);
        sdk.severity_text = sdk.severity_text.map(|text| shortened(&text, MAX_NAME).to_owned());
        self.sdk = Some(sdk);
        self
    }

    /// Attributes with distinct keys.
    pub fn attributes(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.attributes.list.iter().map(|(key, value)| (&**key, value))
    }

    /// As it is exported, within `bounds`, which may be narrower than those that it was taken with.
    fn message(&self, context: Option<&SpanContext>, bounds: Bounds<'_>) -> otlp::LogRecord {
        let beyond = self.attributes.list.len().saturating_sub(bounds.most());
        if beyond > 0 {
            bounds.tell();
        }
        let attribute = |(key, value): (&str, &Value)| {
            let mut value = value.clone();
            bounds.cut(key, &mut value);
            key_value(key, &value)
        };
        let now = unix_nanos();
        let (number, text) = self.severity.otlp();
        let (mut time, mut observed) = (now, now);
        let (mut number, mut text) = (i32::from(number), text.to_owned());
        if let Some(sdk) = &self.sdk {
            time = sdk.time.unwrap_or(now).min(now);
            observed = sdk.observed.unwrap_or(now).clamp(time, now);
            number = sdk.severity_number.into();
            text = sdk.severity_text.clone().unwrap_or_default();
        }
        otlp::LogRecord {
            time_unix_nano: time,
            observed_time_unix_nano: observed,
            severity_number: number,
            severity_text: text,
            body: Some(any_value_of(&self.body)),
            attributes: self.attributes().take(bounds.most()).map(attribute).collect(),
            dropped_attributes_count: self.attributes.dropped + beyond as u32,
            flags: context.map_or(0, |context| context.flags.into()),
            trace_id: context.map(|context| context.trace_id.0.to_vec()).unwrap_or_default(),
            span_id: context.map(|context| context.span_id.0.to_vec()).unwrap_or_default(),
            event_name: self.event_name.clone().unwrap_or_default(),
        }
    }
}

fn bounded(given: Vec<(String, Value)>) -> Attributes {
    let mut attributes = Attributes::default();
    let mut room = MAX_SPAN;
    for (key, value) in given {
        attributes.set(&key, value, UNSET.of_log(), &mut room);
    }
    attributes
}

/// The most severe number that OTLP has.
const MAX_SEVERITY: u8 = 24;

impl Severity {
    /// That of a number of OTLP; what says nothing is worth as much as any other line.
    pub fn of_number(number: u8) -> Self {
        match number {
            0 | 9..=12 => Severity::Info,
            1..=4 => Severity::Trace,
            5..=8 => Severity::Debug,
            13..=16 => Severity::Warn,
            17..=20 => Severity::Error,
            21.. => Severity::Fatal,
        }
    }

    /// The first number of its range, and its name.
    fn otlp(self) -> (otlp::SeverityNumber, &'static str) {
        use otlp::SeverityNumber as Number;
        match self {
            Severity::Trace => (Number::Trace, "TRACE"),
            Severity::Debug => (Number::Debug, "DEBUG"),
            Severity::Info => (Number::Info, "INFO"),
            Severity::Warn => (Number::Warn, "WARN"),
            Severity::Error => (Number::Error, "ERROR"),
            Severity::Fatal => (Number::Fatal, "FATAL"),
        }
    }
}

/// The records of one component, and of its host, on their way to the endpoint.
pub struct LogRecords {
    pub(super) pipeline: Arc<Pipeline>,
    pub(super) refused: AtomicU64,
    limits: Limits,
    /// The scope of the host's own records: the first field of the message `ScopeLogs`.
    own_scope: Vec<u8>,
    /// Where those of recent traces are shown, if they are.
    shown: Option<Shown>,
}

/// Where log records are shown beside the spans of their trace.
#[derive(Clone)]
pub(super) struct Shown {
    pub(super) recent: Arc<Recent>,
    /// Traces that are not sampled may be kept all the same.
    pub(super) has_unsampled: bool,
}

impl LogRecords {
    pub(super) fn new(pipeline: Arc<Pipeline>, limits: &settings::Limits, shown: Option<Shown>) -> Self {
        let mut own_scope = Vec::new();
        bytes(&mut own_scope, 1, &scope::of_host("pounce"));
        LogRecords { pipeline, refused: AtomicU64::new(0), limits: Limits::new(limits), own_scope, shown }
    }

    /// Hands over a guest's record, emitted in the span of `context`; dropped and counted where the buffers are full.
    pub fn emit(&self, record: &LogRecord, context: Option<&SpanContext>) {
        if self.is_unread(context) {
            return;
        }
        let message = record.message(context, self.limits.of_log());
        add(&self.pipeline.counters.attributes, message.dropped_attributes_count);
        let message = message.encode_to_vec();
        let encode = |out: &mut Vec<u8>| bytes(out, 2, &message);
        self.show(context, encode);
        self.pipeline.push(encode);
    }

    /// Hands over a record of the host's own, and shows it; the time is that of the record.
    pub(super) fn emit_own(&self, record: &LogRecord, context: Option<&SpanContext>) {
        if self.is_unread(context) {
            return;
        }
        let message = self.own(record, context);
        let encode = |out: &mut Vec<u8>| bytes(out, scope::SCOPED, &message);
        self.show(context, encode);
        self.pipeline.push(encode);
    }

    /// Hands over a record of the host's own that says no more than the span of `context`.
    pub(super) fn export_own(&self, record: &LogRecord, context: Option<&SpanContext>) {
        let message = self.own(record, context);
        self.pipeline.push(|out| bytes(out, scope::SCOPED, &message));
    }

    /// Where a record of the span of `context` is shown: beside its spans, so nowhere if they are not recorded.
    fn shown_in(&self, context: Option<&SpanContext>) -> Option<(&Recent, TraceId)> {
        let (shown, context) = self.shown.as_ref().zip(context)?;
        let may_be_recorded = context.is_sampled() || shown.has_unsampled;
        may_be_recorded.then_some((&*shown.recent, context.trace_id))
    }

    /// Whether nobody would see a record of the span of `context`, so that there is no need to make it.
    fn is_unread(&self, context: Option<&SpanContext>) -> bool {
        self.pipeline.is_unread() && self.shown_in(context).is_none()
    }

    /// Has a record shown beside the spans of its trace.
    fn show(&self, context: Option<&SpanContext>, encode: impl Fn(&mut Vec<u8>)) {
        if let Some((recent, trace_id)) = self.shown_in(context) {
            recent.add_log(trace_id, &self.pipeline.entry(encode));
        }
    }

    /// A record of the host's own as a message `ScopeLogs`.
    fn own(&self, record: &LogRecord, context: Option<&SpanContext>) -> Vec<u8> {
        let record = record.message(context, self.limits.of_log());
        add(&self.pipeline.counters.attributes, record.dropped_attributes_count);
        let mut message = self.own_scope.clone();
        bytes(&mut message, 2, &record.encode_to_vec());
        message
    }

    /// A record of the host's own was lost on its way here.
    pub(super) fn lost(&self, records: u64) {
        self.pipeline.counts().lose(Loss::QueueFull, records);
    }

    /// A record was not looked at: its request has emitted as many as it may.
    pub fn refuse(&self) {
        self.refused.fetch_add(1, Relaxed);
    }
}

#[cfg(test)]
mod tests;
