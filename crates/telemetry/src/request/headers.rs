//! Headers that the operator wants on server spans: `http.request.header.NAME` and `http.response.header.NAME`.

use crate::limits::Attributes;
use crate::value::{Length, Value};
use http::{HeaderMap, HeaderName};
use pounce_otlp::wire::{Borrowed, SpanWriter};

/// Which headers of one direction are recorded, and under which keys.
#[derive(Default)]
pub(crate) struct HeaderFilter(Vec<(HeaderName, String)>);

/// Values of the wanted headers that a head had, by place among the wanted; most requests have none.
pub(crate) type CapturedHeaders = Vec<(usize, Value)>;

impl HeaderFilter {
    /// The headers `names`, under keys that begin with `prefix`.
    pub(crate) fn new(prefix: &str, names: &[HeaderName]) -> Self {
        let mut wanted: Vec<(HeaderName, String)> = Vec::new();
        for name in names {
            if wanted.iter().all(|(known, _)| known != name) {
                wanted.push((name.clone(), format!("{prefix}{name}")));
            }
        }
        HeaderFilter(wanted)
    }

    /// Copies the wanted headers out of `headers`, every value of each, as long as `length` allows.
    pub(crate) fn capture(&self, headers: &HeaderMap, length: Length) -> CapturedHeaders {
        let mut found = CapturedHeaders::new();
        for (at, (name, _)) in self.0.iter().enumerate() {
            let values = headers.get_all(name).iter();
            let texts: Vec<_> =
                values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect();
            if !texts.is_empty() {
                let mut value = Value::Texts(texts);
                value.cut(length);
                found.push((at, value));
            }
        }
        found
    }

    /// The wanted headers of `headers`, each under its key.
    pub(crate) fn values(
        &self,
        headers: &HeaderMap,
        length: Length,
    ) -> impl Iterator<Item = (String, Vec<String>)> {
        self.capture(headers, length).into_iter().filter_map(|(at, value)| match value {
            Value::Texts(texts) => Some((self.0[at].1.clone(), texts)),
            _ => None,
        })
    }

    /// Writes the headers that were `found`, without what the guest has set itself.
    pub(crate) fn write(&self, found: &CapturedHeaders, guest: &Attributes, span: &mut SpanWriter<'_>) {
        for (at, value) in found {
            let key = &self.0[*at].1;
            if !guest.has(key) {
                span.attribute(key, Borrowed::Any(value));
            }
        }
    }
}
