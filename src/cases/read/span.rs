//! Expected spans and log records of case files.

use toml::de::{DeTable, DeValue};

use super::fields::{Reader, Table, Value};
use super::{keys, values};
use crate::cases::expect::{Log, Part, Span, Spans, Times, Want};
use crate::cases::pattern::Pattern;
use crate::cases::seen::{KINDS, STATUSES};

/// Severities of log records, as OTLP calls them.
const SEVERITIES: [&str; 6] = ["trace", "debug", "info", "warn", "error", "fatal"];

impl Reader<'_> {
    /// `span` of a case: a name, a table, or a list of these.
    pub(super) fn spans(&mut self, value: &Value<'_>) -> Spans {
        let is_single = !value.get_ref().is_array();
        let list = Self::list(value).into_iter().filter_map(|one| self.span(one)).collect();
        Spans { list, is_single, ..Spans::default() }
    }

    fn span(&mut self, value: &Value<'_>) -> Option<Span> {
        let named = |name: &str| Span {
            name: Pattern::new(name),
            kind: None,
            status: None,
            message: None,
            scope: None,
            attributes: Vec::new(),
            without: Vec::new(),
            events: None,
            links: None,
            children: None,
            times: Times::ONCE,
            is_short: false,
        };
        let table = match value.get_ref() {
            DeValue::String(name) => return Some(Span { is_short: true, ..named(name) }),
            DeValue::Table(table) => self.table("span", table, keys::SPAN),
            _ => {
                self.wrong("span", value, "span = { name = \"GET /users/{id}\", kind = \"server\" }");
                return None;
            }
        };
        let name = self.text(table, "name", "\"GET /users/{id}\"").map_or("*", |(name, _)| name);
        let children = table.get("children").map(|value| {
            let list = Self::list(value).into_iter().filter_map(|one| self.span(one)).collect();
            let is_single = !value.get_ref().is_array();
            let is_ordered = self.bool(table, "ordered");
            let others = self.word(table, "others", &["refused", "allowed"]) == Some("allowed");
            Spans { list, is_ordered, others, is_single }
        });
        for key in ["ordered", "others"] {
            if let Some(value) = table.get(key).filter(|_| children.is_none()) {
                let what = format!("`span.{key}` is about children, and the span names none");
                self.mistake(value.span(), what, format!("add `children`, or take `{key}` out"));
            }
        }
        Some(Span {
            kind: self.word(table, "kind", &KINDS),
            status: self.word(table, "status", &STATUSES),
            message: self.pattern(table, "message", "\"no such user*\""),
            scope: self.pattern(table, "scope", "\"my-library\""),
            attributes: self.wants(table, "attributes"),
            without: self
                .texts(table, "without", "[\"error.type\"]")
                .into_iter()
                .map(|(name, _)| name)
                .collect(),
            events: table.get("events").map(|value| self.parts("event", "name", keys::EVENT, value)),
            links: table.get("links").map(|value| self.parts("link", "trace", keys::LINK, value)),
            children,
            times: self.times(table).unwrap_or(Times::ONCE),
            ..named(name)
        })
    }

    /// Events or links: each a text, or a table.
    fn parts(&mut self, what: &'static str, key: &str, keys: &[&str], value: &Value<'_>) -> Vec<Part> {
        let mut parts = Vec::new();
        for one in Self::list(value) {
            match one.get_ref() {
                DeValue::String(name) => {
                    let name = Pattern::new(name);
                    parts.push(Part { name, attributes: Vec::new(), times: Times::AT_LEAST_ONCE });
                }
                DeValue::Table(table) => {
                    let table = self.table(what, table, keys);
                    let name = self.text(table, key, "\"cache miss\"").map_or("*", |(name, _)| name);
                    parts.push(Part {
                        name: Pattern::new(name),
                        attributes: self.wants(table, "attributes"),
                        times: self.times(table).unwrap_or(Times::AT_LEAST_ONCE),
                    });
                }
                _ => self.wrong(what, one, &format!("{what}s = [\"cache miss\"]")),
            }
        }
        parts
    }

    /// `log` of a case: a text, a table, or a list of these.
    pub(super) fn logs(&mut self, value: &Value<'_>) -> Vec<Log> {
        Self::list(value).into_iter().filter_map(|one| self.log(one)).collect()
    }

    fn log(&mut self, value: &Value<'_>) -> Option<Log> {
        let table: &DeTable<'_> = match value.get_ref() {
            DeValue::String(text) => {
                let body = Want::Text(Pattern::new(text));
                return Some(Log {
                    body,
                    severity: None,
                    attributes: Vec::new(),
                    times: Times::AT_LEAST_ONCE,
                });
            }
            DeValue::Table(table) => table,
            _ => {
                self.wrong("log", value, "log = [\"served *\"]");
                return None;
            }
        };
        let table: Table<'_> = self.table("log", table, keys::LOG);
        let body = table.get("body").map(|value| values::want(values::json(value.get_ref())));
        Some(Log {
            body: body.unwrap_or(Want::Text(Pattern::new("*"))),
            severity: self.word(table, "severity", &SEVERITIES).map(str::to_owned),
            attributes: self.wants(table, "attributes"),
            times: self.times(table).unwrap_or(Times::AT_LEAST_ONCE),
        })
    }
}
