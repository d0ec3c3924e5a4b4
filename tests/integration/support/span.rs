//! Spans as tests read them: ids in hex, attributes in a map, trees by parent id, and exact comparison with a diff.
//!
//! Expected attributes are written one a line, `key = value`, the way [`Value`] prints: text in quotes, integers bare,
//! doubles with a point, lists in brackets. A line that starts with `?` may be missing. In place of a value:
//! `<port>`, `<bytes>` (an integer from 0), `<seconds>` (a double from 0), `<text>` (not empty), `<any>`;
//! `key ~ "part"` is a text that contains the part.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::{self as otlp, span::SpanKind, status::StatusCode};
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

/// Attributes by key.
pub(crate) type Attributes = BTreeMap<String, Value>;

/// A value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// string
    Text(String),
    /// bool
    Bool(bool),
    /// i64
    Int(i64),
    /// f64
    Double(f64),
    /// bytes
    Bytes(Vec<u8>),
    /// array
    List(Vec<Value>),
    /// absent, or a kind that nobody here sends
    Other(String),
}

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
    /// Status.
    pub(crate) status: Status,
    /// Attributes that were left out.
    pub(crate) dropped_attributes: u32,
    /// Attributes of the resource.
    pub(crate) resource: Attributes,
    /// Name of the instrumentation scope.
    pub(crate) scope: String,
}

/// The spans of a request for export. Fails on what no receiver should be sent: bad ids, a key twice, an end before
/// its start.
pub(crate) fn read(request: ExportTraceServiceRequest) -> Vec<Span> {
    let mut spans = Vec::new();
    for of_resource in request.resource_spans {
        let resource = attributes(of_resource.resource.expect("a resource").attributes);
        for of_scope in of_resource.scope_spans {
            let scope = of_scope.scope.expect("a scope").name;
            spans.extend(
                of_scope
                    .spans
                    .into_iter()
                    .map(|span| Span::of(span, &resource, &scope)),
            );
        }
    }
    spans
}

impl Span {
    fn of(span: otlp::Span, resource: &Attributes, scope: &str) -> Span {
        let (trace_id, span_id, parent) = (
            hex(&span.trace_id),
            hex(&span.span_id),
            hex(&span.parent_span_id),
        );
        let (start, end) = (span.start_time_unix_nano, span.end_time_unix_nano);
        assert!(
            trace_id.len() == 32 && trace_id.bytes().any(|b| b != b'0'),
            "trace id {trace_id}"
        );
        assert!(
            span_id.len() == 16 && span_id.bytes().any(|b| b != b'0'),
            "span id {span_id}"
        );
        assert!(
            parent.is_empty() || (parent.len() == 16 && parent != span_id),
            "parent {parent} of {span_id}"
        );
        assert!(
            start > 0 && start <= end,
            "{} from {start} to {end}",
            span.name
        );
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
            attributes: attributes(event.attributes),
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
            attributes: attributes(span.attributes),
            events: span.events.into_iter().map(event).collect(),
            status,
            dropped_attributes: span.dropped_attributes_count,
            resource: resource.clone(),
            scope: scope.to_owned(),
        }
    }

    /// Fails unless the attributes are exactly the `expected` lines.
    pub(crate) fn expect_attributes(&self, expected: &str) {
        expect(
            &format!("attributes of span {:?}", self.name),
            &self.attributes,
            expected,
        );
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
            _ => panic!(
                "one event {name:?} should be on span {:?}: {:?}",
                self.name, self.events
            ),
        }
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
        let remote = if depth == 0 && !span.parent.is_empty() {
            " <remote>"
        } else {
            ""
        };
        writeln!(
            text,
            "{}{:?} {}{remote}",
            "  ".repeat(depth),
            span.kind,
            span.name
        )
        .unwrap();
        let mut children: Vec<_> = spans
            .iter()
            .filter(|c| c.parent == span.span_id && c.trace_id == span.trace_id)
            .collect();
        children.sort_by_key(|span| span.start);
        children
            .into_iter()
            .for_each(|child| add(text, spans, child, depth + 1));
    }
    let known = |span: &&Span| {
        spans
            .iter()
            .any(|p| p.span_id == span.parent && p.trace_id == span.trace_id)
    };
    let mut roots: Vec<_> = spans.iter().filter(|span| !known(span)).collect();
    roots.sort_by_key(|span| span.start);
    let mut text = String::new();
    roots
        .into_iter()
        .for_each(|root| add(&mut text, spans, root, 0));
    text
}

/// Fails unless `actual` is exactly the `expected` lines, and shows where not.
pub(crate) fn expect(what: &str, actual: &Attributes, expected: &str) {
    if let Some(difference) = difference(actual, expected) {
        panic!("{what} differ\n{difference}");
    }
}

