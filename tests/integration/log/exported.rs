//! What becomes a log record at the endpoint: our own lines and guests' output, each once, with the same ids.

use super::lines;
use crate::support::client;
use crate::support::collector::Reply;
use crate::support::{Abi, Collector, eventually, for_both_abis, pounce};
use std::time::Duration;

for_both_abis!(lines_of_guests_are_records_of_their_request, our_own_lines_are_records, a_flood_is_counted,);

async fn lines_of_guests_are_records_of_their_request(abi: Abi) {
    let collector = Collector::start().await;
    let server = pounce().guest(abi, "stdio").traced(&collector).start().await;
    assert_eq!(client::fetch_path(server.addr(), "/?lines=7").await.text(), "written\n");
    let span = collector.span().await;
    let exit = server.stop().await;
    let records = collector.log_records();
    // A log of JSON has the lines as they are.
    let mut expected: Vec<_> = lines(&exit)
        .iter()
        .filter(|line| !line["stream"].is_null())
        .map(|line| (line["stream"].as_str().unwrap().to_owned(), line["message"].to_string()))
        .collect();
    assert_eq!(expected.len(), 14, "{exit}");
    let mut found: Vec<_> = records
        .iter()
        .map(|record| {
            let stream = record.attributes["log.iostream"].to_string().trim_matches('"').to_owned();
            (stream, record.body.clone())
        })
        .collect();
    expected.sort();
    found.sort();
    assert_eq!(found, expected, "each line once");
    for record in records {
        let severity = match record.attributes["log.iostream"].to_string().as_str() {
            r#""stdout""# => (9, "INFO".to_owned()),
            _ => (17, "ERROR".to_owned()),
        };
        assert_eq!(record.severity, severity);
        assert_eq!((&record.trace_id, &record.span_id), (&span.trace_id, &span.span_id));
        assert_eq!(record.flags, span.flags & 0xff);
        assert_eq!(record.origin.scope, "pounce.guest");
        assert_eq!(
            record.origin.scope_attributes["pounce.component"].to_string(),
            format!("{:?}", abi.stem("stdio"))
        );
        assert_eq!(record.origin.resource, span.resource);
    }
}

/// Whatever the level of the log, down to `info`; each once; from before telemetry had started to when it ends.
async fn our_own_lines_are_records(abi: Abi) {
    for level in ["info", "error"] {
        let collector = Collector::start().await;
        let server = pounce()
            .guest(abi, "trap")
            .traced(&collector)
            .flag("--log-level", level)
            .env("OTEL_BSP_MAX_QUEUE_SIZE", "many");
        let server = server.start().await;
        assert_eq!(client::fetch_path(server.addr(), "/panic").await.status, 500);
        let span = collector.span().await;
        let exit = server.stop().await;
        let records = collector.own_log_records();
        if level == "info" {
            assert_eq!(records.len(), exit.own_lines(), "{exit}");
            let lines = lines(&exit);
            for record in &records {
                let is_it = |line: &&serde_json::Value| {
                    format!("{}", line["message"]) == record.body
                        && line["level"] == record.severity.1.as_str()
                };
                assert_eq!(lines.iter().filter(is_it).count(), 1, "{record:#?}\n{exit}");
            }
        } else {
            assert!(!exit.stderr.contains("INFO"), "{exit}");
        }
        let bodies: Vec<_> = records.iter().map(|record| record.body.as_str()).collect();
        for part in ["OTEL_BSP_MAX_QUEUE_SIZE", "wasi:http 0.", "panicked at", "draining for"] {
            assert_eq!(bodies.iter().filter(|body| body.contains(part)).count(), 1, "{part}: {bodies:#?}");
        }
        let failed = records.iter().find(|record| record.body.contains("panicked at")).expect("found above");
        assert_eq!((&failed.trace_id, &failed.span_id), (&span.trace_id, &span.span_id));
        assert_eq!(failed.flags, span.flags & 0xff);
        assert_eq!(failed.severity, (13, "WARN".into()));
        assert_eq!(failed.attributes["error.type"].to_string(), r#""wasm_trap.unreachable""#);
        assert_eq!(failed.attributes["pounce.component"].to_string(), format!("{:?}", abi.stem("trap")));
        assert!(failed.attributes.contains_key("exception.stacktrace"));
        assert_eq!(failed.origin.resource, span.resource);
        let others = records.iter().filter(|record| !record.body.contains("panicked at"));
        assert!(others.clone().all(|record| record.trace_id.is_empty()), "of no request");
    }
}

/// An endpoint that takes no records is not sent a record of that; then of the failure to send it; and so on.
#[tokio::test]
async fn a_failing_endpoint_is_not_sent_its_own_failures() {
    for reply in [Reply::Refuse(400), Reply::Refuse(404), Reply::Refuse(503), Reply::Silence] {
        let collector = Collector::start().await;
        collector.always_to_others(reply.clone());
        let mut server = pounce()
            .fixture("status.wat")
            .traced(&collector)
            .flag("--log-level", "trace")
            .env("OTEL_BLRP_SCHEDULE_DELAY", 20)
            .env("OTEL_BLRP_EXPORT_TIMEOUT", 100)
            .env("OTEL_METRICS_EXPORTER", "none")
            .start()
            .await;
        // Those of the start.
        server.logged(&["log records", "WARN"]).await;
        let mut before = 0;
        eventually("the last of them", async || {
            let last = std::mem::replace(&mut before, collector.log_exports());
            tokio::time::sleep(Duration::from_millis(500)).await;
            last > 0 && last == before && collector.log_exports() == before
        })
        .await;
        // Failures of traces are the exporter's own, too.
        collector.always(Reply::Refuse(400));
        tokio::time::sleep(Duration::from_millis(600)).await;
        assert_eq!(collector.log_exports(), before, "{reply:?}: nobody said anything");
        let exit = server.stop().await;
        let records = exit.log_totals();
        assert_eq!((records.exported, records.dropped), (0, records.ended), "all are counted: {exit}");
        let own = exit.own_lines();
        assert!(records.ended <= own, "{} records of {own} lines: {exit}", records.ended);
    }
}

/// A guest that floods its output: what is logged is exported or counted, and everybody is served.
async fn a_flood_is_counted(abi: Abi) {
    const LINES: usize = 20_000;
    let collector = Collector::start().await;
    let server = pounce()
        .guest(abi, "stdio")
        .traced(&collector)
        .flag("--request-timeout", "none")
        .env("OTEL_BLRP_MAX_QUEUE_SIZE", 100)
        .env("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", 100)
        .start()
        .await;
    let answer = client::fetch_path(server.addr(), &format!("/?lines={LINES}&only=stdout")).await;
    assert_eq!(answer.text(), "written\n");
    assert_eq!(client::fetch_path(server.addr(), "/?lines=1&only=stdout").await.text(), "written\n");
    eventually("records", async || !collector.log_records().is_empty()).await;
    let exit = server.stop().await;
    exit.expect(0, &["lines of guest output dropped"]);
    let logged = lines(&exit).iter().filter(|line| !line["stream"].is_null()).count();
    assert!((1000..LINES).contains(&logged), "{logged}");
    let records = exit.log_totals();
    assert_eq!(records.ended, logged + exit.own_lines(), "{exit}");
    assert_eq!(records.exported + records.dropped, records.ended, "{exit}");
    let arrived = collector.log_records().len() + collector.own_log_records().len();
    assert_eq!(records.exported, arrived, "{exit}");
}
