//! Spans as tests read them: ids in hex, attributes in a map, trees by parent id.

use super::attributes::{self, Attributes, Value, expect, hex};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{self as otlp, SpanFlags, span::SpanKind, status::StatusCode};
use std::fmt::Write as _;

/// A span's status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// not set
    Unset,
    /// set by an operator or the `compat` profile
    Ok,
    /// failed, with a description
    Error(String),
}

/// An event of a span.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    /// Name.
    pub(crate) name: String,
    /// Unix time in nanoseconds.
    pub(crate) time: u64,
    /// Attributes.
    pub(crate) attributes: Attributes,
    /// Attributes that were left out.
    pub(crate) dropped_attributes: u32,
}

/// A link to another span.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Link {
    /// 32 hex digits.
    pub(crate) trace_id: String,
    /// 16 hex digits.
    pub(crate) span_id: String,
    /// `tracestate`.
    pub(crate) trace_state: String,
    /// Flags of OTLP: W3C flags below, "the span is remote" above.
    pub(crate) flags: u32,
    /// Attributes.
    pub(crate) attributes: Attributes,
}

/// A span with the resource and scope it came under.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    /// 32 hex digits.
    pub(crate) trace_id: String,
    /// 16 hex digits.
    pub(crate) span_id: String,
    /// 16 hex digits, or empty.
    pub(crate) parent: String,
    /// `tracestate`.
    pub(crate) trace_state: String,
    /// Flags of OTLP: W3C flags below, "parent is remote" above.
    pub(crate) flags: u32,
    /// Name.
    pub(crate) name: String,
    /// Kind.
    pub(crate) kind: SpanKind,
    /// Unix time in nanoseconds.
    pub(crate) start: u64,
    /// Unix time in nanoseconds.
    pub(crate) end: u64,
    /// Attributes.
    pub(crate) attributes: Attributes,
    /// Events in order.
    pub(crate) events: Vec<Event>,
    /// Links in order.
    pub(crate) links: Vec<Link>,
    /// Status.
    pub(crate) status: Status,
    /// Attributes that were left out.
    pub(crate) dropped_attributes: u32,
    /// Events that were left out.
    pub(crate) dropped_events: u32,
    /// Links that were left out.
    pub(crate) dropped_links: u32,
    /// Attributes of the resource.
    pub(crate) resource: Attributes,
    /// The instrumentation scope.
    pub(crate) scope: Scope,
}

/// The part of the service that made a span.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Scope {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) schema_url: String,
    pub(crate) attributes: Attributes,
}

/// The spans of a request for export. Fails on what no receiver should be sent: bad ids, a key twice, an end before
/// its start.
pub(crate) fn read(request: ExportTraceServiceRequest) -> Vec<Span> {
    let mut spans = Vec::new();
    for of_resource in request.resource_spans {
        let resource = attributes::read(of_resource.resource.expect("a resource").attributes);
        for of_scope in of_resource.scope_spans {
            let scope = of_scope.scope.expect("a scope");
            let scope = Scope {
                name: scope.name,
                version: scope.version,
                schema_url: of_scope.schema_url,
                attributes: attributes::read(scope.attributes),
            };
            spans.extend(of_scope.spans.into_iter().map(|span| Span::of(span, &resource, &scope)));
        }
    }
    spans
}

