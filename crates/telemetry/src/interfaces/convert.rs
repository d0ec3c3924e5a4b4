//! Contexts, values and spans in OpenTelemetry's types, and back.

use crate::context::{SpanContext, TraceState};
use crate::propagation::Baggage;
use crate::value::Value;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::{
    Event, Link, SpanContext as TheirContext, SpanId as TheirSpanId, SpanKind, Status, TraceContextExt as _,
    TraceFlags, TraceId as TheirTraceId,
};
use opentelemetry::{Array, Context, InstrumentationScope, KeyValue, StringValue, Value as TheirValue};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue as Attribute, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource as ResourceMessage;
use opentelemetry_proto::tonic::trace::v1::{ScopeSpans, Span, span, status::StatusCode};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use pounce_otlp::id::{SpanId, TraceId};
use pounce_otlp::wire::IS_REMOTE;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

impl SpanContext {
    /// The span that [`opentelemetry::Context::current`] has, if it has one.
    pub fn current() -> Option<Self> {
        Context::map_current(Self::of)
    }

    /// The span of a context of OpenTelemetry, if it has one.
    pub fn of(context: &Context) -> Option<Self> {
        Self::with_origin(context).map(|(context, _)| context)
    }

    /// The span of a context of OpenTelemetry, if it has one, and whether it is of another process.
    pub(crate) fn with_origin(context: &Context) -> Option<(Self, bool)> {
        let span = context.span();
        let context = Some(span.span_context()).filter(|_| context.has_active_span());
        context.and_then(|context| Some((ours(context)?, context.is_remote())))
    }

    /// A context of OpenTelemetry in which this is the span, with the values of `around`. Spans that a program begins in it
    /// are under this one.
    pub fn within(&self, around: &Context) -> Context {
        around.with_remote_span_context(theirs(self, false))
    }
}

/// A span in our type; `None` for one that is not valid.
pub(super) fn ours(context: &TheirContext) -> Option<SpanContext> {
    context.is_valid().then(|| SpanContext {
        trace_id: TraceId(context.trace_id().to_bytes()),
        span_id: SpanId(context.span_id().to_bytes()),
        flags: context.trace_flags().to_u8() & (SpanContext::SAMPLED | SpanContext::RANDOM),
        trace_state: TraceState::parse(&context.trace_state().header()),
    })
}

/// A span in OpenTelemetry's type.
pub(super) fn theirs(context: &SpanContext, is_remote: bool) -> TheirContext {
    TheirContext::new(
        TheirTraceId::from_bytes(context.trace_id.0),
        TheirSpanId::from_bytes(context.span_id.0),
        TraceFlags::new(context.flags),
        is_remote,
        context.trace_state.as_str().parse().unwrap_or_default(),
    )
}

/// `context` with this baggage, if there is any.
pub(super) fn with_baggage(context: Context, baggage: &Baggage) -> Context {
    let entries = baggage.entries();
    if entries.is_empty() {
        return context;
    }
    context.with_baggage(entries.into_iter().map(|(name, value)| KeyValue::new(name, value)))
}

/// The baggage of `context`; with it the number of members that are over a limit.
pub(crate) fn baggage_of(context: &Context) -> (Baggage, u32) {
    let (mut baggage, mut dropped) = (Baggage::default(), 0);
    for (name, (value, _)) in context.baggage() {
        dropped += u32::from(!baggage.set(name.as_str(), value.as_str()));
    }
    (baggage, dropped)
}

/// A value in our type.
pub(super) fn value(value: TheirValue) -> Value {
    match value {
        TheirValue::Bool(bool) => Value::Bool(bool),
        TheirValue::I64(int) => Value::Int(int),
        TheirValue::F64(double) => Value::Double(double),
        TheirValue::Array(Array::Bool(bools)) => Value::Bools(bools),
        TheirValue::Array(Array::I64(ints)) => Value::Ints(ints),
        TheirValue::Array(Array::F64(doubles)) => Value::Doubles(doubles),
        TheirValue::Array(Array::String(texts)) => {
            Value::Texts(texts.into_iter().map(|text| text.as_str().to_owned()).collect())
        }
        other => Value::Text(other.as_str().into_owned()),
    }
}

/// A resource in OpenTelemetry's type.
pub(super) fn resource(message: ResourceMessage) -> Resource {
    Resource::builder_empty().with_attributes(attributes(message.attributes)).build()
}

/// The spans of one scope.
pub(super) fn spans(message: ScopeSpans) -> impl Iterator<Item = SpanData> {
    let scope = message.scope.unwrap_or_default();
    let mut builder = InstrumentationScope::builder(scope.name).with_attributes(attributes(scope.attributes));
    if !scope.version.is_empty() {
        builder = builder.with_version(scope.version);
    }
    if !message.schema_url.is_empty() {
        builder = builder.with_schema_url(message.schema_url);
    }
    let scope = builder.build();
    message.spans.into_iter().map(move |span| of_span(span, scope.clone()))
}

