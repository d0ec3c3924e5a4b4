//! The SDKs for guests: functions, the crate `tracing` and panics in Rust, everything in JavaScript and Python.

use crate::support::attributes::Value;
use crate::support::client;
use crate::support::span::{Event, Span, Status, tree};
use crate::support::{Abi, Collector, for_both_abis, pounce};
use futures_util::future::join_all;
use serde_json::{Value as Json, json};

for_both_abis!(
    a_function_has_a_span_with_its_arguments,
    a_future_has_its_span_across_waits,
    what_fails_is_recorded_whatever_its_type,
    spans_and_events_of_the_crate_tracing_are_the_requests,
    branches_in_turns_keep_their_own_spans,
    a_panic_is_on_the_span_in_which_it_happens,
);

/// The status of an answer and the spans of its request, the request's own at the end; all of it has been sent.
async fn asked(abi: Abi, path: &str, spans: usize) -> (u16, Vec<Span>, Collector) {
    let collector = Collector::start().await;
    let server = pounce().guest(abi, "traced").traced(&collector).start().await;
    let answer = client::fetch_path(server.addr(), path).await;
    let mut spans = collector.spans(spans).await;
    spans.sort_by_key(|span| span.parent.is_empty());
    // Log records leave at its end.
    server.stop().await.expect(0, &[]);
    (answer.status.as_u16(), spans, collector)
}

/// An attribute's text, empty when it is absent or no text.
fn text<'a>(event: &'a Event, key: &str) -> &'a str {
    match event.attributes.get(key) {
        Some(Value::Text(text)) => text,
        _ => "",
    }
}

fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let mut found = spans.iter().filter(|span| span.name == name);
    match (found.next(), found.next()) {
        (Some(span), None) => span,
        _ => panic!("one span {name:?} should be there:\n{}", tree(spans)),
    }
}

/// The tree below the request's span.
fn expect_tree(spans: &[Span], expected: &[&str]) {
    let tree = tree(spans);
    let under: Vec<_> = tree.lines().skip(1).map(|line| line.strip_prefix("  ").unwrap_or(line)).collect();
    assert_eq!(under, expected, "\n{tree}");
}

async fn a_function_has_a_span_with_its_arguments(abi: Abi) {
    let (status, spans, _) = asked(abi, "/sync", 5).await;
    assert_eq!(status, 200);
    expect_tree(&spans, &["Internal price", "  Internal inner", "Internal count", "Internal put"]);
    let component = abi.stem("traced");
    named(&spans, "price").expect_attributes(&format!(
        "express = true\n item = 7\n note = \"a note\"\n parts = [1, 2]\n pounce.component = {component:?}\n \
         shape = \"Shape {{ sides: 3 }}\""
    ));
    assert_eq!(named(&spans, "count").int("count"), Some(3), "of a function that returns impl Trait");
    named(&spans, "put").expect_attributes(&format!("pounce.component = {component:?}\n store.puts = 0"));
}

async fn a_future_has_its_span_across_waits(abi: Abi) {
    let (status, spans, _) = asked(abi, "/async", 3).await;
    assert_eq!(status, 200);
    expect_tree(&spans, &["Client load order", "  Internal inside"]);
    let load = named(&spans, "load order");
    assert_eq!(
        (load.int("id"), load.text("db.system.name"), load.int("token.len")),
        (Some(7), "redis", Some(6))
    );
    assert!(!load.attributes.contains_key("token") && !load.attributes.contains_key("wait"), "{load:?}");
    assert!(load.end - load.start >= 2_000_000, "it waits 2 ms");
    assert_eq!(load.status, Status::Unset);
}

async fn what_fails_is_recorded_whatever_its_type(abi: Abi) {
    let (status, spans, _) = asked(abi, "/errors", 10).await;
    assert_eq!(status, 200);
    let module = abi.stem("traced").replace('-', "_");
    let missing = format!("{module}::work::Missing");
    let shown = format!("{module}::work::Shown");
    let silent = format!("{module}::work::Silent");
    for (name, kind, message) in [
        ("error", missing.as_str(), "there is no order 0"),
        ("load order", &missing, "there is no order 0"),
        ("boxed", "error", "boxed"),
        ("display", "&str", "shown"),
        ("debug", &shown, "Shown"),
        ("silent", &silent, ""),
        ("early", "core::num::error::ParseIntError", "invalid digit found in string"),
    ] {
        let span = named(&spans, name);
        assert_eq!(span.status, Status::Error(message.to_owned()), "{name}");
        assert_eq!(span.events.len(), 1, "{name}: {:?}", span.events);
        let exception = span.event("exception");
        assert_eq!(
            (text(exception, "exception.type"), text(exception, "exception.message")),
            (kind, message),
            "{name}"
        );
    }
    let stack = text(named(&spans, "error").event("exception"), "exception.stacktrace").to_owned();
    assert!(stack.starts_with("caused by: "), "{stack}");
    assert_eq!(named(&spans, "fine").status, Status::Unset);
    assert!(!named(&spans, "GET /errors").failed(), "the request got over them");
}

