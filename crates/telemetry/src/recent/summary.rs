//! A line about a trace: what a list of traces shows, without the spans.

use super::ring::Shown;
use crate::semconv;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ScopeSpans, Span, Status};
use pounce_otlp::Entries;
use prost::Message as _;
use serde::Serialize;
use std::collections::HashSet;

/// Lines about traces, and how to ask for what changes.
#[derive(Default, Serialize)]
pub(super) struct Summaries {
    /// Goes on here: `?after=`.
    pub(super) cursor: String,
    /// These are all traces that are kept; else those that have changed.
    pub(super) is_whole: bool,
    /// Traces that are kept at most; 0 where none are.
    pub(super) limit: usize,
    /// A trace is held while one of its places is not before this of the same part of the ring.
    pub(super) held_from: Vec<u64>,
    pub(super) traces: Vec<Summary>,
}

/// A line about one trace. What it says of a request is of its root: the first SERVER span whose parent is not here.
#[derive(Serialize)]
pub(super) struct Summary {
    trace_id: String,
    /// Parts of the ring that it is in, and its place in each.
    places: Vec<(usize, u64)>,
    /// As text: 64 bits are more than a number of JavaScript holds.
    start_unix_nano: String,
    /// Duration of the root span.
    duration_nano: u64,
    name: String,
    component: Option<String>,
    method: Option<String>,
    route: Option<String>,
    path: Option<String>,
    status: Option<i64>,
    error_type: Option<String>,
    /// Spans that are here.
    spans: usize,
    /// SERVER spans among `spans`: requests to this server.
    requests: usize,
    /// Spans with the status Error.
    errors: usize,
}

impl Summary {
    /// None of a trace without a span that can be read.
    pub(super) fn of(shown: &Shown) -> Option<Self> {
        let entries = shown.parts.iter().flat_map(|part| Entries(&part.entries));
        // An entry is a field of the message `ScopeSpans`.
        let decoded = entries.filter_map(|entry| ScopeSpans::decode(entry.item).ok());
        let mut spans: Vec<Span> = decoded.flat_map(|scope| scope.spans).collect();
        let ids: HashSet<&[u8]> = spans.iter().map(|span| &*span.span_id).collect();
        let rank = |span: &Span| {
            let is_inner = ids.contains(&*span.parent_span_id);
            (!is_server(span), is_inner, span.start_time_unix_nano)
        };
        let root = (0..spans.len()).min_by_key(|at| rank(&spans[*at]))?;
        let errors = spans.iter().filter(|span| span.status.as_ref().is_some_and(is_error)).count();
        let requests = spans.iter().filter(|span| is_server(span)).count();
        let count = spans.len();
        let root = spans.swap_remove(root);
        let text = |key: &str| match value(&root.attributes, key) {
            Some(Value::StringValue(text)) => Some(text.clone()),
            _ => None,
        };
        let status = match value(&root.attributes, semconv::HTTP_RESPONSE_STATUS_CODE) {
            Some(Value::IntValue(status)) => Some(*status),
            _ => None,
        };
        Some(Summary {
            trace_id: shown.id.to_string(),
            places: shown.parts.iter().map(|part| part.place).collect(),
            start_unix_nano: root.start_time_unix_nano.to_string(),
            duration_nano: root.end_time_unix_nano.saturating_sub(root.start_time_unix_nano),
            component: text(semconv::POUNCE_COMPONENT),
            method: text(semconv::HTTP_REQUEST_METHOD),
            route: text(semconv::HTTP_ROUTE),
            path: text(semconv::URL_PATH),
            error_type: text(semconv::ERROR_TYPE),
            name: root.name,
            status,
            spans: count,
            requests,
            errors,
        })
    }
}

fn is_server(span: &Span) -> bool {
    span.kind() == SpanKind::Server
}

pub(super) fn is_error(status: &Status) -> bool {
    status.code() == StatusCode::Error
}

pub(super) fn value<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a Value> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    found.value.as_ref().and_then(|AnyValue { value }| value.as_ref())
}
