//! Spans, and their way out; knows neither HTTP server nor wasm.
//!
//! A request's way through here: [`propagation`] reads the caller's context, [`sampler`] decides, [`server_span`]
//! records, [`encode`] writes the record as OTLP once, [`pipeline`] holds it, [`export`] sends it. Nothing of it blocks
//! or fails a request; what is lost is counted in [`Totals`].

mod access;
pub(crate) mod bench;
mod child;
mod child_span;
mod children;
mod client_span;
mod clock;
mod condition;
mod context;
mod counters;
mod encode;
mod exceptions;
mod export;
pub(crate) mod fuzz;
mod headers;
mod held;
mod id;
mod json;
mod limits;
mod log_records;
pub(crate) mod logs;
mod methods;
mod metrics;
mod notes;
mod otlp_value;
mod path_names;
mod pipeline;
mod propagation;
mod quota;
mod recent;
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
mod view;

pub(crate) use access::{Access, AccessLog, End as AccessEnd, Received};
pub(crate) use child_span::{ChildSpan, Options as ChildOptions};
pub(crate) use client_span::{ClientSpan, Connected};
pub(crate) use context::{Linked, SpanContext, TraceState};
pub(crate) use counters::Totals;
pub(crate) use encode::Kind;
pub(crate) use export::doctor;
pub(crate) use id::{SpanId, TraceId};
pub(crate) use json::value as json_value;
pub(crate) use limits::MAX_ATTRIBUTES;
pub(crate) use log_records::{LogRecord, LogRecords, SdkRecord, Severity};
pub(crate) use metrics::{
    Folds, Format as MetricsFormat, Metrics, Registries, host as host_metrics, sdk as sdk_metrics,
};
pub(crate) use propagation::{Baggage, Propagator};
pub(crate) use quota::Quota;
pub(crate) use request::AddressText;
pub(crate) use sdk_span::{Omitted, Refused as SdkSpanRefused, Scope, SdkSpan};
pub(crate) use server_span::{Phases, ServerSpan};
pub(crate) use signals::Signals;
pub(crate) use value::{Exception, Status, Value};
pub(crate) use view::Exports;

use crate::config::{self, Semconv};
use children::Families;
use counters::Counters;
use exceptions::ExceptionLog;
use export::{Envelope, Sources};
use headers::Wanted;
use held::{KeepRules, Outlet};
use http::uri::Authority;
use limits::Limits;
use methods::Methods;
use path_names::PathNames;
use pipeline::Pipeline;
use recent::Recent;
use recording::Recording;
use request::Request;
use sampler::{Decision, Sampler};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

/// What is known of the other end of a connection, and of one request if it told of that.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peer {
    /// The other end; none on a unix socket.
    pub(crate) remote: Option<SocketAddr>,
    /// Our end; none on a unix socket.
    pub(crate) local: Option<SocketAddr>,
    /// Whether the connection is encrypted, which makes the scheme `https`.
    pub(crate) tls: bool,
    /// What it told of this request, where it is a proxy that is believed.
    pub(crate) told: Option<Arc<Told>>,
}

/// A request as its client sent it, in the words of a proxy that is believed. What it did not say is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// Who sent it.
    pub(crate) client: Option<IpAddr>,
    /// Whether the scheme was `https`.
    pub(crate) is_https: Option<bool>,
    /// Host and port that it was for.
    pub(crate) authority: Option<Authority>,
}

impl Peer {
    /// Whether the request's scheme is `https`.
    pub(crate) fn is_https(&self) -> bool {
        self.told.as_ref().and_then(|told| told.is_https).unwrap_or(self.tls)
    }

    /// The address of who sent the request; none of a client on a Unix socket that nobody told of.
    pub(crate) fn client(&self) -> Option<IpAddr> {
        let told = self.told.as_ref().and_then(|told| told.client);
        told.or_else(|| self.remote.map(|remote| remote.ip()))
    }

    /// Host and port that the request was for, where a proxy said it.
    pub(crate) fn told_authority(&self) -> Option<&Authority> {
        self.told.as_ref()?.authority.as_ref()
    }
}

/// Handle on the telemetry of the server; cheap to clone. Where nobody wants any it is empty: no thread, no cost.
#[derive(Clone, Default)]
pub(crate) struct Telemetry(Option<Arc<On>>);

/// What is on: each signal by itself.
struct On {
    /// None where spans go nowhere, and nobody looks at them here.
    traces: Option<Traces>,
    sources: Sources,
    signals: Signals,
    /// None where exceptions are events of spans only.
    exceptions: Option<Arc<ExceptionLog>>,
    /// None where nothing is exported.
    exporter: Option<export::Exporter>,
    /// The OTLP message.
    resource: Arc<[u8]>,
}

