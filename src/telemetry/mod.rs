//! Spans, and their way out; knows neither HTTP server nor wasm.
//!
//! A request's way through here: [`propagation`] reads the caller's context, [`sampler`] decides, [`server_span`]
//! records, [`encode`] writes the record as OTLP once, [`pipeline`] holds it, [`export`] sends it. Nothing of it blocks
//! or fails a request; what is lost is counted in [`Totals`].

pub(crate) mod bench;
mod child;
mod child_span;
mod children;
mod client_span;
mod clock;
mod context;
mod counters;
mod encode;
mod export;
#[doc(hidden)]
pub mod fuzz;
mod headers;
mod id;
mod json;
mod limits;
mod log_records;
pub(crate) mod logs;
mod metrics;
mod notes;
mod otlp_value;
mod path_names;
mod pipeline;
mod propagation;
mod quota;
mod recording;
mod redact;
mod request;
mod resource;
mod response;
mod sampler;
mod scope;
mod sdk_span;
mod semconv;
mod server_span;
mod signals;
mod value;

pub(crate) use child_span::{ChildSpan, Options as ChildOptions};
pub(crate) use client_span::{ClientSpan, Connected};
pub(crate) use context::{SpanContext, TraceState};
pub(crate) use counters::Totals;
pub(crate) use encode::Kind;
pub(crate) use id::{SpanId, TraceId};
pub(crate) use json::value as json_value;
pub(crate) use limits::MAX_ATTRIBUTES;
pub(crate) use log_records::{LogRecord, SdkRecord, Severity};
pub(crate) use metrics::{Folds, Metrics, sdk as sdk_metrics};
pub(crate) use propagation::{Baggage, Propagator};
pub(crate) use quota::Quota;
pub(crate) use sdk_span::{Omitted, Refused as SdkSpanRefused, Scope, SdkSpan};
pub(crate) use server_span::{Phases, ServerSpan};
pub(crate) use signals::Signals;
pub(crate) use value::{Exception, Status, Value};

use crate::config::{self, Semconv};
use children::Families;
use counters::Counters;
use export::Sources;
use headers::Wanted;
use log_records::LogRecords;
use path_names::PathNames;
use pipeline::Pipeline;
use recording::Recording;
use request::Request;
use sampler::Sampler;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

/// What is known of a connection.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Peer {
    /// The other end; none on a unix socket.
    pub(crate) remote: Option<SocketAddr>,
    /// Our end; none on a unix socket.
    pub(crate) local: Option<SocketAddr>,
    /// Whether the connection is encrypted, which makes the scheme `https`.
    pub(crate) tls: bool,
}

/// Handle on the telemetry of the server; cheap to clone. With no exporter it is empty: no thread, no cost.
#[derive(Clone, Default)]
pub(crate) struct Telemetry(Option<Arc<Running>>);

struct Running {
    shared: Arc<Shared>,
    propagator: Propagator,
    trust: config::TrustParent,
    sampler: Sampler,
    exporter: export::Exporter,
    sources: Sources,
    signals: Signals,
}

impl Running {
    fn believes(&self, peer: &Peer) -> bool {
        self.trust.believes(peer.remote.map(|remote| remote.ip()))
    }
}

/// What every span needs at its end.
struct Shared {
    pipeline: Arc<Pipeline>,
    profile: Semconv,
    path_names: PathNames,
    component: Box<str>,
    families: Families,
    request_headers: Wanted,
    response_headers: Wanted,
}

impl Telemetry {
    /// Telemetry that does nothing.
    pub(crate) fn off() -> Self {
        Telemetry(None)
    }

    /// Starts what the settings ask for; nothing without an endpoint or with the exporter `none`.
    pub(crate) fn start(otel: &config::Otel, component: &str) -> anyhow::Result<Telemetry> {
        let Some(target) = export::Target::of(otel, component) else {
            return Ok(Telemetry::off());
        };
        let sources = target.sources(otel);
        let exporter = export::Exporter::start(target, &sources)?;
        Ok(Telemetry::new(otel, component, sources, exporter))
    }

