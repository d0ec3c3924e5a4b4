//! The trace that a case has left: its spans as trees, and its log records, out of OTLP as JSON.

use std::collections::{BTreeSet, HashMap, VecDeque};

use serde::Deserialize;
use serde_json::Value as Json;

/// Kinds of spans by their numbers in OTLP, less one.
pub(super) const KINDS: [&str; 5] = ["internal", "server", "client", "producer", "consumer"];
/// Codes of statuses by their numbers in OTLP.
pub(super) const STATUSES: [&str; 3] = ["unset", "ok", "error"];

/// A span, and those under it in the order in which they began.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Span {
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    pub(crate) status: &'static str,
    pub(crate) message: String,
    pub(crate) scope: String,
    pub(crate) attributes: Vec<(String, Json)>,
    pub(crate) events: Vec<Part>,
    /// Each called by the id of the linked trace.
    pub(crate) links: Vec<Part>,
    pub(crate) children: Vec<Span>,
}

/// An event or a link.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) attributes: Vec<(String, Json)>,
}

/// A log record.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Log {
    pub(crate) body: Json,
    /// In lower case.
    pub(crate) severity: String,
    pub(crate) attributes: Vec<(String, Json)>,
}

/// What there is of a trace.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Trace {
    /// Spans without a parent in the trace.
    pub(crate) roots: Vec<Span>,
    pub(crate) logs: Vec<Log>,
    /// Ids of the trace, its spans and their parents.
    pub(super) ids: Vec<String>,
}

impl Trace {
    /// Reads `{"resourceSpans": […]}` and `{"resourceLogs": […]}`.
    ///
    /// # Errors
    /// One of them is something else.
    pub(super) fn read(spans: &[u8], logs: &[u8]) -> serde_json::Result<Self> {
        let spans: otlp::Spans = serde_json::from_slice(spans)?;
        let logs: otlp::Logs = serde_json::from_slice(logs)?;
        let scopes = spans.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
        let spans = scopes.flat_map(|scoped| {
            let scope = scoped.scope.name;
            scoped.spans.into_iter().map(move |span| (span, scope.clone()))
        });
        let scopes = logs.resource_logs.into_iter().flat_map(|resource| resource.scope_logs);
        let mut logs: Vec<_> = scopes.flat_map(|scoped| scoped.log_records).collect();
        logs.sort_by_key(|log| log.time_unix_nano.0);
        let spans: Vec<_> = spans.collect();
        let of_span = |(span, _): &(otlp::Span, String)| {
            [&span.trace_id, &span.span_id, &span.parent_span_id].map(Clone::clone)
        };
        let ids: BTreeSet<_> = spans.iter().flat_map(of_span).filter(|id| !id.is_empty()).collect();
        let logs = logs.into_iter().map(otlp::Log::told).collect();
        Ok(Self { roots: roots(spans), logs, ids: ids.into_iter().collect() })
    }

    /// The exceptions that spans tell of: type, message and stack trace, as far as they have them.
    pub(crate) fn exceptions(&self) -> Vec<[Option<&str>; 3]> {
        fn walk<'a>(spans: &'a [Span], found: &mut Vec<[Option<&'a str>; 3]>) {
            for span in spans {
                for event in span.events.iter().filter(|event| event.name == "exception") {
                    let of = |key| attribute(&event.attributes, key).and_then(Json::as_str);
                    found.push(["exception.type", "exception.message", "exception.stacktrace"].map(of));
                }
                walk(&span.children, found);
            }
        }
        let mut found = Vec::new();
        walk(&self.roots, &mut found);
        found
    }
}

/// The attribute with this key.
pub(super) fn attribute<'a>(attributes: &'a [(String, Json)], key: &str) -> Option<&'a Json> {
    attributes.iter().find(|(known, _)| known == key).map(|(_, value)| value)
}

/// Spans inside each other that are shown so; what is deeper stands beside the last of these.
const MAX_DEPTH: usize = 100;

