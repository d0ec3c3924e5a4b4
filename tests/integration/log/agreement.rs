//! What span, metrics, access log and log tell of a request's `error.type` is the same, however the request ends.

use super::lines;
use crate::support::attributes::Attributes;
use crate::support::client::{self, Answer, Connection, Protocol, streamed};
use crate::support::pounce::Builder;
use crate::support::{Abi, Collector, eventually, for_both_abis, pounce};
use bytes::Bytes;
use http::Method;
use hyper::body::Frame;
use std::collections::BTreeMap;
use std::net::SocketAddr;

for_both_abis!(
    responses_of_guests,
    guests_that_fail,
    error_codes,
    sheds_timeouts_and_clients_that_leave,
    bodies_that_are_too_large,
);

/// Whether spans are sampled; the others tell of a request either way.
const SAMPLES: [&str; 2] = ["1", "0"];

fn error_type(attributes: &Attributes) -> Option<String> {
    attributes.get("error.type").map(|value| value.to_string().trim_matches('"').to_owned())
}

/// Has `drive` send requests to a server, of which each path in `expected` ends with that `error.type`; and each request
/// is told of with one and the same, whoever tells it.
async fn agree(
    server: Builder,
    sample: &str,
    expected: &[(&str, Option<&str>)],
    drive: impl AsyncFnOnce(SocketAddr),
) {
    let collector = Collector::start().await;
    let server = server
        .traced(&collector)
        .flag("--otel-sample", sample)
        .arg("--log-access")
        // Mistakes of clients and sheds are not told at a lower one.
        .flag("--log-level", "debug")
        .start()
        .await;
    drive(server.addr()).await;
    let exit = server.stop().await;
    let lines = lines(&exit);
    let (accesses, others): (Vec<_>, Vec<_>) = lines.iter().partition(|line| line["target"] == "access");
    for (path, error_type) in expected {
        let is_it =
            |line: &&&serde_json::Value| line["path"] == *path && line["error.type"].as_str() == *error_type;
        assert!(accesses.iter().any(|line| is_it(&line)), "{path} {error_type:?}: {exit}");
    }

    let (spans, records) = (collector.received(), collector.own_log_records());
    let mut counts: BTreeMap<Option<String>, u64> = BTreeMap::new();
    for access in &accesses {
        let (path, id) = (&access["path"], access["span_id"].as_str().expect("an id"));
        let told = access["error.type"].as_str().map(str::to_owned);
        let record = records.iter().find(|record| record.span_id == id && record.event == "pounce.access");
        assert_eq!(error_type(&record.expect("its record").attributes), told, "the record of {path}");
        let span = spans.iter().find(|span| span.span_id == id);
        assert_eq!(span.is_some(), sample == "1", "{path}");
        if let Some(span) = span {
            assert_eq!(error_type(&span.attributes), told, "the span of {path}");
        }
        let of_failure = others.iter().filter(|line| {
            line["span_id"] == id && line["target"].as_str().is_some_and(|target| target.contains("server"))
        });
        for line in of_failure {
            assert_eq!(line["error.type"].as_str(), told.as_deref(), "{line}");
        }
        *counts.entry(told).or_default() += 1;
    }
    let metrics = collector.host_metrics();
    let durations = metrics.iter().find(|metric| metric.name == "http.server.request.duration");
    let mut measured: BTreeMap<Option<String>, u64> = BTreeMap::new();
    for point in &durations.expect("the durations").points {
        let count = point.value.strip_prefix("count=").and_then(|rest| rest.split(' ').next());
        *measured.entry(error_type(&point.attributes)).or_default() += count.unwrap().parse::<u64>().unwrap();
    }
    assert_eq!(measured, counts, "metrics, and lines of the access log");
}

async fn fetch_all(addr: SocketAddr, targets: &[&str]) {
    for target in targets {
        client::fetch_path(addr, target).await;
    }
}

