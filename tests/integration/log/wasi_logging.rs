//! Records that guests log by `wasi:logging`: in our log and at the endpoint, with the ids of their request.

use super::lines;
use crate::support::client;
use crate::support::{Abi, Collector, for_both_abis, pounce};

for_both_abis!(records_of_wasi_logging_join_the_log, records_of_wasi_logging_are_limited,);

/// What the guest logs by one name of the interface, by level: ours, and OpenTelemetry's number and word.
const LEVELS: [(&str, &str, i32, &str); 6] = [
    ("trace", "TRACE", 1, "TRACE"),
    ("debug", "DEBUG", 5, "DEBUG"),
    ("info", "INFO", 9, "INFO"),
    ("warn", "WARN", 13, "WARN"),
    ("error", "ERROR", 17, "ERROR"),
    ("critical", "ERROR", 21, "FATAL"),
];

async fn records_of_wasi_logging_join_the_log(abi: Abi) {
    for (level, count) in [("trace", 6), ("info", 4)] {
        let collector = Collector::start().await;
        let server = pounce()
            .guest(abi, "logging")
            .flag("--log-level", level)
            .env("OTEL_METRICS_EXPORTER", "none")
            .traced(&collector)
            .start()
            .await;
        for id in ["7", "8"] {
            let path = format!("/?id={id}");
            assert_eq!(client::fetch_path(server.addr(), &path).await.text(), "logged\n");
        }
        let spans = collector.spans(2).await;
        let exit = server.stop().await;
        let (lines, records) = (lines(&exit), collector.log_records());
        assert_eq!(records.len(), 2 * (count + 2), "{level}: {records:#?}");
        for (span, id) in spans.iter().zip(["7", "8"]) {
            for (name, ours, number, word) in LEVELS {
                let message = format!("{name} of {id}");
                let line = lines.iter().find(|line| line["message"] == message.as_str());
                let record = records.iter().find(|record| record.body == format!("{message:?}"));
                if level == "info" && ["trace", "debug"].contains(&name) {
                    assert!(line.is_none() && record.is_none(), "{message}");
                    continue;
                }
                let (line, record) = (line.unwrap(), record.unwrap());
                assert_eq!((&line["level"], &line["target"]), (&ours.into(), &"guest".into()), "{line}");
                assert_eq!(
                    (&line["trace_id"], &line["span_id"]),
                    (&span.trace_id.as_str().into(), &span.span_id.as_str().into())
                );
                assert_eq!(line["attributes"], r#"{"wasi.logging.context":"shop"}"#, "{line}");
                assert_eq!(record.severity, (number, word.to_owned()), "{message}");
                assert_eq!((&record.trace_id, &record.span_id), (&span.trace_id, &span.span_id), "{message}");
                assert_eq!(record.attributes["wasi.logging.context"].to_string(), r#""shop""#);
            }
            // By the other names of the interface, and without a context.
            for message in [format!("unversioned of {id}\nwith a second line"), format!("mine of {id}")] {
                let record = records.iter().find(|record| record.body == format!("{message:?}")).unwrap();
                assert_eq!(&record.span_id, &span.span_id, "{message}");
                assert!(!record.attributes.contains_key("wasi.logging.context"), "{record:?}");
                let one_line = message.replace('\n', "\\n");
                let line = lines.iter().find(|line| line["message"] == one_line.as_str()).unwrap();
                assert!(line["attributes"].is_null(), "{line}");
            }
        }
    }
}

/// A guest that logs without end fills neither the log nor the endpoint's queue, and what is left out is counted.
async fn records_of_wasi_logging_are_limited(abi: Abi) {
    let collector = Collector::start().await;
    let server =
        pounce().guest(abi, "logging").env("OTEL_METRICS_EXPORTER", "none").traced(&collector).start().await;
    // Far more than are logged in the time that they take, however slow the machine is; and one that is too long.
    const RECORDS: usize = 20_000;
    for path in ["/flood?records=1&bytes=20000", &format!("/flood?records={}&bytes=100", RECORDS - 1)] {
        assert_eq!(client::fetch_path(server.addr(), path).await.text(), "logged\n");
    }
    let exit = server.stop().await;
    let flooded = |text: &str| text.starts_with("xxx");
    let lines: Vec<_> =
        lines(&exit).into_iter().filter(|line| flooded(line["message"].as_str().unwrap())).collect();
    assert!((2..RECORDS).contains(&lines.len()), "{}", lines.len());
    let lengths = lines.iter().map(|line| line["message"].as_str().unwrap().len());
    assert!((8000..9000).contains(&lengths.max().unwrap()));
    let records = collector.log_records();
    assert!((2..RECORDS).contains(&records.len()), "{}", records.len());
    let totals = exit.log_totals();
    assert_eq!(totals.exported, records.len() + collector.own_log_records().len(), "{exit}");
    let beyond = format!("{} more dropped beyond what a request may emit", RECORDS - records.len());
    exit.expect(0, &[&beyond, "guest output dropped"]);
}

/// What serves a component that imports it, says `check`.
#[tokio::test]
async fn the_check_finds_wasi_logging() {
    let exit = pounce().command("check").guest(Abi::P2, "logging").run().await;
    exit.expect(0, &[]);
    for import in [" wasi:logging/logging@0.1.0-draft ", " wasi:logging/logging ", " mine "] {
        let line = exit.stdout.lines().find(|line| line.contains(import));
        let line = line.unwrap_or_else(|| panic!("{import}: {exit}"));
        assert!(line.contains("ok") && line.contains("by wasi:logging"), "{line}");
    }
}
