//! What a record says once decoded, and its limits.

use super::*;
use crate::context::{RANDOM, SAMPLED, TraceState};
use opentelemetry_proto::tonic::common::v1::any_value::{self, Value as Wire};
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
use pounce_otlp::id::{SpanId, TraceId};
use proptest::prelude::*;

fn records() -> LogRecords {
    LogRecords::new(Arc::new(Pipeline::new(2048, 512)), &settings::Limits::default(), None)
}

/// What was emitted, as a collector would decode it.
fn decoded(records: &LogRecords) -> Vec<otlp::LogRecord> {
    let chunks = records.pipeline.drain(false);
    chunks.iter().flat_map(|chunk| otlp::ScopeLogs::decode(&*chunk.bytes).unwrap().log_records).collect()
}

/// The value as the protocol's own types have it; none for nothing.
fn wire(value: &Value) -> Option<Wire> {
    fn array(values: impl Iterator<Item = Wire>) -> Wire {
        let values = values.map(|value| AnyValue { value: Some(value) });
        Wire::ArrayValue(ArrayValue { values: values.collect() })
    }
    let any = |value: &Value| AnyValue { value: wire(value) };
    let value = match value.clone() {
        Value::Null => return None,
        Value::List(values) => Wire::ArrayValue(ArrayValue { values: values.iter().map(any).collect() }),
        Value::Map(entries) => {
            let entry = |(key, value): &(String, Value)| KeyValue {
                key: key.clone(),
                value: Some(any(value)),
                ..KeyValue::default()
            };
            Wire::KvlistValue(KeyValueList { values: entries.iter().map(entry).collect() })
        }
        Value::Text(text) => Wire::StringValue(text),
        Value::Bool(bool) => Wire::BoolValue(bool),
        Value::Int(int) => Wire::IntValue(int),
        Value::Double(double) => Wire::DoubleValue(double),
        Value::Bytes(bytes) => Wire::BytesValue(bytes),
        Value::Texts(texts) => array(texts.into_iter().map(Wire::StringValue)),
        Value::Bools(bools) => array(bools.into_iter().map(Wire::BoolValue)),
        Value::Ints(ints) => array(ints.into_iter().map(Wire::IntValue)),
        Value::Doubles(doubles) => array(doubles.into_iter().map(Wire::DoubleValue)),
    };
    Some(value)
}

