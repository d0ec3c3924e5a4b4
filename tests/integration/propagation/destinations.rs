//! Where trace context goes: `otel.propagate-to`.

use super::{PARENT, TRACE, relay, sent_parent, through};
use crate::support::client::{self, WithHeader};
use crate::support::origin::Origin;
use crate::support::server::Arrived;
use crate::support::{Abi, Collector, Protocol, for_both_abis, pounce};
use serde_json::{Value, json};

for_both_abis!(
    others_get_nothing_not_even_what_the_guest_has_set,
    what_is_left_out_is_removed_in_every_format,
    what_inject_gave_goes_nowhere_else_either,
    traces_that_are_only_looked_at_keep_to_the_rules,
    with_telemetry_off_it_changes_nothing,
);

/// Headers of every format, as a guest may have them from its caller.
const STALE: [(&str, &str); 20] = [
    ("traceparent", "00-11111111111111111111111111111111-1111111111111111-01"),
    ("tracestate", "stale=1"),
    ("baggage", "stale=1"),
    ("b3", "11111111111111111111111111111111-1111111111111111-1"),
    ("x-b3-traceid", "11111111111111111111111111111111"),
    ("x-b3-spanid", "1111111111111111"),
    ("x-b3-parentspanid", "2222222222222222"),
    ("x-b3-sampled", "true"),
    ("x-b3-flags", "1"),
    ("uber-trace-id", "1:1:0:1"),
    ("uberctx-user", "stale"),
    ("jaeger-debug-id", "stale"),
    ("jaeger-baggage", "stale=1"),
    ("x-amzn-trace-id", "Root=1-67891233-abcdef012345678912345678;Sampled=1"),
    ("x-datadog-trace-id", "1"),
    ("x-datadog-parent-id", "1"),
    ("x-datadog-sampling-priority", "1"),
    ("x-datadog-origin", "stale"),
    ("x-datadog-tags", "_dd.p.dm=-1"),
    ("ot-tracer-traceid", "1111111111111111"),
];

/// What the guest is told to send: [`STALE`], and a header that is none of ours.
fn stale() -> Value {
    let mut headers: serde_json::Map<_, _> =
        STALE.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    headers.insert("x-own".to_owned(), json!("kept"));
    json!({ "headers": headers })
}

/// The names of [`STALE`] that arrived, in order; none may have the value that the guest sent.
fn names(arrived: &Arrived) -> Vec<&'static str> {
    assert_eq!(arrived.values("x-own"), ["kept"]);
    let here = STALE.iter().filter(|(name, _)| arrived.headers.contains_key(*name));
    here.map(|(name, value)| {
        assert!(!arrived.values(name).contains(value), "{name} is the guest's: {:?}", arrived.headers);
        *name
    })
    .collect()
}

async fn what_is_left_out_is_removed_in_every_format(abi: Abi) {
    let (collector, origin) = (Collector::start().await, Origin::answering(200).await);
    let parent = format!("00-{TRACE}-{PARENT}-01");
    let b3 = format!("{TRACE}-{PARENT}-1");
    let brought = [("traceparent", parent.as_str()), ("b3", &b3), ("baggage", "b=2")];
    let several = ["x-b3-traceid", "x-b3-spanid", "x-b3-sampled"];
    for (propagators, sampler, isolation, sent) in [
        ("tracecontext,baggage", "always_on", "request", &["traceparent", "baggage"][..]),
        ("tracecontext", "always_off", "instance", &["traceparent"]),
        ("baggage", "always_on", "instance", &["baggage"]),
        ("b3", "always_on", "request", &["b3"]),
        ("b3", "always_off", "instance", &["b3"]),
        ("b3multi", "always_on", "instance", &several),
        ("none", "always_on", "request", &[]),
        ("none", "always_off", "instance", &[]),
    ] {
        for to in ["*", "none"] {
            let server = relay(abi, &origin)
                .flag("--otel-propagators", propagators)
                .flag("--otel-propagate-to", to)
                .flag("--isolation", isolation)
                .env("OTEL_TRACES_SAMPLER", sampler)
                .traced(&collector)
                .start()
                .await;
            let arrived = through(&server, &origin, &brought, stale()).await;
            let expected = if to == "none" { &[][..] } else { sent };
            assert_eq!(names(&arrived), expected, "{propagators} to {to}, {sampler}");
            server.stop().await.expect(0, &[]);
        }
    }
}

