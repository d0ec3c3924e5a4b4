//! The outline of a large trace: what the rows of its spans need, in columns. OTLP JSON says the same in six times the
//! bytes, which a browser would read whole before it shows the first row.

use super::ring::Shown;
use super::summary::{is_error, value};
use crate::semconv;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Status;
use pounce_otlp::Entries;
use prost::Message;
use serde::Serialize;
use std::collections::HashMap;

/// An answer that is an outline: others have `resourceSpans`.
#[derive(Serialize)]
pub(super) struct Outlined {
    pub(super) outline: Outline,
}

/// The spans of a trace by columns: what stands at one place of each is of one span.
#[derive(Default, Serialize)]
pub(super) struct Outline {
    /// Of the first span. As text: 64 bits are more than a number of JavaScript holds.
    start_unix_nano: String,
    /// Names of components, as `component` counts them.
    components: Vec<String>,
    /// Ids of 16 digits, one after another.
    ids: String,
    /// The place of each span's parent; -1 where it is not here.
    parents: Vec<i64>,
    names: Vec<String>,
    /// OTLP's numbers of kinds, a digit each.
    kinds: String,
    /// Nanoseconds after `start_unix_nano`.
    starts: Vec<u64>,
    durations: Vec<u64>,
    component: Vec<usize>,
    /// Places of spans that failed.
    errors: Vec<usize>,
}

/// The message `ScopeSpans`, without what an outline does not need.
#[derive(Message)]
struct ScopeSpans {
    #[prost(message, repeated, tag = "2")]
    spans: Vec<Span>,
}

/// The message `Span`, likewise.
#[derive(Message)]
struct Span {
    #[prost(bytes = "vec", tag = "2")]
    id: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    parent: Vec<u8>,
    #[prost(string, tag = "5")]
    name: String,
    #[prost(int32, tag = "6")]
    kind: i32,
    #[prost(fixed64, tag = "7")]
    start: u64,
    #[prost(fixed64, tag = "8")]
    end: u64,
    #[prost(message, repeated, tag = "9")]
    attributes: Vec<KeyValue>,
    #[prost(message, optional, tag = "15")]
    status: Option<Status>,
}

impl Outline {
    pub(super) fn of(shown: &Shown) -> Self {
        let entries = shown.parts.iter().flat_map(|part| Entries(&part.entries));
        let decoded = entries.filter_map(|entry| ScopeSpans::decode(entry.item).ok());
        let spans: Vec<Span> =
            decoded.flat_map(|scope| scope.spans).filter(|span| span.id.len() == 8).collect();
        let first = spans.iter().map(|span| span.start).min().unwrap_or(0);
        let mut places = HashMap::with_capacity(spans.len());
        for (place, span) in (0i64..).zip(&spans) {
            places.entry(&*span.id).or_insert(place);
        }
        let mut out = Outline { start_unix_nano: first.to_string(), ..Outline::default() };
        out.parents.extend(spans.iter().map(|span| places.get(&*span.parent).copied().unwrap_or(-1)));
        for (at, span) in spans.into_iter().enumerate() {
            out.ids.extend(span.id.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]));
            // One digit: what no version of OTLP has is unspecified.
            out.kinds.push(u32::try_from(span.kind).map_or('0', digit));
            out.starts.push(span.start - first);
            out.durations.push(span.end.saturating_sub(span.start));
            if span.status.as_ref().is_some_and(is_error) {
                out.errors.push(at);
            }
            out.component.push(place_of(component(&span.attributes), &mut out.components));
            out.names.push(span.name);
        }
        out
    }
}

/// A digit of hexadecimal; 0 for what is more.
fn digit(value: impl Into<u32>) -> char {
    char::from_digit(value.into(), 16).unwrap_or('0')
}

fn component(attributes: &[KeyValue]) -> &str {
    match value(attributes, semconv::POUNCE_COMPONENT) {
        Some(Value::StringValue(name)) => name,
        _ => "",
    }
}

/// The place of `name` in a list of a few, to which it is added.
fn place_of(name: &str, names: &mut Vec<String>) -> usize {
    names.iter().position(|known| known == name).unwrap_or_else(|| {
        names.push(name.to_owned());
        names.len() - 1
    })
}
