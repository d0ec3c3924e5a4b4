//! What level 2 asks of a service that is called and calls on: each row is one request, and what its origin must see.

use super::{Headers, PARENT, TRACE, relay, sent_parent, through};
use crate::support::origin::Origin;
use crate::support::pounce::Pounce;
use crate::support::{Abi, Collector, for_both_abis};
use serde_json::json;

for_both_abis!(
    a_recorded_trace_keeps_to_the_rules,
    an_unrecorded_trace_keeps_to_the_rules,
    a_developers_trace_keeps_to_the_rules,
);

async fn a_recorded_trace_keeps_to_the_rules(abi: Abi) {
    check(abi, "always_on").await;
}

async fn a_developers_trace_keeps_to_the_rules(abi: Abi) {
    let (collector, origin) = (Collector::start().await, Origin::answering(200).await);
    // By its own default each trace is recorded.
    let server = relay(abi, &origin).dev().traced(&collector).start().await;
    check_of(server, &origin, &collector, 1).await;
}

async fn an_unrecorded_trace_keeps_to_the_rules(abi: Abi) {
    check(abi, "always_off").await;
}

/// What becomes of the caller's trace.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Trace {
    /// It goes on, with these flags but for the sampler's.
    Goes(u8),
    /// Another one begins.
    New,
}
use Trace::{Goes, New};

/// A request's headers, what becomes of the trace, and the state that goes on.
type Row<'a> = (Vec<(&'static str, &'a str)>, Trace, &'a str);

async fn check(abi: Abi, sampler: &str) {
    let (collector, origin) = (Collector::start().await, Origin::answering(200).await);
    let server = relay(abi, &origin).traced(&collector).env("OTEL_TRACES_SAMPLER", sampler).start().await;
    check_of(server, &origin, &collector, u8::from(sampler == "always_on")).await;
}

/// Holds a server to the rules whose traces all have this flag.
async fn check_of(server: Pounce, origin: &Origin, collector: &Collector, sampled: u8) {
    let mut seen = std::collections::HashSet::new();
    let mut judge = async |headers: Headers<'_>, expected: Trace, state: &str| {
        let arrived = through(&server, origin, headers, json!({})).await;
        let (trace, span, flags) = sent_parent(&arrived);
        let flags = u8::from_str_radix(&flags, 16).unwrap();
        assert!(seen.insert(span.clone()) && span != PARENT, "each call has a parent of its own");
        match expected {
            Goes(given) => {
                assert_eq!(trace, TRACE, "{headers:?}");
                assert_eq!(flags, (given & 2) | sampled, "random is copied, sampled is ours: {headers:?}");
            }
            New => {
                assert!(trace != TRACE && seen.insert(trace.clone()), "{trace} is not new: {headers:?}");
                assert_eq!(flags, 2 | sampled, "{headers:?}");
            }
        }
        let states = arrived.values("tracestate");
        assert!(states.iter().all(|state| !state.is_empty()), "none rather than an empty one: {headers:?}");
        assert_eq!(states.join(","), state, "{headers:?}");
    };

    let right = format!("00-{TRACE}-{PARENT}-00");
    let owned = parents();
    for (parent, expected) in &owned {
        judge(&[("traceparent", parent), ("tracestate", "a=1")], *expected, kept(*expected, "a=1")).await;
    }
    let long = states();
    for (headers, expected, state) in rows(&right, &long) {
        judge(&headers, expected, state).await;
    }

    // Several calls for one request: one trace, and each its own parent.
    for _ in 0..3 {
        judge(&[("traceparent", &right)], Goes(0), "").await;
    }
    server.stop().await.expect(0, &[]);
    let spans = collector.received();
    assert_eq!(spans.is_empty(), sampled == 0);
    if sampled == 1 {
        // What was sent as parent are spans of ours.
        let own: std::collections::HashSet<_> = spans.iter().map(|span| span.span_id.clone()).collect();
        let sent = origin.arrived();
        assert!(sent.iter().all(|request| own.contains(&sent_parent(request).1)));
    }
}

fn kept(trace: Trace, state: &str) -> &str {
    if trace == New { "" } else { state }
}

