//! Spans that an SDK in the guest hands over: what stands of them, and what is ours.

use super::*;
use crate::settings::GuestParents::{Adopt, Link};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

fn id(number: u64) -> SpanId {
    SpanId(number.to_be_bytes())
}

/// A request with its server span.
fn request(telemetry: &Telemetry) -> (ServerSpan, SpanContext) {
    let server = telemetry.server_span(&peer(), &head("GET", "/", &[]));
    let context = server.context().unwrap();
    (server, context)
}

/// A span of the request's trace.
fn span(server: &SpanContext, number: u64, parent: Option<SpanId>) -> SdkSpan {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let now = now.as_nanos() as u64;
    SdkSpan {
        context: SpanContext { span_id: id(number), flags: 0, ..server.clone() },
        parent,
        kind: Kind::Internal,
        name: format!("span {number}"),
        start: now,
        end: now,
        attributes: vec![],
        events: vec![],
        links: vec![],
        status: Status::Unset,
        scope: SdkScope::default(),
        omitted: Omitted::default(),
    }
}

fn announce(server: &ServerSpan, context: &SpanContext, number: u64) -> Result<SpanContext, SdkSpanRefused> {
    server.announce(&SpanContext { span_id: id(number), flags: 0, ..context.clone() }, Link)
}

#[test]
fn all_that_a_span_says_is_kept() {
    let telemetry = recording(|_| {});
    let (server, context) = request(&telemetry);
    let own = announce(&server, &context, 1).unwrap();
    assert_eq!(own, SpanContext { span_id: id(1), ..context.clone() }, "the flags are ours");
    assert!(server.owns(&own), "others may name it as their parent");
    let elsewhere = SpanContext { trace_id: TraceId([7; 16]), span_id: id(9), ..context.clone() };
    let text = |text: &str| Value::Text(text.into());
    let taken = SdkSpan {
        kind: Kind::Producer,
        attributes: vec![
            ("n".into(), Value::Map(vec![("a".into(), Value::List(vec![Value::Null, Value::Int(1)]))])),
            ("pounce.forged".into(), Value::Int(1)),
        ],
        events: vec![(0, "early".into(), vec![]), (u64::MAX, "late".into(), vec![])],
        links: vec![(Some(Linked::remote(elsewhere)), vec![]), (None, vec![])],
        status: Status::Error("it broke".into()),
        scope: SdkScope {
            name: "scope".into(),
            version: Some("1".into()),
            schema_url: Some("https://example.com".into()),
            attributes: vec![("kind".into(), text("test"))],
        },
        omitted: Omitted { attributes: 5, events: u32::MAX, links: u32::MAX },
        ..span(&context, 1, Some(context.span_id))
    };
    server.take(taken, Link).unwrap();
    let totals = telemetry.totals();
    assert_eq!((totals.left_out.attributes, totals.left_out.events, totals.left_out.links), (1, 0, 1));
    let found = one(&telemetry);
    assert_eq!((found.name.as_str(), found.kind()), ("span 1", SpanKind::Producer));
    assert_eq!(
        (found.parent_span_id, found.flags & 0xff),
        (context.span_id.0.to_vec(), context.flags.into())
    );
    assert_eq!(found.status.unwrap().message, "it broke");
    let keys: Vec<_> = found.attributes.iter().map(|attribute| attribute.key.as_str()).collect();
    assert_eq!(keys, ["pounce.component", "n"], "the scope stands beside the span");
    let counts = (found.dropped_attributes_count, found.dropped_events_count, found.dropped_links_count);
    assert_eq!(counts, (6, u32::MAX, u32::MAX));
    let times: Vec<_> = found.events.iter().map(|event| event.time_unix_nano).collect();
    let recent = found.start_time_unix_nano - 2_000_000_000..found.end_time_unix_nano + 10_000_000_000;
    assert!(times.iter().all(|time| recent.contains(time)), "{times:?} of {recent:?}");
}

#[test]
fn a_parent_is_a_span_that_was_there_before_or_the_server_span() {
    let telemetry = recording(|_| {});
    let (server, context) = request(&telemetry);
    for number in [1, 2] {
        announce(&server, &context, number).unwrap();
    }
    let caller = id(77);
    for (number, parent) in
        [(2, Some(id(1))), (1, Some(id(2))), (3, Some(caller)), (4, None), (5, Some(id(5)))]
    {
        server.take(span(&context, number, parent), Link).unwrap();
    }
    let found = spans(&telemetry);
    let of = |number: u64| {
        let span = found.iter().find(|span| span.span_id == id(number).0).unwrap();
        let links: Vec<_> = span.links.iter().map(|link| link.span_id.clone()).collect();
        (span.parent_span_id.clone(), links)
    };
    let under_server = |links: &[SpanId]| {
        (context.span_id.0.to_vec(), links.iter().map(|id| id.0.to_vec()).collect::<Vec<_>>())
    };
    assert_eq!(of(2), (id(1).0.to_vec(), vec![]));
    assert_eq!(of(1), under_server(&[id(2)]), "no span is above its own parent");
    assert_eq!(of(3), under_server(&[caller]), "whoever that is");
    assert_eq!(of(4), under_server(&[]));
    assert_eq!(of(5), under_server(&[]), "nor its own parent");
}

