//! Between the values of the WIT package and ours.

use crate::host::bindings::types;
use pounce_telemetry::{Exception, Kind, SpanContext, SpanId, Status, TraceId, TraceState, Value};

impl From<types::Value> for Value {
    fn from(value: types::Value) -> Self {
        match value {
            types::Value::Text(value) => Self::Text(value),
            types::Value::Boolean(value) => Self::Bool(value),
            types::Value::Int(value) => Self::Int(value),
            types::Value::Double(value) => Self::Double(value),
            types::Value::Bytes(value) => Self::Bytes(value),
            types::Value::Texts(value) => Self::Texts(value),
            types::Value::Booleans(value) => Self::Bools(value),
            types::Value::Ints(value) => Self::Ints(value),
            types::Value::Doubles(value) => Self::Doubles(value),
        }
    }
}

pub(super) fn attributes(attributes: Vec<types::Attribute>) -> Vec<(String, Value)> {
    attributes.into_iter().map(|attribute| (attribute.key, attribute.value.into())).collect()
}

impl From<types::Exception> for Exception {
    fn from(exception: types::Exception) -> Self {
        Self {
            kind: exception.kind,
            message: exception.message,
            stacktrace: exception.stacktrace,
            attributes: attributes(exception.attributes),
        }
    }
}

impl From<types::Status> for Status {
    fn from(status: types::Status) -> Self {
        match status {
            types::Status::Unset => Self::Unset,
            types::Status::Ok => Self::Ok,
            types::Status::Error(message) => Self::Error(message),
        }
    }
}

pub(super) fn context(context: &SpanContext) -> types::SpanContext {
    types::SpanContext {
        trace_id: context.trace_id.to_string(),
        span_id: context.span_id.to_string(),
        trace_flags: context.flags,
        trace_state: context.trace_state.as_str().to_owned(),
    }
}

/// A context that a guest holds; `None` where its ids are malformed. Flags and state are taken as far as they are valid.
pub(super) fn remote(context: &types::SpanContext) -> Option<SpanContext> {
    Some(SpanContext {
        trace_id: TraceId::from_hex(context.trace_id.as_bytes())?,
        span_id: SpanId::from_hex(context.span_id.as_bytes())?,
        flags: context.trace_flags & (SpanContext::SAMPLED | SpanContext::RANDOM),
        trace_state: TraceState::parse(&context.trace_state),
    })
}

impl From<types::SpanKind> for Kind {
    fn from(kind: types::SpanKind) -> Self {
        match kind {
            types::SpanKind::Internal => Self::Internal,
            types::SpanKind::Server => Self::Server,
            types::SpanKind::Client => Self::Client,
            types::SpanKind::Producer => Self::Producer,
            types::SpanKind::Consumer => Self::Consumer,
        }
    }
}
