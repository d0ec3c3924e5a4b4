//! Limits of spans: 128 attributes, events and links each, 1000 spans and 1 MiB a request; and the counts of the rest.

use super::deed;
use crate::support::span::{Span, Status};
use crate::support::{Abi, for_both_abis};

for_both_abis!(
    attributes_have_a_limit,
    a_key_set_over_and_over_takes_no_more_room,
    long_keys_are_dropped_and_long_values_cut,
    events_have_a_limit,
    links_have_a_limit,
    exceptions_have_a_limit,
    spans_have_a_limit,
    spans_entered_have_a_limit,
    all_spans_of_a_request_share_a_mebibyte,
);

const ATTRIBUTES: &str = "attributes dropped";
const EVENTS: &str = "span events dropped";
const LINKS: &str = "span links dropped";
const SPANS: &str = "spans under requests dropped";
const INVALID: &str = "telemetry calls of guests that were invalid or over a limit";

/// Attributes whose keys begin so.
fn count(span: &Span, prefix: &str) -> usize {
    span.attributes.keys().filter(|key| key.starts_with(prefix)).count()
}

async fn attributes_have_a_limit(abi: Abi) {
    let done = deed(abi, "/attributes?n=10000").await;
    let (server, own) = (done.server(), done.own("many attributes"));
    assert_eq!((count(server, "key "), count(server, "at once ")), (128, 0), "the first ones stay");
    assert_eq!(server.dropped_attributes, 20_000 - 128);
    assert_eq!((own.len(), count(own[0], "key "), own[0].dropped_attributes), (1, 128, 10_000 - 128));
    assert_eq!(server.int("key 127"), Some(127));
    assert_eq!(server.text("http.request.method"), "GET", "ours are not crowded out");
    assert_eq!(done.said(ATTRIBUTES), 30_000 - 2 * 128);
}

async fn a_key_set_over_and_over_takes_no_more_room(abi: Abi) {
    let done = deed(abi, "/same-key?n=10000").await;
    assert_eq!((done.server().int("same"), done.server().dropped_attributes), (Some(9999), 0));
    assert_eq!(done.said(ATTRIBUTES), 0);
}

async fn long_keys_are_dropped_and_long_values_cut(abi: Abi) {
    let done = deed(abi, "/big-key").await;
    let server = done.server();
    assert_eq!(server.text("long"), "x".repeat(4096));
    assert!(server.attributes.keys().all(|key| key.len() <= 256), "a key of 1 MiB");
    let size: usize = server.attributes.iter().map(|(key, value)| key.len() + value.to_string().len()).sum();
    assert!(size < 512 * 1024, "{size} bytes as text");
    assert!(matches!(&server.status, Status::Error(message) if message.len() <= 4096));
    let event = server.event("long");
    assert_eq!((event.attributes.len(), event.dropped_attributes), (1, 1), "the short key stays");
    // What was dropped of the span and of its event is all that is said.
    assert_eq!(done.said(ATTRIBUTES), u64::from(server.dropped_attributes + event.dropped_attributes));
    assert!(server.dropped_attributes >= 2, "both attributes with a key of 1 MiB");
}

async fn events_have_a_limit(abi: Abi) {
    let done = deed(abi, "/events?n=10000").await;
    for span in [done.server(), done.own("many events")[0]] {
        assert_eq!((span.events.len(), span.dropped_events), (128, 10_000 - 128), "{}", span.name);
        for (n, event) in span.events.iter().enumerate() {
            let expected = if n % 100 == 0 { (128, 72) } else { (1, 0) };
            assert_eq!(
                (event.attributes.len(), event.dropped_attributes),
                expected,
                "event {n} of {}",
                span.name
            );
        }
    }
    assert_eq!(done.said(EVENTS), 2 * (10_000 - 128));
    assert_eq!(done.said(ATTRIBUTES), 2 * 2 * 72);
}

async fn links_have_a_limit(abi: Abi) {
    let done = deed(abi, "/links?n=10000").await;
    let span = done.own("many links")[0];
    // Of nine contexts in turns three are valid; then each of eleven once, of which four are.
    let valid = 2 * 3334 + 4;
    assert_eq!((span.links.len(), u64::from(span.dropped_links)), (128, valid - 128));
    assert_eq!((done.said(LINKS), done.said(INVALID)), (valid - 128, 2 * 6666 + 7));
}

async fn exceptions_have_a_limit(abi: Abi) {
    let done = deed(abi, "/exceptions?n=1000").await;
    let server = done.server();
    assert_eq!((server.events.len(), server.dropped_events, done.said(EVENTS)), (128, 872, 872));
    let first = &server.events[0].attributes;
    assert_eq!(first["exception.message"].to_string().len(), 4096 + 2);
    assert_eq!(first["exception.stacktrace"].to_string().len(), 16 * 1024 + 2);
    assert_eq!(first.len(), 13, "type, message, stack trace and the guest's ten");
    assert_eq!(server.status, Status::Error("failure 999".into()), "the last one's");
}

async fn spans_have_a_limit(abi: Abi) {
    for (path, incomplete) in [("/span-bomb?n=100000&close", false), ("/span-bomb?n=5000", true)] {
        let done = deed(abi, path).await;
        let own = done.own("bomb ");
        assert_eq!((own.len(), done.spans.len()), (1000, 1001), "{path}");
        assert!(own.iter().all(|span| span.is_incomplete() == incomplete), "{path}");
        assert!(own.iter().all(|span| span.parent == done.server().span_id), "{path}");
        assert_eq!(done.said(SPANS), if incomplete { 4000 } else { 99_000 }, "{path}");
    }
}

async fn spans_entered_have_a_limit(abi: Abi) {
    // One span many times over: scopes beyond a limit do nothing.
    let done = deed(abi, "/scope-bomb?n=5000").await;
    assert_eq!((done.own("entered").len(), done.said(INVALID)), (1, 5000 - 1024));
    // Many spans, each in the one before: a chain.
    let done = deed(abi, "/span-bomb?n=3000&enter").await;
    assert_eq!((done.own("bomb ").len(), done.said(SPANS)), (1000, 2000));
    assert_eq!(done.said(INVALID), 3000 - 1024);
    let own = done.own("bomb ");
    let named = |name: &str| own.iter().find(|span| span.name == name).expect(name);
    assert_eq!(named("bomb 999").parent, named("bomb 998").span_id);
}

async fn all_spans_of_a_request_share_a_mebibyte(abi: Abi) {
    let done = deed(abi, "/big-spans?n=1000").await;
    let own = done.own("big ");
    let with = own.iter().filter(|span| span.text("long").len() == 4000).count();
    assert!((250..=262).contains(&with), "{with} attributes of 4000 bytes in a mebibyte");
    // Once it is full there is no room for names either. Each loss is counted as what it is.
    let dropped: u32 = own.iter().map(|span| span.dropped_attributes).sum();
    assert_eq!((dropped as usize, done.said(ATTRIBUTES)), (own.len() - with, (own.len() - with) as u64));
    assert_eq!(own.len() as u64 + done.said(SPANS), 1000);
    assert!(own.iter().all(|span| !span.is_incomplete()));
}
