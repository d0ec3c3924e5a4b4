//! `otel.keep-errors` and `otel.keep-slow`: requests that nobody sampled, and that are exported all the same.

use super::{CALLER, Served, TRACE, ask_unsampled, expect_nothing, serve_unsampled};
use crate::support::origin::Origin;
use crate::support::pounce::Builder;
use crate::support::span::tree;
use crate::support::{Abi, Collector, client, for_both_abis, pounce};
use serde_json::json;
use std::net::TcpListener;

for_both_abis!(
    a_request_that_fails_is_kept,
    a_request_that_goes_well_leaves_nothing,
    a_slow_request_is_kept_with_all_its_spans,
    a_timeout_is_kept_with_its_calls_and_the_flag_on_the_wire_stays,
    a_guests_own_error_is_a_failure,
    what_ends_after_the_request_goes_the_same_way,
    a_guests_sdk_is_told_the_flag_and_its_spans_go_along,
    a_bomb_of_spans_is_bounded,
);

/// Fails unless the server span says that it was kept for `reason`, and that it is not sampled.
fn expect_kept(served: &Served, reason: &str) {
    let server = served.server();
    assert_eq!(server.text("pounce.sampling.reason"), reason);
    for span in &served.spans {
        assert_eq!(
            (span.flags & 0xff, span.trace_id.as_str()),
            (0, TRACE),
            "{}: the flags on the wire",
            span.name
        );
        assert_eq!(
            span.trace_state, "",
            "{}: it stands for itself alone, whatever the caller says",
            span.name
        );
        let is_server = span.span_id == server.span_id;
        assert_eq!(span.attributes.contains_key("pounce.sampling.reason"), is_server, "{}", span.name);
    }
    assert_eq!((server.parent.as_str(), server.parent_is_remote()), (CALLER, Some(true)));
    let totals = served.exit.totals();
    assert_eq!((totals.ended, totals.exported), (served.spans.len(), served.spans.len()), "{}", served.exit);
}

fn guest(abi: Abi, name: &str) -> Builder {
    pounce().guest(abi, name)
}

async fn a_request_that_fails_is_kept(abi: Abi) {
    let builder = guest(abi, "trap").arg("--otel-keep-errors");
    let served = serve_unsampled(builder, "/unreachable").await;
    assert_eq!(served.answer.status, 500);
    expect_kept(&served, "error");
    assert!(served.server().failed());
    served.server().event("exception");
    // A status that the guest chose, of a trace that starts here and that the ratio left out.
    let collector = Collector::start().await;
    let builder = guest(abi, "attributes").arg("--otel-keep-errors").flag("--otel-sample", "0");
    let server = builder.traced(&collector).start().await;
    client::fetch_path(server.addr(), "/?code=503").await;
    let span = collector.span().await;
    assert_eq!((span.text("pounce.sampling.reason"), span.flags & 0xff), ("error", 2), "its id is random");
}

async fn a_request_that_goes_well_leaves_nothing(abi: Abi) {
    let keep = |builder: Builder| builder.arg("--otel-keep-errors").flag("--otel-keep-slow", "60s");
    // 4xx is the client's error, and what the guest drops is of no trace.
    serve_unsampled(keep(guest(abi, "attributes")), "/?code=404&many=300").await.expect_nothing();
    let served = serve_unsampled(keep(guest(abi, "spans")), "/").await;
    served.expect_nothing();
    let seen: serde_json::Value = serde_json::from_slice(&served.answer.body).unwrap();
    assert_eq!(seen["recording"], true, "nobody knows yet how it ends");
    for span in seen["spans"].as_array().unwrap() {
        assert_eq!(span["trace_flags"], 0, "{span}");
    }
    // Without a rule nothing is recorded at all.
    let served = serve_unsampled(guest(abi, "attributes"), "/?code=503").await;
    served.expect_nothing();
    assert!(!served.answer.text().contains("\"is_recording\":true"), "{:?}", served.answer);
}

async fn a_slow_request_is_kept_with_all_its_spans(abi: Abi) {
    let served =
        serve_unsampled(guest(abi, "spans").flag("--otel-keep-slow", "1ms"), "/many?count=300").await;
    expect_kept(&served, "slow");
    assert!(!served.server().failed());
    assert_eq!(served.spans.len(), 301);
    assert!(served.spans.iter().all(|span| !span.is_incomplete()));
    // All that a span can say survives being held back.
    let served = serve_unsampled(guest(abi, "spans").flag("--otel-keep-slow", "1ms"), "/links?x").await;
    let linking = served.spans.iter().find(|span| span.name == "links").expect("the span");
    assert_eq!((linking.links.len(), linking.parent.as_str()), (3, served.server().span_id.as_str()));
    // A sampled one says nothing of a reason.
    let collector = Collector::start().await;
    let server = guest(abi, "hello").flag("--otel-keep-slow", "1ms").traced(&collector).start().await;
    client::fetch_path(server.addr(), "/").await;
    let span = collector.span().await;
    assert_eq!((span.flags & 1, span.attributes.get("pounce.sampling.reason")), (1, None));
}

