//! A trace as text: each span with its attributes, events and links, children below their parents.

use super::traces::Trace;
use crate::terminal::{self, Style};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::{Span, status::StatusCode};
use pounce_otlp::wire::IS_REMOTE;
use std::fmt::Write;

/// Byte values longer than this are cut.
const MAX_BYTES: usize = 32;

/// Renders `trace`; ends with an empty line.
pub(super) fn render(trace: &Trace, colour: bool) -> String {
    let mut tree = Tree { trace, out: String::new(), colour };
    let known = |id: &[u8]| trace.iter().any(|span| span.span_id == id);
    for root in tree.sorted(|span| !known(&span.parent_span_id)) {
        tree.span(root, "", "", None);
    }
    tree.out.push('\n');
    tree.out
}

struct Tree<'a> {
    trace: &'a Trace,
    out: String,
    colour: bool,
}

impl<'a> Tree<'a> {
    fn sorted(&self, wanted: impl Fn(&Span) -> bool) -> Vec<&'a Span> {
        let mut spans: Vec<_> = self.trace.iter().filter(|span| wanted(span)).collect();
        spans.sort_by_key(|span| span.start_time_unix_nano);
        spans
    }

    /// Prints `span` and what is below it. `first` stands before its first line, `rest` before all others.
    fn span(&mut self, span: &'a Span, first: &str, rest: &str, parent: Option<&Span>) {
        let children = self.sorted(|child| child.parent_span_id == span.span_id);
        let body = format!("{rest}{}", if children.is_empty() { "  " } else { "│ " });
        self.title(span, first, parent);
        if parent.is_none() {
            let ids = ids(span);
            self.line(&body, &[(&ids, Some(Style::Dim))]);
        }
        self.attributes(&span.attributes, &body);
        for event in &span.events {
            self.event(event, span, &body);
        }
        for link in &span.links {
            self.link(link, &body);
        }
        let (attributes, events) = (span.dropped_attributes_count, span.dropped_events_count);
        let links = span.dropped_links_count;
        if attributes > 0 || events > 0 || links > 0 {
            let note = format!("over the limits: {attributes} attributes, {events} events and {links} links");
            self.line(&body, &[(&note, Some(Style::Red))]);
        }
        for (at, child) in children.iter().enumerate() {
            let (branch, below) =
                if at + 1 == children.len() { ("└─", "  ") } else { ("├─", "│ ") };
            self.span(child, &format!("{rest}{branch}"), &format!("{rest}{below}"), Some(span));
        }
    }

    fn title(&mut self, span: &Span, before: &str, parent: Option<&Span>) {
        let (code, message) =
            span.status.as_ref().map_or((StatusCode::Unset, ""), |s| (s.code(), s.message.as_str()));
        let (status, style) = match code {
            StatusCode::Ok => ("ok".to_owned(), Some(Style::Green)),
            StatusCode::Unset => ("unset".to_owned(), None),
            StatusCode::Error if message.is_empty() => ("error".to_owned(), Some(Style::Red)),
            StatusCode::Error => (format!("error: {}", clean(message)), Some(Style::Red)),
        };
        let took = duration(span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano));
        let from = parent
            .map_or(String::new(), |parent| format!(" from {}", after(span.start_time_unix_nano, parent)));
        let facts = format!("  {} · {took}{from} · ", kind(span));
        let name = clean(&span.name);
        self.line(before, &[("● ", style), (&name, Some(Style::Bold)), (&facts, None), (&status, style)]);
    }

    fn event(&mut self, event: &Event, span: &Span, before: &str) {
        let style = if event.name == "exception" { Style::Red } else { Style::Cyan };
        let at = format!("{}  ", after(event.time_unix_nano, span));
        self.line(before, &[(&at, None), (&clean(&event.name), Some(style))]);
        self.attributes(&event.attributes, &format!("{before}  "));
    }

    fn link(&mut self, link: &Link, before: &str) {
        let there = format!("trace {} · span {}", hex(&link.trace_id), hex(&link.span_id));
        self.line(before, &[("linked to  ", None), (&there, Some(Style::Dim))]);
        self.attributes(&link.attributes, &format!("{before}  "));
    }

    fn attributes(&mut self, attributes: &[KeyValue], before: &str) {
        let texts: Vec<_> = attributes
            .iter()
            .map(|attribute| (clean(&attribute.key), value(attribute.value.as_ref())))
            .collect();
        let in_line = texts.iter().filter(|(_, value)| !value.contains('\n'));
        let width = in_line.map(|(key, _)| key.chars().count()).max().unwrap_or_default();
        for (key, value) in &texts {
            if value.contains('\n') {
                self.line(before, &[(key, Some(Style::Dim))]);
                for line in value.lines() {
                    self.line(before, &[("  ", None), (&clean(line), None)]);
                }
            } else {
                let key = format!("{key:width$}  ");
                self.line(before, &[(&key, Some(Style::Dim)), (&clean(value), None)]);
            }
        }
    }

    fn line(&mut self, before: &str, parts: &[(&str, Option<Style>)]) {
        self.styled(before, Some(Style::Dim));
        for (text, style) in parts {
            self.styled(text, *style);
        }
        self.out.push('\n');
    }

    fn styled(&mut self, text: &str, style: Option<Style>) {
        let _infallible = terminal::styled(&mut self.out, text, style, self.colour);
    }
}