impl Span {
    fn of(span: otlp::Span, resource: &Attributes, scope: &Scope) -> Span {
        let (trace_id, span_id, parent) =
            (hex(&span.trace_id), hex(&span.span_id), hex(&span.parent_span_id));
        let (start, end) = (span.start_time_unix_nano, span.end_time_unix_nano);
        assert!(trace_id.len() == 32 && trace_id.bytes().any(|b| b != b'0'), "trace id {trace_id}");
        assert!(span_id.len() == 16 && span_id.bytes().any(|b| b != b'0'), "span id {span_id}");
        assert!(
            parent.is_empty() || (parent.len() == 16 && parent != span_id),
            "parent {parent} of {span_id}"
        );
        assert!(start > 0 && start <= end, "{} from {start} to {end}", span.name);
        let kind = span.kind();
        let status = span.status.unwrap_or_default();
        let status = match status.code() {
            StatusCode::Unset => Status::Unset,
            StatusCode::Ok => Status::Ok,
            StatusCode::Error => Status::Error(status.message),
        };
        let event = |event: otlp::span::Event| Event {
            name: event.name,
            time: event.time_unix_nano,
            attributes: attributes::read(event.attributes),
            dropped_attributes: event.dropped_attributes_count,
        };
        let link = |link: otlp::span::Link| {
            let (trace_id, span_id) = (hex(&link.trace_id), hex(&link.span_id));
            assert!(trace_id.len() == 32 && trace_id.bytes().any(|b| b != b'0'), "link to trace {trace_id}");
            assert!(span_id.len() == 16 && span_id.bytes().any(|b| b != b'0'), "link to span {span_id}");
            Link {
                trace_id,
                span_id,
                trace_state: link.trace_state,
                flags: link.flags,
                attributes: attributes::read(link.attributes),
            }
        };
        Span {
            trace_id,
            span_id,
            parent,
            trace_state: span.trace_state,
            flags: span.flags,
            name: span.name,
            kind,
            start,
            end,
            attributes: attributes::read(span.attributes),
            events: span.events.into_iter().map(event).collect(),
            links: span.links.into_iter().map(link).collect(),
            status,
            dropped_attributes: span.dropped_attributes_count,
            dropped_events: span.dropped_events_count,
            dropped_links: span.dropped_links_count,
            resource: resource.clone(),
            scope: scope.to_owned(),
        }
    }

    /// Fails unless the attributes are exactly the `expected` lines.
    pub(crate) fn expect_attributes(&self, expected: &str) {
        expect(&format!("attributes of span {:?}", self.name), &self.attributes, expected);
    }

    /// An attribute's text, empty when it is absent or no text.
    pub(crate) fn text(&self, key: &str) -> &str {
        match self.attributes.get(key) {
            Some(Value::Text(text)) => text,
            _ => "",
        }
    }

    /// An attribute's integer.
    pub(crate) fn int(&self, key: &str) -> Option<i64> {
        match self.attributes.get(key) {
            Some(Value::Int(n)) => Some(*n),
            _ => None,
        }
    }

    /// The event of this name, which must be there once.
    pub(crate) fn event(&self, name: &str) -> &Event {
        let mut found = self.events.iter().filter(|event| event.name == name);
        match (found.next(), found.next()) {
            (Some(event), None) => event,
            _ => panic!("one event {name:?} should be on span {:?}: {:?}", self.name, self.events),
        }
    }

    /// Whether its parent is said to be in another process; none where that is not said.
    pub(crate) fn parent_is_remote(&self) -> Option<bool> {
        let (known, remote) =
            (SpanFlags::ContextHasIsRemoteMask as u32, SpanFlags::ContextIsRemoteMask as u32);
        (self.flags & known != 0).then_some(self.flags & remote != 0)
    }

    /// Whether the host ended it because its guest did not.
    pub(crate) fn is_incomplete(&self) -> bool {
        self.attributes.get("pounce.incomplete") == Some(&Value::Bool(true))
    }

    /// Whether the status is an error.
    pub(crate) fn failed(&self) -> bool {
        matches!(self.status, Status::Error(_))
    }
}

/// Spans as indented lines `KIND name`, children under their parents, siblings in order of time; a parent that is not
/// among them makes a root, marked `<remote>`.
pub(crate) fn tree(spans: &[Span]) -> String {
    fn add(text: &mut String, spans: &[Span], span: &Span, depth: usize) {
        let remote = if depth == 0 && !span.parent.is_empty() { " <remote>" } else { "" };
        writeln!(text, "{}{:?} {}{remote}", "  ".repeat(depth), span.kind, span.name).unwrap();
        let mut children: Vec<_> =
            spans.iter().filter(|c| c.parent == span.span_id && c.trace_id == span.trace_id).collect();
        children.sort_by_key(|span| span.start);
        children.into_iter().for_each(|child| add(text, spans, child, depth + 1));
    }
    let known = |span: &&Span| spans.iter().any(|p| p.span_id == span.parent && p.trace_id == span.trace_id);
    let mut roots: Vec<_> = spans.iter().filter(|span| !known(span)).collect();
    roots.sort_by_key(|span| span.start);
    let mut text = String::new();
    roots.into_iter().for_each(|root| add(&mut text, spans, root, 0));
    text
}