async fn spans_and_events_of_the_crate_tracing_are_the_requests(abi: Abi) {
    let (status, spans, collector) = asked(abi, "/layer", 9).await;
    assert_eq!(status, 200);
    expect_tree(
        &spans,
        &[
            "Client outer",
            "  Internal inner",
            "  Internal explicit",
            "Internal root",
            "Internal by hand",
            "  Internal in by hand",
            "Internal named",
            "Internal unhappy",
        ],
    );
    let outer = named(&spans, "outer");
    assert_eq!(
        (outer.int("n"), outer.text("text"), outer.text("shape")),
        (Some(1), "a", "Shape { sides: 4 }")
    );
    assert!(
        outer.attributes.contains_key("late") && !outer.attributes.contains_key("otel.kind"),
        "{outer:?}"
    );
    let names: Vec<_> = outer.events.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(names, ["in outer", "exception", "told from outside"]);
    assert_eq!(text(outer.event("exception"), "exception.message"), "there is no order 3");
    assert_eq!(outer.status, Status::Error("there is no order 3".to_owned()));
    let inner = named(&spans, "inner");
    assert_eq!((text(inner.event("in inner"), "level"), inner.links.len()), ("WARN", 1));
    assert_eq!(inner.links[0].span_id, outer.span_id);
    assert_eq!(named(&spans, "named").status, Status::Error("late".to_owned()));
    assert_eq!(named(&spans, "unhappy").status, Status::Error("no error value".to_owned()));
    let server = named(&spans, "GET /layer");
    assert!(!server.failed() && text(server.event("outside of all"), "level") == "ERROR");
    // They are log records as well, each on the span that it was told in.
    let records = collector.log_records();
    let told: Vec<_> = records
        .iter()
        .filter(|record| record.attributes.contains_key("target"))
        .map(|record| (record.body.trim_matches('"'), record.severity.0, record.span_id.as_str()))
        .collect();
    let expected = [
        ("in outer", 9, &outer.span_id),
        ("in inner", 13, &inner.span_id),
        ("it failed", 17, &outer.span_id),
        ("told from outside", 9, &outer.span_id),
        ("no error value", 17, &named(&spans, "unhappy").span_id),
        ("outside of all", 17, &server.span_id),
    ];
    assert_eq!(told, expected.map(|(body, severity, span)| (body, severity, span.as_str())));
}

/// 0.3: requests of one instance; in both, futures of one request.
async fn branches_in_turns_keep_their_own_spans(abi: Abi) {
    const REQUESTS: usize = 16;
    let collector = Collector::start().await;
    let server = pounce().guest(abi, "traced").traced(&collector).start().await;
    let paths: Vec<_> = (0..REQUESTS).map(|id| format!("/branches?id={id}")).collect();
    let answers = join_all(paths.iter().map(|path| client::fetch_path(server.addr(), path))).await;
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    let spans = collector.spans(REQUESTS * 9).await;
    let mut ids: Vec<_> =
        spans.iter().filter(|span| span.parent.is_empty()).map(|span| span.int("id").unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, (0..REQUESTS as i64).collect::<Vec<_>>());
    for server in spans.iter().filter(|span| span.parent.is_empty()) {
        let id = server.int("id");
        let of_request: Vec<_> = spans.iter().filter(|span| span.trace_id == server.trace_id).collect();
        assert_eq!(of_request.len(), 9, "{of_request:?}");
        for span in of_request {
            assert_eq!(span.int("id"), id, "{span:?}");
            let parent = of_request_parent(&spans, span);
            match span.name.as_str() {
                "step" => assert_eq!(span.parent, server.span_id),
                "nested" => {
                    let parent = parent.expect("a parent");
                    assert_eq!((parent.name.as_str(), parent.int("branch")), ("step", span.int("branch")));
                }
                _ => assert_eq!(span.span_id, server.span_id),
            }
            for event in &span.events {
                assert_eq!(event.attributes.get("id"), span.attributes.get("id"), "{event:?} of {span:?}");
                assert_eq!(
                    event.attributes.get("branch"),
                    span.attributes.get("branch"),
                    "{event:?} of {span:?}"
                );
            }
            let expected = match (span.name.as_str(), span.int("branch")) {
                ("step", Some(branch)) if branch < 3 => &["step", "stepped"][..],
                ("nested", _) => &["nested"],
                _ => &[],
            };
            let events: Vec<_> = span.events.iter().map(|event| event.name.as_str()).collect();
            assert_eq!(events, expected, "{span:?}");
        }
    }
}

