//! Each protocol carries each signal, compressed or not; the wrong one for a port is told with what to do.

use super::{request, to};
use crate::support::broken::{Broken, Trouble};
use crate::support::client;
use crate::support::collector::Reply;
use crate::support::{Abi, Collector, eventually, pounce};

const PROTOCOLS: [(&str, &str); 3] = [
    ("http/protobuf", "application/x-protobuf"),
    ("http/json", "application/json"),
    ("grpc", "application/grpc"),
];

#[tokio::test]
async fn each_protocol_carries_each_signal_compressed_or_not() {
    for (protocol, content_type) in PROTOCOLS {
        for compression in ["none", "gzip"] {
            let collector = Collector::start().await;
            let server = pounce()
                .guest(Abi::P2, "attributes")
                .traced(&collector)
                .env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
                .env("OTEL_EXPORTER_OTLP_COMPRESSION", compression)
                .env("OTEL_EXPORTER_OTLP_HEADERS", "x-key=secret")
                .start()
                .await;
            let deeds = "/?counter.c=2&log.info=hello";
            assert_eq!(client::fetch_path(server.addr(), deeds).await.status, 200);
            let span = collector.span().await;
            assert_eq!(
                span.attributes.get("http.request.method").map(ToString::to_string),
                Some("\"GET\"".into())
            );
            let exit = server.stop().await;
            exit.expect(0, &["1 spans ended, 1 exported"]);
            let what = format!("{protocol}, {compression}");
            assert!(collector.log_records().iter().any(|record| record.body == "\"hello\""), "{what}");
            let metrics = collector.metrics();
            assert!(
                metrics.iter().any(|metric| metric.name == "c" && metric.points[0].value == "2"),
                "{what}"
            );
            let traces = collector.exports();
            let others = collector.others();
            assert!(others.len() >= 2, "{what}");
            let traces = traces.iter().map(|export| (&export.target, &export.headers));
            for (target, headers) in traces.chain(others.iter().map(|other| (&other.target, &other.headers)))
            {
                assert_eq!(headers["content-type"], content_type, "{what} {target}");
                assert_eq!(headers["x-key"], "secret", "{what} {target}");
                let encoding = if protocol == "grpc" { "grpc-encoding" } else { "content-encoding" };
                let expected = (compression == "gzip").then_some("gzip");
                let found = headers.get(encoding).map(|value| value.to_str().unwrap());
                assert_eq!(found, expected, "{what} {target}");
            }
        }
    }
}

#[tokio::test]
async fn a_signal_can_have_a_protocol_of_its_own() {
    let collector = Collector::start().await;
    let server = pounce()
        .guest(Abi::P2, "attributes")
        .traced(&collector)
        .env("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "grpc")
        .env("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/json")
        .start()
        .await;
    client::fetch_path(server.addr(), "/?counter.c=2&log.info=hello").await;
    server.stop().await.expect(0, &[]);
    assert_eq!(collector.exports()[0].headers["content-type"], "application/x-protobuf");
    let kind_of = |path: &str| {
        let others = collector.others();
        let other = others.iter().find(|other| other.target == path).unwrap();
        other.headers["content-type"].to_str().unwrap().to_owned()
    };
    assert_eq!(kind_of("/v1/logs"), "application/grpc");
    assert_eq!(kind_of("/v1/metrics"), "application/json");
}

/// Numbers at the end are those that the endpoint has, whatever it answered.
#[tokio::test]
async fn answers_mean_the_same_in_each_protocol() {
    for (protocol, _) in &PROTOCOLS[1..] {
        let collector = Collector::start().await;
        collector.script([
            Reply::Refuse(503),
            Reply::Partial(1, "over the quota"),
            Reply::RetryAfter(429, 1),
            Reply::HangUp,
            Reply::Accept,
            Reply::Refuse(400),
        ]);
        let server = to(collector.endpoint()).flag("--otel-protocol", protocol).start().await;
        // So many exports are made of each: 503, then a partial one; and so on.
        for exports in [2, 5, 6] {
            request(&server, 1).await;
            collector.exports_of(exports).await;
        }
        let exit = server.stop().await;
        exit.expect(0, &["over the quota"]);
        let totals = exit.totals();
        assert_eq!((totals.ended, totals.exported, totals.rejected), (3, 1, 1), "{protocol} {exit}");
        assert_eq!(totals.dropped, 1, "{protocol} {exit}");
        assert_eq!(collector.received().len(), 2, "{protocol}");
    }
}

#[tokio::test]
async fn a_refusal_over_grpc_is_told_by_name_with_what_to_do() {
    for (status, said) in [(401, "UNAUTHENTICATED"), (404, "UNIMPLEMENTED"), (429, "RESOURCE_EXHAUSTED")] {
        let collector = Collector::start().await;
        collector.always(Reply::Refuse(status));
        let mut server = to(collector.endpoint()).flag("--otel-protocol", "grpc").start().await;
        request(&server, 1).await;
        let line = server.logged(&["cannot export spans", said, "it says: not today"]).await;
        assert!(status != 401 || line.contains("otel.headers"), "{line}");
        let exit = server.stop().await;
        assert_eq!(exit.totals().dropped, 1, "{exit}");
        assert_eq!(collector.exports().len(), 1, "not tried again: {said}");
    }
}

#[tokio::test]
async fn the_wrong_protocol_for_a_port_is_told_with_what_to_do() {
    for (trouble, protocol, advice) in [
        (Trouble::Http2Only, "http/protobuf", "otel.protocol = grpc"),
        (Trouble::Http2Only, "http/json", "otel.protocol = grpc"),
        (Trouble::Http1Only, "grpc", "otel.protocol = http/protobuf"),
    ] {
        let broken = Broken::start(trouble).await;
        let endpoint = format!("http://{}", broken.addr());
        let mut server = to(endpoint).flag("--otel-protocol", protocol).start().await;
        request(&server, 1).await;
        server.logged(&["cannot export spans", advice]).await;
        let exit = server.stop().await;
        assert_eq!(exit.totals().dropped, 1, "{exit}");
    }
}

/// A server of HTTP/2 that goes away and comes back is found again.
#[tokio::test]
async fn grpc_finds_its_endpoint_again() {
    let collector = Collector::start().await;
    let addr = collector.addr();
    let server = to(collector.endpoint()).flag("--otel-protocol", "grpc").start().await;
    request(&server, 1).await;
    collector.spans(1).await;
    drop(collector);
    request(&server, 1).await;
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    let back = Collector::back_at(addr).await;
    eventually("the span of the meantime", async || back.received().len() == 1).await;
    let exit = server.stop().await;
    assert_eq!(exit.totals().exported, 2, "{exit}");
}