/// One header, and what becomes of the trace.
fn parents() -> Vec<(String, Trace)> {
    let zeros = "0".repeat(32);
    let mut rows = Vec::new();
    for (flags, expected) in
        [("00", Goes(0)), ("01", Goes(1)), ("02", Goes(2)), ("03", Goes(3)), ("ff", Goes(3)), ("fc", Goes(0))]
    {
        rows.push((format!("00-{TRACE}-{PARENT}-{flags}"), expected));
    }
    for later in ["", "-", "-what-the-future-will-be-like"] {
        rows.push((format!("cc-{TRACE}-{PARENT}-01{later}"), Goes(1)));
    }
    rows.push((format!(" \t00-{TRACE}-{PARENT}-01\t "), Goes(1)));
    for wrong in [
        String::new(),
        format!("00-{TRACE}-{PARENT}-01-"),
        format!("00-{TRACE}-{PARENT}-01.what"),
        format!("00-{TRACE}-{PARENT}-01-what"),
        format!("cc-{TRACE}-{PARENT}-01.what"),
        format!("cc-{TRACE}-{PARENT}-01x"),
        format!("ff-{TRACE}-{PARENT}-01"),
        format!("0-{TRACE}-{PARENT}-01"),
        format!("000-{TRACE}-{PARENT}-01"),
        format!(".0-{TRACE}-{PARENT}-01"),
        format!("0.-{TRACE}-{PARENT}-01"),
        format!("A0-{TRACE}-{PARENT}-01"),
        format!("00-{zeros}-{PARENT}-01"),
        format!("00-.{}-{PARENT}-01", &TRACE[1..]),
        format!("00-{}.-{PARENT}-01", &TRACE[1..]),
        format!("00-{}-{PARENT}-01", TRACE.to_uppercase()),
        format!("00-{TRACE}0-{PARENT}-01"),
        format!("00-{}-{PARENT}-01", &TRACE[1..]),
        format!("00-+{}-{PARENT}-01", &TRACE[1..]),
        format!("00-{TRACE}-{}-01", &zeros[16..]),
        format!("00-{TRACE}-.{}-01", &PARENT[1..]),
        format!("00-{TRACE}-{PARENT}0-01"),
        format!("00-{TRACE}-{}-01", &PARENT[1..]),
        format!("00-{TRACE}-{}-01", PARENT.to_uppercase()),
        format!("00-{TRACE}-{PARENT}-.0"),
        format!("00-{TRACE}-{PARENT}-0."),
        format!("00-{TRACE}-{PARENT}-001"),
        format!("00-{TRACE}-{PARENT}-1"),
        format!("00-{TRACE}-{PARENT}-0A"),
        format!("00-{TRACE}-{PARENT}"),
        format!("00_{TRACE}_{PARENT}_01"),
    ] {
        rows.push((wrong, New));
    }
    rows
}

/// Texts that the rows need.
struct States {
    full: String,
    key: String,
    value: String,
    too_long_key: String,
    too_long_value: String,
}

fn states() -> States {
    States {
        full: (0..32).map(|n| format!("m{n}={n}")).collect::<Vec<_>>().join(","),
        key: format!("{}=1", "z".repeat(256)),
        value: format!("a={}", "v".repeat(256)),
        too_long_key: format!("{}=1", "z".repeat(257)),
        too_long_value: format!("a={}", "v".repeat(257)),
    }
}

fn rows<'a>(right: &'a str, long: &'a States) -> Vec<Row<'a>> {
    let mut rows: Vec<Row<'a>> = vec![
        (vec![], New, ""),
        (vec![("tracestate", "a=1")], New, ""),
        (vec![("traceparent", right), ("traceparent", right)], New, ""),
        (vec![("traceparent", right), ("traceparent", right), ("tracestate", "a=1")], New, ""),
        (vec![("trace-parent", right)], New, ""),
        (
            vec![("traceparent", right), ("tracestate", "a=1"), ("tracestate", "b=2,c=3")],
            Goes(0),
            "a=1,b=2,c=3",
        ),
        (vec![("traceparent", right), ("tracestate", ""), ("tracestate", "b=2")], Goes(0), "b=2"),
        (vec![("traceparent", right), ("tracestate", &long.full), ("tracestate", "more=1")], Goes(0), ""),
        (
            vec![("traceparent", right), ("tracestate", &long.full), ("tracestate", ",, ,")],
            Goes(0),
            &long.full,
        ),
    ];
    let same = ["a=1,b=2", "a=1,a=2", "foo@@bar=1", "0_-*/@z=1", &long.full, &long.key, &long.value];
    rows.extend(same.map(|state| (vec![("traceparent", right), ("tracestate", state)], Goes(0), state)));
    for (given, sent) in [
        (" a=1 \t,\tb=2 ", "a=1,b=2"),
        ("a=1,", "a=1"),
        (",", ""),
        ("", ""),
        // One broken member drops them all, and the trace goes on.
        ("a=1,b", ""),
        ("a=1,=2", ""),
        ("a=1,b=", ""),
        ("a=1,b=2=3", ""),
        ("a=1,b =2", ""),
        ("a=1,B=2", ""),
        ("a=1,b c=2", ""),
        ("a=1,-b=2", ""),
        ("a=1;b=2,c=\t3\t4", ""),
        ("a=1,b=ä", ""),
        (&long.too_long_key, ""),
        (&long.too_long_value, ""),
    ] {
        rows.push((vec![("traceparent", right), ("tracestate", given)], Goes(0), sent));
    }
    rows
}
