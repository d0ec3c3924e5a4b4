//! A stock SDK: what it makes arrives whole, in the trace of the request.

use super::ask;
use crate::support::attributes::expect;
use crate::support::origin::Origin;
use crate::support::span::{Span, Status, tree};
use crate::support::{Abi, Collector, for_both_abis, pounce};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

for_both_abis!(
    its_spans_are_children_of_the_request,
    an_outgoing_request_is_made_by_the_open_span,
    a_root_of_its_own_needs_trust,
    a_span_that_never_ends_is_counted,
);

fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no span {name}"))
}

async fn its_spans_are_children_of_the_request(abi: Abi) {
    let collector = Collector::start().await;
    let server = pounce().guest(abi, "otel").traced(&collector).start().await;
    let answer = ask(&server, "/traces").await;
    let spans = collector.spans(4).await;
    let (host, work, call, later) =
        (named(&spans, "GET /traces"), named(&spans, "work"), named(&spans, "call"), named(&spans, "later"));
    assert_eq!(answer["host"]["trace_id"], host.trace_id.as_str());
    assert_eq!(answer["host"]["span_id"], host.span_id.as_str());
    assert_eq!(
        (answer["host"]["sampled"].as_bool(), answer["host"]["is_remote"].as_bool()),
        (Some(true), Some(false))
    );
    for (span, parent) in [(work, host), (call, work), (later, host)] {
        assert_eq!((&span.trace_id, &span.parent), (&host.trace_id, &parent.span_id), "{}", span.name);
        assert_eq!(answer["spans"][&span.name], span.span_id.as_str(), "the guest's own id");
        assert_eq!((span.flags & 0xff, &span.resource), (host.flags & 0xff, &host.resource), "ours");
    }
    let component = format!("pounce.component = {:?}", abi.stem("otel"));
    work.expect_attributes(&format!(
        r#"{component}
           text = "hello"
           int = 42
           double = 0.5
           boolean = true
           ints = [1, 2]"#
    ));
    let scope = &work.scope;
    assert_eq!((scope.name.as_str(), scope.version.as_str()), ("guest.scope", "1.2.3"));
    assert_eq!(scope.schema_url, "https://opentelemetry.io/schemas/1.36.0");
    expect("attributes of the scope", &scope.attributes, "scope.kind = \"test\"");
    assert_ne!(host.scope.name, scope.name, "the host's spans are in the host's");
    expect("attributes of the event", &work.event("step").attributes, "n = 1");
    assert!((host.start..=host.end).contains(&work.event("step").time));
    assert_eq!(work.links[0].trace_id, "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(work.links[0].span_id, "b7ad6b7169203331");
    expect("attributes of the link", &work.links[0].attributes, "why = \"linked\"");
    assert_eq!((work.kind, work.status.clone()), (SpanKind::Internal, Status::Unset));
    assert_eq!((call.kind, call.status.clone()), (SpanKind::Client, Status::Error("it broke".into())));
    assert!(call.event("exception").attributes.contains_key("exception.message"));
    assert!(
        host.start <= work.start && work.start <= call.start && call.end <= work.end && work.end <= host.end
    );
    // What it says of times years ago is not believed.
    assert!(later.start + 1_000_000_000 >= host.start && later.end <= host.end, "{later:?}");
}

async fn an_outgoing_request_is_made_by_the_open_span(abi: Abi) {
    let (collector, origin) = (Collector::start().await, Origin::answering(200).await);
    let builder = pounce().guest(abi, "otel").traced(&collector);
    let server = builder.flag("--allow-outbound", format!("http://{}", origin.addr())).start().await;
    let answer = ask(&server, &format!("/call?url={}", origin.url("/x"))).await;
    assert_eq!(answer["call"], 200);
    let spans = collector.spans(3).await;
    assert_eq!(tree(&spans), "Server GET /call\n  Client caller\n    Client GET\n");
    let client = named(&spans, "GET");
    let expected = format!("00-{}-{}-", client.trace_id, client.span_id);
    assert!(origin.arrived()[0].values("traceparent")[0].starts_with(&expected), "what goes on the wire");
}

async fn a_root_of_its_own_needs_trust(abi: Abi) {
    let collector = Collector::start().await;
    let server = pounce().guest(abi, "otel").traced(&collector).start().await;
    ask(&server, "/root").await;
    let exit = server.stop().await;
    assert_eq!(collector.received().len(), 1, "the request's own");
    assert!(exit.stderr.contains("other traces than their requests"), "counted and said: {exit}");

    let builder = pounce().guest(abi, "otel").traced(&collector);
    let server = builder.flag("--otel-guest-parents", "adopt").start().await;
    let answer = ask(&server, "/root").await;
    let root = collector.span_where("root", |span| span.name == "root").await;
    assert_eq!((answer["trace_id"].as_str(), root.parent.as_str()), (Some(root.trace_id.as_str()), ""));
    let link = (root.links[0].trace_id.as_str(), root.links[0].span_id.as_str());
    assert_eq!(
        link,
        (answer["host"]["trace_id"].as_str().unwrap(), answer["host"]["span_id"].as_str().unwrap())
    );
}

async fn a_span_that_never_ends_is_counted(abi: Abi) {
    let collector = Collector::start().await;
    let server = pounce().guest(abi, "otel").traced(&collector).start().await;
    ask(&server, "/unended").await;
    ask(&server, "/traces").await;
    let exit = server.stop().await;
    assert_eq!(collector.received().len(), 5, "the unended one is not among them");
    assert!(exit.stderr.contains("began and never ended"), "{exit}");
}
