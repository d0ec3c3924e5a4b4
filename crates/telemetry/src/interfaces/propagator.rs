//! A propagator of the program's: on headers of HTTP, with what it leaves behind if it fails.

use super::convert;
use super::guard::Guard;
use crate::context::SpanContext;
use crate::propagation::{Baggage, Caller};
use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::TraceContextExt as _;
use std::fmt;

/// A propagator that the program has handed over.
pub(crate) struct ForeignPropagator {
    propagator: Guard<Box<dyn TextMapPropagator + Send + Sync>>,
    /// The headers that it says it reads and writes.
    fields: Vec<HeaderName>,
}

impl ForeignPropagator {
    pub(super) fn new(propagator: Box<dyn TextMapPropagator + Send + Sync>) -> Self {
        let propagator = Guard::new("propagator", propagator);
        let fields =
            propagator.ask(|foreign| foreign.fields().filter_map(|field| field.parse().ok()).collect());
        let fields = fields.unwrap_or_default();
        ForeignPropagator { propagator, fields }
    }

    pub(crate) fn fields(&self) -> &[HeaderName] {
        &self.fields
    }

    /// Whether it reads and writes baggage, as far as its fields tell.
    pub(crate) fn carries_baggage(&self) -> bool {
        self.fields.iter().any(|field| field == "baggage")
    }

    fn read(&self, headers: &HeaderMap) -> Option<Context> {
        self.propagator.ask(|foreign| foreign.extract_with_context(&Context::new(), &Headers(headers)))
    }

    pub(crate) fn extract(&self, headers: &HeaderMap) -> Caller {
        let span = self.read(headers).and_then(|context| SpanContext::of(&context));
        span.map(Caller::from).unwrap_or_default()
    }

    /// The baggage that it reads; with it the number of members that are over a limit.
    pub(crate) fn baggage(&self, headers: &HeaderMap) -> (Baggage, u32) {
        if !self.carries_baggage() {
            return Default::default();
        }
        self.read(headers).map(|context| convert::baggage_of(&context)).unwrap_or_default()
    }

    /// Makes `context` and `baggage` the only ones in `headers`, where the propagator's own fields are.
    pub(crate) fn inject(&self, context: &SpanContext, baggage: &Baggage, headers: &mut HeaderMap) {
        for field in &self.fields {
            headers.remove(field);
        }
        let around = convert::with_baggage(Context::new(), baggage);
        let around = around.with_remote_span_context(convert::theirs(context, false));
        // Whole or not at all: half of what it would have written says something else.
        let written = self.propagator.ask(|foreign| {
            let mut written = Written::default();
            foreign.inject_context(&around, &mut written);
            written.0
        });
        headers.extend(written.unwrap_or_default());
    }
}

impl fmt::Debug for ForeignPropagator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.propagator.fmt(f)
    }
}

/// The headers of a request, as a propagator reads them.
struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }

    fn get_all(&self, key: &str) -> Option<Vec<&str>> {
        let values: Vec<_> = self.0.get_all(key).iter().filter_map(|value| value.to_str().ok()).collect();
        (!values.is_empty()).then_some(values)
    }
}

/// What a propagator writes. What is no header is left out, as it would be lost on the way.
#[derive(Default)]
struct Written(HeaderMap);

impl Injector for Written {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(name), Ok(value)) = (key.parse::<HeaderName>(), HeaderValue::try_from(value)) {
            self.0.insert(name, value);
        }
    }
}