fn difference(actual: &Attributes, expected: &str) -> Option<String> {
    let mut lines = BTreeMap::new();
    for line in expected
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
    {
        let (optional, rule) = line
            .strip_prefix('?')
            .map_or((false, line), |rule| (true, rule.trim_start()));
        let (key, rest) = rule
            .split_once(' ')
            .expect("`key = value` or `key ~ \"part\"`");
        assert!(
            lines.insert(key, (optional, rest)).is_none(),
            "{key} is expected twice"
        );
    }
    let mut text = String::new();
    let mut wrong = false;
    for (key, value) in actual {
        let (mark, note) = match lines.remove(key.as_str()) {
            Some((_, rule)) if value.fits(rule) => ("  ", String::new()),
            Some((_, rule)) => ("! ", format!("    expected {rule}")),
            None => ("+ ", "    not expected".to_owned()),
        };
        wrong |= mark != "  ";
        writeln!(text, "{mark}{key} = {value}{note}").unwrap();
    }
    for (key, (_, rule)) in lines.into_iter().filter(|(_, (optional, _))| !optional) {
        wrong = true;
        writeln!(text, "- {key} {rule}    missing").unwrap();
    }
    wrong.then_some(text)
}

impl Value {
    fn fits(&self, rule: &str) -> bool {
        let (operator, wanted) = rule.split_once(' ').expect("an operator and a value");
        match (operator, wanted, self) {
            ("~", part, Value::Text(text)) => text.contains(part.trim_matches('"')),
            ("=", "<any>", _) => true,
            ("=", "<text>", Value::Text(text)) => !text.is_empty(),
            ("=", "<bool>", Value::Bool(_)) => true,
            ("=", "<port>", Value::Int(n)) => (1..=65535).contains(n),
            ("=", "<bytes>", Value::Int(n)) => *n >= 0,
            ("=", "<seconds>", Value::Double(s)) => (0.0..3600.0).contains(s),
            ("=", wanted, value) => value.to_string() == wanted,
            _ => false,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Text(text) => write!(f, "{text:?}"),
            Value::Bool(value) => write!(f, "{value}"),
            Value::Int(value) => write!(f, "{value}"),
            Value::Double(value) => write!(f, "{value:?}"),
            Value::Bytes(bytes) => write!(f, "0x{}", hex(bytes)),
            Value::List(values) => {
                let values: Vec<_> = values.iter().map(Value::to_string).collect();
                write!(f, "[{}]", values.join(", "))
            }
            Value::Other(kind) => write!(f, "<{kind}>"),
        }
    }
}

fn attributes(list: Vec<KeyValue>) -> Attributes {
    let mut map = Attributes::new();
    for pair in list {
        let earlier = map.insert(pair.key.clone(), value(pair.value.unwrap_or_default()));
        assert!(earlier.is_none(), "{} is there twice", pair.key);
    }
    map
}

fn value(any: AnyValue) -> Value {
    use any_value::Value as V;
    match any.value {
        Some(V::StringValue(text)) => Value::Text(text),
        Some(V::BoolValue(value)) => Value::Bool(value),
        Some(V::IntValue(value)) => Value::Int(value),
        Some(V::DoubleValue(value)) => Value::Double(value),
        Some(V::BytesValue(bytes)) => Value::Bytes(bytes),
        Some(V::ArrayValue(list)) => Value::List(list.values.into_iter().map(value).collect()),
        other => Value::Other(format!("{other:?}")),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// The comparison must be able to fail, or no test that uses it can.
#[test]
fn comparison_finds_each_kind_of_difference() {
    let map = |pairs: &[(&str, Value)]| {
        pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), v.clone()))
            .collect::<Attributes>()
    };
    let actual = map(&[
        ("a", Value::Int(7)),
        ("b", Value::Text("seven".into())),
        ("c", Value::Double(0.5)),
    ]);
    let same = "a = 7\n b = \"seven\"\n c = <seconds>\n ? d = 1";
    assert_eq!(difference(&actual, same), None);
    for (wrong, shown) in [
        ("a = 7\n b = \"seven\"", "+ c = 0.5    not expected"),
        (
            "a = \"7\"\n b = \"seven\"\n c = 0.5",
            "! a = 7    expected = \"7\"",
        ),
        (
            "a = 7\n b ~ \"eight\"\n c = 0.5",
            "! b = \"seven\"    expected ~ \"eight\"",
        ),
        (
            "a = <seconds>\n b = <text>\n c = <any>",
            "! a = 7    expected = <seconds>",
        ),
        ("a = 7\n b = <text>\n c = 0.5\n d = 1", "- d = 1    missing"),
        (
            "a = 7\n b = <text>\n ? c = 1.5",
            "! c = 0.5    expected = 1.5",
        ),
    ] {
        let difference = difference(&actual, wrong).unwrap_or_default();
        assert!(difference.contains(shown), "{wrong:?} gave\n{difference}");
    }
}
