//! Spans, metrics and log records, and their way out; knows neither HTTP server nor wasm.
//!
//! A request's way through here: [`propagation`] reads the caller's context, [`sampler`] decides, the request's record
//! ([`request`]) keeps what is known of it until its end, when span, metrics and access log are made of it; [`encode`](pounce_otlp::wire)
//! writes the span as OTLP once, [`pipeline`] holds it, [`export`] sends it: these three are thin, as `pounce-otlp` does
//! the work. Nothing of it blocks or fails a request; what is lost is counted in [`Totals`].

pub(crate) mod bench;
mod clock;
mod context;
mod counters;
pub(crate) mod doctor;
mod exceptions;
mod export;
pub(crate) mod fuzz;
mod http_facts;
mod json;
mod limits;
mod log_records;
pub(crate) mod logs;
mod methods;
mod metrics;
mod observe;
mod otlp_value;
mod path_names;
mod peer;
mod pipeline;
mod propagation;
mod quota;
mod recent;
mod redact;
mod request;
mod resource;
mod sampler;
mod scope;
mod semconv;
mod signals;
mod spans;
mod value;
mod view;

pub(crate) use context::{Linked, SpanContext, TraceState};
pub(crate) use counters::Totals;
pub(crate) use http_facts::AddressText;
pub(crate) use json::value as json_value;
pub(crate) use limits::MAX_ATTRIBUTES;
pub(crate) use log_records::{LogRecord, LogRecords, SdkRecord, Severity};
pub(crate) use metrics::{
    Folds, Format as MetricsFormat, Metrics, Registries, host as host_metrics, sdk as sdk_metrics,
};
pub(crate) use peer::{Peer, Told};
pub(crate) use pounce_otlp::id::{SpanId, TraceId};
pub(crate) use pounce_otlp::wire::Kind;
pub(crate) use propagation::{Baggage, Propagator};
pub(crate) use quota::Quota;
pub(crate) use request::outcome::Phases;
pub(crate) use request::server_span::{ChildOptions, ServerSpan};
pub(crate) use scope::SdkScope;
pub(crate) use signals::Signals;
pub(crate) use spans::annotations::Omitted;
pub(crate) use spans::call::Connected;
pub(crate) use spans::client::ClientSpan;
pub(crate) use spans::sdk::{Refused as SdkSpanRefused, SdkSpan};
pub(crate) use spans::span::Span;
pub(crate) use value::{Exception, Status, Value};
pub(crate) use view::Exports;

use crate::config;
use counters::Counters;
use exceptions::ExceptionLog;
use export::Sources;
use limits::Limits;
use methods::Methods;
use path_names::PathNames;
use pipeline::Pipeline;
use recent::Recent;
use request::access::AccessLog;
use request::facts::Facts;
use request::headers::HeaderFilter;
use request::record::{Identity, Record, Recording};
use request::shared::Shared;
use request::spans::Spans;
use request::tail::{KeepRules, Room};
use sampler::{Decision, Sampler};
use spans::open::Registry;
use std::sync::Arc;
use std::time::Instant;

/// Handle on the telemetry of the server; cheap to clone. Where none is wanted it is empty: no thread, no cost.
#[derive(Clone, Default)]
pub(crate) struct Telemetry(Option<Arc<On>>);

/// What is on: each signal by itself.
struct On {
    /// None where spans are neither exported nor shown.
    traces: Option<Traces>,
    /// What the records of all requests share.
    shared: Arc<Shared>,
    sources: Sources,
    signals: Signals,
    /// None where nothing is exported.
    exporter: Option<export::Exporter>,
    /// The OTLP message.
    resource: Arc<[u8]>,
}

/// How requests get their place in a trace.
struct Traces {
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

/// What is told of requests here, although nothing may be exported.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LocalReaders {
    /// Metrics are aggregated.
    pub(crate) metrics: bool,
    /// So many of the latest traces are recorded.
    pub(crate) recent_traces: usize,
    /// Each request is told of in the access log.
    pub(crate) access_log: bool,
}

impl Telemetry {
    /// Telemetry that does nothing.
    pub(crate) fn off() -> Self {
        Telemetry(None)
    }

    /// Starts what the settings ask for: spans, metrics and log records, each where it goes anywhere, and what
    /// `local` readers want.
    pub(crate) fn start(
        otel: &config::Otel,
        component: &str,
        local: LocalReaders,
    ) -> anyhow::Result<Telemetry> {
        // Made once: all signals are of the same instance of the service.
        let resource: Arc<[u8]> = resource::encode(otel, component).into();
        let target = export::Target::of(otel, component, &resource)?;
        let mut sources = target.as_ref().map(|target| target.sources()).unwrap_or_default();
        if local.metrics && sources.metrics.is_none() {
            sources.metrics = Some(Registries::new(otel, false));
        }
        if let Some(metrics) = sources.metrics.as_ref().filter(|_| local.metrics) {
            metrics.keep_for_pages();
        }
        let exporter = target.map(|target| export::Exporter::start(target, &sources)).transpose()?;
        let recent = Recent::new(local.recent_traces, export::of_spans(&resource, otel.semconv));
        if exporter.is_none() && sources.metrics.is_none() && recent.is_none() && !local.access_log {
            return Ok(Telemetry::off());
        }
        Ok(Telemetry::with(otel, component, sources, exporter, recent, local.access_log, resource))
    }

