//! What guests say in our own log: lines of their output and their log records, within one rate. Lines of output are
//! also exported as log records, within the same rate.
//!
//! Never blocks a guest: the log's own writer is lossy and counts (see `pounce_telemetry::logs`), and what exceeds the rate
//! is counted here and said once a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use serde_json::Value as Json;
use tracing::field::display;

use super::last_words::Raised;
use pounce_telemetry::logs::printable;
use pounce_telemetry::{Exception, LogRecord, LogRecords, ServerSpan, Severity, SpanContext, Value};

/// A longer line is cut into pieces of this size, each a line of its own in the log; a longer record is cut off.
pub(super) const MAX_LINE: usize = 8 * 1024;
/// Lines a second that one component may log; further ones are counted and dropped.
const MAX_LINES_PER_SECOND: u64 = 1000;

/// Which stream a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

/// The log of one component's guests: its name, and the rate they share.
pub(crate) struct GuestLog {
    component: String,
    /// Where lines are exported to, if they are.
    records: Option<Arc<LogRecords>>,
    start: Instant,
    /// The second since `start` that is under way, and in the lower half how many lines it has had.
    window: AtomicU64,
    /// Lines dropped since that was last said, and in all.
    dropped: AtomicU64,
    dropped_total: AtomicU64,
}

impl GuestLog {
    pub(crate) fn new(component: &str, records: Option<Arc<LogRecords>>) -> Self {
        Self {
            component: component.to_owned(),
            records,
            start: Instant::now(),
            window: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            dropped_total: AtomicU64::new(0),
        }
    }

    pub(super) fn component(&self) -> &str {
        &self.component
    }

    /// Lines dropped since the start.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped_total.load(Ordering::Relaxed)
    }

    fn admit(&self) -> bool {
        self.admit_in(self.start.elapsed().as_secs())
    }

    /// Whether another line may be logged in this `second` since the start.
    fn admit_in(&self, second: u64) -> bool {
        let first = second << 32;
        let next = |window: u64| Some(if window < first { first + 1 } else { window + 1 });
        let before = self.window.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).unwrap_or_default();
        if before < first {
            let dropped = self.dropped.swap(0, Ordering::Relaxed);
            if dropped > 0 {
                tracing::warn!(
                    component = self.component,
                    dropped,
                    "guest output dropped: more than {MAX_LINES_PER_SECOND} lines a second"
                );
            }
            return true;
        }
        if before & u64::from(u32::MAX) < MAX_LINES_PER_SECOND {
            return true;
        }
        self.dropped.fetch_add(1, Ordering::Relaxed);
        self.dropped_total.fetch_add(1, Ordering::Relaxed);
        false
    }

    /// Logs a line of output, written by the request of `context`.
    pub(super) fn line(&self, stream: Stream, context: Option<&SpanContext>, line: &str) {
        if !self.admit() {
            return;
        }
        // A line says nothing of how severe it is; in a backend that asks, what went to stderr is the more so.
        let (stream, severity) = match stream {
            Stream::Stdout => ("stdout", Severity::Info),
            Stream::Stderr => ("stderr", Severity::Error),
        };
        if let Some(records) = &self.records {
            records.emit(&LogRecord::of_line(severity, stream, line), context);
        }
        tracing::info!(
            target: "guest",
            component = self.component,
            stream,
            trace_id = context.map(|context| display(context.trace_id)),
            span_id = context.map(|context| display(context.span_id)),
            "{}",
            printable(line)
        );
    }

    /// Tells of an exception that a guest's runtime has reported and survived: the request of `span` is answered all the
    /// same.
    pub(super) fn survived(&self, span: &ServerSpan, raised: Raised) {
        if !self.admit() {
            return;
        }
        let context = span.context();
        tracing::warn!(
            component = self.component,
            exception.type = raised.kind,
            trace_id = context.as_ref().map(|context| display(&context.trace_id)),
            span_id = context.as_ref().map(|context| display(&context.span_id)),
            stacktrace = raised.stacktrace,
            "the guest went on after an exception: {}",
            printable(&raised.message)
        );
        let Raised { kind, message, stacktrace } = raised;
        let kind = kind.unwrap_or_default();
        span.survive(Exception { kind, message, stacktrace, attributes: Vec::new() });
    }

    /// Whether records of this severity are written (`log.level`).
    pub(super) fn keeps(severity: Severity) -> bool {
        use tracing::Level;
        // Each of these is a place of its own, of which `tracing` remembers whether it is enabled.
        match severity {
            Severity::Trace => tracing::enabled!(target: "guest", Level::TRACE),
            Severity::Debug => tracing::enabled!(target: "guest", Level::DEBUG),
            Severity::Info => tracing::enabled!(target: "guest", Level::INFO),
            Severity::Warn => tracing::enabled!(target: "guest", Level::WARN),
            Severity::Error | Severity::Fatal => tracing::enabled!(target: "guest", Level::ERROR),
        }
    }

    /// Logs a record, emitted in the span of `context`.
    pub(super) fn record(&self, record: &LogRecord, context: Option<&SpanContext>) {
        use tracing::Level;
        if !Self::keeps(record.severity) || !self.admit() {
            return;
        }
        let body = match &record.body {
            Value::Text(text) => one_line(text),
            other => one_line(&json(other).to_string()),
        };
        let attributes = (record.attributes().len() > 0).then(|| {
            let attributes: serde_json::Map<_, _> =
                record.attributes().map(|(key, value)| (key.to_owned(), json(value))).collect();
            display(one_line(&Json::Object(attributes).to_string()))
        });
        macro_rules! log {
            ($level:expr) => {
                tracing::event!(
                    target: "guest",
                    $level,
                    component = self.component,
                    event = record.event_name.as_deref(),
                    attributes,
                    trace_id = context.map(|context| display(context.trace_id)),
                    span_id = context.map(|context| display(context.span_id)),
                    "{body}"
                )
            };
        }
        match record.severity {
            Severity::Trace => log!(Level::TRACE),
            Severity::Debug => log!(Level::DEBUG),
            Severity::Info => log!(Level::INFO),
            Severity::Warn => log!(Level::WARN),
            Severity::Error | Severity::Fatal => log!(Level::ERROR),
        }
    }
}