    fn new(otel: &config::Otel, component: &str, sources: Sources, exporter: export::Exporter) -> Self {
        let shared = Arc::new(Shared {
            pipeline: Arc::clone(&sources.spans),
            profile: otel.semconv,
            path_names: PathNames::new(),
            component: component.into(),
            families: Families::default(),
            request_headers: Wanted::new("http.request.header.", &otel.request_headers),
            response_headers: Wanted::new("http.response.header.", &otel.response_headers),
        });
        let logs = sources.logs.clone().map(|pipeline| Arc::new(LogRecords::new(pipeline)));
        let signals = Signals { metrics: sources.metrics.clone(), logs };
        Telemetry(Some(Arc::new(Running {
            shared,
            propagator: Propagator::new(&otel.propagators),
            trust: otel.trust_parent.clone(),
            sampler: Sampler::new(&otel.sampler, otel.random_flag),
            exporter,
            sources,
            signals,
        })))
    }

    /// Where guests' metrics and log records go; nowhere when telemetry is off.
    pub(crate) fn signals(&self) -> Signals {
        self.0.as_ref().map(|running| running.signals.clone()).unwrap_or_default()
    }

    /// Whether spans are made at all.
    pub(crate) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Starts the SERVER span of a request whose head has been read; decides first whether to record it.
    pub(crate) fn server_span(
        &self,
        peer: &Peer,
        head: &http::request::Parts,
        route: Option<&str>,
    ) -> ServerSpan {
        let Some(running) = &self.0 else {
            return ServerSpan::off();
        };
        let mut caller = running.propagator.extract(&head.headers);
        let mut stranger = None;
        if !running.believes(peer) {
            stranger = std::mem::take(&mut caller).context;
        }
        let trace_id = caller.context.as_ref().map_or_else(TraceId::random, |parent| parent.trace_id);
        let flags = running.sampler.flags(trace_id, &caller);
        let (parent_id, trace_state) = match caller.context {
            Some(parent) => (Some(parent.span_id), parent.trace_state),
            None => (None, TraceState::default()),
        };
        let context = SpanContext { trace_id, span_id: SpanId::random(), flags, trace_state };
        if !context.is_sampled() {
            return ServerSpan::unsampled(context);
        }
        let request = Request::new(peer, head);
        let headers = running.shared.request_headers.find(&head.headers);
        let recording = Recording::start(&running.shared, context, parent_id, request, headers, route);
        let span = ServerSpan::recorded(recording);
        if let Some(context) = stranger {
            // Where it came from, but nothing that it wants to be carried on.
            span.add_link(SpanContext { trace_state: TraceState::default(), ..context }, Vec::new());
        }
        span
    }

    /// The baggage that a request brings, if its peer is believed; what is malformed of it is counted.
    pub(crate) fn baggage(&self, peer: &Peer, head: &http::request::Parts) -> Baggage {
        let Some(running) = self.0.as_ref().filter(|running| running.believes(peer)) else {
            return Baggage::default();
        };
        let (baggage, dropped) = running.propagator.baggage(&head.headers);
        Counters::add(&running.shared.pipeline.counters.baggage, dropped);
        baggage
    }

    /// What became of spans, log records and metrics so far; all zero when telemetry is off.
    pub(crate) fn totals(&self) -> Totals {
        let Some(running) = &self.0 else {
            return Totals::default();
        };
        Totals {
            logs: running.signals.log_totals(),
            metrics: running.signals.metric_totals(),
            ..running.shared.pipeline.totals()
        }
    }

    /// Ends the spans that guests left open, sends what is buffered and stops the exporter, by `deadline` at the latest;
    /// says what was lost.
    ///
    /// Blocks the calling thread. Spans that end later are dropped and counted. A second call changes nothing.
    pub(crate) fn shutdown(&self, deadline: Instant) -> Totals {
        if let Some(running) = &self.0 {
            running.shared.families.close();
            running.exporter.shutdown(&running.sources, deadline);
        }
        self.totals()
    }

    /// Has a shutdown, under way or to come, end by `deadline` if that is sooner.
    pub(crate) fn hurry(&self, deadline: Instant) {
        if let Some(running) = &self.0 {
            running.exporter.hurry(deadline);
        }
    }
}

#[cfg(test)]
mod tests;
