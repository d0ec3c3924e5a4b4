//! Tests of the ring with real spans and log records.

use super::*;
use crate::settings::Semconv;
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyText;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ScopeLogs};
use opentelemetry_proto::tonic::trace::v1::{ScopeSpans, Span, Status, span::SpanKind};
use prost::Message as _;
use serde_json::Value;

fn recent(traces: usize) -> Recent {
    let resource = crate::resource::encode(&crate::tests::settings(), "hello").into();
    let envelope = crate::export::of_spans(&resource, Semconv::Compat);
    let kept = RecentTraces { traces, ..RecentTraces::default() };
    Recent::new(kept, &envelope, &envelope).expect("a ring")
}

fn id(n: u8) -> TraceId {
    TraceId([n; 16])
}

/// A span, its id and that of its parent, 0 for none, from `start` to `end`.
fn span(n: u8, span_id: u8, parent: u8, start: u64, end: u64) -> Span {
    Span {
        trace_id: id(n).0.to_vec(),
        span_id: vec![span_id; 8],
        parent_span_id: if parent == 0 { Vec::new() } else { vec![parent; 8] },
        name: format!("span {span_id}"),
        kind: SpanKind::Internal as i32,
        start_time_unix_nano: start,
        end_time_unix_nano: end,
        ..Span::default()
    }
}

fn add(recent: &Recent, span: Span) {
    recent.add(&ScopeSpans { spans: vec![span], ..ScopeSpans::default() }.encode_to_vec());
}

fn summaries(recent: &Recent, after: Option<&str>) -> Value {
    serde_json::from_slice(&recent.summaries(after)).unwrap()
}

#[test]
fn no_traces_need_no_ring() {
    let envelope = crate::export::of_spans(&Vec::new().into(), Semconv::Compat);
    assert!(Recent::new(RecentTraces::default(), &envelope, &envelope).is_none());
}

#[test]
fn a_summary_is_of_the_first_request_and_counts_all_spans() {
    let recent = recent(10);
    let text = |key: &str, text: &str| KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(AnyText::StringValue(text.to_owned())) }),
        ..KeyValue::default()
    };
    let mut child = span(1, 3, 2, 150, 160);
    child.status = Some(Status { code: 2, message: String::new() });
    add(&recent, child);
    // An inner request that began earlier by a clock that is behind, and the one that it is of.
    add(&recent, Span { kind: SpanKind::Server as i32, ..span(1, 4, 3, 90, 95) });
    let mut root = Span { kind: SpanKind::Server as i32, ..span(1, 2, 9, 100, 400) };
    root.attributes = vec![text("http.route", "/items/{id}"), text("pounce.component", "shop")];
    add(&recent, root);
    let said = summaries(&recent, None);
    assert_eq!((&said["is_whole"], &said["limit"]), (&true.into(), &10.into()));
    let trace = &said["traces"][0];
    assert_eq!(trace["trace_id"], "01".repeat(16));
    assert_eq!((&trace["start_unix_nano"], &trace["duration_nano"]), (&"100".into(), &300.into()));
    assert_eq!((&trace["name"], &trace["route"]), (&"span 2".into(), &"/items/{id}".into()));
    assert_eq!((&trace["component"], &trace["status"]), (&"shop".into(), &Value::Null));
    assert_eq!((&trace["spans"], &trace["requests"], &trace["errors"]), (&3.into(), &2.into(), &1.into()));
}