/// Puts spans under their parents. Those of a circle, which only a guest's own SDK can make, are under none, and left out.
fn roots(mut spans: Vec<(otlp::Span, String)>) -> Vec<Span> {
    spans.sort_by_key(|(span, _)| span.start_time_unix_nano.0);
    let known: HashMap<&str, usize> =
        spans.iter().enumerate().map(|(at, (span, _))| (&*span.span_id, at)).collect();
    let mut under: Vec<Vec<usize>> = vec![Vec::new(); spans.len()];
    let mut roots = Vec::new();
    for (at, (span, _)) in spans.iter().enumerate() {
        match known.get(&*span.parent_span_id) {
            Some(parent) => under[*parent].push(at),
            None => roots.push(at),
        }
    }
    let mut shown: Vec<Vec<usize>> = vec![Vec::new(); spans.len()];
    // Each with the span under which its children are shown, and how deep that is.
    let mut left: VecDeque<_> = roots.iter().map(|root| (*root, *root, 1)).collect();
    while let Some((one, above, depth)) = left.pop_front() {
        for child in std::mem::take(&mut under[one]) {
            shown[above].push(child);
            left.push_back(if depth < MAX_DEPTH { (child, child, depth + 1) } else { (child, above, depth) });
        }
    }
    shown.iter_mut().for_each(|children| children.sort_unstable());
    let mut spans: Vec<_> = spans.into_iter().map(Some).collect();
    roots.into_iter().filter_map(|root| take(root, &mut spans, &shown)).collect()
}

fn take(one: usize, spans: &mut [Option<(otlp::Span, String)>], shown: &[Vec<usize>]) -> Option<Span> {
    let (span, scope) = spans[one].take()?;
    let children = shown[one].iter().filter_map(|child| take(*child, spans, shown)).collect();
    Some(span.told(scope, children))
}

/// The messages of OTLP's JSON, as far as they are looked at.
mod otlp {
    use super::{Deserialize, Json, KINDS, STATUSES};

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub(super) struct Spans {
        pub(super) resource_spans: Vec<ResourceSpans>,
    }

    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    pub(super) struct ResourceSpans {
        pub(super) scope_spans: Vec<ScopeSpans>,
    }

    #[derive(Default, Deserialize)]
    #[serde(default)]
    pub(super) struct ScopeSpans {
        pub(super) scope: Scope,
        pub(super) spans: Vec<Span>,
    }

    #[derive(Default, Deserialize)]
    #[serde(default)]
    pub(super) struct Scope {
        pub(super) name: String,
    }

    /// A number of 64 bits, which JSON has as text.
    #[derive(Clone, Copy, Default)]
    pub(super) struct Number(pub(super) u64);

