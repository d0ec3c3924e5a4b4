//! The OpenTelemetry Collector receives all signals and writes them to a file as it understood them, which loses nothing.

use super::traffic::{Keeps, send};
use super::{Daemon, PROTOCOLS, free_addrs, tool};
use crate::support::eventually;
use crate::support::signals::{LogRecord, Metric, Received};
use crate::support::span::{self, Span};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A running Collector; killed when dropped.
struct Otelcol {
    daemon: Daemon,
    dir: TempDir,
    http: SocketAddr,
    grpc: SocketAddr,
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
        let dir = tempfile::tempdir().expect("a folder");
        let [http, grpc] = free_addrs();
        let config = format!(
            r#"
            receivers:
              otlp: {{ protocols: {{ grpc: {{ endpoint: "{grpc}" }}, http: {{ endpoint: "{http}" }} }} }}
            exporters:
              file: {{ path: {file:?} }}
            service:
              telemetry: {{ metrics: {{ level: none }}, logs: {{ level: warn }} }}
              pipelines:
                traces: {{ receivers: [otlp], exporters: [file] }}
                metrics: {{ receivers: [otlp], exporters: [file] }}
                logs: {{ receivers: [otlp], exporters: [file] }}
            "#,
            file = dir.path().join("received.jsonl"),
        );
        let path = dir.path().join("config.yaml");
        std::fs::write(&path, config).expect("a writable folder");
        let mut daemon = Daemon::start(
            Command::new(tool("POUNCE_COLLECTOR", "collector-0.162.0-1/collector"))
                .arg("--config")
                .arg(&path)
                .stdout(Stdio::null()),
        );
        eventually("the Collector to listen", async || {
            assert!(daemon.is_alive(), "the Collector has ended");
            for addr in [http, grpc] {
                if tokio::net::TcpStream::connect(addr).await.is_err() {
                    return false;
                }
            }
            true
        })
        .await;
        Otelcol { daemon, dir, http, grpc }
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
    let written = collector.finish();
    for sent in all {
        let spans = sent.own(&written.spans, |span| &span.resource);
        sent.expect_spans(&spans, Keeps { lists: true, link_details: true, flags: true });
        sent.expect_records(&sent.own(&written.records, |record| &record.origin.resource));
        sent.expect_metrics(&sent.own(&written.metrics, |metric| &metric.origin.resource));
    }
}
