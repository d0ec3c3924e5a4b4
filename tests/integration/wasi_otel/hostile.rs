//! What no SDK would hand over: the guest gets its 200, the rest of the trace stays true, and others notice nothing.

use super::{ask, raw};
use crate::support::{Abi, Collector, for_both_abis, pounce};
use serde_json::{Value as Json, json};

for_both_abis!(
    nothing_that_a_guest_hands_over_harms_it,
    a_flood_is_bounded_and_counted,
    wrong_ids_and_times_are_no_harm,
);

async fn nothing_that_a_guest_hands_over_harms_it(abi: Abi) {
    let collector = Collector::start().await;
    let server = pounce().guest(abi, "otel").traced(&collector).start().await;
    ask(&server, "/hostile").await;
    let answer = ask(&server, "/traces").await;
    let trace = answer["host"]["trace_id"].as_str().unwrap().to_owned();
    let call = collector.span_where("of the request after it", |span| span.name == "call").await;
    assert_eq!(call.trace_id, trace);
    let exit = server.stop().await;
    let spans = collector.received();
    assert_eq!(spans.iter().filter(|span| span.trace_id == trace).count(), 4);
    let hostile: Vec<_> = spans.iter().filter(|span| span.trace_id != trace).collect();
    let traces: std::collections::BTreeSet<_> = hostile.iter().map(|span| &span.trace_id).collect();
    assert_eq!(traces.len(), 1, "nothing lands in a trace that the guest made up: {traces:?}");
    let server_span = hostile.iter().find(|span| span.name == "GET /hostile").expect("the server span");
    assert!(!server_span.failed());
    assert!(hostile.iter().all(|span| span.span_id == server_span.span_id || !span.parent.is_empty()));
    assert!(exit.stderr.contains("that were invalid or over a limit"), "{exit}");
    assert!(exit.stderr.contains("other traces than their requests"), "{exit}");
    assert!(!exit.stderr.contains("panicked"), "{exit}");
}

async fn a_flood_is_bounded_and_counted(abi: Abi) {
    let collector = Collector::start().await;
    let server = pounce().guest(abi, "otel").traced(&collector).start().await;
    ask(&server, &raw(&json!([{ "flood": 1 }]))).await;
    let before = server.resident();
    ask(&server, &raw(&json!([{ "flood": 100_000 }]))).await;
    assert!(server.resident() < before + 64 * 1024 * 1024, "{before} {}", server.resident());
    let exit = server.stop().await;
    assert_eq!(collector.received().len(), 2, "the server spans");
    // 128 at a time.
    let counted =
        |what: &str, n: &str| exit.stderr.lines().any(|line| line.contains(what) && line.contains(n));
    assert!(counted("began and never ended", "129"), "{exit}");
    assert!(counted("over a limit", "99872"), "{exit}");
}

async fn wrong_ids_and_times_are_no_harm(abi: Abi) {
    let collector = Collector::start().await;
    let server = pounce().guest(abi, "otel").traced(&collector).start().await;
    let never = json!([u64::MAX, u32::MAX]);
    let mut steps: Vec<Json> = Vec::new();
    for id in ["", "zz", "00000000000000A1", "0000000000000000", "a1"] {
        steps.push(json!({ "start": { "span": id } }));
        steps.push(json!({ "end": { "span": id, "name": "wrong" } }));
    }
    steps
        .push(json!({ "end": { "span": "00000000000000a1", "name": "elsewhere", "trace": "a".repeat(32) } }));
    let big = json!(["x", 1 << 20, ""]);
    steps.push(json!({ "end": { "span": "00000000000000a2", "name": ["n", 1 << 20, ""], "from": never, "to": [0, 4_000_000_000_u32],
        "attributes": { "big": big, "deep": ["{\"a\":", 100, "}"] }, "events": [{ "name": "never", "at": never }],
        "links": [{ "span": "zz" }], "omitted": u32::MAX } }));
    ask(&server, &raw(&json!(steps))).await;
    let spans = collector.spans(2).await;
    let span = spans.iter().find(|span| span.span_id == "00000000000000a2").expect("the only one with an id");
    let host = spans.iter().find(|span| span.name == "GET /raw").expect("the server span");
    assert_eq!((span.name.len(), span.text("big").len()), (256, 4096));
    assert!(span.text("deep").starts_with("{\"a\":{\"a\":"), "kept as it came");
    assert!(span.start <= span.end && span.end <= host.end && span.start + 1_000_000_000 >= host.start);
    assert!(span.event("never").time <= host.end);
    let dropped = (span.dropped_attributes, span.dropped_events, span.dropped_links);
    assert_eq!(dropped, (u32::MAX, u32::MAX, u32::MAX));
}
