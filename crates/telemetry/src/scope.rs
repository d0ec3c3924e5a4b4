//! The instrumentation scope of a guest's span: the part of the guest that made it, where the guest says which.
//!
//! A guest names it by attributes, under the names that the specification gives a scope where there is no other place
//! for it (Prometheus labels, say): `otel.scope.name`, `.version`, `.schema_url`, and any other after `otel.scope.`.
//! Spans that name none are in ours.

use super::semconv::{OTEL_SCOPE, OTEL_SCOPE_NAME, OTEL_SCOPE_SCHEMA_URL, OTEL_SCOPE_VERSION};
use super::value::Value;
pub(super) use pounce_otlp::wire::SCOPED;
use pounce_otlp::wire::{Borrowed, attribute, bytes};

/// The message `InstrumentationScope` of what the host writes or vouches for.
pub(super) fn of_host(name: &str) -> Vec<u8> {
    let mut scope = Vec::new();
    bytes(&mut scope, 1, name.as_bytes());
    bytes(&mut scope, 2, env!("CARGO_PKG_VERSION").as_bytes());
    scope
}

/// What a span says of its scope.
pub(super) struct Scope<'a> {
    name: &'a str,
    attributes: &'a [(Box<str>, Value)],
}

impl<'a> Scope<'a> {
    /// The scope that these attributes of a span name; none without a name.
    pub(super) fn of(attributes: &'a [(Box<str>, Value)]) -> Option<Self> {
        let name = text(attributes, OTEL_SCOPE_NAME).filter(|name| !name.is_empty())?;
        Some(Scope { name, attributes })
    }

    /// Whether an attribute is told by the scope, and not by the span again.
    pub(super) fn tells(key: &str) -> bool {
        key.starts_with(OTEL_SCOPE)
    }

    /// Writes the span that `write` appends as an entry with this scope.
    pub(super) fn wrap(&self, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        let mut message = Vec::with_capacity(1024);
        bytes(&mut message, 1, &self.encode());
        if let Some(schema_url) = text(self.attributes, OTEL_SCOPE_SCHEMA_URL) {
            bytes(&mut message, 3, schema_url.as_bytes());
        }
        write(&mut message);
        bytes(out, SCOPED, &message);
    }

    /// The message `InstrumentationScope`.
    fn encode(&self) -> Vec<u8> {
        let mut scope = Vec::new();
        bytes(&mut scope, 1, self.name.as_bytes());
        if let Some(version) = text(self.attributes, OTEL_SCOPE_VERSION) {
            bytes(&mut scope, 2, version.as_bytes());
        }
        for (key, value) in self.attributes {
            let is_field = [OTEL_SCOPE_NAME, OTEL_SCOPE_VERSION, OTEL_SCOPE_SCHEMA_URL].contains(&&**key);
            if let (false, Some(key)) = (is_field, key.strip_prefix(OTEL_SCOPE)) {
                attribute(&mut scope, 3, key, Borrowed::Any(value));
            }
        }
        scope
    }
}

fn text<'a>(attributes: &'a [(Box<str>, Value)], wanted: &str) -> Option<&'a str> {
    let (_, value) = attributes.iter().find(|(key, _)| &**key == wanted)?;
    match value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

/// The part of a guest that made a span, a point or a record, as the guest's SDK names it.
#[derive(Default)]
pub struct SdkScope {
    /// Name of the library.
    pub name: String,
    /// Its version.
    pub version: Option<String>,
    /// Schema that the names follow.
    pub schema_url: Option<String>,
    /// Further attributes.
    pub attributes: Vec<(String, Value)>,
}

impl SdkScope {
    /// The attributes by which a span, a point or a record says whose it is.
    pub fn attributes(self) -> impl Iterator<Item = (String, Value)> {
        let text = |key: &str, text: Option<String>| {
            text.filter(|text| !text.is_empty()).map(|text| (key.to_owned(), Value::Text(text)))
        };
        let own = [
            text(OTEL_SCOPE_NAME, Some(self.name)),
            text(OTEL_SCOPE_VERSION, self.version),
            text(OTEL_SCOPE_SCHEMA_URL, self.schema_url),
        ];
        let more = self.attributes.into_iter();
        let more = more.map(|(key, value)| (format!("{}{key}", OTEL_SCOPE), value));
        own.into_iter().flatten().chain(more)
    }
}