    impl<'de> Deserialize<'de> for Number {
        fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            let text = String::deserialize(from)?;
            text.parse().map(Number).map_err(serde::de::Error::custom)
        }
    }

    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    pub(super) struct Span {
        pub(super) trace_id: String,
        pub(super) span_id: String,
        pub(super) parent_span_id: String,
        name: String,
        kind: usize,
        pub(super) start_time_unix_nano: Number,
        attributes: Vec<KeyValue>,
        events: Vec<Event>,
        links: Vec<Link>,
        status: Status,
    }

    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Event {
        name: String,
        attributes: Vec<KeyValue>,
    }

    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Link {
        trace_id: String,
        attributes: Vec<KeyValue>,
    }

    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Status {
        message: String,
        code: usize,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub(super) struct Logs {
        pub(super) resource_logs: Vec<ResourceLogs>,
    }

    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    pub(super) struct ResourceLogs {
        pub(super) scope_logs: Vec<ScopeLogs>,
    }

    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    pub(super) struct ScopeLogs {
        pub(super) log_records: Vec<Log>,
    }

    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    pub(super) struct Log {
        pub(super) time_unix_nano: Number,
        severity_text: String,
        body: Value,
        attributes: Vec<KeyValue>,
    }

    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct KeyValue {
        key: String,
        value: Value,
    }

    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Value {
        string_value: Option<String>,
        bool_value: Option<bool>,
        int_value: Option<String>,
        double_value: Option<Json>,
        bytes_value: Option<String>,
        array_value: Option<Values>,
        kvlist_value: Option<KeyValues>,
    }

    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Values {
        values: Vec<Value>,
    }

    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct KeyValues {
        values: Vec<KeyValue>,
    }

    impl Value {
        fn json(self) -> Json {
            let texts = self.string_value.or(self.bytes_value).map(Json::String);
            let int = || Some(self.int_value?.parse::<i64>().ok()?.into());
            let list = || Some(self.array_value?.values.into_iter().map(Value::json).collect());
            let map = || {
                let entries = self.kvlist_value?.values.into_iter();
                Some(Json::Object(entries.map(|entry| (entry.key, entry.value.json())).collect()))
            };
            texts
                .or_else(int)
                .or_else(|| self.bool_value.map(Json::Bool))
                .or(self.double_value)
                .or_else(list)
                .or_else(map)
                .unwrap_or_default()
        }
    }

    fn told(attributes: Vec<KeyValue>) -> Vec<(String, Json)> {
        attributes.into_iter().map(|KeyValue { key, value }| (key, value.json())).collect()
    }

    impl Span {
        pub(super) fn told(self, scope: String, children: Vec<super::Span>) -> super::Span {
            let event = |event: Event| super::Part { name: event.name, attributes: told(event.attributes) };
            let link = |link: Link| super::Part { name: link.trace_id, attributes: told(link.attributes) };
            super::Span {
                name: self.name,
                kind: self.kind.checked_sub(1).and_then(|kind| KINDS.get(kind)).unwrap_or(&KINDS[0]),
                status: STATUSES.get(self.status.code).unwrap_or(&STATUSES[0]),
                message: self.status.message,
                scope,
                attributes: told(self.attributes),
                events: self.events.into_iter().map(event).collect(),
                links: self.links.into_iter().map(link).collect(),
                children,
            }
        }
    }

    impl Log {
        pub(super) fn told(self) -> super::Log {
            super::Log {
                body: self.body.json(),
                severity: self.severity_text.to_lowercase(),
                attributes: told(self.attributes),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_put_under_their_parents_by_their_start() {
        let span = |id: &str, parent: &str, start: u32| {
            format!(
                r#"{{"spanId":"{id}","parentSpanId":"{parent}","name":"{id}","kind":3,"startTimeUnixNano":"{start}",
                "status":{{"code":2,"message":"m"}},
                "attributes":[{{"key":"n","value":{{"intValue":"7"}}}},{{"key":"l","value":{{"arrayValue":{{"values":[{{"boolValue":true}}]}}}}}}]}}"#
            )
        };
        let spans = [span("b", "r", 3), span("r", "ff", 1), span("a", "r", 2)].join(",");
        let spans = format!(
            r#"{{"resourceSpans":[{{"scopeSpans":[{{"scope":{{"name":"s"}},"spans":[{spans}]}}]}}]}}"#
        );
        let logs = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"1","severityText":"INFO","body":{"stringValue":"x"}}]}]}]}"#;
        let trace = Trace::read(spans.as_bytes(), logs.as_bytes()).unwrap();
        let [root] = &trace.roots[..] else { panic!("{trace:?}") };
        assert_eq!((&*root.name, root.kind, root.status, &*root.scope), ("r", "client", "error", "s"));
        assert_eq!(root.children.iter().map(|child| &*child.name).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(attribute(&root.attributes, "n"), Some(&Json::from(7)));
        assert_eq!(attribute(&root.attributes, "l"), Some(&serde_json::json!([true])));
        assert_eq!(
            trace.logs[0],
            Log { body: "x".into(), severity: "info".to_owned(), attributes: Vec::new() }
        );
    }
}
