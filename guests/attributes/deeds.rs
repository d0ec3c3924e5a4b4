//! What the guest does to its server span. Without a query, the fixed set:
//!
//! | what | |
//! | --- | --- |
//! | route | `/items/{id}` |
//! | attributes, one by one | `guest.text` = `hello`, `guest.boolean` = true, `guest.int` = 42, `guest.double` = 0.5 |
//! | attributes, at once | `guest.bytes` = 00 01 ff, `guest.texts` = [`a`, `b`], `guest.booleans` = [true, false], `guest.ints` = [1, -9223372036854775808], `guest.doubles` = [0.5, -1] |
//! | by the seed's name for it | `guest.added` = `by add_span_attribute` |
//! | event | `guest.event` with `guest.step` = 1 |
//! | by the handle of `current()` | attribute `guest.current` = true, event `guest.current.event` without attributes |
//!
//! With a query only what it says, in its order; `+` and `%` escapes are decoded:
//!
//! | parameter | does |
//! | --- | --- |
//! | `fixed` | the fixed set |
//! | `set.KEY=TEXT`, `int.KEY=N`, `double.KEY=N` | sets an attribute |
//! | `many=N` | sets `many.1` … `many.N` to 1 … N, at once |
//! | `long=N` | sets `long` to N times `x` |
//! | `event=NAME` | adds an event |
//! | `events=N` | adds N events `event 1` … |
//! | `exception=MESSAGE` | records an exception of type `guest.Failure` with stack trace `at deeds` and attribute `guest.code` = 7 |
//! | `error=MESSAGE` | records a `&dyn Error` |
//! | `status=ok`, `status=unset`, `status=error:MESSAGE` | sets the status |
//! | `route=TEMPLATE`, `name=NAME` | names the span |
//! | `via=current` | from here on by the handle of `current()` (all but the route) |
//! | `end` | ends the handle; what follows goes to the span itself again, which must still be open |
//! | `keep` | takes a handle by `current()` and never gives it back |
//! | `with.KEY=TEXT` | an attribute of the measurements and log records that follow |
//! | `counter.NAME=N`, `updown.NAME=N`, `histogram.NAME=X`, `gauge.NAME=X` | records a measurement; X may be `nan` or `inf` |
//! | `times=N` | makes each measurement and log record that follows N times |
//! | `series=N` | adds 1 to the counter `series` for each of N values of the attribute `n` |
//! | `log.SEVERITY=TEXT` | emits a log record |
//! | `event.SEVERITY=NAME` | emits a record of this event, whose body is the number 42 |
//! | `wait=N` | waits N milliseconds, in which an instance of 0.3 turns to its other requests |
//! | `code=N` | answers with this HTTP status |

use guest_http::Target;
use pounce_guest::logs::{self, Severity};
use pounce_guest::{
    Attribute, Exception, Span, SpanContext, Status, attributes, metrics, propagation, tracing,
};
use serde_json::{Value as Json, json};

/// What happened, and the HTTP status to answer with.
pub(crate) struct Done {
    pub(crate) status: u16,
    pub(crate) report: Vec<u8>,
}

/// Does what the query says, then reports what a guest can see of it.
pub(crate) async fn perform(target: &Target, wait: impl AsyncFn(u64)) -> Done {
    if target.query().is_empty() {
        fixed_set();
    }
    let mut handle = None;
    let mut signals = Signals { with: Vec::new(), times: 1 };
    for (key, value) in target.query() {
        if signals.perform(key, value) {
            continue;
        }
        match (key.as_str(), value.as_str()) {
            ("fixed", _) => fixed_set(),
            ("via", "current") => handle = Some(tracing::current()),
            ("end", _) => {
                if let Some(span) = handle.take() {
                    span.end();
                }
            }
            ("route", template) => tracing::set_route(template),
            ("keep", _) => std::mem::forget(tracing::current()),
            ("wait", milliseconds) => wait(milliseconds.parse().unwrap_or(0)).await,
            _ => match &handle {
                Some(span) => by_handle(span, key, value),
                None => by_function(key, value),
            },
        }
    }
    Done { status: target.number("code", 200) as u16, report: report() }
}

/// Metrics and logs.
struct Signals {
    with: Vec<Attribute>,
    times: i64,
}

impl Signals {
    /// Does what the parameter says, if it is about metrics or logs.
    fn perform(&mut self, key: &str, value: &str) -> bool {
        let number = || value.parse().unwrap_or(0.0);
        match key.split_once('.') {
            Some(("with", key)) => self.with.push((key, value).into()),
            Some(("counter", name)) => {
                self.repeat(|with| metrics::add_counter(name, value.parse().unwrap_or(0), with));
            }
            Some(("updown", name)) => {
                self.repeat(|with| metrics::add_up_down(name, value.parse().unwrap_or(0), with));
            }
            Some(("histogram", name)) => {
                self.repeat(|with| metrics::record_histogram(name, number(), with));
            }
            Some(("gauge", name)) => self.repeat(|with| metrics::set_gauge(name, number(), with)),
            Some(("log", name)) => self.repeat(|with| logs::emit(severity(name), value, with)),
            Some(("event", name)) => {
                self.repeat(|with| logs::emit_event(severity(name), value, 42, with));
            }
            None if key == "times" => self.times = value.parse().unwrap_or(1),
            None if key == "series" => {
                (0..value.parse().unwrap_or(0_i64))
                    .for_each(|n| metrics::add_counter("series", 1, [("n", n)]));
            }
            _ => return false,
        }
        true
    }

