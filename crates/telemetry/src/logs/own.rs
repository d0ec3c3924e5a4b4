//! Our own log as log records for the endpoint, beside the lines on stderr.
//!
//! A layer of our own and not `opentelemetry-appender-tracing`: that one takes the trace of a record from the `Context` of
//! OpenTelemetry's SDK, which we do not have, so that no line would belong to its request; and it writes to the SDK's
//! processor, whose drops nobody can count. What it would give us is the loop over an event's fields. Here a record
//! goes where guests' records go: into a bounded pipeline that never waits.
//!
//! **No feedback.** What the exporter's threads say ([`keep_here`]) and what the libraries of the transport say never
//! becomes a record: an endpoint that fails would else be sent the news of its failure, and fail again.

use super::super::context::{SpanContext, TraceState};
use super::super::log_records::{LogRecord, LogRecords, Severity};
use super::super::semconv;
use super::super::value::Value;
use super::budget;
use pounce_otlp::id::{SpanId, TraceId};
use std::cell::Cell;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer;
use tracing_subscriber::registry::LookupSpan;

use super::with_causes;

/// Records that wait for telemetry to start; further ones are lost and counted.
const MAX_WAITING: usize = 256;

thread_local! {
    static KEEPS_HERE: Cell<bool> = const { Cell::new(false) };
    /// Flags of the span that this thread is logging about.
    static FLAGS: Cell<u8> = const { Cell::new(0) };
}

/// Has nothing that this thread logs exported: it exports.
pub(crate) fn keep_here() {
    KEEPS_HERE.set(true);
}

/// Whether what this thread logs is not exported.
pub(super) fn is_kept_here() -> bool {
    KEEPS_HERE.get()
}

/// Has nothing exported that is logged by `saying`.
pub(super) fn keeping_here(saying: impl FnOnce()) {
    let before = KEEPS_HERE.replace(true);
    saying();
    KEEPS_HERE.set(before);
}

/// Logs what `saying` logs of the span of `context`, whose ids its events name: their records then have its flags, which
/// are no field of the events. Those of a span that is not sampled are not kept beside recent traces.
pub fn of_span(context: Option<&SpanContext>, saying: impl FnOnce()) {
    let before = FLAGS.replace(context.map_or(0, |context| context.flags));
    saying();
    FLAGS.set(before);
}

/// Handle by which events of `tracing` are exported as log records of OpenTelemetry; cheap to clone.
///
/// A program's log starts before there is telemetry to export anything with: what its [layer](Self::layer) is told
/// until then waits, up to a bound, and is exported once a server that was given the handle has started.
#[derive(Clone, Default)]
pub struct LogExport(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// Set once: to nothing where log records are not exported.
    records: OnceLock<Option<Arc<LogRecords>>>,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    records: Vec<Said>,
    lost: u64,
}

/// A record, and the span that it names.
struct Said {
    record: LogRecord,
    context: Option<SpanContext>,
}

impl LogExport {
    /// Layer of a [`tracing_subscriber`] registry that makes a log record of each event: severity, message, fields as
    /// attributes, and `target`.
    ///
    /// A record belongs to the span whose ids its event has as the fields `trace_id` and `span_id`; without them, to that
    /// of [`opentelemetry::Context::current`], which `tracing-opentelemetry` keeps at that of the `tracing` span.
    ///
    /// It never waits for an endpoint. Events of the exporters and of what they are made of (hyper, h2, rustls, tonic, …)
    /// are left out, since each export would make more of them. Add `with_filter` to leave out more.
    pub fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        OwnRecords(self.clone()).with_filter(OwnRecords::without_transport().with_default(LevelFilter::TRACE))
    }

    /// From now on records go to `records`, those that wait first; the first call counts.
    pub fn open(&self, records: Option<Arc<LogRecords>>) {
        let mut waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = std::mem::take(&mut *waiting);
        if self.0.records.set(records).is_err() {
            return;
        }
        if let Some(Some(records)) = self.0.records.get() {
            waiting.records.iter().for_each(|said| records.emit_own(&said.record, said.context.as_ref()));
            records.lost(waiting.lost);
        }
    }

    /// Whether a record may go anywhere.
    fn takes(&self) -> bool {
        self.0.records.get().is_none_or(Option::is_some)
    }

    fn give(&self, said: Said) {
        match self.0.records.get() {
            Some(Some(records)) => records.emit_own(&said.record, said.context.as_ref()),
            Some(None) => {}
            None => self.wait(said),
        }
    }

    fn wait(&self, said: Said) {
        let mut waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(records) = self.0.records.get() {
            // Opened meanwhile.
            return records.iter().for_each(|records| records.emit_own(&said.record, said.context.as_ref()));
        }
        if waiting.records.len() < MAX_WAITING {
            waiting.records.push(said);
        } else {
            waiting.lost += 1;
        }
    }
}

