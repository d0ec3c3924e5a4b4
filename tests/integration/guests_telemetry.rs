//! The guests that show child spans, calls and limits are served and answer what their heads say; whether their spans
//! are right is for the tests of spans, calls and limits.

use crate::support::client;
use crate::support::origin::Origin;
use crate::support::pounce::Pounce;
use crate::support::span::Span;
use crate::support::{Abi, Collector, eventually, for_both_abis, pounce};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::{Value, json};

for_both_abis!(
    weave_sees_one_trace_throughout,
    weave_panics_when_told,
    spans_does_every_case,
    calls_says_what_came_of_each,
    hostile_is_answered,
);

async fn answer(server: &Pounce, path: &str) -> Value {
    let answer = client::fetch_path(server.addr(), path).await;
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{path}: {error}: {answer:?}"))
}

/// The spans of the first `count` requests, in order of arrival; a guest's own spans are children, whatever their kind.
async fn of_requests(collector: &Collector, count: usize) -> Vec<Span> {
    let mut found = Vec::new();
    eventually("the spans of the requests", async || {
        found = collector.received();
        found.retain(|span| span.kind == SpanKind::Server && span.parent.is_empty());
        found.len() >= count
    })
    .await;
    assert_eq!(found.len(), count);
    found
}

fn hex(value: &Value, digits: usize) -> String {
    let text = value.as_str().unwrap_or_else(|| panic!("no text: {value}"));
    assert!(text.len() == digits && text.bytes().all(|digit| digit.is_ascii_hexdigit()), "{text}");
    text.to_owned()
}

async fn weave_sees_one_trace_throughout(abi: Abi) {
    let (collector, origin) = (Collector::start().await, Origin::answering(204).await);
    let server = pounce()
        .guest(abi, "weave")
        .flag("--allow-outbound", origin.url(""))
        .traced(&collector)
        .start()
        .await;
    let path = format!("/work?id=7&steps=3&join=2&log&metrics&leave-open&after=1&origin={}", origin.url("/"));
    for path in [path.clone(), format!("{path}&poll")] {
        let before = origin.arrived().len();
        let report = answer(&server, &path).await;
        assert_eq!(report["id"], 7);
        assert_eq!((&report["ok"], &report["mismatch"]), (&json!(true), &json!([])), "{report}");
        assert_eq!(report["calls"], json!([204, 204, 204, 204, 204]), "three steps and two branches");
        assert_eq!(report["branches"].as_array().unwrap().len(), 2);
        let trace = hex(&report["trace_id"], 32);
        for span in [&report["span_id"], &report["outer"], &report["inner"], &report["branches"][1]] {
            hex(span, 16);
        }
        eventually("the call after the answer", async || origin.arrived().len() == before + 6).await;
        for call in &origin.arrived()[before..] {
            assert_eq!(call.values("x-id"), ["7"]);
            // What is called after the answer belongs to a request that may be over.
            if call.values("x-after").is_empty() {
                assert!(call.values("traceparent")[0].contains(&trace), "{call:?}");
            }
        }
    }
    let span = of_requests(&collector, 2).await.remove(0);
    for key in ["id", "step.0", "step.2.after", "handle"] {
        assert_eq!(span.int(key), Some(7), "{key}");
    }
}

async fn weave_panics_when_told(abi: Abi) {
    let mut server = pounce().guest(abi, "weave").start().await;
    let status = client::fetch_path(server.addr(), "/work?id=3&steps=4&panic").await.status;
    assert_eq!(status, 500);
    server.logged(&["request 3 was told to panic in step"]).await;
    assert_eq!(answer(&server, "/work?id=4").await["ok"], true, "the next one is served");
}

async fn spans_does_every_case(abi: Abi) {
    let collector = Collector::start().await;
    let server = pounce().guest(abi, "spans").traced(&collector).start().await;
    let report = answer(&server, "/?count=10&depth=5").await;
    assert_eq!(report["recording"], true);
    let trace = hex(&report["server"]["trace_id"], 32);
    let spans = report["spans"].as_array().unwrap();
    let names: Vec<_> = spans.iter().map(|span| span["name"].as_str().unwrap()).collect();
    for name in ["plain", "consumer", "links", "ended twice", "under gone", "many 10", "deep 5"] {
        assert_eq!(names.iter().filter(|known| **known == name).count(), 1, "{name}: {names:?}");
    }
    for span in spans.iter().filter(|span| span["name"].as_str().unwrap().starts_with("deep")) {
        assert_eq!(hex(&span["trace_id"], 32), trace, "{span}");
        hex(&span["span_id"], 16);
    }
    assert_eq!(client::fetch_path(server.addr(), "/no-such-case").await.status, 404);

    let span = of_requests(&collector, 2).await.remove(0);
    assert_eq!(span.int("by.handle"), Some(1));
    assert_eq!(span.int("after.end"), Some(2), "a guest cannot end the server span");
}

