//! What a sampled share says of itself: the threshold in `tracestate` (`ot=th:…`), by which receivers know how many
//! requests each span stands for, on spans and in all that guests send on; and what becomes of a caller's.

use super::{CALLER, TRACE};
use crate::support::client::{self, WithHeader};
use crate::support::origin::Origin;
use crate::support::pounce::{Builder, Pounce};
use crate::support::span::Span;
use crate::support::{Abi, Collector, Protocol, for_both_abis, pounce};
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;

for_both_abis!(
    a_share_is_told_on_spans_and_in_calls,
    a_routes_share_is_told_in_place_of_the_samplers,
    what_a_guest_is_given_has_it,
    a_guests_own_spans_have_it,
    a_callers_decision_is_passed_on_as_it_came,
    a_callers_random_bits_decide,
    a_member_that_breaks_a_rule_is_dropped_alone,
    a_kept_request_has_no_threshold,
);

/// A share that leaves out one trace in 2^24, and what is told of it.
const NEARLY_ALL: (&str, &str) = ("0.999999940395355224609375", "ot=th:000001");

/// A guest that calls `origin` once a request.
fn relay(abi: Abi, origin: &Origin) -> Builder {
    pounce().guest(abi, "relay").flag("--allow-outbound", format!("http://{}", origin.addr()))
}