fn of_span(span: Span, instrumentation_scope: InstrumentationScope) -> SpanData {
    let mut events = SpanEvents::default();
    events.events = span.events.into_iter().map(event).collect();
    events.dropped_count = span.dropped_events_count;
    let mut links = SpanLinks::default();
    links.links = span.links.into_iter().map(link).collect();
    links.dropped_count = span.dropped_links_count;
    let status = span.status.unwrap_or_default();
    SpanData {
        span_context: context(&span.trace_id, &span.span_id, span.flags, &span.trace_state, false),
        parent_span_id: span_id(&span.parent_span_id),
        parent_span_is_remote: span.flags & IS_REMOTE != 0,
        span_kind: match span::SpanKind::try_from(span.kind) {
            Ok(span::SpanKind::Server) => SpanKind::Server,
            Ok(span::SpanKind::Client) => SpanKind::Client,
            Ok(span::SpanKind::Producer) => SpanKind::Producer,
            Ok(span::SpanKind::Consumer) => SpanKind::Consumer,
            _ => SpanKind::Internal,
        },
        name: span.name.into(),
        start_time: time(span.start_time_unix_nano),
        end_time: time(span.end_time_unix_nano),
        attributes: attributes(span.attributes),
        dropped_attributes_count: span.dropped_attributes_count,
        events,
        links,
        status: match StatusCode::try_from(status.code) {
            Ok(StatusCode::Ok) => Status::Ok,
            Ok(StatusCode::Error) => Status::error(status.message),
            _ => Status::Unset,
        },
        instrumentation_scope,
    }
}

fn event(event: span::Event) -> Event {
    let (at, attributes) = (time(event.time_unix_nano), attributes(event.attributes));
    Event::new(event.name, at, attributes, event.dropped_attributes_count)
}

fn link(link: span::Link) -> Link {
    let is_remote = link.flags & IS_REMOTE != 0;
    let context = context(&link.trace_id, &link.span_id, link.flags, &link.trace_state, is_remote);
    Link::new(context, attributes(link.attributes), link.dropped_attributes_count)
}

fn context(trace_id: &[u8], id: &[u8], flags: u32, state: &str, is_remote: bool) -> TheirContext {
    let trace_id = trace_id.try_into().map_or(TheirTraceId::INVALID, TheirTraceId::from_bytes);
    // The lowest byte has the flags of W3C, the bits above are OTLP's own.
    let flags = TraceFlags::new(flags.to_le_bytes()[0]);
    TheirContext::new(trace_id, span_id(id), flags, is_remote, state.parse().unwrap_or_default())
}

fn span_id(bytes: &[u8]) -> TheirSpanId {
    bytes.try_into().map_or(TheirSpanId::INVALID, TheirSpanId::from_bytes)
}

fn time(unix_nanos: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(unix_nanos)
}

fn attributes(attributes: Vec<Attribute>) -> Vec<KeyValue> {
    let convert = |attribute: Attribute| {
        let value = attribute.value.and_then(|any| any.value);
        KeyValue::new(attribute.key, value.map_or_else(|| TheirValue::from(""), any))
    };
    attributes.into_iter().map(convert).collect()
}

fn any(value: any_value::Value) -> TheirValue {
    use any_value::Value as Any;
    match value {
        Any::StringValue(text) => text.into(),
        Any::BoolValue(bool) => bool.into(),
        Any::IntValue(int) => int.into(),
        Any::DoubleValue(double) => double.into(),
        Any::ArrayValue(array) => list(&array.values)
            .map_or_else(|| json(Any::ArrayValue(array.clone())).to_string().into(), TheirValue::Array),
        other => json(other).to_string().into(),
    }
}

/// A list whose elements are of one type; `None` for another.
fn list(values: &[AnyValue]) -> Option<Array> {
    use any_value::Value as Any;
    fn all<T>(values: &[AnyValue], read: impl Fn(&Any) -> Option<T>) -> Option<Vec<T>> {
        values.iter().map(|any| read(any.value.as_ref()?)).collect()
    }
    let texts = |any: &Any| match any {
        Any::StringValue(text) => Some(StringValue::from(text.clone())),
        _ => None,
    };
    let bools = |any: &Any| if let Any::BoolValue(bool) = any { Some(*bool) } else { None };
    let ints = |any: &Any| if let Any::IntValue(int) = any { Some(*int) } else { None };
    let doubles = |any: &Any| if let Any::DoubleValue(double) = any { Some(*double) } else { None };
    let of_texts = all(values, texts).map(Array::String);
    let of_bools = || all(values, bools).map(Array::Bool);
    let of_ints = || all(values, ints).map(Array::I64);
    of_texts.or_else(of_bools).or_else(of_ints).or_else(|| all(values, doubles).map(Array::F64))
}

/// A value that OpenTelemetry's type cannot hold. Bytes are base64, as in OTLP's own JSON.
fn json(value: any_value::Value) -> serde_json::Value {
    use any_value::Value as Any;
    use base64::Engine as _;
    let inner = |any: AnyValue| any.value.map_or(serde_json::Value::Null, json);
    match value {
        Any::StringValue(text) => text.into(),
        Any::BoolValue(bool) => bool.into(),
        Any::IntValue(int) => int.into(),
        Any::DoubleValue(double) => double.into(),
        Any::ArrayValue(array) => array.values.into_iter().map(inner).collect(),
        Any::KvlistValue(map) => {
            let entry = |entry: Attribute| (entry.key, inner(entry.value.unwrap_or_default()));
            serde_json::Value::Object(map.values.into_iter().map(entry).collect())
        }
        Any::BytesValue(bytes) => base64::prelude::BASE64_STANDARD.encode(bytes).into(),
        Any::StringValueStrindex(_) => serde_json::Value::Null,
    }
}
