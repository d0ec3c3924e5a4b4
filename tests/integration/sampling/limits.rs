//! The variables of limits, as a backend sees them.

use crate::support::client;
use crate::support::span::Span;
use crate::support::{Abi, Collector, for_both_abis, pounce};
use serde_json::Value as Json;

for_both_abis!(counts_are_as_set, lengths_are_as_set, logs_have_limits_of_their_own);

async fn span_of(abi: Abi, name: &str, path: &str, settings: &[(&str, &str)]) -> (Vec<Span>, String) {
    let collector = Collector::start().await;
    let builder =
        settings.iter().fold(pounce().guest(abi, name), |builder, (name, value)| builder.env(name, value));
    let server = builder.traced(&collector).start().await;
    client::fetch_path(server.addr(), path).await;
    let exit = server.stop().await;
    (collector.received(), exit.stderr)
}

fn count(span: &Span, prefix: &str) -> usize {
    span.attributes.keys().filter(|key| key.starts_with(prefix)).count()
}

async fn counts_are_as_set(abi: Abi) {
    let settings = [
        ("OTEL_ATTRIBUTE_COUNT_LIMIT", "5"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "3"),
        ("OTEL_SPAN_EVENT_COUNT_LIMIT", "2"),
        ("OTEL_SPAN_LINK_COUNT_LIMIT", "0"),
    ];
    let (spans, said) = span_of(abi, "attributes", "/?many=10&events=7&exception=x&many=4", &settings).await;
    let span = &spans[0];
    assert_eq!((count(span, "many."), span.dropped_attributes), (3, 7 + 1), "the last one came twice");
    assert_eq!((span.events.len(), span.dropped_events), (2, 6));
    assert_eq!(span.text("http.request.method"), "GET", "what we write stands");
    for (variable, times) in [("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", 1), ("OTEL_SPAN_EVENT_COUNT_LIMIT", 1)] {
        assert_eq!(said.matches(variable).count(), times, "{variable}: {said}");
    }
    // The general one counts where there is none of its own: for attributes of events.
    let (spans, _) = span_of(abi, "hostile", "/events?n=1", &settings).await;
    let event = &spans.iter().find(|span| span.name == "many events").expect("the span").events[0];
    assert_eq!((event.attributes.len(), event.dropped_attributes), (5, 195));
    let (spans, _) = span_of(abi, "spans", "/links", &settings).await;
    let span = spans.iter().find(|span| span.name == "links").expect("the span");
    assert_eq!(span.links.len(), 0);
    assert!(span.dropped_links >= 3, "{}", span.dropped_links);
    // More than we keep is capped, and said to be.
    let (spans, said) =
        span_of(abi, "attributes", "/?many=300", &[("OTEL_ATTRIBUTE_COUNT_LIMIT", "1000")]).await;
    assert_eq!((count(&spans[0], "many."), spans[0].dropped_attributes), (128, 172));
    assert!(
        said.contains("OTEL_ATTRIBUTE_COUNT_LIMIT: 1000 is more than Pounce keeps, and counts as 128"),
        "{said}"
    );
}

async fn lengths_are_as_set(abi: Abi) {
    let path = format!("/{}?long=5000&set.u=%C3%A4%C3%A4%C3%A4%C3%A4%C3%A4", "p".repeat(50));
    for (value, long, text, of_path) in
        [("4", 4, "ääää", 4), ("0", 0, "", 0), ("100", 100, "äääää", 51), ("5000", 4096, "äääää", 51)]
    {
        let settings =
            [("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "7"), ("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", value)];
        let (spans, said) = span_of(abi, "attributes", &path, &settings).await;
        let span = &spans[0];
        assert_eq!((span.text("long").len(), span.text("u")), (long, text), "{value}");
        assert_eq!(span.text("url.path").len(), of_path, "{value}: the host's own, too");
        let component = abi.stem("attributes");
        assert_eq!(span.text("pounce.component").len(), component.len().min(long), "{value}");
        assert_eq!(said.contains("counts as 4096"), value == "5000", "{said}");
    }
}

async fn logs_have_limits_of_their_own(abi: Abi) {
    let collector = Collector::start().await;
    let builder = pounce().guest(abi, "attributes").env("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", 2);
    let builder = builder.env("OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", 3);
    let server = builder.env("OTEL_BLRP_SCHEDULE_DELAY", 50).traced(&collector).start().await;
    client::fetch_path(server.addr(), "/?with.a=12345&with.b=1&with.c=1&log.info=whole+body&set.a=12345")
        .await;
    let record = &collector.log_records_of(1).await[0];
    let attributes: Vec<_> = record.attributes.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!((attributes.join(" "), record.dropped_attributes), ("a=\"123\" b=\"1\"".to_owned(), 1));
    assert_eq!(record.body, "\"whole body\"");
    let span = collector.span().await;
    assert_eq!(span.text("a"), "12345", "spans have other limits");
    let said = server.stop().await.stderr;
    let lines: Vec<Json> = said.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let told = lines.iter().filter(|line| line.to_string().contains("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT"));
    assert_eq!(told.count(), 1, "{said}");
}