async fn calls_says_what_came_of_each(abi: Abi) {
    let (collector, origin) = (Collector::start().await, Origin::answering(201).await);
    let server = pounce()
        .guest(abi, "calls")
        .flag("--allow-outbound", "http://127.0.0.1:*")
        .traced(&collector)
        .start()
        .await;
    let (there, nowhere) = (origin.url("/"), "http://127.0.0.1:1/");
    let ok = json!({ "status": 201 });
    for how in ["sync", "concurrent", "timeout&ms=10000"] {
        let path = format!("/?url={there}&url={nowhere}&n=3&span&how={how}");
        let report = answer(&server, &path).await;
        assert_eq!(report["results"], json!([ok, { "error": "connection_refused" }, ok]), "{how}");
        hex(&report["server"], 16);
        hex(&report["span"], 16);
    }
    let report = answer(&server, &format!("/?url={there}&n=2&how=abandon")).await;
    assert_eq!(report["results"], json!([{ "abandoned": true }, { "abandoned": true }]));

    let before = origin.arrived().len();
    let report = answer(&server, &format!("/?url={there}&traceparent=forged&set.x-set=yes")).await;
    assert!(report["traceparent"].as_str().unwrap().starts_with("00-deadbeef"));
    // One that was given up may still arrive.
    let arrived = origin.arrived();
    let call = arrived[before..].iter().find(|call| call.values("x-set") == ["yes"]).unwrap();
    assert_eq!(call.values("x-call"), ["0"]);
    assert!(!call.values("traceparent")[0].contains("deadbeef"), "the host's replaces a guest's");
    assert_eq!(client::fetch_path(server.addr(), "/?how=badly").await.status, 400);
}

/// All but those that take handles without end: `/span-bomb`, `/scope-bomb`.
async fn hostile_is_answered(abi: Abi) {
    let (collector, origin) = (Collector::start().await, Origin::answering(200).await);
    let server = pounce()
        .guest(abi, "hostile")
        .flag("--allow-outbound", origin.url(""))
        .traced(&collector)
        .start()
        .await;
    for path in [
        "/attributes?n=2000",
        "/same-key?n=2000",
        "/big-key",
        "/events?n=2000",
        "/links?n=2000",
        "/span-bomb?n=500",
        "/span-bomb?n=5000&close&enter",
        "/names",
        "/routes",
        "/routes?v=/a/{b}",
        "/numbers",
        "/times",
        "/forged",
        "/exceptions?n=300",
        "/metrics-bomb?n=5000",
        "/logs-bomb?n=2000",
        "/baggage?n=2000",
        "/extract",
    ] {
        let report = answer(&server, path).await;
        assert_eq!(report["did"], path.split('?').next().unwrap());
    }
    for (path, calls) in [("/bad-headers", 2), ("/forged-headers", 5)] {
        let report = answer(&server, &format!("{path}?url={}", origin.url("/"))).await;
        assert_eq!(report["calls"], Value::from(vec!["200"; calls]), "{path}");
    }
    assert_eq!(origin.arrived().len(), 7);
    assert_eq!(client::fetch_path(server.addr(), "/no-such-deed").await.status, 404);
    of_requests(&collector, 21).await;
}

/// Two components in one, of which the first exits while its call of the second runs on.
#[tokio::test]
async fn orphan_works_on_after_its_caller_has_gone() {
    let (collector, origin) = (Collector::start().await, Origin::answering(200).await);
    let mut server = pounce()
        .guest(Abi::P3, "orphan")
        .flag("--allow-outbound", origin.url(""))
        .traced(&collector)
        .start()
        .await;
    let path = format!("/?id=5&ms=300&origin={}", origin.url("/"));
    assert_eq!(client::fetch_path(server.addr(), &path).await.text(), "gone\n");
    assert_eq!(origin.arrived().len(), 0, "the call comes later");
    server.logged(&["orphan: 5 done"]).await;
    assert_eq!(origin.arrived()[0].values("x-id"), ["5"]);
    let span = of_requests(&collector, 1).await.remove(0);
    assert_eq!((span.int("front"), span.int("back")), (Some(5), Some(5)));
    assert_eq!(span.int("back.late"), None, "the request was over");
}

#[tokio::test]
async fn the_older_names_work_from_javascript_and_python() {
    for (stem, language) in [("spans-js", "js"), ("spans-py", "py")] {
        let collector = Collector::start().await;
        let server = pounce().interpreted(stem).traced(&collector).start().await;
        let report = answer(&server, "/").await;
        assert_eq!((&report["language"], &report["recording"]), (&json!(language), &json!(true)));
        let span = of_requests(&collector, 1).await.remove(0);
        assert_eq!((span.name.as_str(), span.text("guest.language")), ("GET /spans/{language}", language));
        assert_eq!(span.int("guest.int"), Some(42));
        let traceparent = report["inject"]["traceparent"].as_str().unwrap();
        let context = &report["context"];
        let trace = context.get("trace_id").or(context.get("traceId")).unwrap();
        assert!(traceparent.contains(&hex(trace, 32)), "{traceparent}");
        hex(&report["child"], 16);
        hex(&report["request"], 16);
    }
}
