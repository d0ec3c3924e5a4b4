//! `/api/traces`: the latest traces as OTLP JSON, the same that the collector gets.

use super::{ask, json, with_admin};
use crate::support::client::{self, WithHeader};
use crate::support::{Abi, Collector, Protocol, eventually};
use serde_json::Value;
use std::collections::BTreeSet;
use std::net::SocketAddr;

/// Trace id and span ids of each trace, in the order of the answer.
async fn traces(admin: SocketAddr, query: &str) -> Vec<(String, BTreeSet<String>)> {
    let answer = json(admin, &format!("/api/traces{query}")).await;
    let spans = |of_resource: &Value| -> Vec<Value> {
        let scopes = of_resource["scopeSpans"].as_array().expect("scopes");
        scopes.iter().flat_map(|scope| scope["spans"].as_array().expect("spans").clone()).collect()
    };
    let id = |span: &Value, key: &str| span[key].as_str().expect("an id").to_owned();
    let of = |of_resource: &Value| {
        let spans = spans(of_resource);
        let ids: BTreeSet<_> = spans.iter().map(|span| id(span, "traceId")).collect();
        assert_eq!(ids.len(), 1, "one trace at a time");
        (ids.into_iter().next().unwrap(), spans.iter().map(|span| id(span, "spanId")).collect())
    };
    answer["resourceSpans"].as_array().expect("a list").iter().map(of).collect()
}

async fn request(server: SocketAddr, trace: u8, path: &str) {
    let parent = format!("00-{}-b7ad6b7169203331-01", format!("{trace:02x}").repeat(16));
    let answer = client::fetch(server, Protocol::H1, client::get(path).with("traceparent", parent)).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn the_latest_traces_are_whole_and_the_collectors() {
    let collector = Collector::start().await;
    let mut server = with_admin()
        .guest(Abi::P3, "spans")
        .traced(&collector)
        .flag("--admin-recent-traces", 3)
        .start()
        .await;
    let admin = server.admin().await;
    for trace in 1..=4 {
        request(server.addr(), trace, "/many?count=4").await;
    }
    let spans = collector.spans(20).await;
    let expected = |trace: u8| {
        let id = format!("{trace:02x}").repeat(16);
        let of_it = spans.iter().filter(|span| span.trace_id == id);
        let ids: BTreeSet<_> = of_it.map(|span| span.span_id.clone()).collect();
        assert_eq!(ids.len(), 5);
        (id, ids)
    };
    assert_eq!(traces(admin, "").await, [expected(4), expected(3), expected(2)]);
    assert_eq!(traces(admin, "?limit=1").await, [expected(4)]);
    let two = format!("?trace_id={}", "02".repeat(16));
    assert_eq!(traces(admin, &two).await, [expected(2)]);
    assert_eq!(traces(admin, &format!("?trace_id={}", "01".repeat(16))).await, []);
    for query in ["?limit=x", "?limit=-1", "?trace_id=xyz", "?trace_id=", "?all", "?limit=1&x=2"] {
        let answer = client::fetch_path(admin, &format!("/api/traces{query}")).await;
        assert_eq!(answer.status, 400, "{query}");
    }
    let answer = json(admin, "/api/traces?limit=1").await;
    let attributes =
        answer["resourceSpans"][0]["resource"]["attributes"].as_array().expect("attributes").clone();
    let instance =
        attributes.iter().find(|attribute| attribute["key"] == "service.instance.id").expect("an id");
    let resource = &spans[0].resource;
    assert!(
        format!("{resource:?}").contains(instance["value"]["stringValue"].as_str().unwrap()),
        "the same instance"
    );
}

#[tokio::test]
async fn they_are_there_without_an_endpoint_and_guests_know_their_trace() {
    let mut server = with_admin().guest(Abi::P2, "attributes").start().await;
    let admin = server.admin().await;
    let answer = client::fetch_path(server.addr(), "/deeds").await;
    let said: Value = serde_json::from_slice(&answer.body).unwrap();
    let trace = said["context"]["trace_id"].as_str().unwrap().to_owned();
    eventually("the span to end", async || traces(admin, "").await.len() == 1).await;
    assert_eq!(traces(admin, "").await[0].0, trace);
    server.stop().await.expect(0, &[]);
}

#[tokio::test]
async fn an_endpoint_that_is_down_does_not_keep_the_latest_from_being_seen() {
    let collector = Collector::start().await;
    collector.always(crate::support::collector::Reply::Silence);
    let mut server = with_admin()
        .guest(Abi::P2, "hello")
        .traced(&collector)
        .env("OTEL_BSP_MAX_QUEUE_SIZE", 2)
        .flag("--admin-recent-traces", 5)
        .start()
        .await;
    let admin = server.admin().await;
    for trace in 1..=40 {
        request(server.addr(), trace, "/").await;
    }
    eventually("the last to be seen", async || {
        traces(admin, "?limit=1").await.first().is_some_and(|(id, _)| *id == "28".repeat(16))
    })
    .await;
    assert_eq!(traces(admin, "").await.len(), 5);
    server.term();
    server.term();
    server.wait().await;
}

#[tokio::test]
async fn who_turned_them_off_has_none() {
    for (flag, value) in [("--admin-recent-traces", "0"), ("--otel-exporter", "none")] {
        let mut server = with_admin().guest(Abi::P2, "attributes").flag(flag, value).start().await;
        let admin = server.admin().await;
        let answer = client::fetch_path(server.addr(), "/deeds?counter.orders=1").await;
        assert!(answer.text().contains("\"is_recording\":false"), "{flag}: {}", answer.text());
        assert_eq!(json(admin, "/api/traces").await, serde_json::json!({ "resourceSpans": [] }), "{flag}");
        let summary = json(admin, "/api/traces/summary").await;
        assert_eq!((&summary["limit"], &summary["traces"]), (&0.into(), &serde_json::json!([])), "{flag}");
        let logs = json(admin, &format!("/api/logs?trace_id={}", "01".repeat(16))).await;
        assert_eq!(logs, serde_json::json!({ "resourceLogs": [] }), "{flag}");
        assert_eq!(json(admin, "/status").await["telemetry"]["recent_traces"], Value::Null, "{flag}");
        let page = ask(admin, client::get("/metrics")).await;
        assert!(page.text().contains("orders_total{"), "metrics are there all the same: {}", page.text());
    }
}
