//! How spans end: left open, ended twice, used after their end.

use super::{START_BEFORE, case, guest, session};
use crate::support::client;
use crate::support::span::Status;
use crate::support::{Abi, Collector, for_both_abis};

for_both_abis!(
    what_a_guest_leaves_open_the_host_ends_and_marks,
    an_open_span_of_a_shared_instance_is_ended_by_the_next_request,
    only_the_first_end_counts,
    what_comes_after_the_end_is_dropped_and_counted,
    the_sdks_request_spans_end,
);

async fn what_a_guest_leaves_open_the_host_ends_and_marks(abi: Abi) {
    // At the latest when the server stops.
    for isolation in ["request", "instance"] {
        let builder = guest(abi).flag("--isolation", isolation);
        let session = session(builder, &["/open"], "01").await;
        let case = &session.cases[0];
        case.expect_tree("Internal open");
        let (span, server) = (case.span("open"), case.server());
        let component = server.text("pounce.component");
        span.expect_attributes(&format!("pounce.incomplete = true\n pounce.component = {component:?}"));
        assert!(span.start >= server.start && span.end >= span.start, "{isolation}");
        assert_eq!(span.status, Status::Unset, "{isolation}");
        let totals = session.exit.totals();
        assert_eq!((totals.ended, totals.exported), (2, 2), "{isolation}: {}", session.exit);
    }
}

/// It is no later than the next request in its place that a span of the one before is known to be left.
async fn an_open_span_of_a_shared_instance_is_ended_by_the_next_request(abi: Abi) {
    let collector = Collector::start().await;
    let builder = guest(abi).flag("--isolation", "instance").flag("--concurrency", 1);
    let server = builder.traced(&collector).start().await;
    for path in ["/open", "/plain"] {
        assert_eq!(client::fetch_path(server.addr(), path).await.status, 200);
    }
    let spans = collector.spans(4).await;
    let span = |name: &str| spans.iter().find(|span| span.name == name).expect(name);
    assert!(span("open").is_incomplete() && !span("plain").is_incomplete());
    assert_eq!(span("open").parent, span("GET /open").span_id);
    assert_eq!(span("plain").parent, span("GET /plain").span_id);
}

async fn only_the_first_end_counts(abi: Abi) {
    let case = case(abi, "/ended-twice").await;
    case.expect_tree("Internal ended twice");
    let (span, server) = (case.span("ended twice"), case.server());
    // Both ends lie in 2023, before the earliest start that is believed.
    assert_eq!((span.start, span.end), (server.start - START_BEFORE, server.start - START_BEFORE + 1));
    assert!(!span.is_incomplete());
}

async fn what_comes_after_the_end_is_dropped_and_counted(abi: Abi) {
    let session = session(guest(abi), &["/used-after-end"], "01").await;
    let case = &session.cases[0];
    case.expect_tree("Internal used after end\n  Internal child of an ended span");
    let span = case.span("used after end");
    let component = case.server().text("pounce.component");
    span.expect_attributes(&format!("before = 1\n pounce.component = {component:?}"));
    assert_eq!((span.events.len(), span.links.len(), &span.status), (0, 0, &Status::Unset));
    // Attribute, attributes, event, link, status and name.
    let line = session.exit.stderr.lines().find(|line| line.contains("writes to spans that had ended"));
    assert!(line.is_some_and(|line| line.contains("\"count\":6")), "{}", session.exit);
}

async fn the_sdks_request_spans_end(abi: Abi) {
    let case = case(abi, "/request").await;
    case.expect_tree("Server POST /orders/{id}\nInternal GET");
    let component = case.server().text("pounce.component");
    let order = case.span("POST /orders/{id}");
    order.expect_attributes(&format!(
        r#"http.request.method = "POST"
           url.path = "/orders/7"
           http.route = "/orders/{{id}}"
           http.response.status_code = 503
           error.type = "503"
           pounce.component = {component:?}"#
    ));
    assert_eq!(order.scope.name, "orders", "its service");
    assert_eq!(order.status, Status::Error(String::new()));
    assert_eq!((order.links[0].trace_id.as_str(), order.links[0].span_id.as_str()), super::REMOTE);
    let health = case.span("GET");
    health.expect_attributes(&format!(
        r#"http.request.method = "GET"
           url.path = "/health"
           http.response.status_code = 500
           error.type = "guest.Sick"
           pounce.component = {component:?}"#
    ));
    assert_eq!(health.status, Status::Error("not well".into()));
}