/// The start of `text` without characters that would break the line, or move the cursor of whoever reads it.
fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len().min(MAX_LINE));
    for (at, c) in text.char_indices() {
        if at >= MAX_LINE {
            line.push('…');
            break;
        }
        if c.is_control() { line.extend(c.escape_default()) } else { line.push(c) }
    }
    line
}

fn json(value: &Value) -> Json {
    let number = |double: f64| {
        // JSON has neither infinity nor not-a-number.
        serde_json::Number::from_f64(double).map_or_else(|| Json::from(double.to_string()), Json::Number)
    };
    match value {
        Value::Text(text) => text.as_str().into(),
        Value::Bool(bool) => (*bool).into(),
        Value::Int(int) => (*int).into(),
        Value::Double(double) => number(*double),
        Value::Bytes(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into(),
        Value::Texts(texts) => texts.iter().map(String::as_str).collect(),
        Value::Bools(bools) => bools.iter().copied().collect(),
        Value::Ints(ints) => ints.iter().copied().collect(),
        Value::Doubles(doubles) => doubles.iter().copied().map(number).collect(),
        Value::Null => Json::Null,
        Value::List(values) => values.iter().map(json).collect(),
        Value::Map(entries) => {
            Json::Object(entries.iter().map(|(key, value)| (key.clone(), json(value))).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_cannot_forge_a_line() {
        assert_eq!(one_line("a\nb\u{1b}[2J\u{9b}c\tä"), "a\\nb\\u{1b}[2J\\u{9b}c\\tä");
        let long = one_line(&"ä".repeat(MAX_LINE));
        assert!(long.ends_with("ä…") && long.len() <= MAX_LINE + 8, "{}", long.len());
    }

    #[test]
    fn each_second_has_its_lines() {
        let log = GuestLog::new("c", None);
        let admitted = |second| (0..1500).filter(|_| log.admit_in(second)).count();
        assert_eq!([admitted(0), admitted(0), admitted(7)], [1000, 0, 1000]);
        assert!(!log.admit_in(6), "a thread that comes late has no second of its own");
        assert_eq!((log.dropped(), log.dropped.load(Ordering::Relaxed)), (2501, 501));
    }

    #[test]
    fn values_are_json() {
        let shown = |value: Value| json(&value).to_string();
        assert_eq!(shown(Value::Double(f64::NAN)), "\"NaN\"");
        assert_eq!(shown(Value::Doubles(vec![0.5, f64::INFINITY])), "[0.5,\"inf\"]");
        assert_eq!(shown(Value::Bytes(vec![0, 255])), "\"00ff\"");
        assert_eq!(shown(Value::Texts(vec!["a".into()])), "[\"a\"]");
        assert_eq!(shown(Value::Int(i64::MIN)), i64::MIN.to_string());
    }
}
