//! Each signal in a database of its own kind: traces in Jaeger, metrics in VictoriaMetrics, log records in VictoriaLogs,
//! each read back by the API with which its users ask, and joined by the ids of the trace.

use super::jaeger::Jaeger;
use super::traffic::{Sent, send_to};
use super::{Daemon, free_addrs, tool};
use crate::support::client::{self, WithHeader};
use crate::support::{Protocol, eventually, pounce};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// One of the two, with an empty store; killed when dropped.
struct Victoria {
    _daemon: Daemon,
    _dir: TempDir,
    addr: SocketAddr,
}

/// A series as it is exported: its labels, and its values in the order of time.
struct Series {
    labels: BTreeMap<String, String>,
    values: Vec<f64>,
}

impl Victoria {
    async fn start(program: &str) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let [addr] = free_addrs();
        let mut daemon = Daemon::start(
            Command::new(tool("POUNCE_VICTORIA", "victoria-1.117.0").join(program))
                .arg(format!("-storageDataPath={}", dir.path().display()))
                .arg(format!("-httpListenAddr={addr}"))
                .stdout(Stdio::null())
                .stderr(Stdio::null()),
        );
        daemon.listens(program, &[addr]).await;
        Victoria { _daemon: daemon, _dir: dir, addr }
    }

    /// Asks for what `query` says, an answer of JSON by the line.
    async fn ask<T: serde::de::DeserializeOwned>(&self, path: &str, query: &str) -> Vec<T> {
        let form =
            client::post(path, query.to_owned()).with("content-type", "application/x-www-form-urlencoded");
        let answer = client::fetch(self.addr, Protocol::H1, form).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.text().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// Has what it got so far found by the next question, which takes seconds otherwise.
    async fn flush(&self) {
        assert_eq!(client::fetch_path(self.addr, "/internal/force_flush").await.status, 200);
    }

    /// All series, once what they hold is `points` points.
    async fn series(&self, points: usize) -> Vec<Series> {
        let mut all = Vec::new();
        eventually(&format!("{points} points in VictoriaMetrics"), async || {
            self.flush().await;
            let exported: Vec<Value> = self.ask("/api/v1/export", r#"match[]={__name__!=""}"#).await;
            all = exported.into_iter().map(series).collect();
            let of_points = all.iter().filter(|series| series.is_point());
            let stored: usize = of_points.map(|series| series.values.len()).sum();
            assert!(stored <= points, "{stored} points stored, {points} exported");
            stored == points
        })
        .await;
        all
    }

    /// All log records, once there are `n`.
    async fn records(&self, n: usize) -> Vec<BTreeMap<String, String>> {
        let mut all = Vec::new();
        eventually(&format!("{n} log records in VictoriaLogs"), async || {
            self.flush().await;
            all = self.ask("/select/logsql/query", "query=*").await;
            assert!(all.len() <= n, "{all:#?}");
            all.len() == n
        })
        .await;
        all
    }
}

fn series(exported: Value) -> Series {
    let labels = serde_json::from_value(exported["metric"].clone()).expect("labels");
    Series { labels, values: serde_json::from_value(exported["values"].clone()).expect("numbers") }
}

impl Series {
    fn name(&self) -> &str {
        &self.labels["__name__"]
    }

    /// Whether each value stands for a point: of a histogram's series, one does.
    fn is_point(&self) -> bool {
        !self.name().ends_with("_bucket") && !self.name().ends_with("_sum")
    }
}

/// The last value of the one series of this name with these labels.
fn last(all: &[Series], name: &str, labels: &[(&str, &str)]) -> f64 {
    let is_it = |series: &&Series| {
        let has = |(key, value): &(&str, &str)| series.labels.get(*key).is_some_and(|of| of == value);
        series.name() == name && labels.iter().all(has)
    };
    let found: Vec<_> = all.iter().filter(is_it).collect();
    let [one] = found[..] else {
        let names: Vec<_> = all.iter().map(|series| &series.labels).collect();
        panic!("{} series {name} with {labels:?} in {names:#?}", found.len())
    };
    *one.values.last().expect("a value")
}

fn expect_metrics(all: &[Series]) {
    let shop = [("shop", "rome"), ("service.name", "attributes")];
    for (name, value) in [("orders", 2.0), ("queue", -3.0), ("temperature", 1.5)] {
        assert_eq!(last(all, name, &shop), value, "{name}");
    }
    assert_eq!((last(all, "items_count", &shop), last(all, "items_sum", &shop)), (1.0, 7.0));
    for (end, count) in [("5", 0.0), ("10", 1.0), ("+Inf", 1.0)] {
        assert_eq!(last(all, "items_bucket", &[("le", end), shop[0], shop[1]]), count, "up to {end}");
    }
    let requests = |service: &str, status: &str| {
        let labels = [("service.name", service), ("http.response.status_code", status)];
        last(all, "http.server.request.duration_count", &labels)
    };
    assert_eq!((requests("hello", "200"), requests("trap", "500")), (3.0, 2.0));
    let traps = [("service.name", "trap"), ("error.type", "wasm_trap.unreachable")];
    assert_eq!(last(all, "pounce.guest.traps", &traps), 2.0);
    let call = [("service.name", "calls"), ("http.response.status_code", "200")];
    assert_eq!(last(all, "http.client.request.duration_count", &call), 1.0);
}

fn expect_records(records: &[BTreeMap<String, String>], sent: &Sent, span_id: &str) {
    let of_guest = |severity: &str, message: &str| {
        let is_it = |record: &&BTreeMap<String, String>| {
            record["severity"] == severity && record["_msg"] == message && record.contains_key("shop")
        };
        let found = records.iter().find(is_it);
        found.unwrap_or_else(|| panic!("no {severity} record {message:?} in {records:#?}"))
    };
    for record in [of_guest("WARN", "no\nmore"), of_guest("FATAL", "42")] {
        assert_eq!((&record["trace_id"], record["span_id"].as_str()), (&sent.trace_id, span_id));
        assert_eq!((record["service.name"].as_str(), record["shop"].as_str()), ("attributes", "rome"));
    }
}

#[tokio::test]
async fn each_signal_goes_to_a_database_of_its_own() {
    let (jaeger, metrics, logs) =
        tokio::join!(Jaeger::start(), Victoria::start("victoria-metrics"), Victoria::start("victoria-logs"));
    // They take no other protocol.
    let sent = send_to(
        "http/protobuf",
        &[
            ("TRACES_ENDPOINT", format!("http://{}/v1/traces", jaeger.otlp)),
            ("METRICS_ENDPOINT", format!("http://{}/opentelemetry/v1/metrics", metrics.addr)),
            ("LOGS_ENDPOINT", format!("http://{}/insert/opentelemetry/v1/logs", logs.addr)),
        ],
    )
    .await;
    let spans = jaeger.spans(&sent.trace_id, sent.spans).await;
    let metered = spans.iter().find(|span| span.name == "GET /metered").expect("its span");
    expect_metrics(&metrics.series(sent.points).await);
    expect_records(&logs.records(sent.records).await, &sent, &metered.span_id);
}

/// It says with 400 that there is nothing at a path, whatever the form of what was sent there.
#[tokio::test]
async fn a_path_that_victorialogs_does_not_have_is_told_as_a_path() {
    let logs = Victoria::start("victoria-logs").await;
    let doctor = |path: &str| {
        pounce()
            .command("doctor")
            .env("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", format!("http://{}{path}", logs.addr))
            .env("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "http/json")
    };
    let exit = doctor("/otlp/v1/logs").run().await;
    exit.expect(1, &[]);
    for part in ["unsupported path requested", "takes no OTLP at /otlp/v1/logs: check port"] {
        assert!(exit.stdout.contains(part), "{part:?} in {exit}");
    }
    assert!(!exit.stdout.contains("set otel.protocol"), "{exit}");
    let exit = doctor("").run().await;
    let advice = "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT is used as it is, path and all: add /v1/logs to it";
    assert!(exit.stdout.contains(advice), "{exit}");
}
