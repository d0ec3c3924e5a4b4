//! What the benchmarks may touch; no part of the library's interface.

use super::pipeline::Pipeline;
use super::recent::Recent;
use super::{Baggage, ChildOptions, Peer, Propagator, Registries, ServerSpan, Telemetry, export, resource};
use crate::config;
use http::{HeaderMap, StatusCode, request::Parts};
use std::sync::Arc;

/// Spans of a server with one kind of telemetry.
pub struct Spans {
    telemetry: Telemetry,
    pipeline: Option<Arc<Pipeline>>,
    peer: Peer,
    no_headers: HeaderMap,
}

impl Spans {
    /// Telemetry is off.
    #[must_use]
    pub fn off() -> Self {
        Spans { telemetry: Telemetry::off(), pipeline: None, peer: peer(), no_headers: HeaderMap::new() }
    }

    /// Telemetry is on, and each request is recorded or none, in the profile that `semconv` names.
    #[must_use]
    pub fn on(sampled: bool, semconv: config::Semconv) -> Self {
        let sampler = if sampled { config::Sampler::AlwaysOn } else { config::Sampler::AlwaysOff };
        Self::of(&config::Otel { sampler, semconv, ..config::Otel::default() })
    }

    /// Metrics are on beside spans that are as `sampled` says; or alone.
    #[must_use]
    pub fn measured(sampled: Option<bool>) -> Self {
        let sampler =
            if sampled == Some(true) { config::Sampler::AlwaysOn } else { config::Sampler::AlwaysOff };
        let otel = config::Otel { sampler, semconv: config::Semconv::Http, ..config::Otel::default() };
        let metrics = Some(Registries::new(&otel, true));
        let spans = sampled.map(|_| Arc::new(Pipeline::new(1 << 20, 512)));
        let sources = export::Sources { spans, metrics, logs: None };
        Self::from(&otel, sources)
    }

    /// Each request is recorded, and the ring of recent traces is on, as with an admin listener.
    #[must_use]
    pub fn shown() -> Self {
        let otel = config::Otel { semconv: config::Semconv::Http, ..config::Otel::default() };
        let sources = export::Sources::of_spans(Pipeline::new(1 << 20, 512));
        let pipeline = sources.spans.clone();
        let resource = resource::encode(&otel, "hello").into();
        let recent = Recent::new(100, export::of_spans(&resource, otel.semconv));
        let telemetry = Telemetry::with(&otel, "hello", sources, None, recent, false, resource);
        Spans { telemetry, pipeline, peer: peer(), no_headers: HeaderMap::new() }
    }

    /// No request is sampled, and those that fail are kept (`otel.keep-errors`).
    #[must_use]
    pub fn keeping_errors() -> Self {
        Self::of(&config::Otel {
            sampler: config::Sampler::AlwaysOff,
            semconv: config::Semconv::Http,
            keep_errors: true,
            ..config::Otel::default()
        })
    }

    /// Telemetry is on, as it is set; but nothing is sent.
    #[must_use]
    pub fn of(otel: &config::Otel) -> Self {
        Self::from(otel, export::Sources::of_spans(Pipeline::new(1 << 20, 512)))
    }

    fn from(otel: &config::Otel, sources: export::Sources) -> Self {
        let pipeline = sources.spans.clone();
        let telemetry = Telemetry::new(otel, "hello", sources, None);
        Spans { telemetry, pipeline, peer: peer(), no_headers: HeaderMap::new() }
    }

    pub(crate) fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }

    pub(crate) fn server_span(&self, head: &Parts) -> ServerSpan {
        self.telemetry.server_span(&self.peer, head)
    }

    /// One request from its head to the end of its response.
    pub fn request(&self, head: &Parts) {
        let span = self.server_span(head);
        span.response_head(StatusCode::OK, &self.no_headers);
        span.end(42);
    }

    /// One request whose guest has a span of its own.
    pub fn request_with_child(&self, head: &Parts) {
        let span = self.server_span(head);
        span.child(None, "work", ChildOptions::default()).end(None);
        span.response_head(StatusCode::OK, &self.no_headers);
        span.end(42);
    }

    /// Takes the encoded spans; gives their bytes.
    pub fn drain(&self) -> usize {
        let chunks = self.pipeline.iter().flat_map(|pipeline| pipeline.drain(false));
        chunks.map(|chunk| chunk.bytes.len()).sum()
    }
}

fn peer() -> Peer {
    let address = |port| std::net::SocketAddr::from(([127, 0, 0, 1], port));
    Peer { remote: Some(address(40_000)), local: Some(address(8080)), ..Peer::default() }
}

/// Reads the caller's context and writes it back.
pub fn propagate(from: &HeaderMap, to: &mut HeaderMap) {
    let propagator = Propagator::default();
    if let Some(context) = propagator.extract(from).context {
        propagator.inject(&context, &Baggage::default(), to);
    }
}