/// Has the guest call the origin; the flags and the state that arrived there.
async fn call(server: &Pounce, origin: &Origin, headers: &[(&'static str, &str)]) -> (String, String) {
    let before = origin.arrived().len();
    let protocol = if before.is_multiple_of(2) { Protocol::H1 } else { Protocol::H2 };
    let request = client::post("/", json!([{ "url": origin.url("/"), "arguments": 1 }]).to_string());
    let request = headers.iter().fold(request, |request, (name, value)| request.with(name, value));
    assert_eq!(client::fetch(server.addr(), protocol, request).await.status, 200);
    let arrived = origin.arrived();
    let [parent] = arrived[before].values("traceparent")[..] else { panic!("{:?}", arrived[before]) };
    (parent[53..].to_owned(), arrived[before].values("tracestate").join(","))
}

/// The states of the spans, each once.
fn states(spans: &[Span]) -> BTreeSet<&str> {
    spans.iter().map(|span| span.trace_state.as_str()).collect()
}

async fn a_share_is_told_on_spans_and_in_calls(abi: Abi) {
    let origin = Origin::answering(200).await;
    for (share, isolation, leaves_out, told) in [
        ("0.5", "request", true, "ot=th:8"),
        ("traceidratio=0.25", "instance", true, "ot=th:c"),
        (NEARLY_ALL.0, "instance", false, NEARLY_ALL.1),
        ("1.0", "request", false, ""),
        ("always_on", "instance", false, ""),
    ] {
        let collector = Collector::start().await;
        let server = relay(abi, &origin).flag("--otel-sample", share).flag("--isolation", isolation);
        let server = server.traced(&collector).start().await;
        let (mut sampled, mut others) = (0, 0);
        // That of a half or a quarter so many are all alike comes once in 10^24 runs.
        while sampled + others < 200 && (sampled == 0 || (others == 0 && leaves_out)) {
            let (flags, state) = call(&server, &origin, &[]).await;
            match (flags.as_str(), state.as_str()) {
                ("03", state) if state == told => sampled += 1,
                ("02", "") => others += 1,
                said => panic!("{share}: {said:?}"),
            }
        }
        server.stop().await.expect(0, &[]);
        let spans = collector.received();
        assert_eq!((spans.len(), states(&spans)), (2 * sampled, BTreeSet::from([told])), "{share}");
    }
}

async fn a_routes_share_is_told_in_place_of_the_samplers(abi: Abi) {
    let collector = Collector::start().await;
    let server = pounce()
        .guest(abi, "hello")
        .flag("--otel-sample", NEARLY_ALL.0)
        .flag("--otel-sample-route", "/all=1")
        // One trace in 2^16 is left out.
        .flag("--otel-sample-route", "GET /most/{id}=0.9999847412109375")
        .traced(&collector)
        .start()
        .await;
    for (n, path) in ["/", "/all", "/most/7"].into_iter().enumerate() {
        let protocol = if n == 0 { Protocol::H1 } else { Protocol::H2 };
        assert_eq!(client::fetch(server.addr(), protocol, client::get(path)).await.status, 200);
    }
    let spans = collector.spans(3).await;
    let mut found: Vec<_> = spans.iter().map(|span| (span.text("url.path"), &*span.trace_state)).collect();
    found.sort_unstable();
    assert_eq!(found, [("/", NEARLY_ALL.1), ("/all", ""), ("/most/7", "ot=th:0001")]);
}

async fn what_a_guest_is_given_has_it(abi: Abi) {
    let collector = Collector::start().await;
    let server = pounce().guest(abi, "attributes").flag("--otel-sample", NEARLY_ALL.0);
    let server = server.traced(&collector).start().await;
    let seen: Json =
        serde_json::from_slice(&client::fetch_path(server.addr(), "/?fixed").await.body).unwrap();
    assert_eq!(seen["context"]["trace_state"], NEARLY_ALL.1, "{seen}");
    for given in ["inject", "inject_for"] {
        assert_eq!(seen[given]["tracestate"], NEARLY_ALL.1, "{given}");
    }
}

async fn a_guests_own_spans_have_it(abi: Abi) {
    let collector = Collector::start().await;
    let server = pounce().guest(abi, "spans").flag("--otel-sample", NEARLY_ALL.0);
    let server = server.traced(&collector).start().await;
    client::fetch_path(server.addr(), "/options").await;
    let spans = collector.spans(6).await;
    assert_eq!(states(&spans), BTreeSet::from([NEARLY_ALL.1]), "{spans:?}");
}

/// What arrives at the origin, and on which spans, of a request with this state.
async fn passed(server: &Pounce, origin: &Origin, flags: &str, state: &str) -> (String, String) {
    let parent = format!("00-{TRACE}-{CALLER}-{flags}");
    call(server, origin, &[("traceparent", &parent), ("tracestate", state)]).await
}

async fn a_callers_decision_is_passed_on_as_it_came(abi: Abi) {
    let (collector, origin) = (Collector::start().await, Origin::answering(200).await);
    let server = relay(abi, &origin).flag("--otel-sample", "0.5").traced(&collector).start().await;
    let rv = "rv:0123456789abcd";
    let mut sampled = BTreeSet::new();
    for (flags, given, sent) in [
        ("01", "a=1", "a=1".to_owned()),
        ("03", "a=1,ot=th:c,b=2", "a=1,ot=th:c,b=2".into()),
        ("01", &format!("ot={rv}"), format!("ot={rv}")),
        ("03", &format!("ot=th:0;{rv};p:8"), format!("ot=th:0;{rv};p:8")),
        // A trace that is not sampled has reached no threshold; its random bits stay.
        ("00", "a=1", "a=1".into()),
        ("00", "a=1,ot=th:c,b=2", "a=1,b=2".into()),
        ("02", &format!("a=1,ot={rv};th:c"), format!("ot={rv},a=1")),
        ("02", &format!("a=1,ot={rv}"), format!("a=1,ot={rv}")),
    ] {
        let arrived = passed(&server, &origin, flags, given).await;
        assert_eq!(arrived, (flags.to_owned(), sent.clone()), "{given}");
        if matches!(flags, "01" | "03") {
            sampled.insert(sent);
        }
    }
    server.stop().await.expect(0, &[]);
    let spans = collector.received();
    assert_eq!((spans.len(), states(&spans)), (8, sampled.iter().map(String::as_str).collect()));
}

/// Where the caller's decision does not count, but its trace does.
async fn a_callers_random_bits_decide(abi: Abi) {
    let (collector, origin) = (Collector::start().await, Origin::answering(200).await);
    let server =
        relay(abi, &origin).flag("--otel-sample", "traceidratio=0.5").traced(&collector).start().await;
    let (high, low) = ("rv:80000000000000", "rv:7fffffffffffff");
    // By its id alone the trace is left out: 48eb211c80319c is below a half.
    for (flags, given, (sampled, sent)) in [
        ("01", "", ("00", String::new())),
        ("01", "a=1,ot=th:c", ("00", "a=1".to_owned())),
        ("00", &format!("a=1,ot={high}"), ("01", format!("ot=th:8;{high},a=1"))),
        ("02", &format!("ot=th:c;{high},a=1"), ("03", format!("ot=th:8;{high},a=1"))),
        ("01", &format!("a=1,ot={low}"), ("00", format!("a=1,ot={low}"))),
        ("01", &format!("a=1,ot=th:8;{low}"), ("00", format!("ot={low},a=1"))),
        // What does not parse is no random value.
        ("00", "a=1,ot=rv:8000000000000", ("00", "a=1".into())),
        ("00", "a=1,ot=rv:8000000000000G", ("00", "a=1".into())),
    ] {
        let arrived = passed(&server, &origin, flags, given).await;
        assert_eq!(arrived, (sampled.to_owned(), sent), "{flags} {given}");
    }
    // Of a full list the last member gives way.
    let full: Vec<_> = (0..32).map(|n| format!("m{n}={n}")).collect();
    let kept = format!("ot=th:8,{}", full[..31].join(","));
    let parent = format!("00-{}-{CALLER}-00", "f".repeat(32));
    let headers = [("traceparent", parent.as_str()), ("tracestate", &full.join(","))];
    assert_eq!(call(&server, &origin, &headers).await, ("01".to_owned(), kept.clone()));
    server.stop().await.expect(0, &[]);
    let spans = collector.received();
    assert_eq!(spans.len(), 6);
    assert_eq!(states(&spans), BTreeSet::from([&*format!("ot=th:8;{high},a=1"), &*kept]));
}

async fn a_member_that_breaks_a_rule_is_dropped_alone(abi: Abi) {
    let (collector, origin) = (Collector::start().await, Origin::answering(200).await);
    let server = relay(abi, &origin).traced(&collector).start().await;
    let wrong = [
        "th:zz",
        "rv:12",
        "th:C",
        "rv:0123456789ABCD",
        "th:000000000000000",
        "th:",
        "th",
        "th:8;",
        "th:8;th:8",
        "th:8;rv:12",
        "TH:8",
        "x:a b",
    ];
    for value in wrong {
        let arrived = passed(&server, &origin, "01", &format!("a=1,ot={value},b=2")).await;
        assert_eq!(arrived, ("01".to_owned(), "a=1,b=2".to_owned()), "{value}");
    }
    let second = passed(&server, &origin, "01", "ot=th:8,a=1,ot=th:c").await;
    assert_eq!(second.1, "ot=th:8,a=1", "of two the one at the left was changed last");
    server.stop().await.expect(0, &[]);
    let spans = collector.received();
    assert_eq!(spans.len(), 2 * (wrong.len() + 1));
    assert_eq!(states(&spans), BTreeSet::from(["a=1,b=2", "ot=th:8,a=1"]));
}

/// Kept for its error: it stands for itself alone.
async fn a_kept_request_has_no_threshold(abi: Abi) {
    let collector = Collector::start().await;
    let server = pounce().guest(abi, "attributes").arg("--otel-keep-errors").flag("--otel-sample", "0.5");
    let server = server.traced(&collector).start().await;
    let parent = format!("00-{TRACE}-{CALLER}-00");
    let request = client::get("/?code=503").with("traceparent", &parent).with("tracestate", "ot=th:8,a=1");
    client::fetch(server.addr(), Protocol::H2, request).await;
    let span = collector.span().await;
    assert_eq!((span.flags & 0xff, span.trace_state.as_str()), (0, "a=1"), "of a caller that says one");
    assert_eq!(span.text("pounce.sampling.reason"), "error");
    // That so many are all alike comes once in 10^24 runs.
    let mut seen = BTreeSet::new();
    for n in 2..82 {
        client::fetch_path(server.addr(), "/?code=503").await;
        let spans = collector.spans(n).await;
        let span = spans.iter().find(|span| span.trace_id != TRACE && !seen.contains(&span.span_id));
        let span = span.expect("each request is exported");
        let said = (span.flags & 0xff, span.trace_state.as_str(), span.text("pounce.sampling.reason"));
        assert!([(3, "ot=th:8", ""), (2, "", "error")].contains(&said), "{said:?}");
        seen.insert(span.span_id.clone());
        if spans.iter().any(|span| span.flags & 1 == 1) && spans.iter().any(|span| span.flags & 0xff == 2) {
            break;
        }
    }
    server.stop().await;
    let all = collector.received();
    assert!(all.iter().any(|span| span.flags & 1 == 1) && all.iter().any(|span| span.flags & 0xff == 2));
}