fn any_attribute() -> impl Strategy<Value = (Box<str>, Value)> {
    let double = proptest::num::f64::ANY.prop_filter("not-a-number is equal to nothing", |d| !d.is_nan());
    let value = prop_oneof![
        ".{0,40}".prop_map(Value::Text),
        ".{100,300}".prop_map(Value::Text),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        double.clone().prop_map(Value::Double),
        proptest::collection::vec(any::<u8>(), 0..200).prop_map(Value::Bytes),
        proptest::collection::vec(".{0,20}", 0..20).prop_map(Value::Texts),
        proptest::collection::vec(any::<bool>(), 0..100).prop_map(Value::Bools),
        proptest::collection::vec(any::<i64>(), 0..30).prop_map(Value::Ints),
        proptest::collection::vec(double, 0..30).prop_map(Value::Doubles),
        Just(Value::Null),
    ];
    let value = value.prop_recursive(4, 40, 8, |value| {
        prop_oneof![
            proptest::collection::vec(value.clone(), 0..8).prop_map(Value::List),
            proptest::collection::vec((".{0,20}", value), 0..8).prop_map(Value::Map),
        ]
    });
    (".{0,20}".prop_map(Box::from), value)
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

#[test]
fn a_record_says_what_the_guest_said_and_where() {
    let records = records();
    let context = SpanContext {
        trace_id: TraceId([1; 16]),
        span_id: SpanId([2; 8]),
        flags: SAMPLED | RANDOM,
        trace_state: TraceState::default(),
    };
    let attributes = vec![("n".to_owned(), Value::Ints(vec![1, i64::MIN])), ("n".to_owned(), Value::Int(4))];
    let record = LogRecord::new(Severity::Warn, text("hello"), Some("order.placed".into()), attributes);
    let before = unix_nanos();
    records.emit(&record, Some(&context));
    records.emit(&LogRecord::new(Severity::Fatal, Value::Bytes(vec![0, 255]), None, vec![]), None);
    let [first, second] = decoded(&records).try_into().unwrap();
    assert_eq!((first.severity_number, first.severity_text.as_str()), (13, "WARN"));
    assert_eq!(first.body.unwrap().value, Some(any_value::Value::StringValue("hello".into())));
    assert_eq!(first.event_name, "order.placed");
    assert_eq!((first.trace_id, first.span_id, first.flags), (vec![1; 16], vec![2; 8], 3));
    assert_eq!(first.attributes, [key_value("n", &Value::Int(4))], "the last value of a key wins");
    assert!(before <= first.time_unix_nano && first.time_unix_nano <= first.observed_time_unix_nano);
    assert_eq!((second.severity_number, second.trace_id, second.event_name.as_str()), (21, vec![], ""));
    assert_eq!(second.body.unwrap().value, Some(any_value::Value::BytesValue(vec![0, 255])));
}

#[test]
fn what_is_over_a_limit_is_cut_or_counted() {
    let records = records();
    let mut attributes: Vec<_> = (0..200).map(|n| (format!("k{n}"), Value::Int(n))).collect();
    attributes.insert(0, ("pounce.component".into(), text("forged")));
    attributes.insert(0, ("long".into(), text(&"x".repeat(9000))));
    let event = Some("e".repeat(999));
    records.emit(&LogRecord::new(Severity::Info, text(&"ä".repeat(20_000)), event, attributes), None);
    let record = decoded(&records).remove(0);
    assert_eq!((record.attributes.len(), record.dropped_attributes_count), (128, 74));
    assert_eq!(records.pipeline.counters.totals().attributes, 74);
    assert_eq!((record.attributes[0].key.as_str(), record.event_name.len()), ("long", MAX_NAME));
    assert!(record.attributes.iter().all(|attribute| attribute.key != "pounce.component"));
    match record.body.unwrap().value {
        Some(any_value::Value::StringValue(body)) => assert_eq!(body.len(), MAX_BODY),
        other => panic!("{other:?}"),
    }
    for body in [
        Value::Ints(vec![1; 1_000_000]),
        Value::Doubles(vec![1.0; 1_000_000]),
        Value::Bools(vec![true; 1_000_000]),
        Value::Texts(vec!["x".repeat(100); 10_000]),
        Value::Texts(vec![String::new(); 100_000]),
        Value::List(vec![text(&"x".repeat(4096)); 1000]),
        Value::Map((0..1000).map(|n| (n.to_string(), Value::List(vec![text("x"); 100]))).collect()),
    ] {
        let record = LogRecord::new(Severity::Info, body, None, vec![]);
        assert!((MAX_BODY / 2..=MAX_BODY).contains(&record.body.size()), "{}", record.body.size());
    }
}

#[test]
fn a_full_buffer_drops_and_counts() {
    let records = LogRecords::new(Arc::new(Pipeline::new(10, 512)), &settings::Limits::default(), None);
    let record = LogRecord::new(Severity::Info, text("x"), None, vec![]);
    (0..25).for_each(|_| records.emit(&record, None));
    let totals = records.pipeline.totals();
    assert_eq!((totals.ended, totals.losses.of(Loss::QueueFull), decoded(&records).len()), (25, 15, 10));
}

/// Made for nobody, they would cost what records cost; their counts tell whether they were.
#[test]
fn a_record_is_made_only_where_it_is_exported_or_shown() {
    let context = |flags| SpanContext {
        trace_id: TraceId([1; 16]),
        span_id: SpanId([2; 8]),
        flags,
        trace_state: TraceState::default(),
    };
    let twice = vec![("pounce.x".to_owned(), Value::Int(1)), ("y".to_owned(), Value::Int(1))];
    let guests = LogRecord::new(Severity::Info, text("said"), None, twice);
    assert_eq!(guests.attributes.dropped, 1, "its making is counted");
    let hosts = LogRecord::of_host(Severity::Warn, "said", None, vec![]);
    let envelope = crate::export::of_spans(&Vec::new().into(), settings::Semconv::Compat);
    for (is_exported, has_unsampled, flags, is_shown) in [
        (false, false, None, false),
        (false, false, Some(0), false),
        (false, false, Some(SAMPLED), true),
        (false, true, Some(0), true),
        (true, false, None, false),
        (true, false, Some(0), false),
        (true, false, Some(SAMPLED), true),
    ] {
        let case = format!("{is_exported} {has_unsampled} {flags:?}");
        let pipeline = if is_exported { Pipeline::new(10, 5) } else { Pipeline::unread() };
        let kept = crate::RecentTraces { traces: 5, ..Default::default() };
        let recent = Arc::new(Recent::new(kept, &envelope, &envelope).unwrap());
        let shown = Shown { recent: recent.clone(), has_unsampled };
        let records = LogRecords::new(Arc::new(pipeline), &settings::Limits::default(), Some(shown));
        let context = flags.map(context);
        records.emit(&guests, context.as_ref());
        let made = records.pipeline.counters.totals().attributes;
        assert_eq!(made, u64::from(is_exported || is_shown), "{case}");
        let of_guest = recent.totals().log_bytes;
        assert_eq!(of_guest > 0, is_shown, "{case}");
        records.emit_own(&hosts, context.as_ref());
        assert_eq!(recent.totals().log_bytes > of_guest, is_shown, "{case}");
        assert_eq!(records.pipeline.totals().ended, if is_exported { 2 } else { 0 }, "{case}");
    }
}

proptest! {
    /// Behind one another, as they wait for an export.
    #[test]
    fn any_records_decode_as_what_was_taken(
        given in proptest::collection::vec(
            (
                any_attribute(),
                proptest::option::of(".{0,20}"),
                proptest::collection::vec(any_attribute(), 0..20),
                proptest::option::of((any::<[u8; 16]>(), any::<[u8; 8]>(), 0u8..4)),
            ),
            1..4,
        ),
    ) {
        let records = records();
        let mut expected = Vec::new();
        for ((_, body), event, attributes, at) in given {
            let context = at.map(|(trace, span, flags)| SpanContext {
                trace_id: TraceId(trace),
                span_id: SpanId(span),
                flags,
                trace_state: TraceState::default(),
            });
            let attributes = attributes.into_iter().map(|(key, value)| (key.into(), value)).collect();
            let record = LogRecord::new(Severity::Debug, body, event, attributes);
            records.emit(&record, context.as_ref());
            expected.push((record, context));
        }
        let found = decoded(&records);
        prop_assert_eq!(found.len(), expected.len());
        for (found, (record, context)) in found.into_iter().zip(expected) {
            prop_assert_eq!(found.body.unwrap().value, wire(&record.body));
            prop_assert_eq!(found.event_name, record.event_name.clone().unwrap_or_default());
            prop_assert_eq!(found.dropped_attributes_count, record.attributes.dropped);
            let of_wire = |(key, value): (&str, &Value)| (key.to_owned(), wire(value));
            let attributes = found.attributes.into_iter().map(|one| (one.key, one.value.unwrap().value));
            prop_assert_eq!(
                attributes.collect::<Vec<_>>(),
                record.attributes().map(of_wire).collect::<Vec<_>>()
            );
            let (trace_id, span_id, flags) = context
                .map(|context| (context.trace_id.0.to_vec(), context.span_id.0.to_vec(), context.flags.into()))
                .unwrap_or_default();
            prop_assert_eq!((found.trace_id, found.span_id, found.flags), (trace_id, span_id, flags));
        }
    }
}