/// How spans are made.
struct Traces {
    shared: Arc<Shared>,
    propagator: Propagator,
    trust: config::TrustParent,
    sampler: Sampler,
    /// What the admin listener shows of spans.
    recent: Option<Arc<Recent>>,
}

impl Traces {
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
    limits: Limits,
    methods: Methods,
    keep: KeepRules,
    /// What all requests hold back until their end.
    held_room: Arc<held::Room>,
}

/// What is kept here to be looked at, although nothing may export it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Kept {
    /// Metrics are aggregated.
    pub(crate) metrics: bool,
    /// So many of the latest traces are recorded.
    pub(crate) recent_traces: usize,
}

impl Telemetry {
    /// Telemetry that does nothing.
    pub(crate) fn off() -> Self {
        Telemetry(None)
    }

    /// Starts what the settings ask for: spans, metrics and log records, each where it goes anywhere, and what is
    /// to be `kept` here.
    pub(crate) fn start(otel: &config::Otel, component: &str, kept: Kept) -> anyhow::Result<Telemetry> {
        // Made once: all signals are of the same instance of the service.
        let resource: Arc<[u8]> = resource::encode(otel, component).into();
        let target = export::Target::of(otel, component, &resource)?;
        let mut sources = target.as_ref().map(|target| target.sources(otel)).unwrap_or_default();
        if kept.metrics && sources.metrics.is_none() {
            sources.metrics = Some(Registries::new(otel, false));
        }
        if let Some(metrics) = sources.metrics.as_ref().filter(|_| kept.metrics) {
            metrics.keep_for_pages();
        }
        let exporter = target.map(|target| export::Exporter::start(target, &sources)).transpose()?;
        let recent = Recent::new(kept.recent_traces, Envelope::of_spans(&resource, otel.semconv));
        if exporter.is_none() && sources.metrics.is_none() && recent.is_none() {
            return Ok(Telemetry::off());
        }
        Ok(Telemetry::with(otel, component, sources, exporter, recent, resource))
    }

    /// With nothing that is kept to be looked at, for tests and benchmarks.
    fn new(
        otel: &config::Otel,
        component: &str,
        sources: Sources,
        exporter: Option<export::Exporter>,
    ) -> Self {
        let resource = resource::encode(otel, component).into();
        Self::with(otel, component, sources, exporter, None, resource)
    }

    fn with(
        otel: &config::Otel,
        component: &str,
        sources: Sources,
        exporter: Option<export::Exporter>,
        recent: Option<Recent>,
        resource: Arc<[u8]>,
    ) -> Self {
        let pipeline = match &sources.spans {
            Some(pipeline) => Some(Arc::clone(pipeline)),
            None => recent.is_some().then(|| Arc::new(Pipeline::unread())),
        };
        let recent = recent.map(Arc::new);
        if let (Some(pipeline), Some(recent)) = (&pipeline, recent.clone()) {
            pipeline.observe(move |span| recent.add(span));
        }
        let traces = pipeline.map(|pipeline| Traces::new(otel, component, pipeline, recent));
        let logs = sources.logs.clone().map(|pipeline| Arc::new(LogRecords::new(pipeline, &otel.limits)));
        let (host, metrics) =
            sources.metrics.clone().map(|Registries { host, guests }| (host, guests)).unzip();
        if let Some(host) = &host {
            host.observe_telemetry(&sources, logs.as_ref());
        }
        let exceptions = ExceptionLog::new(otel, component, logs.as_ref());
        let signals = Signals { metrics, logs, host };
        Telemetry(Some(Arc::new(On { traces, sources, signals, exceptions, exporter, resource })))
    }

    fn traces(&self) -> Option<&Traces> {
        self.0.as_ref()?.traces.as_ref()
    }
}

impl Traces {
    fn new(
        otel: &config::Otel,
        component: &str,
        pipeline: Arc<Pipeline>,
        recent: Option<Arc<Recent>>,
    ) -> Self {
        let shared = Arc::new(Shared {
            pipeline,
            profile: otel.semconv,
            path_names: PathNames::new(),
            component: component.into(),
            families: Families::default(),
            request_headers: Wanted::new("http.request.header.", &otel.request_headers),
            response_headers: Wanted::new("http.response.header.", &otel.response_headers),
            limits: Limits::new(&otel.limits),
            methods: Methods::new(otel.known_methods.as_deref()),
            keep: KeepRules::new(otel),
            held_room: Arc::default(),
        });
        Traces {
            shared,
            propagator: Propagator::new(&otel.propagators),
            trust: otel.trust_parent.clone(),
            sampler: Sampler::new(otel),
            recent,
        }
    }
}

