//! What the guest does, by path; `/` does all of it but the calls. It answers 200 with `{"did": PATH, …}` afterwards,
//! whatever became of it.
//!
//! | path | does |
//! | --- | --- |
//! | `/attributes?n=10000` | so many attributes `key N` on the server span, one by one and at once, and on a span `many attributes` |
//! | `/same-key?n=` | the same key `same` so many times |
//! | `/big-key` | attributes with a key, a value, and both of 1 MiB (`&mib=`), lists of that size, and an event of them |
//! | `/events?n=10000` | so many events on the server span and on a span `many events`, every hundredth with 200 attributes |
//! | `/links?n=10000` | so many links on a span `many links`, in its options and later, valid, malformed and of zeros |
//! | `/span-bomb?n=100000` | so many spans, opened and never given back; `&close` gives them back, `&enter` enters them too |
//! | `/scope-bomb?n=100000` | one span `entered`, entered so many times, scopes never given back |
//! | `/names` | spans, events, exceptions, logs and instruments with names that are empty, 1 MiB long, of control characters |
//! | `/routes?v=VALUE` | `set-route(VALUE)`; without `v` some that are empty, 1 MiB long, of line ends |
//! | `/numbers` | attributes, gauges and histograms of NaN, infinities, -0.0, greatest and least |
//! | `/times` | spans and events at 0 and at the last time there is, ends before starts |
//! | `/forged` | spans with remote parents made up: another trace, malformed ids, capital letters, 1 MiB of state |
//! | `/exceptions?n=1000` | so many exceptions, of 1 MiB every hundredth |
//! | `/metrics-bomb?n=100000` | so many attribute sets of one counter, so many instruments, one name as every kind |
//! | `/logs-bomb?n=10000` | so many records, of 1 MiB every thousandth |
//! | `/baggage?n=10000` | so many entries of baggage; names and values that are invalid or 1 MiB long |
//! | `/extract` | contexts out of headers that are malformed, doubled, 1 MiB long |
//! | `/bad-headers?url=URL` | calls URL with header values of invalid UTF-8 (`x-bytes`), traceparent, tracestate and baggage of such bytes |
//! | `/forged-headers?url=URL` | calls URL with traceparents made up, doubled, and a tracestate and baggage of 32 KiB each |

use guest_http::{Call, Target};
use pounce_guest::logs::{self, Severity};
use pounce_guest::{
    Attribute, Exception, Link, Parent, Span, SpanContext, Status, Value, attributes, metrics, propagation,
    tracing,
};
use serde_json::json;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

