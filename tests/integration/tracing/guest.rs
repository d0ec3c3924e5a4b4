//! What a guest can do to the span by `pounce:telemetry`, and what it cannot.

use crate::support::attributes::expect;
use crate::support::client;
use crate::support::span::Span;
use crate::support::{Abi, Collector, for_both_abis, pounce};

for_both_abis!(
    all_kinds_of_values_arrive,
    what_the_host_knows_cannot_be_overwritten,
    limits_hold_and_are_counted,
);

/// The spans of a guest told to do each of `queries`, in order.
async fn spans_of(abi: Abi, queries: &[&str]) -> Vec<Span> {
    let collector = Collector::start().await;
    let server = pounce().guest(abi, "attributes").traced(&collector).start().await;
    for query in queries {
        let answer = client::fetch_path(server.addr(), &format!("/deeds?{query}")).await;
        assert!(answer.status.as_u16() < 600 && answer.error.is_none(), "{query}: {answer:?}");
    }
    collector.spans(queries.len()).await
}

/// The guest's own attributes of a span.
fn own(span: &Span, expected: &str) {
    let own = |key: &String| key.starts_with("guest.") || key.starts_with("many.") || key == "long";
    let attributes =
        span.attributes.iter().filter(|(key, _)| own(key)).map(|(k, v)| (k.clone(), v.clone())).collect();
    expect("attributes of the guest", &attributes, expected);
}

async fn all_kinds_of_values_arrive(abi: Abi) {
    let spans = spans_of(
        abi,
        &["fixed", "set.guest.a=1&set.guest.a=2", "via=current&set.guest.b=x&end&set.guest.c=y"],
    )
    .await;
    own(
        &spans[0],
        r#"guest.text = "hello"
           guest.boolean = true
           guest.int = 42
           guest.double = 0.5
           guest.bytes = 0x0001ff
           guest.texts = ["a", "b"]
           guest.booleans = [true, false]
           guest.ints = [1, -9223372036854775808]
           guest.doubles = [0.5, -1.0]
           guest.added = "by add_span_attribute"
           guest.current = true"#,
    );
    assert_eq!((spans[0].name.as_str(), spans[0].text("http.route")), ("GET /items/{id}", "/items/{id}"));
    let event = spans[0].event("guest.event");
    expect("attributes of the event", &event.attributes, "guest.step = 1");
    assert!((spans[0].start..=spans[0].end).contains(&event.time), "an event happens within its span");
    expect("attributes of the event", &spans[0].event("guest.current.event").attributes, "");
    own(&spans[1], r#"guest.a = "2""#);
    // Ending the handle does not end the server span: the host does.
    own(&spans[2], "guest.b = \"x\"\n guest.c = \"y\"");
}

async fn what_the_host_knows_cannot_be_overwritten(abi: Abi) {
    let forged = "int.http.response.status_code=200&int.http.response.body.size=1&set.pounce.component=other\
                  &set.pounce.invented=1&int.http.status_code=200&code=404";
    let spans = spans_of(abi, &[forged]).await;
    let span = &spans[0];
    assert_eq!(span.int("http.response.status_code"), Some(404));
    assert_eq!(span.int("http.status_code"), Some(404));
    assert!(span.int("http.response.body.size") > Some(1));
    assert_eq!(span.text("pounce.component"), abi.stem("attributes"));
    assert!(!span.attributes.contains_key("pounce.invented"), "that name is ours");
}

async fn limits_hold_and_are_counted(abi: Abi) {
    let spans = spans_of(abi, &["many=1000", "long=100000", "events=1000", "many=1000&many=1000"]).await;
    let many = |span: &Span| span.attributes.keys().filter(|key| key.starts_with("many.")).count();
    assert!((100..=128).contains(&many(&spans[0])), "{}", many(&spans[0]));
    assert_eq!(spans[0].dropped_attributes as usize + many(&spans[0]), 1000, "the rest is counted");
    assert_eq!(spans[0].int("many.1"), Some(1), "the first ones stay");
    let long = spans[1].text("long").len();
    assert!((1000..=8192).contains(&long), "{long} bytes");
    assert!((100..=128).contains(&spans[2].events.len()), "{} events", spans[2].events.len());
    assert_eq!(many(&spans[3]), many(&spans[0]), "setting the same again takes no more room");
    assert_eq!(spans[3].text("http.request.method"), "GET", "the host's own are not crowded out");
}
