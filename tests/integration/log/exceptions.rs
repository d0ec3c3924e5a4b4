//! Exceptions as log records, for who asks for it: instead of the span's event or beside it, and never lost.

use crate::support::client;
use crate::support::signals::LogRecord;
use crate::support::{Abi, Collector, Protocol, for_both_abis, pounce};

for_both_abis!(a_trap_is_a_record_of_its_span, what_guests_record_stays_an_event,);

const VARIABLE: &str = "OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN";

fn of_event(collector: &Collector, event: &str) -> Vec<LogRecord> {
    let mut records = collector.own_log_records();
    records.retain(|record| record.event == event);
    records
}

fn text(record: &LogRecord, key: &str) -> String {
    record.attributes.get(key).map(ToString::to_string).unwrap_or_default()
}

async fn a_trap_is_a_record_of_its_span(abi: Abi) {
    for (signal, records, events) in [("logs", 1, 0), ("logs/dup", 1, 1), ("", 0, 1), ("log", 0, 1)] {
        let collector = Collector::start().await;
        let server = pounce().guest(abi, "trap").traced(&collector).env(VARIABLE, signal).start().await;
        assert_eq!(client::fetch_path(server.addr(), "/panic").await.status, 500);
        let span = collector.span().await;
        let exit = server.stop().await;
        let of_span = span.events.iter().filter(|event| event.name == "exception").count();
        let found = of_event(&collector, "http.server.request.exception");
        assert_eq!((found.len(), of_span), (records, events), "{signal}: {exit}");
        assert!(span.failed() && span.text("error.type") == "wasm_trap.unreachable");
        assert_eq!(exit.stderr.contains("`log` is not known"), signal == "log", "{exit}");
        for record in found {
            assert_eq!((&record.trace_id, &record.span_id), (&span.trace_id, &span.span_id));
            assert_eq!(record.flags, span.flags & 0xff);
            assert_eq!(record.severity, (17, "ERROR".to_owned()));
            assert_eq!(text(&record, "exception.type"), "\"wasm_trap.unreachable\"");
            assert!(text(&record, "exception.stacktrace").contains("kinds::fail"), "{record:?}");
            assert_eq!(text(&record, "exception.message"), record.body);
            assert_eq!(text(&record, "pounce.component"), format!("{:?}", abi.stem("trap")));
            assert!(span.start <= record.time && record.time <= span.end, "{record:?}");
        }
        // The console has the line that it has always had, and no other.
        let lines = super::lines(&exit);
        assert_eq!(lines.iter().filter(|line| line["stacktrace"].is_string()).count(), 1, "{exit}");
        assert!(!exit.stderr.contains("http.server.request.exception"), "{exit}");
    }
}

/// Guests ask for an event by name.
async fn what_guests_record_stays_an_event(abi: Abi) {
    let collector = Collector::start().await;
    let server = pounce().guest(abi, "attributes").traced(&collector).env(VARIABLE, "logs").start().await;
    client::fetch_path(server.addr(), "/deeds?exception=E:went%20wrong").await;
    let span = collector.span().await;
    server.stop().await.expect(0, &[]);
    assert!(span.events.iter().any(|event| event.name == "exception"), "{:?}", span.events);
    assert!(of_event(&collector, "http.server.request.exception").is_empty());
}

/// What went wrong is told whatever share of traces is kept, and where no spans are sent.
#[tokio::test]
async fn records_need_no_recorded_span() {
    for (sample, traces) in [("0", "otlp"), ("1", "none")] {
        let collector = Collector::start().await;
        let server = pounce()
            .guest(Abi::P2, "trap")
            .traced(&collector)
            .flag("--otel-sample", sample)
            .env("OTEL_TRACES_EXPORTER", traces)
            .env(VARIABLE, "logs")
            .start()
            .await;
        client::fetch_path(server.addr(), "/unreachable").await;
        server.stop().await;
        let found = of_event(&collector, "http.server.request.exception");
        assert_eq!(found.len(), 1, "{sample} {traces}");
        assert_eq!(found[0].trace_id.is_empty(), traces == "none");
        assert!(collector.received().is_empty());
    }
}

#[tokio::test]
async fn without_records_exceptions_stay_events() {
    let collector = Collector::start().await;
    let server = pounce()
        .guest(Abi::P2, "trap")
        .traced(&collector)
        .env("OTEL_LOGS_EXPORTER", "none")
        .env(VARIABLE, "logs")
        .start()
        .await;
    client::fetch_path(server.addr(), "/unreachable").await;
    let span = collector.span().await;
    let exit = server.stop().await;
    assert_eq!(span.events.iter().filter(|event| event.name == "exception").count(), 1);
    assert_eq!(exit.stderr.matches("exceptions stay events of spans").count(), 1, "{exit}");
}

/// A destination that a guest may not call.
#[tokio::test]
async fn a_call_that_fails_is_a_record_of_its_client_span() {
    for abi in [Abi::P2, Abi::P3] {
        let collector = Collector::start().await;
        let server = pounce().guest(abi, "relay").traced(&collector).env(VARIABLE, "logs").start().await;
        let one = serde_json::json!([{ "url": "http://refused.example/", "arguments": {} }]).to_string();
        client::fetch(server.addr(), Protocol::H1, client::post("/", one)).await;
        server.stop().await;
        let found = of_event(&collector, "http.client.request.exception");
        assert_eq!(found.len(), 1, "{found:?}");
        let spans = collector.received();
        let span = spans.iter().find(|span| span.span_id == found[0].span_id).expect("its span");
        assert_eq!(found[0].severity, (13, "WARN".to_owned()));
        assert_eq!((&found[0].trace_id, span.text("server.address")), (&span.trace_id, "refused.example"));
        assert_eq!(text(&found[0], "exception.type"), format!("{:?}", span.text("error.type")));
        assert!(text(&found[0], "exception.message").len() > 2);
    }
}
