//! Trace context and baggage in headers: what a request brings, and what a call of a guest carries on.
//!
//! Which formats count is `otel.propagators`. Where a request brings several, W3C Trace Context comes first, then B3 in
//! one header, then B3 in several; what is malformed counts as absent. Nothing here is logged: a client could fill the
//! log with it.

mod b3;
mod baggage;
mod known;
mod ot;
#[cfg(test)]
mod tests;
mod w3c;

pub use baggage::Baggage;
pub use baggage::{MAX_BAGGAGE, MAX_MEMBERS as MAX_BAGGAGE_MEMBERS};
pub(super) use ot::Threshold;

use super::context::SpanContext;
use super::interfaces::propagator::ForeignPropagator;
use crate::settings::{HeaderFormat, Propagators};
use http::{HeaderMap, HeaderName};
use std::sync::Arc;

/// Reads and writes the formats that the settings name, or has a propagator of the embedding program do so.
#[derive(Clone, Debug)]
pub struct Propagator {
    foreign: Option<Arc<ForeignPropagator>>,
    w3c: bool,
    baggage: bool,
    b3: bool,
    b3_multi: bool,
}

/// What a caller says of the trace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// Its span; `None` when it names none, or breaks a rule, and then a new trace starts.
    pub context: Option<SpanContext>,
    /// Whether the trace is to be recorded; `None` when the caller leaves it to us. B3 can forbid it without a context.
    pub sampled: Option<bool>,
}

impl From<SpanContext> for Caller {
    fn from(context: SpanContext) -> Self {
        Caller { sampled: Some(context.is_sampled()), context: Some(context) }
    }
}

impl Default for Propagator {
    /// The formats that count unless the settings say otherwise.
    fn default() -> Self {
        Propagator::new(&Propagators::default())
    }
}

impl Propagator {
    /// Prepares what the settings ask for.
    pub fn new(formats: &Propagators) -> Self {
        Propagator {
            foreign: None,
            w3c: formats.has(HeaderFormat::TraceContext),
            baggage: formats.has(HeaderFormat::Baggage),
            b3: formats.has(HeaderFormat::B3),
            b3_multi: formats.has(HeaderFormat::B3Multi),
        }
    }

    /// Has the propagator of the program that `other` has, if it has one, read and write in place of the formats.
    pub(crate) fn like(self, other: &Self) -> Self {
        self.replaced_by(other.foreign.clone())
    }

    /// Has `foreign`, if there is one, read and write in place of the formats.
    pub(crate) fn replaced_by(self, foreign: Option<Arc<ForeignPropagator>>) -> Self {
        Propagator { foreign, ..self }
    }

    /// Reads the caller's trace context.
    pub fn extract(&self, headers: &HeaderMap) -> Caller {
        if let Some(foreign) = &self.foreign {
            return foreign.extract(headers);
        }
        if self.w3c
            && let Some(context) = w3c::extract(headers)
        {
            return context.into();
        }
        if self.has_b3() { b3::extract(headers) } else { Caller::default() }
    }

    /// Reads the caller's baggage; with it the number of members that were malformed or over a limit.
    pub fn baggage(&self, headers: &HeaderMap) -> (Baggage, u32) {
        match &self.foreign {
            Some(foreign) => foreign.baggage(headers),
            None if self.baggage => baggage::extract(headers),
            None => Default::default(),
        }
    }

    /// Whether baggage is carried at all.
    pub fn carries_baggage(&self) -> bool {
        self.foreign.as_ref().map_or(self.baggage, |foreign| foreign.carries_baggage())
    }

    /// Makes `context` and `baggage` the only ones in `headers`: what is there of any known format is removed, then each
    /// format of the settings written.
    pub fn inject(&self, context: &SpanContext, baggage: &Baggage, headers: &mut HeaderMap) {
        known::remove(headers);
        if let Some(foreign) = &self.foreign {
            return foreign.inject(context, baggage, headers);
        }
        if self.w3c {
            w3c::inject(context, headers);
        }
        if self.b3 {
            b3::inject_single(context, headers);
        }
        if self.b3_multi {
            b3::inject_multi(context, headers);
        }
        self.inject_baggage(baggage, headers);
    }

    /// Makes `baggage` the only one in `headers`, in the format of the settings.
    pub fn inject_baggage(&self, baggage: &Baggage, headers: &mut HeaderMap) {
        if self.baggage {
            baggage::inject(baggage, headers);
        }
    }

    /// Takes trace context and baggage of every known format out of `headers`, also of formats that are off.
    pub fn remove(&self, headers: &mut HeaderMap) {
        known::remove(headers);
        for field in self.foreign.iter().flat_map(|foreign| foreign.fields()) {
            headers.remove(field);
        }
    }

    /// The headers that are read and written, all but those that B3 leaves to others.
    pub fn fields(&self) -> impl Iterator<Item = &HeaderName> {
        let is_own = self.foreign.is_none();
        let of = |on: bool, fields: &'static [&'static HeaderName]| if on && is_own { fields } else { &[] };
        let own =
            [of(self.w3c, &w3c::FIELDS), of(self.has_b3(), &b3::FIELDS), of(self.baggage, &baggage::FIELDS)];
        let foreign = self.foreign.iter().flat_map(|foreign| foreign.fields());
        own.into_iter().flatten().copied().chain(foreign)
    }

    /// One form is read where the other is written, and a stale one must not stay beside it.
    fn has_b3(&self) -> bool {
        self.b3 || self.b3_multi
    }
}