impl Telemetry {
    /// Where guests' metrics and log records go; nowhere when telemetry is off.
    pub(crate) fn signals(&self) -> Signals {
        self.0.as_ref().map(|on| on.signals.clone()).unwrap_or_default()
    }

    /// Whether anything is exported.
    pub(crate) fn is_on(&self) -> bool {
        self.0.as_ref().is_some_and(|on| on.exporter.is_some())
    }

    /// All metrics, for who reads them here; none where nobody wants them.
    pub(crate) fn metrics(&self) -> Option<&Registries> {
        self.0.as_ref()?.sources.metrics.as_ref()
    }

    /// Starts the SERVER span of a request whose head has been read, and what metrics tell of the request.
    pub(crate) fn server_span(
        &self,
        peer: &Peer,
        head: &http::request::Parts,
        route: Option<&str>,
    ) -> ServerSpan {
        let Some(on) = &self.0 else {
            return ServerSpan::off();
        };
        let mut span = self.traced(peer, head, route);
        let exceptions = on.exceptions.clone();
        // Made where it is handed over: each move of it costs as much as what is in it.
        if let Some(metrics) = self.metrics() {
            // The clock is most of what a measurement costs, and a recorded span has read it.
            let started = span.started().unwrap_or_else(Instant::now);
            span.set_beside(Some(metrics.host.request(peer.is_https(), head, route, started)), exceptions);
        } else if exceptions.is_some() {
            span.set_beside(None, exceptions);
        }
        span
    }

    /// Decides first whether to record it.
    fn traced(&self, peer: &Peer, head: &http::request::Parts, route: Option<&str>) -> ServerSpan {
        let Some(traces) = self.traces() else {
            return ServerSpan::off();
        };
        let mut caller = traces.propagator.extract(&head.headers);
        let mut stranger = None;
        if !traces.believes(peer) {
            stranger = std::mem::take(&mut caller).context;
        }
        let trace_id = caller.context.as_ref().map_or_else(TraceId::random, |parent| parent.trace_id);
        let parent_id = caller.context.as_ref().map(|parent| parent.span_id);
        let Decision { flags, trace_state } =
            traces.sampler.decide(trace_id, caller, &head.method, head.uri.path());
        let context = SpanContext { trace_id, span_id: SpanId::random(), flags, trace_state };
        let shared = &traces.shared;
        let outlet = if context.is_sampled() {
            Outlet::Pipeline
        } else if shared.keep.are_any() {
            Outlet::held(&shared.pipeline, &shared.held_room)
        } else {
            return ServerSpan::unsampled(context);
        };
        let request = Request::new(peer, head);
        let headers = shared.request_headers.find(&head.headers, shared.limits.value);
        let recording = Recording::start(shared, context, parent_id, outlet, request, headers, route);
        let span = ServerSpan::recorded(recording);
        if let Some(context) = stranger {
            // Where it came from; nothing of it is carried on.
            span.add_link(Linked::remote(context), Vec::new());
        }
        span
    }

    /// The baggage that a request brings, if its peer is believed; what is malformed of it is counted.
    pub(crate) fn baggage(&self, peer: &Peer, head: &http::request::Parts) -> Baggage {
        let Some(traces) = self.traces().filter(|traces| traces.believes(peer)) else {
            return Baggage::default();
        };
        let (baggage, dropped) = traces.propagator.baggage(&head.headers);
        Counters::add(&traces.shared.pipeline.counters.baggage, dropped);
        baggage
    }

    /// What became of spans, log records and metrics so far; all zero when telemetry is off.
    pub(crate) fn totals(&self) -> Totals {
        let Some(on) = &self.0 else {
            return Totals::default();
        };
        Totals {
            logs: on.signals.log_totals(),
            metrics: on.signals.metric_totals(),
            ..self.traces().map(|traces| traces.shared.pipeline.totals()).unwrap_or_default()
        }
    }

    /// Ends the spans that guests left open, sends what is buffered and stops the exporter, by `deadline` at the latest;
    /// says what was lost.
    ///
    /// Blocks the calling thread. Spans that end later are dropped and counted. A second call changes nothing.
    pub(crate) fn shutdown(&self, deadline: Instant) -> Totals {
        if let Some(traces) = self.traces() {
            traces.shared.families.close();
        }
        if let Some(on) = &self.0
            && let Some(exporter) = &on.exporter
        {
            exporter.shutdown(&on.sources, deadline);
        }
        self.totals()
    }

    /// Has a shutdown, under way or to come, end by `deadline` if that is sooner.
    pub(crate) fn hurry(&self, deadline: Instant) {
        if let Some(exporter) = self.0.as_ref().and_then(|on| on.exporter.as_ref()) {
            exporter.hurry(deadline);
        }
    }
}

#[cfg(test)]
mod tests;
