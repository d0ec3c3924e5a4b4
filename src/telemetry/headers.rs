//! Headers that the operator wants on server spans: `http.request.header.NAME` and `http.response.header.NAME`.

use super::encode::{Borrowed, SpanWriter};
use super::limits::Attributes;
use super::value::{Length, Value};
use http::{HeaderMap, HeaderName};

/// Which headers of one direction are recorded, and under which keys.
#[derive(Default)]
pub(super) struct Wanted(Vec<(HeaderName, String)>);

/// What came of them, by place among the wanted; most requests have none.
pub(super) type Found = Vec<(usize, Value)>;

impl Wanted {
    /// The headers `names`, under keys that begin with `prefix`.
    pub(super) fn new(prefix: &str, names: &[HeaderName]) -> Self {
        let mut wanted: Vec<(HeaderName, String)> = Vec::new();
        for name in names {
            if wanted.iter().all(|(known, _)| known != name) {
                wanted.push((name.clone(), format!("{prefix}{name}")));
            }
        }
        Wanted(wanted)
    }

    /// Takes the wanted ones out of `headers`, every value of each, as long as `length` allows.
    pub(super) fn find(&self, headers: &HeaderMap, length: Length) -> Found {
        let mut found = Found::new();
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

    /// Writes what was found, without what the guest has set itself.
    pub(super) fn write(&self, found: &Found, guest: &Attributes, span: &mut SpanWriter<'_>) {
        for (at, value) in found {
            let key = &self.0[*at].1;
            if !guest.has(key) {
                span.attribute(key, Borrowed::Any(value));
            }
        }
    }
}
