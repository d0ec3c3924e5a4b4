//! What is written must be what `opentelemetry-proto` reads.

use super::*;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, KeyValue, KeyValueList, any_value::Value as Wire,
};
use opentelemetry_proto::tonic::trace::v1::{ScopeSpans, Span, Status, span::Event, span::Link};
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message;

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

fn key_value((key, value): &(Box<str>, Value)) -> KeyValue {
    let value = Some(AnyValue { value: wire(value) });
    KeyValue { key: key.to_string(), value, ..KeyValue::default() }
}

fn any_attribute() -> impl Strategy<Value = (Box<str>, Value)> {
    let double = prop::num::f64::ANY.prop_filter("not-a-number is equal to nothing", |d| !d.is_nan());
    let value = prop_oneof![
        ".{0,40}".prop_map(Value::Text),
        ".{100,300}".prop_map(Value::Text),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        double.clone().prop_map(Value::Double),
        vec(any::<u8>(), 0..200).prop_map(Value::Bytes),
        vec(".{0,20}", 0..20).prop_map(Value::Texts),
        vec(any::<bool>(), 0..100).prop_map(Value::Bools),
        vec(any::<i64>(), 0..30).prop_map(Value::Ints),
        vec(double, 0..30).prop_map(Value::Doubles),
        Just(Value::Null),
    ];
    let value = value.prop_recursive(4, 40, 8, |value| {
        prop_oneof![
            vec(value.clone(), 0..8).prop_map(Value::List),
            vec((".{0,20}", value), 0..8).prop_map(Value::Map),
        ]
    });
    (".{0,20}".prop_map(Box::from), value)
}

type AnyEvent = (u64, String, Vec<(Box<str>, Value)>, u32);

fn any_event() -> impl Strategy<Value = AnyEvent> {
    (any::<u64>(), ".{0,20}", vec(any_attribute(), 0..4), prop_oneof![Just(0), any::<u32>()])
}

/// The flags of a link to a span of which this is known.
/// A context whose trace state is its own.
#[derive(Clone, Debug)]
struct Owned {
    trace_id: TraceId,
    span_id: SpanId,
    flags: u8,
    trace_state: String,
}

impl Owned {
    fn borrowed(&self) -> Context<'_> {
        let Owned { trace_id, span_id, flags, trace_state } = self;
        Context { trace_id: *trace_id, span_id: *span_id, flags: *flags, trace_state }
    }
}

fn link_flags(flags: u8, is_remote: Option<bool>) -> u32 {
    let remote = match is_remote {
        None => 0,
        Some(false) => 0x100,
        Some(true) => 0x300,
    };
    u32::from(flags) | remote
}

fn any_linked() -> impl Strategy<Value = (Owned, Option<bool>)> {
    (any_context(), any::<Option<bool>>())
}

fn any_context() -> impl Strategy<Value = Owned> {
    (1u128.., 1u64.., 0u8..4, "[ -~]{0,200}").prop_map(|(trace, span, flags, trace_state)| Owned {
        trace_id: TraceId(trace.to_be_bytes()),
        span_id: SpanId(span.to_be_bytes()),
        flags,
        trace_state,
    })
}

proptest! {
    /// Spans of any size, one after another, as the exporter joins them.
    #[test]
    fn spans_are_read_back_whole(
        context in any_context(),
        parent in prop::option::of(any::<[u8; 8]>()),
        remote in any::<bool>(),
        times in any::<(u64, u64)>(),
        name in [".{0,20}", ".{0,3}", ".{0,200}"],
        attributes in vec(any_attribute(), 0..40),
        events in vec(any_event(), 0..5),
        status in prop::option::of((any::<bool>(), ".{0,20}")),
        links in vec((any_linked(), vec(any_attribute(), 0..4), any::<u32>()), 0..4),
        dropped in any::<(u32, u32, u32)>(),
    ) {
        let mut out = Vec::new();
        for _ in 0..2 {
            let mut span = SpanWriter::start(&mut out, &Head {
                context: context.borrowed(),
                parent: parent.map(SpanId),
                parent_is_remote: remote,
                kind: Kind::Server,
                start_unix_nanos: times.0,
                end_unix_nanos: times.1,
            });
            span.name([&name[0], &name[1], &name[2]]);
            for (key, value) in &attributes {
                span.attribute(key, Borrowed::Any(value));
            }
            for (time, name, attributes, dropped) in &events {
                span.event(*time, name, attributes, *dropped);
            }
            for ((to, is_remote), attributes, dropped) in &links {
                span.link(to.borrowed(), *is_remote, attributes, *dropped);
            }
            if let Some((ok, message)) = &status {
                span.status(if *ok { Code::Ok } else { Code::Error }, message);
            }
            span.finish(Dropped { attributes: dropped.0, events: dropped.1, links: dropped.2 });
        }
        let expected = Span {
            trace_id: context.trace_id.0.to_vec(),
            span_id: context.span_id.0.to_vec(),
            trace_state: context.trace_state.clone(),
            parent_span_id: parent.map(|id| id.to_vec()).unwrap_or_default(),
            flags: u32::from(context.flags) | 0x100 | if remote { 0x200 } else { 0 },
            name: name.concat(),
            kind: 2,
            start_time_unix_nano: times.0,
            end_time_unix_nano: times.1,
            attributes: attributes.iter().map(key_value).collect(),
            dropped_attributes_count: dropped.0,
            events: events.iter().map(|(time, name, attributes, dropped)| Event {
                time_unix_nano: *time,
                name: name.clone(),
                attributes: attributes.iter().map(key_value).collect(),
                dropped_attributes_count: *dropped,
            }).collect(),
            dropped_events_count: dropped.1,
            links: links.iter().map(|((to, is_remote), attributes, dropped)| Link {
                trace_id: to.trace_id.0.to_vec(),
                span_id: to.span_id.0.to_vec(),
                trace_state: to.trace_state.clone(),
                attributes: attributes.iter().map(key_value).collect(),
                dropped_attributes_count: *dropped,
                flags: link_flags(to.flags, *is_remote),
            }).collect(),
            dropped_links_count: dropped.2,
            status: status.map(|(ok, message)| Status { message, code: if ok { 1 } else { 2 } }),
        };
        let found = ScopeSpans::decode(&*out).unwrap();
        prop_assert_eq!(&found.spans, &[expected.clone(), expected]);
    }

    #[test]
    fn lengths_of_numbers_are_right(value in any::<u64>(), shift in 0u32..64) {
        let value = value >> shift;
        let mut out = Vec::new();
        varint(&mut out, value);
        prop_assert_eq!(out.len(), varint_len(value));
        prop_assert_eq!(prost::encoding::decode_varint(&mut &*out).unwrap(), value);
    }
}