type Deed = (&'static str, fn(&Target));

const DEEDS: &[Deed] = &[
    ("/attributes", |target| many_attributes(target.number("n", 10_000))),
    ("/same-key", |target| {
        (0..target.number("n", 10_000)).for_each(|n| tracing::set_attribute("same", n));
    }),
    ("/big-key", |target| big_key(target.number("mib", 1) as usize)),
    ("/events", |target| events(target.number("n", 10_000))),
    ("/links", |target| links(target.number("n", 10_000))),
    ("/span-bomb", span_bomb),
    ("/scope-bomb", |target| scope_bomb(target.number("n", 100_000))),
    ("/names", |_| names()),
    ("/routes", |target| routes(target.get("v"))),
    ("/numbers", |_| numbers()),
    ("/times", |_| times()),
    ("/forged", |_| forged()),
    ("/exceptions", |target| exceptions(target.number("n", 1000))),
    ("/metrics-bomb", |target| metrics_bomb(target.number("n", 100_000))),
    ("/logs-bomb", |target| logs_bomb(target.number("n", 10_000))),
    ("/baggage", |target| baggage(target.number("n", 10_000))),
    ("/extract", |_| extract()),
];

const MIB: usize = 1 << 20;
/// Control characters, a right-to-left override, a surrogate's neighbour: all of it valid text.
const ODD: &str = "\0\u{1}\r\n\t\u{1b}[31m\u{202e}\u{fffd}\u{10ffff}\"'\\</script>";

/// Does what the path says, and says what it did; none when it knows no such path.
pub(crate) async fn perform(target: &Target, send: impl AsyncFn(Call) -> String) -> Option<Vec<u8>> {
    let path = target.path();
    let mut calls = Vec::new();
    let mut known = false;
    for (name, deed) in DEEDS {
        if path == "/" || path == *name {
            deed(target);
            known = true;
        }
    }
    if matches!(path, "/bad-headers" | "/forged-headers") {
        known = true;
        for call in Call::named(target, "url").into_iter().flat_map(|call| hostile_calls(path, &call)) {
            calls.push(send(call).await);
        }
    }
    known.then(|| json!({ "did": path, "calls": calls }).to_string().into_bytes())
}

fn big(mib: usize) -> String {
    "x".repeat(mib * MIB)
}

/// Texts that a name might be, and should not.
fn bad_names() -> [String; 6] {
    [String::new(), big(1), ODD.to_owned(), " ".to_owned(), "ü".repeat(600), "a/b..c--d".repeat(40)]
}

fn many_attributes(n: u64) {
    let span = Span::start("many attributes");
    for number in 0..n {
        tracing::set_attribute(&format!("key {number}"), number);
        span.set_attribute(&format!("key {number}"), number);
    }
    tracing::set_attributes((0..n).map(|number| (format!("at once {number}"), number)));
}

fn big_key(mib: usize) {
    let long = big(mib);
    tracing::set_attribute(&long, "short");
    tracing::set_attribute("long", long.as_str());
    tracing::set_attribute(&long, long.as_str());
    tracing::set_attribute("long.bytes", vec![255_u8; mib * MIB]);
    tracing::set_attribute("long.ints", vec![i64::MAX; mib * MIB / 8]);
    tracing::set_attribute("long.texts", vec![""; mib * MIB / 8]);
    tracing::set_attribute("long.text", vec![long.as_str(), long.as_str()]);
    tracing::add_event("long", attributes! { long.as_str() => long.as_str(), "long" => long.as_str() });
    tracing::set_status(Status::Error(long));
}

fn events(n: u64) {
    let span = Span::start("many events");
    for number in 0..n {
        let count = if number % 100 == 0 { 200 } else { 1 };
        let list = (0..count).map(|key| Attribute::new(format!("key {key}"), number));
        tracing::add_event("event", list.clone());
        span.add_event("event", list);
    }
}

fn context(trace_id: &str, span_id: &str, flags: u8, state: &str) -> SpanContext {
    SpanContext {
        trace_id: trace_id.to_owned(),
        span_id: span_id.to_owned(),
        trace_flags: flags,
        trace_state: state.to_owned(),
    }
}

/// Contexts of nobody's, valid and not.
fn made_up() -> Vec<SpanContext> {
    let own = tracing::current_context();
    vec![
        context("deadbeefdeadbeefdeadbeefdeadbeef", "deadbeefdeadbeef", 1, ""),
        context(&own.trace_id, "deadbeefdeadbeef", 1, ""),
        context("deadbeefdeadbeefdeadbeefdeadbeef", &own.span_id, 255, "a=b"),
        context(&"0".repeat(32), &"0".repeat(16), 0, ""),
        context("", "", 0, ""),
        context("DEADBEEFDEADBEEFDEADBEEFDEADBEEF", "DEADBEEFDEADBEEF", 1, ""),
        context("not hexadecimal, though 32 long.", "neither is this.", 1, "="),
        context("deadbeef", "beef", 1, ""),
        context(&"ü".repeat(16), &"ü".repeat(8), 1, ODD),
        context(&big(1), &big(1), 1, &big(1)),
        context("deadbeefdeadbeefdeadbeefdeadbeef", "deadbeefdeadbeef", 1, &"a=b,".repeat(MIB / 4)),
    ]
}

fn links(n: u64) {
    let contexts = made_up();
    // Those of 1 MiB once only: the others are the many.
    let small = |number: u64| contexts[number as usize % (contexts.len() - 2)].clone();
    let options = (0..n).map(|number| Link::to(small(number)));
    let span = options.fold(Span::options(), |options, link| options.link(link)).start("many links");
    (0..n).for_each(|number| span.add_link(Link::to(small(number)).attribute("n", number)));
    contexts.into_iter().for_each(|context| span.add_link(Link::to(context)));
}

fn span_bomb(target: &Target) {
    for number in 0..target.number("n", 100_000) {
        let span = Span::start(&format!("bomb {number}"));
        if target.get("enter").is_some() {
            std::mem::forget(span.enter());
        }
        if target.get("close").is_none() {
            std::mem::forget(span);
        }
    }
}

fn scope_bomb(n: u64) {
    let span = Span::start("entered");
    (0..n).for_each(|_| std::mem::forget(span.enter()));
}

fn names() {
    for name in bad_names() {
        tracing::update_name(&name);
        tracing::add_event(&name, attributes! { name.as_str() => 1 });
        tracing::set_attribute(&name, true);
        tracing::record_exception(Exception::new(name.as_str(), name.as_str()).stacktrace(name.as_str()));
        let span = Span::start(&name);
        span.add_event(&name, attributes! {});
        span.update_name(&name);
        metrics::add_counter(&name, 1, attributes! { name.as_str() => name.as_str() });
        logs::emit_event(Severity::Error, &name, name.as_str(), attributes! { name.as_str() => 1 });
    }
}

fn routes(value: Option<&str>) {
    match value {
        Some(value) => tracing::set_route(value),
        None => bad_names().iter().for_each(|route| tracing::set_route(route)),
    }
}

fn numbers() {
    for (name, value) in [
        ("nan", f64::NAN),
        ("infinity", f64::INFINITY),
        ("negative.infinity", f64::NEG_INFINITY),
        ("negative.zero", -0.0),
        ("greatest", f64::MAX),
        ("least", f64::MIN_POSITIVE),
    ] {
        tracing::set_attribute(name, value);
        tracing::set_attribute(&format!("list.{name}"), vec![value; 2]);
        metrics::record_histogram("hostile.histogram", value, attributes! {});
        metrics::set_gauge("hostile.gauge", value, attributes! { "which" => name });
        metrics::add_counter("hostile.keyed", 1, attributes! { "value" => value });
        logs::emit(Severity::Warn, value, attributes! { name => value });
    }
    for _ in 0..3 {
        metrics::add_counter("hostile.counter", u64::MAX, attributes! {});
        metrics::add_up_down("hostile.sum", i64::MIN, attributes! {});
    }
    tracing::set_attribute("int.least", i64::MIN);
    tracing::set_attribute("int.too.great", u64::MAX);
}

fn times() {
    let (zero, last) = (UNIX_EPOCH, UNIX_EPOCH + Duration::from_nanos(u64::MAX));
    let now = SystemTime::now();
    for (start, end) in [(zero, zero), (zero, last), (last, zero), (last, last), (now, zero), (zero, now)] {
        let span = Span::options().start_time(start).start("at odd times");
        span.add_event_at(zero, "at zero", attributes! {});
        span.add_event_at(last, "at last", attributes! {});
        span.end_at(end);
    }
}

fn forged() {
    for context in made_up() {
        let span = Span::options().parent(Parent::Remote(context)).start("forged");
        span.in_scope(|| Span::start("under forged").end());
    }
}

fn exceptions(n: u64) {
    for number in 0..n {
        let text = if number % 100 == 0 { big(1) } else { format!("failure {number}") };
        let list = (0..10).map(|key| format!("key {key}"));
        let exception = Exception::new("guest.Hostile", text.as_str()).stacktrace(text.as_str());
        tracing::record_exception(list.fold(exception, |exception, key| exception.attribute(key, number)));
    }
}

fn metrics_bomb(n: u64) {
    for number in 0..n {
        metrics::add_counter("bomb.series", 1, attributes! { "n" => number });
        metrics::add_counter(&format!("bomb.{number}"), 1, attributes! {});
    }
    metrics::add_up_down("bomb.series", -1, attributes! {});
    metrics::record_histogram("bomb.series", 1.0, attributes! {});
    metrics::set_gauge("bomb.series", 1.0, attributes! {});
    metrics::add_counter("bomb.wide", 1, (0..1000).map(|key| (format!("key {key}"), key)));
    metrics::add_counter("bomb.same", 1, (0..1000).map(|value| ("same", value)));
    metrics::add_counter("bomb.long", 1, attributes! { "long" => big(1) });
}

fn logs_bomb(n: u64) {
    let severities =
        [Severity::Trace, Severity::Debug, Severity::Info, Severity::Warn, Severity::Error, Severity::Fatal];
    for number in 0..n {
        let severity = severities[number as usize % severities.len()];
        let body: Value = if number % 1000 == 0 { big(1).into() } else { ODD.into() };
        logs::emit(severity, body, attributes! { "n" => number, ODD => ODD });
    }
    logs::emit(Severity::Fatal, vec![0_u8; MIB], (0..1000).map(|key| (format!("key {key}"), key)));
}

fn baggage(n: u64) {
    for number in 0..n {
        propagation::set_baggage(&format!("key-{number}"), "value");
    }
    for name in bad_names() {
        propagation::set_baggage(&name, "value");
        propagation::set_baggage("name", &name);
    }
    // Reading it back: what was refused is not there, and the rest is no trap.
    let kept = propagation::baggage();
    tracing::set_attribute("baggage.kept", kept.len());
}

fn extract() {
    let long = big(1);
    let valid = "00-deadbeefdeadbeefdeadbeefdeadbeef-deadbeefdeadbeef-01";
    let lists: [&[(&str, &str)]; 7] = [
        &[],
        &[("traceparent", "")],
        &[("traceparent", valid), ("traceparent", valid)],
        &[("traceparent", &long)],
        &[("traceparent", valid), ("tracestate", &long)],
        &[(&long, &long)],
        &[("traceparent", ODD), ("tracestate", ODD), (ODD, ODD), ("baggage", ODD), ("b3", ODD)],
    ];
    for list in lists {
        propagation::extract(list.iter().copied());
    }
    let many = vec![("traceparent", valid); 10_000];
    propagation::extract(many);
}

/// Calls with headers that no well-meaning guest would set.
fn hostile_calls(path: &str, call: &Call) -> Vec<Call> {
    let bytes: &[u8] = b"\xff\xfe\x80caf\xe9";
    if path == "/bad-headers" {
        return vec![
            call.clone().header("x-bytes", bytes),
            call.clone().header("traceparent", bytes).header("tracestate", bytes).header("baggage", bytes),
        ];
    }
    let valid = "00-deadbeefdeadbeefdeadbeefdeadbeef-deadbeefdeadbeef-01";
    let long = |pair: &str| vec![pair; (32 << 10) / pair.len()].join(",");
    vec![
        call.clone().header("traceparent", valid),
        call.clone().header("TraceParent", valid).header("traceparent", valid),
        call.clone().header("traceparent", valid.to_uppercase()),
        call.clone().header("b3", "deadbeefdeadbeefdeadbeefdeadbeef-deadbeefdeadbeef-d"),
        call.clone().header("tracestate", long("a=b")).header("baggage", long("key=value")),
    ]
}
