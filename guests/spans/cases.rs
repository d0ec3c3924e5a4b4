//! What the guest does, by path; `/` does all of it in this order. Times are Unix nanoseconds; `T` is
//! 1700000000000000000.
//!
//! | path | spans, all children of the server span unless said otherwise |
//! | --- | --- |
//! | `/plain` | `plain`, ended |
//! | `/dropped` | `dropped`, never ended but given back |
//! | `/options` | `internal`, `server`, `client`, `producer`, `consumer`: one of each kind, attribute `kind` = its name |
//! | `/attributes` | `attributes` with one of each type: `text`, `boolean`, `int`, `double`, `bytes`, `texts`, `booleans`, `ints`, `doubles`; `twice` = 2 (1 before) |
//! | `/events` | `events` with `now`, `then` (at T, attribute `n` = 1), `zero` (at 0), `last` (at the last time there is) |
//! | `/links` | `links`: to [`REMOTE`] in its options (attribute `why` = `options`) and later (`why` = `added`), to `linked`, to an invalid context |
//! | `/exceptions` | `exceptions`: `guest.First` `first failure` with stack trace `at cases` and attribute `code` = 7, then `guest.Second` |
//! | `/status` | `ok`, `error` (`it broke`), `error then ok`, `ok then error` (`late`), `unset again` (after `forgiven`) |
//! | `/renamed` | `renamed`, started as `named` |
//! | `/times` | `times` from T to T + 5 ms with event `middle` at T + 2 ms; `backwards` from T to T − 1 ms; `begins then` from T, ended now |
//! | `/parents` | `root`; entered in it `current`; in that `invocation` (child of the server span); `root` left before `current` is: `after both` (of the server span) |
//! | `/crossed` | `a`, in it `b`, both entered; the scope of `a` is left first: `of b` (of `b`), then that of `b`: `of none` |
//! | `/entered-twice` | `twice`, entered twice and left once: `still in twice` (of `twice`) |
//! | `/ended-entered` | `gone`, ended while entered: `under gone` |
//! | `/open` | `open`, never given back |
//! | `/ended-twice` | `ended twice`, at T + 1 s and T + 2 s (started at T) |
//! | `/used-after-end` | `used after end` with attribute `before` = 1; all else comes after its end |
//! | `/server-handle` | none: attribute `by.handle` = 1 on the server span, which is ended by its handle, then attribute `after.end` = 2 |
//! | `/remote` | `remote` with parent [`REMOTE`], `of remote` in it; `invalid remote` with parent of zeros |
//! | `/in-scope` | by the SDK: `in span` with child `in scope` |
//! | `/request` | by the SDK: `POST /orders/{id}`, 503, service `orders`, caller [`REMOTE`]; `GET`, internal |
//! | `/many?count=N` | `many 1` … `many N` (100) |
//! | `/deep?depth=N` | `deep 1` … `deep N` (100), each in the one before |
//!
//! Answers `{"server": CONTEXT, "spans": [{"name", "trace_id", "span_id", "trace_flags", "trace_state", "recording",
//! "inject"}], "recording"}`: what each span said of itself when it was started (`inject`: its traceparent).

use crate::bindings::propagation;
use crate::bindings::tracing::{self, Parent, Span, SpanOptions};
use crate::bindings::types::{Attribute, Exception, Link, SpanContext, SpanKind, Status, Value};
use guest_http::Target;
use pounce_guest::RequestSpan;
use serde_json::{Value as Json, json};

/// Trace id, span id and tracestate of the span elsewhere that cases name.
const REMOTE: (&str, &str, &str) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "vendor=1");
/// A fixed time.
const T: u64 = 1_700_000_000_000_000_000;
const MILLISECOND: u64 = 1_000_000;

