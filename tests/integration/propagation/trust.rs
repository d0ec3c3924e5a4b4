//! Whose trace context counts: `otel.trust-parent`.

use super::{PARENT, TRACE, relay, sent_parent, through};
use crate::support::origin::Origin;
use crate::support::span::Span;
use crate::support::{Abi, Collector, for_both_abis, pounce};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::json;

for_both_abis!(who_is_not_believed_gets_a_trace_of_its_own_linked_to_the_callers);

fn server_spans(collector: &Collector) -> Vec<Span> {
    collector.received().into_iter().filter(|span| span.kind == SpanKind::Server).collect()
}

async fn who_is_not_believed_gets_a_trace_of_its_own_linked_to_the_callers(abi: Abi) {
    let parent = format!("00-{TRACE}-{PARENT}-01");
    let brought = [("traceparent", parent.as_str()), ("tracestate", "a=1"), ("baggage", "b=2")];
    for (trust, believed) in [
        (&["on"][..], true),
        (&["off"], false),
        (&["10.0.0.0/8", "fd00::/8"], false),
        (&["10.0.0.0/8", "127.0.0.0/8"], true),
        (&["127.0.0.1"], true),
        (&["::ffff:127.0.0.1"], true),
    ] {
        let (collector, origin) = (Collector::start().await, Origin::answering(200).await);
        let server =
            trust.iter().fold(relay(abi, &origin), |builder, who| builder.flag("--otel-trust-parent", who));
        let server = server.traced(&collector).start().await;
        let arrived = through(&server, &origin, &brought, json!({})).await;
        let (trace, _, flags) = sent_parent(&arrived);
        server.stop().await.expect(0, &[]);
        let [span] = &server_spans(&collector)[..] else { panic!("one server span") };
        assert_eq!(span.trace_id, trace);
        assert_eq!(trace == TRACE, believed, "{trust:?}");
        if believed {
            assert_eq!((span.parent.as_str(), span.trace_state.as_str()), (PARENT, "a=1"), "{trust:?}");
            assert_eq!(arrived.values("baggage"), ["b=2"]);
            assert!(span.links.is_empty());
            continue;
        }
        assert_eq!((span.parent.as_str(), span.trace_state.as_str()), ("", ""), "{trust:?}");
        assert_eq!(flags, "03", "a trace of ours");
        let [link] = &span.links[..] else { panic!("{:?}", span.links) };
        assert_eq!((link.trace_id.as_str(), link.span_id.as_str()), (TRACE, PARENT));
        assert_eq!((link.trace_state.as_str(), link.attributes.len()), ("a=1", 0), "{link:?}");
        assert_eq!(link.flags, 0x301, "the caller's flags, and that it is known to be remote");
        for name in ["baggage", "tracestate"] {
            assert_eq!(arrived.values(name), [""; 0], "{trust:?} {name}");
        }
    }
}

/// A stranger can neither force a trace to be kept nor keep it from being kept.
#[tokio::test]
async fn a_strangers_decision_does_not_count() {
    for (share, flags, kept) in [("0", "01", 0), ("1", "00", 1)] {
        let (collector, origin) = (Collector::start().await, Origin::answering(200).await);
        let server = relay(Abi::P2, &origin).traced(&collector).flag("--otel-sample", share);
        let server = server.flag("--otel-trust-parent", "192.0.2.0/24").start().await;
        let parent = format!("00-{TRACE}-{PARENT}-{flags}");
        let arrived = through(&server, &origin, &[("traceparent", &parent)], json!({})).await;
        assert_ne!(sent_parent(&arrived).0, TRACE);
        server.stop().await.expect(0, &[]);
        assert_eq!(server_spans(&collector).len(), kept, "{share} {flags}");
    }
}

#[tokio::test]
async fn the_random_flag_of_new_traces_can_be_turned_off_but_not_that_of_others() {
    let (collector, origin) = (Collector::start().await, Origin::answering(200).await);
    for (arg, new) in [("--otel-random-flag", "03"), ("--otel-random-flag=off", "01")] {
        let server = relay(Abi::P2, &origin).traced(&collector).arg(arg).start().await;
        assert_eq!(sent_parent(&through(&server, &origin, &[], json!({})).await).2, new, "{arg}");
        let random = format!("00-{TRACE}-{PARENT}-03");
        let arrived = through(&server, &origin, &[("traceparent", &random)], json!({})).await;
        assert_eq!(sent_parent(&arrived).2, "03", "{arg}");
    }
}

#[tokio::test]
async fn what_is_neither_a_word_nor_a_network_is_refused() {
    for (args, says) in
        [(&["nobody"][..], "`nobody`"), (&["10.0.0.1/8"], "10.0.0.0/8"), (&["on", "10.0.0.0/8"], "`on`")]
    {
        let builder = pounce().fixture("status.wat");
        let builder = args.iter().fold(builder, |builder, who| builder.flag("--otel-trust-parent", who));
        builder.run().await.expect(2, &["--otel-trust-parent", says]);
    }
    let wrong = pounce().fixture("status.wat").flag("--otel-propagators", "jaeger");
    wrong.run().await.expect(2, &["--otel-propagators", "`jaeger`"]);
}
