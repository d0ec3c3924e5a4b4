//! B3 through the real server.

use super::{Headers, PARENT, TRACE, relay, sent_parent, through};
use crate::support::client::{self, WithHeader};
use crate::support::origin::Origin;
use crate::support::server::Arrived;
use crate::support::{Abi, Collector, Protocol, for_both_abis, pounce};
use serde_json::{Value, json};

for_both_abis!(
    a_trace_goes_on_in_one_header_or_in_several,
    the_callers_decision_stands,
    several_formats_are_read_in_order_and_all_written,
    without_a_propagator_nothing_is_read_or_sent,
    a_guest_gets_what_is_set,
);

fn single(arrived: &Arrived) -> Vec<&str> {
    let [sent] = arrived.values("b3")[..] else { panic!("one b3 header: {:?}", arrived.headers) };
    sent.split('-').collect()
}

async fn a_trace_goes_on_in_one_header_or_in_several(abi: Abi) {
    let (collector, origin) = (Collector::start().await, Origin::answering(200).await);
    let (one, short) =
        (format!("{TRACE}-{PARENT}-1"), format!("{}-{PARENT}-d-05e3ac9a4f6e3b90", &TRACE[16..]));
    let padded = format!("{}{}", "0".repeat(16), &TRACE[16..]);
    let several = [("X-B3-TraceId", TRACE), ("X-B3-SpanId", PARENT), ("X-B3-Sampled", "true")];
    let several = several.map(|(name, value)| (&*name.to_lowercase().leak(), value));
    let cases: [(Headers<'_>, &str); 3] =
        [(&[("b3", &one)], TRACE), (&[("b3", &short)], &padded), (&several, TRACE)];
    // A stale one that the guest forwards is in the way in either form.
    let stale =
        json!({ "headers": { "b3": "0", "x-b3-traceid": "1", "x-b3-flags": "1", "x-b3-parentspanid": "2" } });
    let mut parents = Vec::new();
    for propagator in ["b3", "b3multi"] {
        let server = relay(abi, &origin).traced(&collector).env("OTEL_PROPAGATORS", propagator).start().await;
        for (brought, trace) in cases {
            let arrived = through(&server, &origin, brought, stale.clone()).await;
            let values = |name| arrived.values(name).concat();
            let (sent_trace, sent_span, decision) = if propagator == "b3" {
                assert_eq!(
                    arrived.headers.keys().filter(|name| name.as_str().starts_with("x-b3")).count(),
                    0
                );
                let [trace, span, decision] = single(&arrived)[..] else { panic!("{:?}", arrived.headers) };
                (trace.to_owned(), span.to_owned(), decision.to_owned())
            } else {
                let rest = ["b3", "x-b3-flags", "x-b3-parentspanid"].map(values);
                assert_eq!(rest, [""; 3]);
                (values("x-b3-traceid"), values("x-b3-spanid"), values("x-b3-sampled"))
            };
            assert_eq!((sent_trace.as_str(), decision.as_str()), (trace, "1"), "{propagator} {brought:?}");
            assert_eq!(arrived.values("traceparent"), [""; 0]);
            parents.push((sent_trace, sent_span));
        }
        server.stop().await.expect(0, &[]);
    }
    let spans = collector.received();
    for (trace, span) in parents {
        assert!(spans.iter().any(|own| (&own.trace_id, &own.span_id) == (&trace, &span)), "{span} is ours");
    }
    assert_eq!(spans.iter().filter(|span| span.parent == PARENT).count(), 6);
}

/// How many of the requests with these headers are recorded.
async fn recorded(settings: &[(&str, &str)], headers: Headers<'_>) -> usize {
    let collector = Collector::start().await;
    let server = pounce().serve().fixture("status.wat").traced(&collector).env("OTEL_PROPAGATORS", "b3");
    let server =
        settings.iter().fold(server, |builder, (name, value)| builder.env(name, value)).start().await;
    let request =
        headers.iter().fold(client::get("/200"), |request, (name, value)| request.with(name, value));
    assert_eq!(client::fetch(server.addr(), Protocol::H1, request).await.status, 200);
    server.stop().await.expect(0, &[]);
    collector.received().len()
}

async fn the_callers_decision_stands(abi: Abi) {
    // Not the guest's concern: the two versions share the cases.
    let ids = format!("{TRACE}-{PARENT}");
    let with = |decision: &str| format!("{ids}{decision}");
    let keep_none = &[("POUNCE_OTEL_SAMPLE", "0")][..];
    let cases = [
        (&[][..], with("-0"), 0),
        (&[], with("-1"), 1),
        (keep_none, with("-1"), 1),
        (keep_none, with("-d"), 1),
        // Left to us.
        (&[], with(""), 1),
        (keep_none, with(""), 0),
        // Forbidden without a trace; demanded without one counts for nothing.
        (&[], "0".into(), 0),
        (keep_none, "1".into(), 0),
        (&[], "nonsense".into(), 1),
        (&[("OTEL_TRACES_SAMPLER", "always_on")], "0".into(), 1),
    ];
    let half = usize::from(abi == Abi::P3);
    for (settings, value, expected) in cases.into_iter().skip(half).step_by(2) {
        assert_eq!(recorded(settings, &[("b3", &value)]).await, expected, "{settings:?} {value}");
    }
}

async fn several_formats_are_read_in_order_and_all_written(abi: Abi) {
    let (collector, origin) = (Collector::start().await, Origin::answering(200).await);
    let all = "b3multi,b3,baggage,tracecontext,b3,jaeger";
    let server = relay(abi, &origin).serve().traced(&collector).env("OTEL_PROPAGATORS", all);
    let mut server = server.start().await;
    server.logged(&["OTEL_PROPAGATORS", "jaeger"]).await;
    let other = "1".repeat(32);
    let (w3c, b3) = (format!("00-{TRACE}-{PARENT}-01"), format!("{other}-{PARENT}-0"));
    for (brought, trace, decision) in [
        (&[("b3", b3.as_str()), ("traceparent", &w3c), ("tracestate", "a=1")][..], TRACE, "1"),
        (&[("b3", &b3), ("traceparent", "00-broken"), ("tracestate", "a=1")], &other, "0"),
    ] {
        let arrived = through(&server, &origin, brought, json!({})).await;
        let (sent, span, flags) = sent_parent(&arrived);
        assert_eq!((sent.as_str(), flags.as_str()), (trace, &*format!("0{decision}")));
        assert_eq!(single(&arrived), [trace, span.as_str(), decision]);
        let several =
            ["x-b3-traceid", "x-b3-spanid", "x-b3-sampled"].map(|name| arrived.values(name).concat());
        assert_eq!(several, [trace, &span, decision]);
        assert_eq!(arrived.values("tracestate").concat(), if trace == TRACE { "a=1" } else { "" });
    }
}

async fn without_a_propagator_nothing_is_read_or_sent(abi: Abi) {
    let (collector, origin) = (Collector::start().await, Origin::answering(200).await);
    let server = relay(abi, &origin).traced(&collector).flag("--otel-propagators", "none").start().await;
    let w3c = format!("00-{TRACE}-{PARENT}-00");
    let own =
        json!({ "headers": { "traceparent": "own", "b3": "own", "baggage": "own=1", "tracestate": "own" } });
    let arrived = through(&server, &origin, &[("traceparent", &w3c), ("baggage", "a=1")], own).await;
    for name in ["traceparent", "tracestate", "b3", "baggage"] {
        assert_eq!(arrived.values(name), [""; 0], "{name}");
    }
    server.stop().await.expect(0, &[]);
    // A trace of its own: the caller's 00 did not keep it from being recorded.
    let spans = collector.received();
    assert!(!spans.is_empty() && spans.iter().all(|span| span.trace_id != TRACE));
}

async fn a_guest_gets_what_is_set(abi: Abi) {
    let server = pounce().guest(abi, "attributes").env("OTEL_TRACES_EXPORTER", "console");
    let server = server.env("OTEL_PROPAGATORS", "b3,baggage").start().await;
    let request = client::get("/?fixed").with("b3", format!("{TRACE}-{PARENT}-1")).with("baggage", "a=1");
    let answer = client::fetch(server.addr(), Protocol::H1, request).await;
    let seen: Value = serde_json::from_slice(&answer.body).unwrap();
    let span = seen["context"]["span_id"].as_str().unwrap();
    let expected = json!({ "b3": format!("{TRACE}-{span}-1"), "baggage": "a=1" });
    assert_eq!((&seen["inject"], &seen["inject_for"]), (&expected, &expected));
    assert_eq!(seen["extract"]["span_id"], span, "reads what it wrote");
}