fn ids(span: &Span) -> String {
    let mut text = format!("trace {} · span {}", hex(&span.trace_id), hex(&span.span_id));
    if !span.parent_span_id.is_empty() {
        let whose = if span.flags & IS_REMOTE != 0 { " (caller)" } else { "" };
        text.extend([" · parent ", &hex(&span.parent_span_id), whose]);
    }
    text
}

fn kind(span: &Span) -> &'static str {
    match span.kind() {
        SpanKind::Server => "server",
        SpanKind::Client => "client",
        SpanKind::Producer => "producer",
        SpanKind::Consumer => "consumer",
        SpanKind::Internal | SpanKind::Unspecified => "internal",
    }
}

pub(super) fn value(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        None => String::new(),
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::BoolValue(bool)) => bool.to_string(),
        Some(Value::IntValue(int)) => int.to_string(),
        Some(Value::DoubleValue(double)) => double.to_string(),
        Some(Value::BytesValue(bytes)) if bytes.len() > MAX_BYTES => {
            format!("0x{}… ({} bytes)", hex(&bytes[..MAX_BYTES]), bytes.len())
        }
        Some(Value::BytesValue(bytes)) => format!("0x{}", hex(bytes)),
        Some(Value::ArrayValue(array)) => {
            let elements: Vec<_> = array.values.iter().map(|element| self::value(Some(element))).collect();
            format!("[{}]", elements.join(", "))
        }
        Some(Value::KvlistValue(map)) => {
            let entry = |entry: &KeyValue| format!("{}: {}", entry.key, self::value(entry.value.as_ref()));
            let entries: Vec<_> = map.values.iter().map(entry).collect();
            format!("{{{}}}", entries.join(", "))
        }
        Some(other) => format!("{other:?}"),
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

/// `text` without control characters: what a client or guest sends must not steer the terminal.
pub(super) fn clean(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            clean.extend(character.escape_default());
        } else {
            clean.push(character);
        }
    }
    clean
}

fn after(time: u64, span: &Span) -> String {
    format!("+{}", duration(time.saturating_sub(span.start_time_unix_nano)))
}

/// A length of time in the unit that suits it, with three digits.
pub(super) fn duration(nanos: u64) -> String {
    let value = nanos as f64;
    let (value, unit) = match nanos {
        0..1_000 => return format!("{nanos} ns"),
        1_000..1_000_000 => (value / 1e3, "µs"),
        1_000_000..1_000_000_000 => (value / 1e6, "ms"),
        _ => (value / 1e9, "s"),
    };
    let digits = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.digits$} {unit}")
}

#[cfg(test)]
mod tests;