fn of_request_parent<'a>(spans: &'a [Span], span: &Span) -> Option<&'a Span> {
    spans.iter().find(|other| other.span_id == span.parent && other.trace_id == span.trace_id)
}

async fn a_panic_is_on_the_span_in_which_it_happens(abi: Abi) {
    let (status, spans, _) = asked(abi, "/panic", 2).await;
    assert_eq!(status, 500);
    let fragile = named(&spans, "fragile");
    let exception = fragile.event("exception");
    assert_eq!(
        (text(exception, "exception.type"), text(exception, "exception.message")),
        ("panic", "item 1, on purpose")
    );
    assert!(text(exception, "code.file.path").ends_with("work.rs"), "{exception:?}");
    assert!(exception.attributes.contains_key("code.line.number"), "{exception:?}");
    assert_eq!(fragile.status, Status::Error("item 1, on purpose".to_owned()));
    assert!(fragile.is_incomplete());
    // What the host knows of it, once.
    for spans in [spans, asked(abi, "/panic-bare", 1).await.1] {
        let server = spans.iter().find(|span| span.parent.is_empty()).expect("the request's span");
        assert_eq!(server.events.len(), 1, "{:?}", server.events);
        assert_eq!(text(server.event("exception"), "exception.type"), "wasm_trap.unreachable");
        assert!(text(server.event("exception"), "exception.message").contains("on purpose"));
    }
}

/// Serves what another language's toolchain has made, and asks it once.
async fn sdk(stem: &str, spans: usize) -> (Json, Vec<Span>, Collector) {
    let collector = Collector::start().await;
    let server = pounce().interpreted(stem).traced(&collector).start().await;
    let answer = client::fetch_path(server.addr(), "/").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let report = serde_json::from_slice(&answer.body).expect("JSON");
    let spans = collector.spans(spans).await;
    // Metrics and records leave at its end.
    server.stop().await.expect(0, &[]);
    (report, spans, collector)
}