#[test]
fn what_is_of_another_trace_needs_trust() {
    let telemetry = recording(|_| {});
    let (server, context) = request(&telemetry);
    let elsewhere = SpanContext { trace_id: TraceId([7; 16]), ..context.clone() };
    assert_eq!(
        server.announce(&SpanContext { span_id: id(1), ..elsewhere.clone() }, Link),
        Err(SdkSpanRefused::Foreign)
    );
    assert_eq!(server.take(span(&elsewhere, 1, None), Link), Err(SdkSpanRefused::Foreign));
    assert!(spans(&telemetry).is_empty());
    server.announce(&SpanContext { span_id: id(1), ..elsewhere.clone() }, Adopt).unwrap();
    for (number, parent) in [(2, Some(id(1))), (1, None), (3, Some(id(8)))] {
        server.take(span(&elsewhere, number, parent), Adopt).unwrap();
    }
    for found in spans(&telemetry) {
        assert_eq!(found.trace_id, [7; 16]);
        let number = found.span_id[7];
        let links: Vec<_> = found.links.iter().map(|link| link.span_id.clone()).collect();
        let to_server = vec![context.span_id.0.to_vec()];
        let expected = match number {
            1 => (vec![], to_server, 0x100),
            2 => (id(1).0.to_vec(), vec![], 0x100),
            _ => (id(8).0.to_vec(), to_server, 0x300),
        };
        assert_eq!((found.parent_span_id, links, found.flags & 0x300), expected, "span {number}");
    }
}

#[test]
fn an_id_is_taken_once_and_places_are_limited() {
    let telemetry = recording(|_| {});
    let (server, context) = request(&telemetry);
    announce(&server, &context, 1).unwrap();
    assert_eq!(announce(&server, &context, 1), Err(SdkSpanRefused::NoPlace), "announced before");
    let own = server.announce(&context, Link);
    assert_eq!(own, Err(SdkSpanRefused::NoPlace), "the host's own span");
    server.take(span(&context, 1, None), Link).unwrap();
    assert_eq!(server.take(span(&context, 1, None), Link), Err(SdkSpanRefused::Taken));
    let hosts = SdkSpan { context: context.clone(), ..span(&context, 1, None) };
    assert_eq!(server.take(hosts, Link), Err(SdkSpanRefused::Taken));
    let child = server.child(None, "child", ChildOptions::default());
    let childs = SdkSpan { context: child.context().unwrap(), ..span(&context, 1, None) };
    assert_eq!(server.take(childs, Link), Err(SdkSpanRefused::Taken));
    child.end(None);

    let placed = (10..100_010).filter(|number| announce(&server, &context, *number).is_ok()).count();
    assert_eq!(placed, 128, "open at a time");
    server.take(span(&context, 10, None), Link).unwrap();
    assert!(announce(&server, &context, 500).is_ok(), "the end of one makes room for another");
    for number in 1000..3000 {
        server.take(span(&context, number, None), Link).unwrap();
    }
    let found = spans(&telemetry).len() as u64;
    assert_eq!(found, 1000 - 128, "those still open have their places");
    assert_eq!(telemetry.totals().left_out.children, 3 + 2000 - found);
    server.close_children();
    assert_eq!(telemetry.totals().left_out.unended, 128);
    server.close_children();
    assert_eq!(telemetry.totals().left_out.unended, 128, "counted once");
}

#[test]
fn times_are_those_of_the_request() {
    let telemetry = recording(|_| {});
    let (server, context) = request(&telemetry);
    let now = span(&context, 1, None).start;
    for (number, start, end) in
        [(1, 0, u64::MAX), (2, u64::MAX, 0), (3, now, now - 5), (4, u64::MAX, u64::MAX)]
    {
        server.take(SdkSpan { start, end, ..span(&context, number, None) }, Link).unwrap();
    }
    let found = spans(&telemetry);
    let after = span(&context, 1, None).start;
    for span in &found {
        let (start, end) = (span.start_time_unix_nano, span.end_time_unix_nano);
        assert!(
            start <= end && end <= after && start + 2_000_000_000 > now,
            "{start} {end} of {now} {after}"
        );
    }
    let first = found.iter().find(|span| span.span_id == id(1).0).unwrap();
    assert!(first.start_time_unix_nano < now - 900_000_000, "a second before the request: clocks differ");
}

#[test]
fn without_a_record_there_is_nothing_to_take() {
    let telemetry = recording(|otel| otel.sampling = settings::Sampling::share(0.0));
    let (server, context) = request(&telemetry);
    assert!(announce(&server, &context, 1).is_err());
    assert!(server.take(span(&context, 1, None), Link).is_err());
    assert!(ServerSpan::off().take(span(&context, 1, None), Link).is_err());
    assert_eq!(telemetry.totals(), Totals::default());
}

#[test]
fn spans_are_grouped_by_the_scope_that_their_sdk_names() {
    let telemetry = recording(|_| {});
    let (server, context) = request(&telemetry);
    let named =
        |name: &str| SdkScope { name: name.into(), version: Some(name.repeat(2)), ..SdkScope::default() };
    for (number, scope) in [(1, "b"), (2, "a"), (3, "b"), (4, "")] {
        let taken = SdkSpan { scope: named(scope), ..span(&context, number, None) };
        server.take(taken, Link).unwrap();
    }
    server.end(0);
    let chunks = telemetry.spans().unwrap().pipeline.drain(false);
    let found: Vec<_> = crate::export::read(&chunks)
        .into_iter()
        .map(|of_scope| {
            let names: Vec<_> = of_scope.spans.into_iter().map(|span| span.name).collect();
            let scope = of_scope.scope.unwrap();
            (scope.name, scope.version, names.join(", "))
        })
        .collect();
    let ours = ("pounce".into(), env!("CARGO_PKG_VERSION").into(), "span 4, GET /".into());
    let theirs = |name: &str, spans: &str| (name.to_owned(), name.repeat(2), spans.to_owned());
    assert_eq!(found, [ours, theirs("b", "span 1, span 3"), theirs("a", "span 2")]);
}