/// The headers that `inject` gave, which a guest may set itself.
async fn what_inject_gave_goes_nowhere_else_either(abi: Abi) {
    let origin = Origin::answering(200).await;
    for whose in ["server", "child"] {
        let collector = Collector::start().await;
        let server = pounce()
            .guest(abi, "calls")
            .flag("--allow-outbound", format!("http://{}", origin.addr()))
            .flag("--otel-propagate-to", "none")
            .traced(&collector)
            .start()
            .await;
        let path = format!("/calls?url={}&traceparent={whose}&baggage=c%3D3", origin.url("/"));
        let request = client::get(&path).with("traceparent", format!("00-{TRACE}-{PARENT}-01"));
        let answer = client::fetch(server.addr(), Protocol::H2, request).await;
        let told: Value = serde_json::from_slice(&answer.body).unwrap();
        assert!(told["traceparent"].as_str().unwrap().starts_with(&format!("00-{TRACE}-")), "{told}");
        server.stop().await.expect(0, &[]);
        let arrived = origin.arrived().pop().expect("a call");
        assert_eq!(["traceparent", "baggage"].map(|name| arrived.values(name).concat()), [""; 2], "{whose}");
    }
    assert_eq!(origin.arrived().len(), 2);
}

/// Without an endpoint, for the admin listener alone.
async fn traces_that_are_only_looked_at_keep_to_the_rules(abi: Abi) {
    let origin = Origin::answering(200).await;
    for (to, sent) in [("*", &["traceparent"][..]), ("none", &[])] {
        let server = relay(abi, &origin)
            .flag("--admin-listen", "127.0.0.1:0")
            .flag("--otel-propagate-to", to)
            .start()
            .await;
        let arrived = through(&server, &origin, &[], stale()).await;
        assert_eq!(names(&arrived), sent, "{to}");
    }
}

const NAMES: [&str; 3] = ["traceparent", "tracestate", "baggage"];

async fn others_get_nothing_not_even_what_the_guest_has_set(abi: Abi) {
    let parent = format!("00-{TRACE}-{PARENT}-01");
    let brought = [("traceparent", parent.as_str()), ("tracestate", "a=1"), ("baggage", "b=2")];
    let forwards = json!({
        "headers": { "traceparent": parent, "tracestate": "a=1", "baggage": "b=2", "x-own": "kept" },
        "baggage": { "c": "3" },
    });
    for (to, sampler, goes) in [
        (&["127.0.0.1:*"][..], "always_on", true),
        (&["http://internal.example", "*"], "always_off", true),
        (&["*.internal.example", "https://127.0.0.1:*"], "always_on", false),
        (&["none"], "always_off", false),
    ] {
        let (collector, origin) = (Collector::start().await, Origin::answering(200).await);
        let server =
            to.iter().fold(relay(abi, &origin), |builder, to| builder.flag("--otel-propagate-to", to));
        let server = server.env("OTEL_TRACES_SAMPLER", sampler).traced(&collector).start().await;
        let arrived = through(&server, &origin, &brought, forwards.clone()).await;
        if goes {
            assert_eq!(sent_parent(&arrived).0, TRACE);
            assert_eq!(arrived.values("baggage"), ["b=2,c=3"]);
        } else {
            let sent = NAMES.map(|name| arrived.values(name).concat());
            assert_eq!(sent, [""; 3], "{to:?} {sampler}");
        }
        assert_eq!(arrived.values("x-own"), ["kept"]);
        server.stop().await.expect(0, &[]);
        // The call is on the trace all the same.
        let spans = collector.received();
        assert_eq!(spans.len(), if sampler == "always_on" { 2 } else { 0 });
        assert!(spans.iter().all(|span| span.trace_id == TRACE));
    }
}

async fn with_telemetry_off_it_changes_nothing(abi: Abi) {
    let origin = Origin::answering(200).await;
    let server = relay(abi, &origin).serve().flag("--otel-propagate-to", "none").start().await;
    let arrived = through(&server, &origin, &[], stale()).await;
    for (name, value) in STALE {
        assert_eq!(arrived.values(name), [value], "{name}");
    }
}