async fn a_timeout_is_kept_with_its_calls_and_the_flag_on_the_wire_stays(abi: Abi) {
    let origin = Origin::answering(200).await;
    // Connections are made, and nobody answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let path = format!("/calls?url={}&url=http://{}/&span", origin.url("/"), silent.local_addr().unwrap());
    let builder =
        guest(abi, "calls").flag("--allow-outbound", "http://127.0.0.1:*").arg("--otel-keep-errors");
    let served = serve_unsampled(builder.flag("--request-timeout", "2s"), &path).await;
    assert_eq!(served.answer.status, 504);
    expect_kept(&served, "error");
    let expected = "Server GET /calls <remote>\n  Internal calls\n    Client GET\n    Client GET\n";
    assert_eq!(tree(&served.spans), expected);
    let arrived = &origin.arrived()[0];
    let [traceparent] = arrived.values("traceparent")[..] else { panic!("{arrived:?}") };
    let call = served.spans.iter().find(|span| span.int("http.response.status_code") == Some(200)).unwrap();
    assert_eq!(traceparent, format!("00-{TRACE}-{}-00", call.span_id));
}

async fn a_guests_own_error_is_a_failure(abi: Abi) {
    let builder = guest(abi, "attributes").arg("--otel-keep-errors");
    let served = serve_unsampled(builder, "/?status=error:it+broke&code=200").await;
    assert_eq!(served.answer.status, 200);
    expect_kept(&served, "error");
}

async fn what_ends_after_the_request_goes_the_same_way(abi: Abi) {
    // Left open: the host ends it when the guest is gone, which is after the response.
    let keep = |slow: &str| guest(abi, "spans").flag("--otel-keep-slow", slow);
    let served = serve_unsampled(keep("1ms"), "/open").await;
    expect_kept(&served, "slow");
    let open = served.spans.iter().find(|span| span.name == "open").expect("the span");
    assert!(open.is_incomplete());
    serve_unsampled(keep("60s"), "/open").await.expect_nothing();
}

async fn a_guests_sdk_is_told_the_flag_and_its_spans_go_along(abi: Abi) {
    let id = "00000000000000a1";
    let steps =
        json!([{ "see": true }, { "start": { "span": id } }, { "end": { "span": id, "name": "one" } }]);
    let path: String = steps.to_string().bytes().map(|byte| format!("%{byte:02x}")).collect();
    let path = format!("/raw?do={path}");
    for (slow, spans) in [("1ms", 2), ("60s", 0)] {
        let served = serve_unsampled(guest(abi, "otel").flag("--otel-keep-slow", slow), &path).await;
        let seen: serde_json::Value = serde_json::from_slice(&served.answer.body).unwrap();
        assert_eq!(seen["seen"][0]["outer"]["sampled"], false);
        assert_eq!(served.spans.len(), spans, "{slow}: {}", served.exit);
        if spans > 0 {
            expect_kept(&served, "slow");
            assert!(served.spans.iter().any(|span| span.span_id == id), "{}", tree(&served.spans));
        }
    }
}

async fn a_bomb_of_spans_is_bounded(abi: Abi) {
    let builder = || guest(abi, "hostile").flag("--request-timeout", "50s");
    let bomb = "/span-bomb?n=100000&close";
    let served = serve_unsampled(builder().flag("--otel-keep-slow", "1ms"), bomb).await;
    expect_kept(&served, "slow");
    assert_eq!(served.spans.len(), 1001);
    assert!(served.exit.stderr.contains("\"count\":99000"), "{}", served.exit);

    // Thrown away, time after time: nothing of it stays.
    let collector = Collector::start().await;
    let server = builder().arg("--otel-keep-errors").traced(&collector).start().await;
    let big = "/big-spans?n=1000";
    for _ in 0..3 {
        assert_eq!(ask_unsampled(&server, big).await.status, 200);
    }
    let before = server.resident();
    for _ in 0..8 {
        assert_eq!(ask_unsampled(&server, big).await.status, 200);
    }
    let grown = server.resident().saturating_sub(before);
    assert!(grown < 6 * 1024 * 1024, "{grown} bytes after 8 requests of a mebibyte each");
    let exit = server.stop().await;
    expect_nothing(&collector.received(), &exit);
}
