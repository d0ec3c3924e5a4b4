//! OpenTelemetry's own interfaces, as a program that embeds the server hands them over: a sampler, a span exporter, a
//! propagator. What is not handed over costs nothing.
//!
//! They are written by others, and stand beside requests that must not suffer for it. What runs on a request's way
//! (sampler, propagator) is asked through a [`Guard`](guard::Guard): where it panics, the request goes on as if it had
//! not been asked, and where it holds requests up it is left alone for a while. The exporter has a thread of its own
//! behind the buffer that every span waits in, so that it can only lose spans, which are counted as ever.

mod convert;
mod exporter;
mod guard;
pub(crate) mod propagator;
mod sampler;

use opentelemetry::propagation::TextMapPropagator;
use opentelemetry_sdk::trace::{ShouldSample, SpanExporter};
use std::fmt;
use std::sync::Arc;

pub(crate) use convert::baggage_of;
pub(crate) use exporter::{Export, Thread as ExporterThread};
use propagator::ForeignPropagator;
pub(crate) use sampler::{Asked, ForeignSampler, Sampled};

/// Implementations of OpenTelemetry's interfaces that stand in the place of Pounce's own.
#[derive(Default)]
pub struct Interfaces {
    pub(crate) sampler: Option<Arc<ForeignSampler>>,
    pub(crate) propagator: Option<Arc<ForeignPropagator>>,
    pub(crate) exporter: Option<Box<dyn Export>>,
}

impl Interfaces {
    /// Has `sampler` decide which requests are sampled, in place of [`Sampling::ratio`](crate::settings::Sampling) and of
    /// the rule that a caller's decision is followed. It is asked once for each request, and not for those that a rule for
    /// their route decides.
    ///
    /// | the sampler is given | |
    /// | --- | --- |
    /// | parent context | the caller's span, and its baggage; of an in-process call, the context of the caller |
    /// | trace id | the caller's, or the new one |
    /// | name | `{METHOD} {route}`; without a route `{METHOD} {path}`, or `{METHOD}` where the conventions are stable ones only |
    /// | kind | server |
    /// | attributes | method, path, query, scheme, server, client, protocol version, user agent, route, recorded headers |
    /// | links | the span of a caller that is not trusted |
    ///
    /// `RecordAndSample` exports the request's spans, `RecordOnly` has guests record and exports none, `Drop` does neither;
    /// of requests that are not sampled, those that fail or are slow are exported all the same where the settings say so
    /// ([`keep_errors`](crate::Settings::keep_errors), [`keep_slow`](crate::Settings::keep_slow)). The sampler's attributes
    /// stand on the request's span, its trace state is what callees get, as it is.
    ///
    /// Where it panics, Pounce's own sampling decides. It is asked on the request's way and should not wait: once calls have
    /// waited for half a second in all, own sampling decides for a hundred times as long as they did.
    pub fn set_sampler(&mut self, sampler: Box<dyn ShouldSample>) {
        self.sampler = Some(Arc::new(ForeignSampler::new(sampler)));
    }

    /// Has `propagator` read the trace context and the baggage of requests, and write those of outgoing requests, in place
    /// of the formats in the settings. Headers of formats that Pounce knows and of the propagator's own fields are never
    /// passed on.
    ///
    /// Where it panics or waits (as for [a sampler](Self::set_sampler)), a request begins a new trace, and an outgoing one
    /// carries none.
    pub fn set_propagator(&mut self, propagator: Box<dyn TextMapPropagator + Send + Sync>) {
        self.propagator = Some(Arc::new(ForeignPropagator::new(propagator)));
    }

    /// Has spans go to `exporter`, in place of an endpoint or the console.
    ///
    /// It gets batches of the settings' size on a thread of its own, one after the other; each has as long as
    /// the exporter takes, up to [`span_export_timeout`](crate::Settings::span_export_timeout). The thread is within the tokio runtime that telemetry was
    /// started in, so that the exporter may wait for its clients or block, as it likes. Spans that it does not take
    /// wait in the same bounded buffer as ever; what it loses is counted as what an endpoint loses.
    ///
    /// What OpenTelemetry's `SpanData` has no place for is written otherwise: values that are bytes, maps, or lists of
    /// several types become texts of JSON, and the schema URL of Pounce's own scope is kept while a trace state that
    /// `opentelemetry` does not read is left out. Spans of a component with a resource of its own come after a call of
    /// `set_resource` with that one.
    pub fn set_exporter(&mut self, exporter: impl SpanExporter + 'static) {
        self.exporter = Some(Box::new(exporter));
    }

    /// Has spans go where the settings say, whatever exporter was handed over.
    pub fn remove_exporter(&mut self) {
        self.exporter = None;
    }
}

impl fmt::Debug for Interfaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interfaces")
            .field("sampler", &self.sampler)
            .field("propagator", &self.propagator)
            .field("exporter", &self.exporter)
            .finish()
    }
}
