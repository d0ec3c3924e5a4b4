//! Where trace context goes: `otel.propagate-to`.

use super::{PARENT, TRACE, relay, sent_parent, through};
use crate::support::origin::Origin;
use crate::support::{Abi, Collector, for_both_abis};
use serde_json::json;

for_both_abis!(others_get_nothing_not_even_what_the_guest_has_set, with_telemetry_off_it_changes_nothing);

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
    let server = relay(abi, &origin).flag("--otel-propagate-to", "none").start().await;
    let own = json!({ "headers": { "traceparent": "own", "baggage": "own=1" } });
    let arrived = through(&server, &origin, &[], own).await;
    assert_eq!((arrived.values("traceparent"), arrived.values("baggage")), (vec!["own"], vec!["own=1"]));
}
