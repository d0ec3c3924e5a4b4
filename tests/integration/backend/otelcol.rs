//! The OpenTelemetry Collector receives all signals and writes them to a file as it understood them, which loses nothing.
//! What it has accepted and refused its own metrics tell.

use super::traffic::{Keeps, Sent, send};
use super::{Daemon, PROTOCOLS, free_addrs, tool};
use crate::support::client::{self, Connection};
use crate::support::signals::{LogRecord, Metric, Received, in_order};
use crate::support::span::{self, Span};
use crate::support::{Protocol, pounce};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A running Collector; killed when dropped.
struct Otelcol {
    daemon: Daemon,
    dir: TempDir,
    http: SocketAddr,
    grpc: SocketAddr,
    /// Its own metrics.
    metrics: SocketAddr,
}

/// All that it received, in the order of arrival.
#[derive(Default)]
struct Written {
    spans: Vec<Span>,
    metrics: Vec<Metric>,
    records: Vec<LogRecord>,
}

impl Otelcol {
    async fn start() -> Self {
        // As it is where nobody sets it.
        Self::taking(20 << 20).await
    }

    /// One that takes requests of HTTP of so many bytes; of gRPC of 4 MiB, in any case.
    async fn taking(most: usize) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let [http, grpc, metrics] = free_addrs();
        let config = format!(
            r#"
            receivers:
              otlp:
                protocols:
                  grpc: {{ endpoint: "{grpc}" }}
                  http: {{ endpoint: "{http}", max_request_body_size: {most} }}
            exporters:
              file: {{ path: {file:?} }}
            service:
              telemetry:
                logs: {{ level: warn }}
                metrics:
                  level: normal
                  readers: [{{ pull: {{ exporter: {{ prometheus: {{ host: {ip:?}, port: {port} }} }} }} }}]
              pipelines:
                traces: {{ receivers: [otlp], exporters: [file] }}
                metrics: {{ receivers: [otlp], exporters: [file] }}
                logs: {{ receivers: [otlp], exporters: [file] }}
            "#,
            file = dir.path().join("received.jsonl"),
            ip = metrics.ip().to_string(),
            port = metrics.port(),
        );
        let path = dir.path().join("config.yaml");
        std::fs::write(&path, config).expect("a writable folder");
        let mut daemon = Daemon::start(
            Command::new(tool("POUNCE_COLLECTOR", "collector-0.162.0-1/collector"))
                .arg("--config")
                .arg(&path)
                .stdout(Stdio::null()),
        );
        daemon.listens("the Collector", &[http, grpc, metrics]).await;
        Otelcol { daemon, dir, http, grpc, metrics }
    }

    /// How many items of each signal it says to have accepted and refused, by its own metrics: spans, points of metrics
    /// and log records.
    async fn counted(&self) -> [[usize; 3]; 2] {
        let answer = client::fetch_path(self.metrics, "/metrics").await;
        let sum = |name: String| -> usize {
            let samples = answer.text().lines().filter(|line| line.starts_with(&name));
            samples
                .map(|line| line.rsplit(' ').next().expect("a value").parse::<usize>().expect("a count"))
                .sum()
        };
        ["accepted", "refused"].map(|what| {
            ["spans", "metric_points", "log_records"].map(|of| sum(format!("otelcol_receiver_{what}_{of}")))
        })
    }

    /// Ends it and reads its file.
    fn finish(self) -> Written {
        self.daemon.finish();
        let text = std::fs::read_to_string(self.dir.path().join("received.jsonl")).expect("its file");
        let mut written = Written::default();
        for line in text.lines() {
            // A request each; which signal it is of, its only key says.
            if line.starts_with(r#"{"resourceSpans""#) {
                written.spans.extend(span::read(serde_json::from_str(line).expect("OTLP")));
            } else if line.starts_with(r#"{"resourceMetrics""#) {
                let request = serde_json::from_str(line).expect("OTLP");
                written.metrics.extend(Received::Metrics(request).metrics());
            } else {
                written.records.extend(Received::Logs(serde_json::from_str(line).expect("OTLP")).logs());
            }
        }
        written.records = in_order(written.records);
        written
    }
}

#[tokio::test]
async fn the_collector_gets_every_signal_over_each_protocol() {
    let collector = Otelcol::start().await;
    let mut all = Vec::new();
    for protocol in PROTOCOLS {
        let to = if protocol == "grpc" { collector.grpc } else { collector.http };
        all.push(send(protocol, &format!("http://{to}")).await);
    }
    let sum = |of: fn(&Sent) -> usize| all.iter().map(of).sum::<usize>();
    let sent = [sum(|sent| sent.spans), sum(|sent| sent.points), sum(|sent| sent.records)];
    assert_eq!(collector.counted().await, [sent, [0; 3]], "accepted, and refused");
    let written = collector.finish();
    for sent in all {
        let spans = sent.own(&written.spans, |span| &span.resource);
        sent.expect_spans(&spans, Keeps { lists: true, link_details: true, flags: true });
        sent.expect_records(&sent.own(&written.records, |record| &record.origin.resource));
        sent.expect_metrics(&sent.own(&written.metrics, |metric| &metric.origin.resource));
    }
}

/// Spans of 17 KB each, in batches that are as large as gRPC receivers take by default, and 50 times as large as this one
/// takes over HTTP: it answers before it has read such a request, and closes.
#[tokio::test]
async fn the_collector_gets_large_spans_whatever_it_takes_at_once() {
    let collector = Otelcol::taking(64 << 10).await;
    let mut sent = 0;
    for (protocol, count) in [("grpc", 248), ("grpc", 512), ("http/protobuf", 248), ("http/json", 248)] {
        let to = if protocol == "grpc" { collector.grpc } else { collector.http };
        let server = pounce()
            .fixture("status.wat")
            .flag("--otel-endpoint", format_args!("http://{to}"))
            .flag("--otel-protocol", protocol)
            .env("OTEL_BSP_SCHEDULE_DELAY", 60_000)
            .env("OTEL_METRICS_EXPORTER", "none")
            .env("OTEL_LOGS_EXPORTER", "none")
            .start()
            .await;
        let path = format!("/200{}?q={}", "p".repeat(4017), "v".repeat(4001));
        let mut connection = Connection::open(server.addr(), Protocol::H1).await;
        for _ in 0..count {
            assert_eq!(connection.fetch(client::get(&path)).await.status, 200);
        }
        let exit = server.stop().await;
        let totals = exit.totals();
        assert_eq!((totals.ended, totals.exported, totals.dropped), (count, count, 0), "{protocol} {exit}");
        assert_eq!(exit.stderr.contains("are sent in parts"), protocol != "grpc", "{protocol} {exit}");
        sent += count;
    }
    let ids = collector.finish().spans.into_iter().map(|span| span.span_id);
    let mut ids: Vec<_> = ids.collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), sent, "each of them, by the Collector's own file");
}