#[test]
fn a_large_trace_has_an_outline_and_a_small_one_is_told_whole() {
    let recent = recent(10);
    let outline = || -> Value { serde_json::from_slice(&recent.outline(id(1))).unwrap() };
    assert_eq!(outline()["resourceSpans"], Value::Array(Vec::new()));
    let of = |at: u64, parent: u64, start: u64, end: u64| Span {
        span_id: at.to_be_bytes().to_vec(),
        parent_span_id: parent.to_be_bytes().to_vec(),
        ..span(1, 0, 0, start, end)
    };
    // Children end first.
    (2..=1000).for_each(|at| add(&recent, of(at, 1, 1000 + at, 5000)));
    assert_eq!(outline()["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().len(), 999);
    let component = KeyValue {
        key: "pounce.component".to_owned(),
        value: Some(AnyValue { value: Some(AnyText::StringValue("shop".to_owned())) }),
        ..KeyValue::default()
    };
    add(
        &recent,
        Span {
            kind: SpanKind::Server as i32,
            status: Some(Status { code: 2, message: String::new() }),
            attributes: vec![component],
            ..of(1, 0x7777, 500, 9000)
        },
    );
    add(&recent, of(0xabc, 2, 1002, 1001));
    let told = outline();
    let columns = &told["outline"];
    let last = |column: &str| columns[column].as_array().unwrap()[998..].to_vec();
    let numbers = |column: &str| last(column).iter().map(|n| n.as_i64().unwrap()).collect::<Vec<_>>();
    assert_eq!(columns["start_unix_nano"], "500");
    let ids = columns["ids"].as_str().unwrap();
    assert_eq!((ids.len(), &ids[1000 * 16..]), (1001 * 16, "0000000000000abc"));
    assert_eq!(numbers("parents"), [999, -1, 0]);
    assert_eq!(&columns["kinds"].as_str().unwrap()[998..], "121");
    assert_eq!((numbers("starts"), numbers("durations")), (vec![1500, 0, 502], vec![3000, 8500, 0]));
    assert_eq!(
        (&columns["components"], numbers("component")),
        (&serde_json::json!(["", "shop"]), vec![0, 1, 0])
    );
    assert_eq!((&columns["errors"], &last("names")[1]), (&serde_json::json!([999]), &"span 0".into()));
}

#[test]
fn a_cursor_goes_on_where_it_was_and_another_process_starts_anew() {
    let recent = recent(10);
    add(&recent, span(1, 1, 0, 1, 2));
    let first = summaries(&recent, None);
    let cursor = first["cursor"].as_str().unwrap().to_owned();
    let next = summaries(&recent, Some(&cursor));
    assert_eq!((&next["is_whole"], next["traces"].as_array().unwrap().len()), (&false.into(), 0));
    add(&recent, span(2, 1, 0, 1, 2));
    let next = summaries(&recent, Some(&cursor));
    assert_eq!(next["traces"].as_array().unwrap().len(), 1);
    assert_eq!(next["traces"][0]["trace_id"], "02".repeat(16));
    for other in ["", "-", "0", "00000000-1", "x-y", &format!("{cursor}-"), &cursor.replace('-', "x")] {
        let all = summaries(&recent, Some(other));
        let is_ours = all["is_whole"] == Value::Bool(false);
        assert!(!is_ours, "{other}");
        assert_eq!(all["traces"].as_array().unwrap().len(), 2, "{other}");
    }
}

#[test]
fn log_records_are_kept_beside_their_trace_and_push_out_no_span() {
    let recent = recent(2);
    add(&recent, span(1, 1, 0, 1, 2));
    let record = |n: u8| {
        let record =
            LogRecord { trace_id: id(n).0.to_vec(), severity_text: "INFO".into(), ..LogRecord::default() };
        ScopeLogs { log_records: vec![record], ..ScopeLogs::default() }.encode_to_vec()
    };
    for n in 1..=9 {
        recent.add_log(id(n), &record(n));
    }
    let of = |n| String::from_utf8(recent.logs_json(id(n))).unwrap();
    assert_eq!(of(1), r#"{"resourceLogs":[]}"#, "newer ones have come");
    assert!(of(9).contains(r#""severityText":"INFO""#) && of(9).contains(&"09".repeat(16)), "{}", of(9));
    let spans = String::from_utf8(recent.json(9, Some(id(1)))).unwrap();
    assert_eq!(spans.matches("\"spanId\"").count(), 1, "{spans}");
    assert_eq!(String::from_utf8(recent.json(9, Some(id(9)))).unwrap(), r#"{"resourceSpans":[]}"#);
    let totals = recent.totals();
    assert_eq!((totals.traces, totals.spans, totals.limit), (1, 1, 2));
    assert!(totals.log_bytes > 0 && totals.logs_left_out == 0);
}
