//! What an event becomes, and what never becomes a record.

use super::*;
use crate::log_records::LogRecords;
use crate::pipeline::Pipeline;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::logs::v1::{LogRecord as Record, ScopeLogs};
use pounce_otlp::Loss;
use prost::Message;
use tracing_subscriber::layer::SubscriberExt as _;

/// The otlp_log, and where it leads to once it is open.
fn otlp_log() -> (LogExport, Arc<LogRecords>) {
    (
        LogExport::default(),
        Arc::new(LogRecords::new(Arc::new(Pipeline::new(2048, 512)), &Default::default(), None)),
    )
}

fn log(otlp_log: &LogExport, level: LevelFilter, run: impl FnOnce()) {
    let records = OwnRecords(otlp_log.clone()).with_filter(OwnRecords::filter(level));
    tracing::subscriber::with_default(tracing_subscriber::registry().with(records), run);
}

/// What a collector would get, and that it is all in our scope.
fn sent(records: &LogRecords) -> Vec<Record> {
    let chunks = records.pipeline.drain(false);
    let entries: Vec<u8> = chunks.into_iter().flat_map(|chunk| chunk.bytes).collect();
    let mut rest = &*entries;
    let mut found = Vec::new();
    while !rest.is_empty() {
        assert_eq!(rest[0] >> 3, crate::scope::SCOPED, "in a scope of its own");
        rest = &rest[1..];
        let of_scope = ScopeLogs::decode_length_delimited(&mut rest).unwrap();
        assert_eq!(of_scope.scope.unwrap().name, "pounce");
        found.extend(of_scope.log_records);
    }
    found
}

fn attribute(record: &Record, key: &str) -> Option<Any> {
    let mut found = record.attributes.iter().filter(|attribute| attribute.key == key);
    let value = found.next()?.value.clone()?.value;
    assert!(found.next().is_none(), "{key} comes twice");
    value
}

#[test]
fn a_record_has_the_flags_of_the_span_that_is_logged_of() {
    let (otlp_log, records) = otlp_log();
    otlp_log.open(Some(records.clone()));
    let (trace_id, span_id) = (TraceId([1; 16]), SpanId([2; 8]));
    let context = SpanContext { trace_id, span_id, flags: 3, trace_state: TraceState::default() };
    log(&otlp_log, LevelFilter::INFO, || {
        let say = || tracing::warn!(target: "pounce::test", %trace_id, %span_id, "said");
        of_span(Some(&context), || {
            of_span(None, say);
            say();
        });
        say();
    });
    assert_eq!(sent(&records).iter().map(|record| record.flags).collect::<Vec<_>>(), [0, 3, 0]);
}

#[test]
fn an_event_is_a_record_with_its_types_and_its_span() {
    let (otlp_log, records) = otlp_log();
    otlp_log.open(Some(records.clone()));
    let error = std::io::Error::other("the cause");
    log(&otlp_log, LevelFilter::INFO, || {
        tracing::warn!(
            target: "pounce::test",
            component = "shop",
            trace_id = %TraceId([1; 16]),
            span_id = %SpanId([2; 8]),
            yes = true,
            minus = -1_i64,
            many = u64::MAX,
            half = 0.5,
            error = &error as &dyn std::error::Error,
            nothing = None::<&str>,
            "{} of {}", 1, 2
        );
    });
    let [record] = sent(&records).try_into().unwrap();
    assert_eq!((record.severity_number, record.severity_text.as_str()), (13, "WARN"));
    assert_eq!(record.body.clone().unwrap().value, Some(Any::StringValue("1 of 2".into())));
    assert_eq!((&*record.trace_id, &*record.span_id), (&[1; 16][..], &[2; 8][..]));
    let text = |text: &str| Some(Any::StringValue(text.to_owned()));
    for (key, value) in [
        ("pounce.component", text("shop")),
        ("yes", Some(Any::BoolValue(true))),
        ("minus", Some(Any::IntValue(-1))),
        ("many", text(&u64::MAX.to_string())),
        ("half", Some(Any::DoubleValue(0.5))),
        ("error", text("the cause")),
        ("target", text("pounce::test")),
        ("nothing", None),
        ("trace_id", None),
        ("message", None),
    ] {
        assert_eq!(attribute(&record, key), value, "{key}");
    }
    assert!(record.time_unix_nano > 0);
}

#[test]
fn what_was_said_before_telemetry_started_waits_for_it() {
    let (otlp_log, records) = otlp_log();
    let say = |n: usize| log(&otlp_log, LevelFilter::INFO, || tracing::info!(target: "pounce", n, "early"));
    (0..MAX_WAITING + 3).for_each(say);
    assert_eq!(sent(&records), []);
    otlp_log.open(Some(records.clone()));
    say(9999);
    let found = sent(&records);
    assert_eq!(found.len(), MAX_WAITING + 1);
    assert_eq!(attribute(&found[0], "n"), Some(Any::IntValue(0)), "in order");
    assert_eq!(attribute(found.last().unwrap(), "n"), Some(Any::IntValue(9999)));
    assert_eq!(records.pipeline.totals().losses.of(Loss::QueueFull), 3, "what did not fit is counted");
}

#[test]
fn where_nothing_is_exported_nothing_is_kept() {
    let otlp_log = LogExport::default();
    log(&otlp_log, LevelFilter::INFO, || tracing::info!(target: "pounce", "early"));
    otlp_log.open(None);
    assert!(!otlp_log.takes());
    log(&otlp_log, LevelFilter::INFO, || tracing::error!(target: "pounce", "late"));
    assert!(otlp_log.0.waiting.lock().unwrap().records.is_empty());
}

#[test]
fn neither_the_exporter_nor_its_transport_nor_guests_become_records() {
    let (otlp_log, records) = otlp_log();
    otlp_log.open(Some(records.clone()));
    let say = || {
        tracing::error!(target: "hyper_util::client", "refused");
        tracing::error!(target: "h2::proto", "refused");
        tracing::error!(target: "rustls::conn", "refused");
        tracing::error!(target: "tower::buffer", "refused");
        tracing::error!(target: "opentelemetry_sdk", "refused");
        tracing::error!(target: "guest", "a record that is exported where it is made");
        tracing::info!(target: "access", "likewise");
    };
    log(&otlp_log, LevelFilter::TRACE, say);
    assert_eq!(sent(&records), []);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            keep_here();
            log(&otlp_log, LevelFilter::TRACE, || tracing::error!(target: "pounce", "cannot export"));
        });
    });
    assert_eq!(sent(&records), []);
    log(&otlp_log, LevelFilter::TRACE, || tracing::error!(target: "pounce", "on another thread"));
    assert_eq!(sent(&records).len(), 1);
}

#[test]
fn the_level_is_that_of_the_log_but_info_at_least() {
    for (level, expected) in
        [(LevelFilter::ERROR, "ewi"), (LevelFilter::INFO, "ewi"), (LevelFilter::DEBUG, "ewid")]
    {
        let (otlp_log, records) = otlp_log();
        otlp_log.open(Some(records.clone()));
        log(&otlp_log, level, || {
            tracing::error!(target: "pounce", "e");
            tracing::warn!(target: "pounce", "w");
            tracing::info!(target: "pounce", "i");
            tracing::debug!(target: "pounce", "d");
            tracing::info!(target: "wasmtime", "noise");
        });
        let body = |record: &Record| match &record.body.as_ref().unwrap().value {
            Some(Any::StringValue(text)) => text.clone(),
            other => panic!("{other:?}"),
        };
        let found: String = sent(&records).iter().map(body).collect();
        assert_eq!(found, expected, "{level}");
    }
}