    fn repeat(&self, record: impl Fn(Vec<Attribute>)) {
        (0..self.times).for_each(|_| record(self.with.clone()));
    }
}

fn severity(name: &str) -> Severity {
    match name {
        "trace" => Severity::Trace,
        "debug" => Severity::Debug,
        "warn" => Severity::Warn,
        "error" => Severity::Error,
        "fatal" => Severity::Fatal,
        _ => Severity::Info,
    }
}

fn fixed_set() {
    tracing::set_route("/items/{id}");
    tracing::set_attribute("guest.text", "hello");
    tracing::set_attribute("guest.boolean", true);
    tracing::set_attribute("guest.int", 42);
    tracing::set_attribute("guest.double", 0.5);
    tracing::set_attributes(attributes! {
        "guest.bytes" => vec![0_u8, 1, 255],
        "guest.texts" => vec!["a", "b"],
        "guest.booleans" => vec![true, false],
        "guest.ints" => vec![1, i64::MIN],
        "guest.doubles" => vec![0.5, -1.0],
    });
    pounce_guest::add_span_attribute("guest.added", "by add_span_attribute");
    tracing::add_event("guest.event", attributes! { "guest.step" => 1 });
    let span = tracing::current();
    span.set_attribute("guest.current", true);
    span.add_event("guest.current.event", attributes! {});
}

fn by_function(key: &str, value: &str) {
    match key {
        "many" => tracing::set_attributes((1..=number(value)).map(|n| (format!("many.{n}"), n))),
        "long" => tracing::set_attribute("long", "x".repeat(number(value) as usize)),
        "event" => tracing::add_event(value, attributes! {}),
        "events" => {
            (1..=number(value)).for_each(|n| tracing::add_event(&format!("event {n}"), attributes! {}))
        }
        "exception" => tracing::record_exception(exception(value)),
        "error" => tracing::record_exception(&*error(value)),
        "status" => tracing::set_status(status(value)),
        "name" => tracing::update_name(value),
        _ => {
            if let Some((key, value)) = attribute(key, value) {
                tracing::set_attribute(key, value);
            }
        }
    }
}

fn by_handle(span: &Span, key: &str, value: &str) {
    match key {
        "many" => span.set_attributes((1..=number(value)).map(|n| (format!("many.{n}"), n))),
        "long" => span.set_attribute("long", "x".repeat(number(value) as usize)),
        "event" => span.add_event(value, attributes! {}),
        "events" => (1..=number(value)).for_each(|n| span.add_event(&format!("event {n}"), attributes! {})),
        "exception" => span.record_exception(exception(value)),
        "error" => span.record_exception(&*error(value)),
        "status" => span.set_status(status(value)),
        "name" => span.update_name(value),
        _ => {
            if let Some((key, value)) = attribute(key, value) {
                span.set_attribute(key, value);
            }
        }
    }
}

/// `set.KEY`, `int.KEY`, `double.KEY`.
fn attribute<'a>(key: &'a str, value: &str) -> Option<(&'a str, pounce_guest::Value)> {
    match key.split_once('.')? {
        ("set", key) => Some((key, value.into())),
        ("int", key) => Some((key, value.parse::<i64>().ok()?.into())),
        ("double", key) => Some((key, value.parse::<f64>().ok()?.into())),
        _ => None,
    }
}

fn number(value: &str) -> i64 {
    value.parse().unwrap_or(0)
}

fn exception(message: &str) -> Exception {
    Exception::new("guest.Failure", message).stacktrace("at deeds").attribute("guest.code", 7)
}

fn error(message: &str) -> Box<dyn std::error::Error> {
    message.into()
}

fn status(value: &str) -> Status {
    match value.split_once(':') {
        Some(("error", message)) => Status::Error(message.to_owned()),
        _ if value == "ok" => Status::Ok,
        _ => Status::Unset,
    }
}

fn report() -> Vec<u8> {
    let injected = propagation::inject();
    let current = tracing::current();
    let severities = ["trace", "debug", "info", "warn", "error", "fatal"];
    let enabled = severities.map(|name| logs::is_enabled(severity(name)));
    json!({
        "is_recording": tracing::is_recording(),
        "context": context(&tracing::current_context()),
        "current": { "is_recording": current.is_recording(), "context": context(&current.context()) },
        "inject": headers(&injected),
        "inject_for": headers(&propagation::inject_for(&current)),
        "extract": propagation::extract(injected).as_ref().map(context),
        "baggage": headers(&propagation::baggage()),
        "log_enabled": enabled,
    })
    .to_string()
    .into_bytes()
}

fn context(context: &SpanContext) -> Json {
    json!({
        "trace_id": context.trace_id,
        "span_id": context.span_id,
        "trace_flags": context.trace_flags,
        "trace_state": context.trace_state,
    })
}

fn headers(list: &[(String, String)]) -> Json {
    list.iter()
        .map(|(name, value)| (name.clone(), Json::from(value.as_str())))
        .collect::<serde_json::Map<_, _>>()
        .into()
}
