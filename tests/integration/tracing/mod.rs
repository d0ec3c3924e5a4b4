//! The server span: names, parents, attributes of each profile, sampling, resource, the guest's own attributes.

use crate::support::span::{Span, Status};
use crate::support::{Abi, Collector, client, for_both_abis, pounce};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use std::time::{SystemTime, UNIX_EPOCH};

/// What a span must say, line by line.
mod expected;
/// What a guest can do to the span.
mod guest;
/// Headers on spans.
mod headers;
/// Names, and the bound on their number.
mod names;
/// Whose child it is, and whether it is kept.
mod parents;
/// The guest's time on a processor.
mod processor;
/// The exact attributes of each profile, for each way a request can end.
mod profiles;
/// Who says so: the resource.
mod resource;

for_both_abis!(
    a_request_is_one_server_span,
    it_lasts_until_the_end_of_the_body,
    a_trap_is_an_exception_with_a_backtrace
);

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    u64::try_from(now.as_nanos()).expect("before 2554")
}

async fn a_request_is_one_server_span(abi: Abi) {
    let collector = Collector::start().await;
    let server = pounce().guest(abi, "hello").traced(&collector).start().await;
    let before = now();
    client::fetch_path(server.addr(), "/hello").await;
    let span = collector.span().await;
    assert_eq!((span.name.as_str(), span.kind), ("GET /hello", SpanKind::Server));
    assert_eq!(span.status, Status::Ok);
    assert_eq!(span.parent, "", "nobody called us with a trace");
    assert_eq!(span.flags & 0xff, 3, "sampled, and its trace id is random");
    assert!(!span.scope.name.is_empty());
    assert!(before <= span.start && span.end <= now(), "{before} {} {} {}", span.start, span.end, now());
    assert_eq!(span.text("http.request.method"), "GET");
    assert_eq!(span.int("http.response.status_code"), Some(200));
    assert_eq!(span.text("pounce.component"), abi.stem("hello"));
    assert_eq!(span.dropped_attributes, 0);
}

async fn it_lasts_until_the_end_of_the_body(abi: Abi) {
    let collector = Collector::start().await;
    let server = pounce().guest(abi, "slow").traced(&collector).start().await;
    client::fetch_path(server.addr(), "/?ms=200&chunks=3&body_ms=200").await;
    let span = collector.span().await;
    assert!(span.end - span.start >= 800_000_000, "{} ns", span.end - span.start);
    assert_eq!(span.int("http.response.body.size"), Some(24));
}

async fn a_trap_is_an_exception_with_a_backtrace(abi: Abi) {
    let collector = Collector::start().await;
    let server = pounce().guest(abi, "trap").traced(&collector).start().await;
    client::fetch_path(server.addr(), "/stack-overflow").await;
    client::fetch_path(server.addr(), "/oob").await;
    let spans = collector.spans(2).await;
    for (path, kind, function) in
        [("/stack-overflow", "stack_overflow", "recurse"), ("/oob", "out_of_bounds", "read_beyond_memory")]
    {
        let span = spans.iter().find(|span| span.text("url.path") == path).expect(path);
        let exception = span.event("exception");
        assert!((span.start..=span.end).contains(&exception.time), "{path}");
        let text =
            |key: &str| exception.attributes.get(key).unwrap_or_else(|| panic!("no {key}")).to_string();
        assert!(text("exception.type").contains(kind), "{path}: {}", text("exception.type"));
        assert!(text("exception.message").len() > 10, "{path}: {}", text("exception.message"));
        let trace = text("exception.stacktrace");
        // Demangled: the file's own names, without the compiler's hashes.
        assert!(
            trace.contains(function) && !trace.contains("_ZN") && !trace.contains("17h"),
            "{path}: {trace}"
        );
        assert!(trace.len() < 20 * 1024, "{path}: {} bytes", trace.len());
        let keys: Vec<_> = exception.attributes.keys().collect();
        assert_eq!(keys, ["exception.message", "exception.stacktrace", "exception.type"], "{path}");
    }
}

/// Two spans of one request, or one of none, would be a tree nobody asked for.
#[tokio::test]
async fn each_request_is_a_tree_of_its_own() {
    let collector = Collector::start().await;
    let server = pounce().fixture("status.wat").traced(&collector).start().await;
    for status in [200, 404, 500] {
        client::fetch_path(server.addr(), &format!("/{status}")).await;
    }
    let spans = collector.spans(3).await;
    assert_eq!(crate::support::span::tree(&spans), "Server GET /200\nServer GET /404\nServer GET /500\n");
    let traces: std::collections::BTreeSet<_> = spans.iter().map(|span| &span.trace_id).collect();
    assert_eq!(traces.len(), 3, "unrelated requests share a trace");
    let statuses: Vec<_> = spans.iter().map(Span::failed).collect();
    assert_eq!(statuses, [false, false, true]);
}
