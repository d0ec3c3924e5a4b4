//! Trace context for calls that the host can't see: a database protocol over wasi:sockets, the body of a message.
//!
//! Requests over wasi:http need none of this: the host puts the context on them itself.

use std::collections::{BTreeMap, HashMap};

use crate::bindings::propagation as host;
use crate::bindings::types::Header;
use crate::{Span, SpanContext};

/// The current span's context as headers, in whatever formats the host is set to: `traceparent`, `tracestate`, …
pub fn inject() -> Vec<(String, String)> {
    pairs(host::inject())
}

/// The same for a span that this guest holds.
pub fn inject_for(span: &Span) -> Vec<(String, String)> {
    pairs(host::inject_for(span.as_host()))
}

/// Sets the current span's context on `headers`, replacing what is there.
///
/// ```no_run
/// let mut headers = vec![("content-type".to_owned(), "text/plain".to_owned())];
/// pounce_guest::inject_trace_context(&mut headers);
/// ```
///
/// It takes lists and maps of text, lists of name and bytes, and by features `http::HeaderMap` (`http`) and the fields of
/// wasi:http (`wasip2`, `wasip3`). For any other type implement [`HeaderSink`], or loop over [`inject`].
pub fn inject_trace_context(headers: &mut impl HeaderSink) {
    for (name, value) in inject() {
        headers.set_header(&name, &value);
    }
}

/// The context that `headers` carry, if they carry a valid one. Takes pairs of name and value: a list, a map, the
/// entries of wasi:http fields, a reference to an `http::HeaderMap`.
pub fn extract<N: AsRef<str>, V: AsRef<[u8]>>(
    headers: impl IntoIterator<Item = (N, V)>,
) -> Option<SpanContext> {
    let headers: Vec<Header> = headers
        .into_iter()
        .map(|(name, value)| Header {
            name: name.as_ref().to_owned(),
            value: String::from_utf8_lossy(value.as_ref()).into_owned(),
        })
        .collect();
    host::extract(&headers)
}

/// The W3C baggage of this request: names and values.
pub fn baggage() -> Vec<(String, String)> {
    pairs(host::baggage())
}

/// Sets an entry of the baggage that outgoing requests carry. False when it was refused: invalid, or beyond a limit.
pub fn set_baggage(name: &str, value: &str) -> bool {
    host::set_baggage(name, value)
}

fn pairs(headers: Vec<Header>) -> Vec<(String, String)> {
    headers.into_iter().map(|header| (header.name, header.value)).collect()
}

/// What [`inject_trace_context`] can write to.
pub trait HeaderSink {
    /// Sets a header, replacing those of the same name (compared without case).
    fn set_header(&mut self, name: &str, value: &str);
}

impl HeaderSink for Vec<(String, String)> {
    fn set_header(&mut self, name: &str, value: &str) {
        self.retain(|(present, _)| !present.eq_ignore_ascii_case(name));
        self.push((name.to_owned(), value.to_owned()));
    }
}

/// The form that `Fields::from_list` of wasi:http takes.
impl HeaderSink for Vec<(String, Vec<u8>)> {
    fn set_header(&mut self, name: &str, value: &str) {
        self.retain(|(present, _)| !present.eq_ignore_ascii_case(name));
        self.push((name.to_owned(), value.as_bytes().to_vec()));
    }
}

impl<S: std::hash::BuildHasher> HeaderSink for HashMap<String, String, S> {
    fn set_header(&mut self, name: &str, value: &str) {
        self.retain(|present, _| !present.eq_ignore_ascii_case(name));
        self.insert(name.to_owned(), value.to_owned());
    }
}

impl HeaderSink for BTreeMap<String, String> {
    fn set_header(&mut self, name: &str, value: &str) {
        self.retain(|present, _| !present.eq_ignore_ascii_case(name));
        self.insert(name.to_owned(), value.to_owned());
    }
}

#[cfg(feature = "http")]
impl HeaderSink for http::HeaderMap {
    fn set_header(&mut self, name: &str, value: &str) {
        // The host gives only valid headers; an invalid one would not be worth an error.
        if let (Ok(name), Ok(value)) = (http::HeaderName::try_from(name), http::HeaderValue::try_from(value))
        {
            self.insert(name, value);
        }
    }
}

#[cfg(feature = "wasip2")]
impl HeaderSink for wasip2::http::types::Fields {
    fn set_header(&mut self, name: &str, value: &str) {
        // Refused by fields that are read-only, as those of a received request are: then there is nothing to carry.
        let _ = self.set(name, &[value.as_bytes().to_vec()]);
    }
}

#[cfg(feature = "wasip3")]
impl HeaderSink for wasip3::http::types::Fields {
    fn set_header(&mut self, name: &str, value: &str) {
        // As for wasip2.
        let _ = self.set(name, &[value.as_bytes().to_vec()]);
    }
}
