//! What leaves: headers of outgoing requests, and names without number.

use super::{TIME, deed_at, expect_unaffected, guest, perform, somebody_else, trace_id};
use crate::support::origin::Origin;
use crate::support::{Abi, Collector, for_both_abis, pounce};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use std::collections::BTreeSet;

for_both_abis!(
    bytes_that_are_no_text_go_out_as_they_are,
    forged_trace_headers_are_replaced,
    without_an_origin_the_call_fails_and_nothing_else,
    routes_are_the_guests_and_paths_are_bounded,
);

/// Has a guest call an origin in that way; what the origin got, and the ids of the CLIENT spans, in order.
async fn calls(abi: Abi, path: &str) -> (Vec<crate::support::server::Arrived>, Vec<String>) {
    let (collector, origin) = (Collector::start().await, Origin::answering(200).await);
    let allowed = format!("http://{}", origin.addr());
    let server = guest(abi).flag("--allow-outbound", allowed).traced(&collector).start().await;
    perform(&server, &format!("{path}?url={}", origin.url("/")), trace_id(0)).await;
    somebody_else(&server, trace_id(1)).await;
    server.stop().await.expect(0, &[]);
    let (spans, others): (Vec<_>, Vec<_>) =
        collector.received().into_iter().partition(|span| span.trace_id == trace_id(0));
    expect_unaffected(&others);
    let calls = spans.into_iter().filter(|span| span.kind == SpanKind::Client);
    (origin.arrived(), calls.map(|span| span.span_id).collect())
}

async fn bytes_that_are_no_text_go_out_as_they_are(abi: Abi) {
    let (arrived, calls) = calls(abi, "/bad-headers").await;
    assert_eq!((arrived.len(), calls.len()), (2, 2));
    assert_eq!(arrived[0].headers["x-bytes"].as_bytes(), b"\xff\xfe\x80caf\xe9");
    for (request, call) in arrived.iter().zip(calls) {
        assert_eq!(request.values("traceparent"), [format!("00-{}-{call}-01", trace_id(0))]);
        assert_eq!(request.headers.get_all("tracestate").iter().count(), 0);
    }
}

async fn forged_trace_headers_are_replaced(abi: Abi) {
    let (arrived, calls) = calls(abi, "/forged-headers").await;
    assert_eq!((arrived.len(), calls.len()), (5, 5));
    for (request, call) in arrived.iter().zip(calls) {
        assert_eq!(request.values("traceparent"), [format!("00-{}-{call}-01", trace_id(0))]);
        assert_eq!(request.values("tracestate"), [""; 0], "32 KiB of somebody else's state");
    }
}

async fn without_an_origin_the_call_fails_and_nothing_else(abi: Abi) {
    let done = deed_at(guest(abi).serve(), "/forged-headers?url=http://127.0.0.1:9/").await;
    let calls: Vec<_> = done.spans.iter().filter(|span| span.kind == SpanKind::Client).collect();
    assert_eq!(calls.len(), 5);
    assert!(calls.iter().all(|span| span.text("error.type") == "http_request_denied"));
}

/// A guest that makes a route of every path has the names it asks for; paths that nobody named are bounded by us.
async fn routes_are_the_guests_and_paths_are_bounded(abi: Abi) {
    const PATHS: usize = 520;
    let collector = Collector::start().await;
    let server =
        pounce().guest(abi, "hostile").flag("--request-timeout", TIME).traced(&collector).start().await;
    for n in 0..PATHS {
        perform(&server, &format!("/routes?v=/r/{n}"), trace_id(n)).await;
    }
    let mut connection =
        crate::support::client::Connection::open(server.addr(), crate::support::Protocol::H1).await;
    for n in 0..PATHS {
        let answer = connection.fetch(crate::support::client::get(&format!("/none/{n}"))).await;
        assert_eq!(answer.status, 404);
    }
    let spans = collector.spans(2 * PATHS).await;
    let names = |prefix: &str| -> BTreeSet<_> {
        spans.iter().filter(|span| span.name.starts_with(prefix)).map(|span| span.name.clone()).collect()
    };
    assert_eq!(names("GET /r/").len(), PATHS, "the route is the guest's word");
    let paths = names("GET /none/").len();
    assert!((1..=500).contains(&paths), "{paths} names made of paths");
    let bare = spans.iter().filter(|span| span.name == "GET").count();
    assert_eq!(bare + paths, PATHS, "the others have none");
}