async fn responses_of_guests(abi: Abi) {
    let long = "x".repeat(300);
    let expected = [
        ("/ok", None),
        ("/missing", None),
        ("/broken", Some("503")),
        ("/own", Some("mine")),
        ("/own-of-500", Some("mine")),
        ("/last", Some("second")),
        ("/no-text", Some("500")),
        ("/long", Some(&long[..256])),
        ("/too-large", None),
    ];
    for sample in SAMPLES {
        let server = pounce().guest(abi, "attributes").flag("--max-request-body", "10");
        agree(server, sample, &expected, async |addr| {
            fetch_all(
                addr,
                &[
                    "/ok?code=200",
                    "/missing?code=404",
                    "/broken?code=503",
                    "/own?set.error.type=mine&code=200",
                    "/own-of-500?set.error.type=mine&code=500",
                    "/last?set.error.type=first&set.error.type=second&code=500",
                    "/no-text?int.error.type=7&code=500",
                    &format!("/long?set.error.type={long}&code=200"),
                ],
            )
            .await;
            let large = client::post("/too-large", "more than ten bytes");
            assert_eq!(client::fetch(addr, Protocol::H1, large).await.status, 413);
        })
        .await;
    }
}

async fn guests_that_fail(abi: Abi) {
    let expected = [
        ("/unreachable", Some("wasm_trap.unreachable")),
        ("/stack-overflow", Some("wasm_trap.stack_overflow")),
        ("/exit", Some("no_response")),
        ("/after-head", Some("wasm_trap.unreachable")),
    ];
    for sample in SAMPLES {
        agree(pounce().guest(abi, "trap"), sample, &expected, async |addr| {
            fetch_all(addr, &["/unreachable", "/stack-overflow", "/exit?ok"]).await;
            let answer = client::fetch_path(addr, "/after-head").await;
            assert!(answer.status == 200 && answer.error.is_some(), "{answer:?}");
        })
        .await;
    }
}

async fn error_codes(abi: Abi) {
    let expected = [("/refused", Some("connection_refused")), ("/late", Some("dns_timeout"))];
    for sample in SAMPLES {
        agree(pounce().guest(abi, "error-code"), sample, &expected, async |addr| {
            fetch_all(addr, &["/refused?code=connection-refused", "/late?code=dns-timeout"]).await;
        })
        .await;
    }
}

async fn sheds_timeouts_and_clients_that_leave(abi: Abi) {
    let expected =
        [("/left", Some("client_disconnected")), ("/shed", Some("overloaded")), ("/late", Some("timeout"))];
    for sample in SAMPLES {
        let server =
            pounce().guest(abi, "slow").flag("--max-in-flight", 1).flag("--request-timeout", "500ms");
        agree(server, sample, &expected, async |addr| {
            let endless = "/left?ms=0&body_ms=20&chunks=1000000";
            let (connection, response) = client::hold(addr, Protocol::H1, endless).await;
            assert_eq!(client::fetch_path(addr, "/shed").await.status, 503);
            connection.abort();
            drop(response);
            eventually("a place for the slow one", async || {
                client::fetch_path(addr, "/late?ms=600000").await.status == 504
            })
            .await;
        })
        .await;
    }
}

/// The status was sent before anyone knew; the log names the same error type as the span, which the status would not.
async fn bodies_that_are_too_large(abi: Abi) {
    for sample in SAMPLES {
        let server = pounce().guest(abi, "echo").flag("--max-request-body", "1KiB");
        agree(server, sample, &[("/grows", Some("http_request_body_size"))], async |addr| {
            let (sender, body) = streamed();
            let mut connection = Connection::open(addr, Protocol::H1).await;
            sender.send(Ok(Frame::data(Bytes::from_static(b"head first")))).await.unwrap();
            let response = connection.send(client::request(Method::POST, "/grows", body)).await;
            assert_eq!(response.status(), 200);
            sender.send(Ok(Frame::data(Bytes::from(vec![b' '; 2048])))).await.unwrap();
            drop(sender);
            assert!(Answer::read(response).await.error.is_some());
        })
        .await;
    }
}