/// What the guests of both languages have in common.
fn expect_sdk(language: &str, stem: &str, report: &Json, spans: &[Span], collector: &Collector) {
    let server = spans.iter().find(|span| span.parent.is_empty()).expect("the request's span");
    assert_eq!((server.name.as_str(), server.text("http.route")), ("GET /sdk/{language}", "/sdk/{language}"));
    assert_eq!((server.text("text"), server.int("whole")), ("a", Some(7)));
    assert_eq!(
        (server.int("negative"), server.attributes.get("below")),
        (Some(-7), Some(&Value::Double(-0.5)))
    );
    assert_eq!((server.int("big"), server.text("huge")), (Some(i64::MIN), "9223372036854775808"));
    let shown = |key: &str| {
        format!("{:?}", server.attributes.get(key).unwrap_or_else(|| panic!("{key} of {server:?}")))
    };
    for (key, value) in [
        ("half", "0.5"),
        ("yes", "true"),
        ("texts", "\"a\""),
        ("ints", "2"),
        ("doubles", "0.5"),
        ("booleans", "false"),
        ("bytes", "2"),
    ] {
        assert!(shown(key).contains(value), "{key}: {}", shown(key));
    }
    assert!(server.attributes.contains_key("odd"), "what cannot be shown is left standing");
    assert!(!server.attributes.contains_key("none"));
    assert_eq!(server.status, Status::Error("it broke".to_owned()));
    assert!(server.event("told").attributes.contains_key("n"));
    assert_eq!(text(server.event("exception"), "exception.message"), "it broke");
    assert!(server.event("exception").attributes.contains_key("code"));

    let linked = named(spans, "linked");
    assert_eq!((linked.int("a"), linked.int("b"), &linked.status), (Some(1), Some(2), &Status::Ok));
    let sync = named(spans, "sync");
    assert!(linked.links.len() == 2 && linked.links.iter().all(|link| link.span_id == sync.span_id));
    assert_eq!(named(spans, "in sync").parent, sync.span_id);
    assert_eq!(named(spans, "in sync").event("step").time, 1_700_000_000_000_000_000);
    assert_eq!(named(spans, "from remote").links[0].span_id, "b7ad6b7169203331");
    let asynchronous = named(spans, "async");
    for name in ["before", "after", "explicit"] {
        assert_eq!(named(spans, name).parent, asynchronous.span_id, "{name}\n{}", tree(spans));
    }
    for name in ["failing", "rejecting"] {
        let span = named(spans, name);
        assert_eq!(span.status, Status::Error("on purpose".to_owned()), "{name}");
        let exception = span.event("exception");
        assert_eq!(text(exception, "exception.type"), "TypeError");
        assert!(text(exception, "exception.stacktrace").contains("fail"), "{exception:?}");
    }

    assert_eq!(
        (&report["recording"], &report["nothing"], &report["enabled"]),
        (&json!(true), &json!(true), &json!(true))
    );
    assert_eq!(report["current"], json!(server.span_id));
    assert_eq!(report["inject"], json!(format!("00-{}-{}-03", server.trace_id, server.span_id)));
    assert_eq!(report["linked"], json!(format!("00-{}-{}-03", server.trace_id, linked.span_id)));
    assert_eq!((&report["set"], &report["refused"]), (&json!(true), &json!(false)));
    assert_eq!(report["baggage"], json!({"shop": "open"}));
    let extracted = &report["extracted"];
    assert_eq!(extracted.get("span_id").or(extracted.get("spanId")), Some(&json!("b7ad6b7169203331")));

    let records = collector.log_records();
    for (severity, number) in
        [("trace", 1), ("debug", 5), ("info", 9), ("warn", 13), ("error", 17), ("fatal", 21)]
    {
        let told = records.iter().any(|record| {
            record.body.trim_matches('"') == severity
                && record.severity.0 == number
                && record.span_id == server.span_id
        });
        // What is below the level of the log is not kept.
        assert_eq!(told, number >= 9, "{severity} in {records:?}");
    }
    let metrics = collector.metrics();
    for (name, kind) in [
        ("sdk.counter", "counter"),
        ("sdk.sum", "updown"),
        ("sdk.histogram", "histogram"),
        ("sdk.gauge", "gauge"),
    ] {
        let metric = metrics.iter().find(|metric| metric.name == name);
        assert!(
            metric.is_some_and(|metric| metric.kind == kind),
            "{language}, {stem}: {name} in {metrics:?}"
        );
    }
}

#[tokio::test]
async fn the_sdk_for_javascript_does_what_it_says() {
    let (report, spans, collector) = sdk("sdk-js", 14).await;
    expect_sdk("js", "sdk-js", &report, &spans, &collector);
    assert_eq!(report["thrown"], json!(["on purpose", "on purpose", "no error"]));
    assert_eq!(report["returned"], json!([2, 7]));
    // Nobody knows whose turn it is: of the request, not of a span that may be another's.
    let server = spans.iter().find(|span| span.parent.is_empty()).expect("the request's span");
    assert_eq!(named(&spans, "adrift").parent, server.span_id);
    assert_eq!(text(named(&spans, "odd").event("exception"), "exception.type"), "string");
}

#[tokio::test]
async fn the_sdk_for_python_does_what_it_says() {
    let (report, spans, collector) = sdk("sdk-py", 14).await;
    expect_sdk("py", "sdk-py", &report, &spans, &collector);
    assert_eq!(report["thrown"], json!(["on purpose", "on purpose"]));
    assert_eq!(report["returned"], json!([2, 7, 8]));
    assert_eq!(named(&spans, "in other").parent, named(&spans, "other").span_id, "{}", tree(&spans));
    let records = collector.log_records();
    let record = records.iter().find(|record| record.body.contains("by logging")).expect("what logging says");
    assert_eq!((record.severity.0, record.attributes.contains_key("logger.name")), (13, true));
}