/// Makes a record of each event.
pub(super) struct OwnRecords(pub(super) LogExport);

impl OwnRecords {
    /// What becomes a record: what we say at `level` or above, at `info` in any case. Guests' lines and records, and the
    /// access log, are handed over where they are made, with their types and flags. The rest is of the transport.
    pub(super) fn filter(level: LevelFilter) -> Targets {
        Self::without_transport()
            .with_default(LevelFilter::WARN)
            .with_target("pounce", level.max(LevelFilter::INFO))
    }

    fn without_transport() -> Targets {
        let elsewhere = ["guest", "access"];
        let transport = ["hyper", "h2", "rustls", "tower", "opentelemetry", "tonic", "reqwest"];
        let off = elsewhere.into_iter().chain(transport);
        Targets::new().with_targets(off.map(|target| (target, LevelFilter::OFF)))
    }
}

impl std::fmt::Debug for LogExport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogExport").finish_non_exhaustive()
    }
}

impl<S: Subscriber> Layer<S> for OwnRecords {
    fn on_event(&self, event: &Event<'_>, _: layer::Context<'_, S>) {
        if KEEPS_HERE.get() || budget::is_left_out() || !self.0.takes() {
            return;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        let severity = match *event.metadata().level() {
            Level::ERROR => Severity::Error,
            Level::WARN => Severity::Warn,
            Level::INFO => Severity::Info,
            Level::DEBUG => Severity::Debug,
            Level::TRACE => Severity::Trace,
        };
        fields.add("target", Value::Text(event.metadata().target().to_owned()));
        let context = fields.context().or_else(SpanContext::current);
        let record = LogRecord::of_host(severity, &fields.message, None, fields.attributes);
        self.0.give(Said { record, context });
    }
}

/// The fields of an event.
#[derive(Default)]
struct Fields {
    message: String,
    trace_id: Option<TraceId>,
    span_id: Option<SpanId>,
    attributes: Vec<(String, Value)>,
}

impl Fields {
    fn add(&mut self, name: &str, value: Value) {
        let name = match name {
            "component" => semconv::POUNCE_COMPONENT,
            "stacktrace" => semconv::EXCEPTION_STACKTRACE,
            name => name,
        };
        self.attributes.push((name.to_owned(), value));
    }

    fn text(&mut self, name: &str, text: String) {
        match name {
            "message" => self.message = text,
            "trace_id" => self.trace_id = TraceId::from_hex(text.as_bytes()),
            "span_id" => self.span_id = SpanId::from_hex(text.as_bytes()),
            name => self.add(name, Value::Text(text)),
        }
    }

    /// The span that the event names, with the flags of [`of_span`].
    fn context(&self) -> Option<SpanContext> {
        let (trace_id, span_id) = (self.trace_id?, self.span_id?);
        Some(SpanContext { trace_id, span_id, flags: FLAGS.get(), trace_state: TraceState::default() })
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.text(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field.name(), value.to_owned());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field.name(), Value::Bool(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field.name(), Value::Int(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match i64::try_from(value) {
            Ok(value) => self.add(field.name(), Value::Int(value)),
            Err(_) => self.text(field.name(), value.to_string()),
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field.name(), Value::Double(value));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.text(field.name(), with_causes(value));
    }
}

#[cfg(test)]
mod tests;