    /// Telemetry with nothing that is told here, for tests and benchmarks.
    fn new(
        otel: &config::Otel,
        component: &str,
        sources: Sources,
        exporter: Option<export::Exporter>,
    ) -> Self {
        let resource = resource::encode(otel, component).into();
        Self::with(otel, component, sources, exporter, None, false, resource)
    }

    fn with(
        otel: &config::Otel,
        component: &str,
        sources: Sources,
        exporter: Option<export::Exporter>,
        recent: Option<Recent>,
        has_access_log: bool,
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
        let traces = pipeline.is_some().then(|| Traces {
            propagator: Propagator::new(&otel.propagators),
            trust: otel.trust_parent.clone(),
            sampler: Sampler::new(otel),
            recent,
        });
        let logs = sources.logs.clone().map(|pipeline| Arc::new(LogRecords::new(pipeline, &otel.limits)));
        let (host, metrics) =
            sources.metrics.clone().map(|Registries { host, guests }| (host, guests)).unzip();
        if let Some(host) = &host {
            host.observe_telemetry(&sources, logs.as_ref());
        }
        let shared = Arc::new(Shared {
            component: component.into(),
            methods: Methods::new(otel.known_methods.as_deref()),
            spans: pipeline.map(|pipeline| spans_with(otel, pipeline)),
            families: Registry::new(),
            metrics: host.clone(),
            access: has_access_log.then(|| AccessLog::new(logs.clone())),
            exceptions: ExceptionLog::new(otel, component, logs.as_ref()),
        });
        let signals = Signals { metrics, logs, host };
        Telemetry(Some(Arc::new(On { traces, shared, sources, signals, exporter, resource })))
    }

    fn traces(&self) -> Option<&Traces> {
        self.0.as_ref()?.traces.as_ref()
    }

    fn spans(&self) -> Option<&Spans> {
        self.0.as_ref()?.shared.spans.as_ref()
    }
}

/// What spans are made with that go to `pipeline`.
fn spans_with(otel: &config::Otel, pipeline: Arc<Pipeline>) -> Spans {
    Spans {
        pipeline,
        profile: otel.semconv,
        path_names: PathNames::new(),
        request_headers: HeaderFilter::new("http.request.header.", &otel.request_headers),
        response_headers: HeaderFilter::new("http.response.header.", &otel.response_headers),
        limits: Limits::new(&otel.limits),
        keep: KeepRules::new(otel),
        tail_room: Room::default(),
    }
}

impl Traces {
    /// The ids of a request's span, and whether it is recorded, decided before anything is built; with the context of a
    /// caller that is not believed.
    fn identify(
        &self,
        peer: &Peer,
        head: &http::request::Parts,
        keep: KeepRules,
    ) -> (Identity, Option<SpanContext>) {
        let mut caller = self.propagator.extract(&head.headers);
        let mut stranger = None;
        if !self.believes(peer) {
            stranger = std::mem::take(&mut caller).context;
        }
        let trace_id = caller.context.as_ref().map_or_else(TraceId::random, |parent| parent.trace_id);
        let parent = caller.context.as_ref().map(|parent| parent.span_id);
        let Decision { flags, trace_state } =
            self.sampler.decide(trace_id, caller, &head.method, head.uri.path());
        let context = SpanContext { trace_id, span_id: SpanId::random(), flags, trace_state };
        let recording = match (context.is_sampled(), keep.are_any()) {
            (true, _) => Recording::Head,
            (false, true) => Recording::Tail,
            (false, false) => Recording::No,
        };
        (Identity { context, parent, recording }, stranger)
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

    /// All metrics; none where they are neither exported nor shown.
    pub(crate) fn metrics(&self) -> Option<&Registries> {
        self.0.as_ref()?.sources.metrics.as_ref()
    }

    /// Starts the record of a request whose head has been read, and with it its SERVER span.
    pub(crate) fn server_span(&self, peer: &Peer, head: &http::request::Parts) -> ServerSpan {
        let Some(on) = &self.0 else {
            return ServerSpan::off();
        };
        let shared = &on.shared;
        let traced = on.traces.as_ref().zip(shared.spans.as_ref());
        let (mut identity, mut stranger) = (None, None);
        if let Some((traces, spans)) = traced {
            let (own, other) = traces.identify(peer, head, spans.keep);
            if own.recording == Recording::No && !shared.reads_all_requests() {
                return ServerSpan::unrecorded(own.context);
            }
            (identity, stranger) = (Some(own), other);
        }
        let is_recorded = identity.as_ref().is_some_and(|identity| identity.recording != Recording::No);
        let headers = traced
            .filter(|_| is_recorded)
            .map(|(_, spans)| spans.request_headers.capture(&head.headers, spans.limits.value));
        let facts = Facts::new(peer, head, &shared.methods);
        let span = ServerSpan::of(Record::start(shared, identity, facts, headers.unwrap_or_default()));
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
        if let Some(spans) = self.spans() {
            Counters::add(&spans.pipeline.counters.baggage, dropped);
        }
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
            ..self.spans().map(|spans| spans.pipeline.totals()).unwrap_or_default()
        }
    }

    /// Ends the spans that guests left open, sends what is buffered and stops the exporter, by `deadline` at the latest;
    /// says what was lost.
    ///
    /// Blocks the calling thread. Spans that end later are dropped and counted. A second call changes nothing.
    pub(crate) fn shutdown(&self, deadline: Instant) -> Totals {
        if let Some(on) = &self.0 {
            on.shared.families.all().iter().for_each(|record| record.close_children(true));
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
