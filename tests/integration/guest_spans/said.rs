//! What a span says: kind, attributes, events, links, exceptions, status, name, times.

use super::{Case, REMOTE, START_BEFORE, T, case};
use crate::support::attributes::expect;
use crate::support::span::{Span, Status};
use crate::support::{Abi, for_both_abis};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

for_both_abis!(
    a_span_is_one_child_of_the_server_span,
    every_type_of_attribute_arrives,
    events_have_the_times_that_were_given,
    links_name_valid_spans_only,
    times_stay_within_the_request,
);

/// The component's name, which is on every span.
fn component(case: &Case) -> String {
    format!("pounce.component = {:?}", case.server().text("pounce.component"))
}

async fn a_span_is_one_child_of_the_server_span(abi: Abi) {
    for (path, name) in [("/plain", "plain"), ("/dropped", "dropped"), ("/renamed", "renamed")] {
        let case = case(abi, path).await;
        case.expect_tree(&format!("Internal {name}"));
        let (server, span) = (case.server(), case.span(name));
        span.expect_attributes(&component(&case));
        assert_eq!(server.text("pounce.component"), abi.stem("spans"));
        assert_eq!(span.status, Status::Unset, "nobody but the guest knows whether it went well");
        assert_eq!((span.events.len(), span.links.len()), (0, 0));
        assert_eq!((span.dropped_attributes, span.dropped_events, span.dropped_links), (0, 0, 0));
        assert!(server.start <= span.start && span.end <= server.end, "{path}");
        assert_eq!((span.parent_is_remote(), server.parent_is_remote()), (Some(false), Some(true)));
        assert_eq!(span.flags & 0xff, server.flags & 0xff, "flags of W3C");
        assert_eq!((&span.resource, &span.scope), (&server.resource, &server.scope));
        // What the guest was told is what came.
        let seen = case.seen(if name == "renamed" { "named" } else { name });
        assert_eq!(
            (seen["trace_id"].as_str(), seen["span_id"].as_str()),
            (Some(&*span.trace_id), Some(&*span.span_id))
        );
        let traceparent = format!("00-{}-{}-01", span.trace_id, span.span_id);
        assert_eq!((seen["recording"].as_bool(), seen["inject"].as_str()), (Some(true), Some(&*traceparent)));
        assert_eq!(case.seen["server"]["span_id"], server.span_id);
        assert_eq!(case.seen["recording"], true);
    }
}

async fn every_type_of_attribute_arrives(abi: Abi) {
    let case = case(abi, "/attributes").await;
    let expected = r#"
        text = "hello"
        boolean = true
        int = -9223372036854775808
        double = 0.5
        bytes = 0x0001ff
        texts = ["a", "b"]
        booleans = [true, false]
        ints = [1, 9223372036854775807]
        doubles = [0.5, -1.0]
        twice = 2"#;
    case.span("attributes").expect_attributes(&format!("{expected}\n{}", component(&case)));
}

async fn events_have_the_times_that_were_given(abi: Abi) {
    let case = case(abi, "/events").await;
    let span = case.span("events");
    let events: Vec<_> = span.events.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(events, ["now", "then", "zero", "last"], "in the order in which they came");
    assert!((span.start..=span.end).contains(&span.event("now").time));
    assert_eq!(span.event("then").time, T);
    expect("attributes of the event", &span.event("then").attributes, "n = 1");
    assert_eq!((span.event("zero").time, span.event("last").time), (0, u64::MAX));
}

async fn links_name_valid_spans_only(abi: Abi) {
    let session = super::session(super::guest(abi), &["/links"], "01").await;
    let case = &session.cases[0];
    case.expect_tree("Internal linked\nInternal links");
    let (links, linked) = (&case.span("links").links, case.span("linked"));
    let there = |link: usize| (links[link].trace_id.as_str(), links[link].span_id.as_str());
    let why = |link: usize| links[link].attributes["why"].to_string();
    assert_eq!(links.len(), 3, "{links:?}");
    assert_eq!((there(0), why(0)), (REMOTE, r#""options""#.to_owned()));
    assert_eq!((there(1), why(1)), (REMOTE, r#""added""#.to_owned()));
    assert_eq!(links[0].trace_state, "vendor=1");
    assert_eq!((there(2), why(2)), ((&*linked.trace_id, &*linked.span_id), r#""sibling""#.to_owned()));
    // The one of zeros is not lost in silence.
    session.exit.expect(0, &["telemetry calls of guests that were invalid or over a limit", "\"count\":1"]);
}

async fn times_stay_within_the_request(abi: Abi) {
    let case = case(abi, "/times").await;
    let server = case.server();
    let earliest = server.start - START_BEFORE;
    let length = |span: &Span| span.end - span.start;
    for name in ["times", "backwards", "begins then"] {
        assert_eq!(case.span(name).start, earliest, "{name}: 2023 is too long ago to be true");
    }
    // The end that was given lies before the start as it was cut, and the other before the one that was given. Backends
    // take a length of zero for a negative one.
    assert_eq!((length(case.span("times")), length(case.span("backwards"))), (1, 1));
    assert!(case.span("begins then").end >= server.start, "ended now");
    assert!(case.span("begins then").end <= server.end);
    assert!(case.spans.iter().all(|span| span.kind != SpanKind::Unspecified));
}
