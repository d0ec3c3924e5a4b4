//! Where metrics and log records go, and what happens when nobody takes them.

use super::deeds;
use crate::support::client;
use crate::support::collector::Reply;
use crate::support::{Abi, Collector, eventually, pounce};

/// A guest that records one of each.
const BOTH: &str = "counter.c=1&log.info=hello";

/// Jaeger, for one, takes traces only.
#[tokio::test]
async fn a_backend_that_takes_only_traces_is_told_of_once() {
    for status in [404, 501] {
        let collector = Collector::start().await;
        collector.always_to_others(Reply::Refuse(status));
        let mut server = pounce()
            .guest(Abi::P2, "attributes")
            .traced(&collector)
            .env("OTEL_METRIC_EXPORT_INTERVAL", 50)
            .env("OTEL_BLRP_SCHEDULE_DELAY", 20)
            .start()
            .await;
        deeds(&server, BOTH).await;
        server.logged(&["WARN", "takes no metrics", "OTEL_METRICS_EXPORTER=none"]).await;
        server.logged(&["WARN", "takes no log records", "OTEL_LOGS_EXPORTER=none"]).await;
        for _ in 0..5 {
            deeds(&server, BOTH).await;
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        eventually("several refusals", async || collector.others().len() > 6).await;
        let exit = server.stop().await;
        let records = exit.log_totals();
        assert_eq!(
            (records.ended, records.exported, records.dropped),
            (6 + exit.own_lines(), 0, records.ended)
        );
        exit.expect(0, &["dropped because the export failed"]);
        exit.expect(0, &["0 points of metrics exported", "dropped because the export failed"]);
        let refusal = format!("the endpoint answered {status} ");
        assert_eq!(exit.stderr.matches(&refusal).count(), 2, "once for each signal\n{exit}");
        assert_eq!(exit.totals().exported, 6, "traces are not concerned: {exit}");
    }
}

#[tokio::test]
async fn each_signal_can_be_turned_off_and_have_a_place_and_key_of_its_own() {
    let (collector, other) = (Collector::start().await, Collector::start().await);
    let server = pounce()
        .guest(Abi::P2, "attributes")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("{}/in", collector.endpoint()))
        .env("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", format!("{}/here/v1/logs?key=1", other.endpoint()))
        .env("OTEL_EXPORTER_OTLP_LOGS_HEADERS", "x-key=logs")
        .env("OTEL_EXPORTER_OTLP_HEADERS", "x-key=all")
        .start()
        .await;
    deeds(&server, BOTH).await;
    server.stop().await.expect(0, &[]);
    let [metrics] = collector.others().try_into().unwrap();
    assert_eq!(
        (metrics.target.as_str(), metrics.headers["x-key"].as_bytes()),
        ("/in/v1/metrics", &b"all"[..])
    );
    let [logs] = other.others().try_into().unwrap();
    assert_eq!(
        (logs.target.as_str(), logs.headers["x-key"].as_bytes()),
        ("/here/v1/logs?key=1", &b"logs"[..])
    );
    assert_eq!(collector.received().len(), 1);

    let collector = Collector::start().await;
    let server = pounce()
        .guest(Abi::P2, "attributes")
        .traced(&collector)
        .env("OTEL_METRICS_EXPORTER", "none")
        .env("OTEL_LOGS_EXPORTER", "none")
        .start()
        .await;
    deeds(&server, BOTH).await;
    let exit = server.stop().await;
    exit.expect(0, &["hello", "1 spans ended, 1 exported"]);
    assert!(collector.others().is_empty(), "{exit}");
}

/// Guests that record nothing cost no request for export; what the server tells of itself is another matter.
#[tokio::test]
async fn nothing_is_sent_where_nothing_is_recorded() {
    let collector = Collector::start().await;
    let server = pounce()
        .fixture("status.wat")
        .traced(&collector)
        .env("OTEL_METRIC_EXPORT_INTERVAL", 20)
        .env("OTEL_BLRP_SCHEDULE_DELAY", 20)
        .start()
        .await;
    assert_eq!(client::fetch_path(server.addr(), "/200").await.status, 200);
    collector.span().await;
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    let exit = server.stop().await;
    exit.expect(0, &["1 spans ended, 1 exported"]);
    assert!(collector.others().is_empty(), "{exit}");
    assert!(!collector.hosts().is_empty());
}

#[tokio::test]
async fn a_silent_endpoint_does_not_hold_up_the_shutdown() {
    let collector = Collector::start().await;
    collector.always_to_others(Reply::Silence);
    let server = pounce()
        .guest(Abi::P2, "attributes")
        .traced(&collector)
        .env("OTEL_METRIC_EXPORT_INTERVAL", 50)
        .env("OTEL_EXPORTER_OTLP_TIMEOUT", 600_000)
        .flag("--grace-period", "1s")
        .start()
        .await;
    deeds(&server, BOTH).await;
    eventually("a request for export", async || !collector.others().is_empty()).await;
    let exit = server.stop().await;
    exit.expect(
        0,
        &[
            "dropped at shutdown", // Batches on their way, and the last ones.
            "0 points of metrics exported",
            "dropped because the export failed",
            "1 spans ended, 1 exported",
        ],
    );
    let records = exit.log_totals();
    assert_eq!((records.ended, records.exported, records.dropped), (1 + exit.own_lines(), 0, records.ended));
}

#[tokio::test]
async fn what_the_endpoint_refuses_of_a_batch_is_counted() {
    let collector = Collector::start().await;
    collector.always_to_others(Reply::Partial(1, "too\nold"));
    let builder = pounce().guest(Abi::P2, "attributes").traced(&collector);
    let server = builder.env("OTEL_BLRP_SCHEDULE_DELAY", 3_600_000).start().await;
    deeds(&server, "counter.a=1&counter.b=1&log.info=x&log.info=y&log.info=z").await;
    let exit = server.stop().await;
    // Of guests' metrics one, and of the host's own.
    let points = format!("{} points of metrics exported, 2 rejected", collector.points() - 2);
    exit.expect(0, &["log records emitted", &points]);
    let records = exit.log_totals();
    let emitted = 3 + exit.own_lines();
    assert_eq!((records.ended, records.exported, records.rejected), (emitted, emitted - 1, 1), "{exit}");
    // Nobody breaks lines of our log.
    exit.expect(0, &[r"too\\nold", "a batch of log records", "a batch of metrics"]);
}
