//! From the SDK's types to those of wasi:otel: spans, log records.

use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry::logs::AnyValue;
use opentelemetry::trace::{self as api, TraceFlags, TraceState};
use opentelemetry::{Array, InstrumentationScope, KeyValue, SpanId, TraceId, Value};
use opentelemetry_sdk::logs::SdkLogRecord;
use opentelemetry_sdk::{Resource, trace as sdk};
use serde_json::{Value as Json, json};

use crate::bindings::{Datetime, logs, tracing, types};

pub(crate) fn time(time: SystemTime) -> Datetime {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Datetime { seconds: since.as_secs(), nanoseconds: since.subsec_nanos() }
}

pub(crate) fn attribute(attribute: &KeyValue) -> types::KeyValue {
    types::KeyValue { key: attribute.key.to_string(), value: value(&attribute.value).to_string() }
}

pub(crate) fn attributes<'a>(list: impl IntoIterator<Item = &'a KeyValue>) -> Vec<types::KeyValue> {
    list.into_iter().map(attribute).collect()
}

fn value(value: &Value) -> Json {
    match value {
        Value::Bool(yes) => json!(yes),
        Value::I64(number) => json!(number),
        Value::F64(number) => json!(number),
        Value::Array(Array::Bool(list)) => json!(list),
        Value::Array(Array::I64(list)) => json!(list),
        Value::Array(Array::F64(list)) => json!(list),
        Value::Array(Array::String(list)) => list.iter().map(|text| text.as_str()).collect(),
        other => json!(other.as_str()),
    }
}

fn any_value(value: &AnyValue) -> Json {
    match value {
        AnyValue::Int(number) => json!(number),
        AnyValue::Double(number) => json!(number),
        AnyValue::Boolean(yes) => json!(yes),
        AnyValue::Bytes(bytes) => json!(format!("data:application/octet-stream;base64,{}", base64(bytes))),
        AnyValue::ListAny(list) => list.iter().map(any_value).collect(),
        AnyValue::Map(map) => map
            .iter()
            .map(|(key, value)| (key.to_string(), any_value(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        AnyValue::String(text) => json!(text.as_str()),
        other => json!(format!("{other:?}")),
    }
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let group =
            chunk.iter().fold(0_u32, |group, byte| group << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = ALPHABET[(group >> (18 - 6 * place)) as usize & 63];
            text.push(if place <= chunk.len() { digit.into() } else { '=' });
        }
    }
    text
}

pub(crate) fn scope(scope: &InstrumentationScope) -> types::InstrumentationScope {
    types::InstrumentationScope {
        name: scope.name().to_owned(),
        version: scope.version().map(str::to_owned),
        schema_url: scope.schema_url().map(str::to_owned),
        attributes: attributes(scope.attributes()),
    }
}

pub(crate) fn resource(resource: &Resource) -> types::Resource {
    let pair = |(key, value): (&opentelemetry::Key, &Value)| KeyValue::new(key.clone(), value.clone());
    let list: Vec<KeyValue> = resource.iter().map(pair).collect();
    types::Resource { attributes: attributes(&list), schema_url: resource.schema_url().map(str::to_owned) }
}

fn flags(flags: TraceFlags) -> tracing::TraceFlags {
    if flags.is_sampled() { tracing::TraceFlags::SAMPLED } else { tracing::TraceFlags::empty() }
}

pub(crate) fn context(context: &api::SpanContext) -> tracing::SpanContext {
    let state = context.trace_state().header();
    let member = |member: &str| {
        let (key, value) = member.split_once('=')?;
        Some((key.to_owned(), value.to_owned()))
    };
    tracing::SpanContext {
        trace_id: context.trace_id().to_string(),
        span_id: context.span_id().to_string(),
        trace_flags: flags(context.trace_flags()),
        is_remote: context.is_remote(),
        trace_state: state.split(',').filter_map(member).collect(),
    }
}

/// The host's context as the SDK knows it; invalid where it is malformed.
pub(crate) fn from_host(context: &tracing::SpanContext) -> api::SpanContext {
    let sampled = context.trace_flags.contains(tracing::TraceFlags::SAMPLED);
    api::SpanContext::new(
        TraceId::from_hex(&context.trace_id).unwrap_or(TraceId::INVALID),
        SpanId::from_hex(&context.span_id).unwrap_or(SpanId::INVALID),
        TraceFlags::default().with_sampled(sampled),
        context.is_remote,
        TraceState::from_key_value(context.trace_state.iter().map(|(key, value)| (key, value)))
            .unwrap_or_default(),
    )
}

pub(crate) fn span(span: &sdk::SpanData) -> tracing::SpanData {
    let event = |event: &api::Event| tracing::Event {
        name: event.name.to_string(),
        time: time(event.timestamp),
        attributes: attributes(&event.attributes),
    };
    let link = |link: &api::Link| tracing::Link {
        span_context: context(&link.span_context),
        attributes: attributes(&link.attributes),
    };
    tracing::SpanData {
        span_context: context(&span.span_context),
        parent_span_id: span.parent_span_id.to_string(),
        span_kind: match span.span_kind {
            api::SpanKind::Client => tracing::SpanKind::Client,
            api::SpanKind::Server => tracing::SpanKind::Server,
            api::SpanKind::Producer => tracing::SpanKind::Producer,
            api::SpanKind::Consumer => tracing::SpanKind::Consumer,
            api::SpanKind::Internal => tracing::SpanKind::Internal,
        },
        name: span.name.to_string(),
        start_time: time(span.start_time),
        end_time: time(span.end_time),
        attributes: attributes(&span.attributes),
        events: span.events.iter().map(event).collect(),
        links: span.links.iter().map(link).collect(),
        status: match &span.status {
            api::Status::Unset => tracing::Status::Unset,
            api::Status::Ok => tracing::Status::Ok,
            api::Status::Error { description } => tracing::Status::Error(description.to_string()),
        },
        instrumentation_scope: scope(&span.instrumentation_scope),
        dropped_attributes: span.dropped_attributes_count,
        dropped_events: span.events.dropped_count,
        dropped_links: span.links.dropped_count,
    }
}

pub(crate) fn log(record: &SdkLogRecord, emitter: &InstrumentationScope, of: &Resource) -> logs::LogRecord {
    let pair = |(key, value): &(opentelemetry::Key, AnyValue)| types::KeyValue {
        key: key.to_string(),
        value: any_value(value).to_string(),
    };
    let trace = record.trace_context();
    logs::LogRecord {
        timestamp: record.timestamp().map(time),
        observed_timestamp: record.observed_timestamp().map(time),
        severity_text: record.severity_text().map(str::to_owned),
        severity_number: record.severity_number().map(|severity| severity as u8),
        body: record.body().map(|body| any_value(body).to_string()),
        attributes: Some(record.attributes_iter().map(pair).collect()),
        event_name: record.event_name().map(str::to_owned),
        resource: Some(resource(of)),
        instrumentation_scope: Some(scope(emitter)),
        trace_id: trace.map(|trace| trace.trace_id.to_string()),
        span_id: trace.map(|trace| trace.span_id.to_string()),
        trace_flags: trace.and_then(|trace| trace.trace_flags).map(flags),
    }
}