type Case = (&'static str, fn(&mut Seen, &Target));

const CASES: &[Case] = &[
    ("/plain", |seen, _| seen.start("plain").end(None)),
    ("/dropped", |seen, _| drop(seen.start("dropped"))),
    ("/options", |seen, _| options(seen)),
    ("/attributes", |seen, _| attributes(seen)),
    ("/events", |seen, _| events(seen)),
    ("/links", |seen, _| links(seen)),
    ("/exceptions", |seen, _| exceptions(seen)),
    ("/status", |seen, _| status(seen)),
    ("/renamed", |seen, _| seen.start("named").update_name("renamed")),
    ("/times", |seen, _| times(seen)),
    ("/parents", |seen, _| parents(seen)),
    ("/crossed", |seen, _| crossed(seen)),
    ("/entered-twice", |seen, _| entered_twice(seen)),
    ("/ended-entered", |seen, _| ended_entered(seen)),
    ("/open", |seen, _| std::mem::forget(seen.start("open"))),
    ("/ended-twice", |seen, _| ended_twice(seen)),
    ("/used-after-end", |seen, _| used_after_end(seen)),
    ("/server-handle", |_, _| server_handle()),
    ("/remote", |seen, _| remote(seen)),
    ("/in-scope", |_, _| in_scope()),
    ("/request", |_, _| requests()),
    ("/many", |seen, target| many(seen, target.number("count", 100))),
    ("/deep", |seen, target| deep(seen, target.number("depth", 100))),
];

/// Does what the path says; the answer, none when there is no such case.
pub(crate) fn perform(target: &Target) -> Option<Vec<u8>> {
    let mut seen = Seen(Vec::new());
    let server = context(&tracing::current_context());
    let mut known = false;
    for (path, case) in CASES {
        if target.path() == "/" || target.path() == *path {
            case(&mut seen, target);
            known = true;
        }
    }
    let answer = json!({ "server": server, "spans": seen.0, "recording": tracing::is_recording() });
    known.then(|| answer.to_string().into_bytes())
}

/// What the spans said of themselves.
struct Seen(Vec<Json>);

impl Seen {
    fn start(&mut self, name: &str) -> Span {
        self.look(name, Span::new(name))
    }

    fn with(&mut self, name: &str, options: SpanOptions) -> Span {
        self.look(name, Span::with_options(name, &options))
    }

    fn look(&mut self, name: &str, span: Span) -> Span {
        let mut entry = context(&span.context());
        let injected = propagation::inject_for(&span);
        let traceparent = injected.into_iter().find(|header| header.name == "traceparent");
        entry["name"] = json!(name);
        entry["recording"] = json!(span.is_recording());
        entry["inject"] = json!(traceparent.map(|header| header.value));
        self.0.push(entry);
        span
    }
}

fn context(context: &SpanContext) -> Json {
    json!({
        "trace_id": context.trace_id,
        "span_id": context.span_id,
        "trace_flags": context.trace_flags,
        "trace_state": context.trace_state,
    })
}

fn attribute(key: &str, value: Value) -> Attribute {
    Attribute { key: key.to_owned(), value }
}

fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

fn elsewhere() -> SpanContext {
    let (trace_id, span_id, trace_state) = REMOTE;
    SpanContext {
        trace_id: trace_id.to_owned(),
        span_id: span_id.to_owned(),
        trace_flags: 1,
        trace_state: trace_state.to_owned(),
    }
}

fn nowhere() -> SpanContext {
    SpanContext {
        trace_id: "0".repeat(32),
        span_id: "0".repeat(16),
        trace_flags: 1,
        trace_state: String::new(),
    }
}

fn link(context: SpanContext, why: &str) -> Link {
    Link { context, attributes: vec![attribute("why", text(why))] }
}

/// Internal, child of the current span, starts now.
fn usual() -> SpanOptions {
    SpanOptions {
        kind: SpanKind::Internal,
        parent: Parent::Current,
        attributes: Vec::new(),
        links: Vec::new(),
        start_time: None,
    }
}

fn options(seen: &mut Seen) {
    for (name, kind) in [
        ("internal", SpanKind::Internal),
        ("server", SpanKind::Server),
        ("client", SpanKind::Client),
        ("producer", SpanKind::Producer),
        ("consumer", SpanKind::Consumer),
    ] {
        seen.with(name, SpanOptions { kind, attributes: vec![attribute("kind", text(name))], ..usual() })
            .end(None);
    }
}

fn attributes(seen: &mut Seen) {
    let span = seen.start("attributes");
    span.set_attribute("text", &text("hello"));
    span.set_attribute("boolean", &Value::Boolean(true));
    span.set_attribute("int", &Value::Int(i64::MIN));
    span.set_attribute("double", &Value::Double(0.5));
    span.set_attributes(&[
        attribute("bytes", Value::Bytes(vec![0, 1, 255])),
        attribute("texts", Value::Texts(vec!["a".into(), "b".into()])),
        attribute("booleans", Value::Booleans(vec![true, false])),
        attribute("ints", Value::Ints(vec![1, i64::MAX])),
        attribute("doubles", Value::Doubles(vec![0.5, -1.0])),
        attribute("twice", Value::Int(1)),
    ]);
    span.set_attribute("twice", &Value::Int(2));
}

fn events(seen: &mut Seen) {
    let span = seen.start("events");
    span.add_event("now", &[], None);
    span.add_event("then", &[attribute("n", Value::Int(1))], Some(T));
    span.add_event("zero", &[], Some(0));
    span.add_event("last", &[], Some(u64::MAX));
}

fn links(seen: &mut Seen) {
    let linked = seen.start("linked");
    let span = seen.with("links", SpanOptions { links: vec![link(elsewhere(), "options")], ..usual() });
    span.add_link(&link(elsewhere(), "added"));
    span.add_link(&link(linked.context(), "sibling"));
    span.add_link(&link(nowhere(), "invalid"));
}

fn exceptions(seen: &mut Seen) {
    let span = seen.start("exceptions");
    span.record_exception(&Exception {
        kind: "guest.First".into(),
        message: "first failure".into(),
        stacktrace: Some("at cases".into()),
        attributes: vec![attribute("code", Value::Int(7))],
    });
    span.record_exception(&Exception {
        kind: "guest.Second".into(),
        message: "second failure".into(),
        stacktrace: None,
        attributes: Vec::new(),
    });
}

fn status(seen: &mut Seen) {
    let error = |message: &str| Status::Error(message.to_owned());
    for (name, statuses) in [
        ("ok", vec![Status::Ok]),
        ("error", vec![error("it broke")]),
        ("error then ok", vec![error("it broke"), Status::Ok]),
        ("ok then error", vec![Status::Ok, error("late")]),
        ("unset again", vec![error("forgiven"), Status::Unset]),
    ] {
        let span = seen.start(name);
        statuses.iter().for_each(|status| span.set_status(status));
    }
}

fn times(seen: &mut Seen) {
    let starting = || SpanOptions { start_time: Some(T), ..usual() };
    let span = seen.with("times", starting());
    span.add_event("middle", &[], Some(T + 2 * MILLISECOND));
    span.end(Some(T + 5 * MILLISECOND));
    seen.with("backwards", starting()).end(Some(T - MILLISECOND));
    seen.with("begins then", starting()).end(None);
}

fn parents(seen: &mut Seen) {
    let root = seen.start("root");
    let in_root = root.enter();
    let current = seen.with("current", usual());
    let in_current = current.enter();
    seen.with("invocation", SpanOptions { parent: Parent::Invocation, ..usual() }).end(None);
    drop(in_root);
    drop(in_current);
    seen.start("after both").end(None);
}

fn crossed(seen: &mut Seen) {
    let a = seen.start("a");
    let in_a = a.enter();
    let b = seen.start("b");
    let in_b = b.enter();
    drop(in_a);
    seen.start("of b").end(None);
    drop(in_b);
    seen.start("of none").end(None);
}

fn entered_twice(seen: &mut Seen) {
    let span = seen.start("twice");
    let once = span.enter();
    let again = span.enter();
    drop(again);
    seen.start("still in twice").end(None);
    drop(once);
}

fn ended_entered(seen: &mut Seen) {
    let span = seen.start("gone");
    let scope = span.enter();
    span.end(None);
    seen.start("under gone").end(None);
    drop(scope);
}

fn ended_twice(seen: &mut Seen) {
    let span = seen.with("ended twice", SpanOptions { start_time: Some(T), ..usual() });
    span.end(Some(T + 1000 * MILLISECOND));
    span.end(Some(T + 2000 * MILLISECOND));
}

fn used_after_end(seen: &mut Seen) {
    let span = seen.start("used after end");
    span.set_attribute("before", &Value::Int(1));
    span.end(None);
    span.set_attribute("before", &Value::Int(2));
    span.set_attributes(&[attribute("after", Value::Int(1))]);
    span.add_event("after", &[], None);
    span.add_link(&link(elsewhere(), "after"));
    span.set_status(&Status::Error("after".into()));
    span.update_name("after");
    // Its ids stay what they were, and it may still be a parent.
    let scope = span.enter();
    seen.start("child of an ended span").end(None);
    drop(scope);
}

fn server_handle() {
    let server = tracing::current();
    server.set_attribute("by.handle", &Value::Int(1));
    server.end(None);
    server.end(Some(T));
    drop(server);
    tracing::set_attribute("after.end", &Value::Int(2));
}

fn remote(seen: &mut Seen) {
    let span = seen.with("remote", SpanOptions { parent: Parent::Remote(elsewhere()), ..usual() });
    let scope = span.enter();
    seen.start("of remote").end(None);
    drop(scope);
    seen.with("invalid remote", SpanOptions { parent: Parent::Remote(nowhere()), ..usual() }).end(None);
}

fn in_scope() {
    pounce_guest::in_span("in span", |span| {
        span.set_attribute("sdk", true);
        pounce_guest::Span::start("in scope").in_scope(|| ());
    });
}

fn requests() {
    let (trace_id, span_id, _) = REMOTE;
    let headers = vec![("TraceParent".to_owned(), format!("00-{trace_id}-{span_id}-01"))];
    let request = RequestSpan::start("POST", "/orders/7?token=secret", headers).service("orders");
    request.set_route("/orders/{id}");
    request.record_status(503);
    request.end();
    let request = RequestSpan::start("GET", "/health", Vec::<(String, String)>::new());
    request.record_exception(pounce_guest::Exception::new("guest.Sick", "not well"));
    request.record_status(500);
}

fn many(seen: &mut Seen, count: u64) {
    for number in 1..=count {
        seen.start(&format!("many {number}")).end(None);
    }
}

/// Not by recursion: a thousand deep would be the stack's test.
fn deep(seen: &mut Seen, depth: u64) {
    let mut held = Vec::new();
    for number in 1..=depth {
        let span = seen.start(&format!("deep {number}"));
        let scope = span.enter();
        held.push((scope, span));
    }
    // The innermost first, as nested scopes are left.
    while held.pop().is_some() {}
}
