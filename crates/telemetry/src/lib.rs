//! Telemetry of a server of HTTP requests whose handlers are guests: spans, metrics and log records, and their way out.
//!
//! It is what [Pounce], a server of WebAssembly components, knows of telemetry; it knows neither an HTTP server nor
//! WebAssembly nor a command line. Sending is left to [`pounce_otlp`].
//!
//! [Pounce]: https://crates.io/crates/pounce
//!
//! # One request, one record
//!
//! [`Telemetry::server_span`] reads the caller's trace context, decides whether the request is recorded, and starts its
//! record. What happens on the way is told to the [`ServerSpan`]; at its end, span, metrics and access log are made of
//! the record.
//!
//! ```
//! use pounce_telemetry::{LocalReaders, Peer, Settings, Telemetry};
//!
//! // The spans wait in a buffer that we read; `Telemetry::start` sends them instead.
//! let (telemetry, buffer) = Telemetry::buffered(&Settings::default(), "shop", LocalReaders::default());
//!
//! let (head, ()) = http::Request::get("http://localhost/users/7").body(()).unwrap().into_parts();
//! let span = telemetry.server_span(&Peer::default(), &head);
//! span.set_route("/users/{id}");
//! span.response_head(http::StatusCode::OK, &http::HeaderMap::new());
//! // 42 bytes of the response's body were sent.
//! span.end(42);
//!
//! // Encoded once, as OTLP.
//! assert_eq!(buffer.drain(false).iter().map(|chunk| chunk.items).sum::<u32>(), 1);
//! ```
//!
//! Nothing of this blocks or fails a request. What is lost is counted, by reason, in [`Totals`].
//!
//! # Where things are
//!
//! | what | where |
//! | --- | --- |
//! | settings | [`Settings`], [`settings`] |
//! | parent from headers, context into headers | [`propagation`] |
//! | whether a trace is recorded | [`Sampler`] |
//! | what is known of a request | `request/record`, `request/facts`, `request/outcome` |
//! | which `error.type` counts | `request/outcome`: `Outcome::error_type` |
//! | a request's span, as OTLP | `request/span`; a guest's, `spans/child` |
//! | the host's own metrics | `metrics/host/definitions` |
//! | guests' metrics, and those of SDKs in guests | [`Metrics`], [`metrics::sdk`] |
//! | log records, and the log on standard error | [`LogRecords`], [`logs`] |
//! | the way out | `pipeline`, `export`, [`pounce_otlp`] |
//! | the latest traces, the page for Prometheus | `recent`, `metrics/prometheus` |
//! | *why does nothing arrive?* | [`doctor`] |

mod clock;
mod components;
mod context;
mod counters;
pub mod doctor;
mod exceptions;
mod export;
mod http_facts;
mod interfaces;
mod json;
mod limits;
mod log_records;
pub mod logs;
mod methods;
pub mod metrics;
mod observe;
mod otlp_value;
mod path_names;
mod peer;
mod pipeline;
pub mod propagation;
mod quota;
mod recent;
mod redact;
mod request;
mod resource;
mod sampler;
mod scope;
mod semconv;
pub mod settings;
mod signals;
mod spans;
pub mod terminal;
mod value;
mod view;

pub use context::{Linked, SpanContext, TraceState};
pub use counters::{Extent, IgnoredTotals, LeftOut, LogTotals, MetricTotals, Totals};
pub use http_facts::AddressText;
pub use interfaces::Interfaces;
pub use json::value as json_value;
pub use limits::MAX_ATTRIBUTES;
pub use log_records::{LogRecord, LogRecords, SdkRecord, Severity};
pub use metrics::{Folds, Format as MetricsFormat, Metrics, Registries};
pub use peer::{Peer, Tls, TlsClient, Told};
pub use pounce_otlp::id::{SpanId, TraceId};
pub use pounce_otlp::wire::Kind;
pub use propagation::{Baggage, Caller, Propagator};
pub use quota::Quota;
pub use recent::RecentTraces;
pub use request::outcome::Phases;
pub use request::output::OutputLine;
pub use request::server_span::{ChildOptions, ServerSpan};
pub use sampler::{Decision, Sampler};
pub use scope::SdkScope;
pub use settings::Settings;
pub use signals::Signals;
pub use spans::annotations::Omitted;
pub use spans::call::Connected;
pub use spans::client::ClientSpan;
pub use spans::sdk::{Refused as SdkSpanRefused, SdkSpan};
pub use spans::span::Span;
pub use value::{Exception, Status, Value};
pub use view::{Export, Exports};

use exceptions::ExceptionLog;
use export::{Envelopes, Sources};
use interfaces::{Asked, ForeignSampler, Sampled};
use limits::Limits;
use log_records::Shown;
use methods::Methods;
use opentelemetry::baggage::BaggageExt as _;
use path_names::PathNames;
use pipeline::Pipeline;
use pounce_otlp::Buffer;
use recent::Recent;
use request::access::AccessLog;
use request::facts::Facts;
use request::headers::HeaderFilter;
use request::record::{Identity, Record, Recording};
use request::shared::Shared;
use request::spans::Spans;
use request::tail::{KeepRules, Room};
use settings::Trust;
use spans::open::Registry;
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// Handle on the telemetry of the server; cheap to clone. Where none is wanted it is empty: no thread, no cost.
#[derive(Clone, Default)]
pub struct Telemetry(Option<Arc<On>>);

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
    /// What stands around all that is sent.
    envelopes: Envelopes,
    /// Components that have a resource of their own.
    components: Mutex<Vec<Telemetry>>,
}

/// How requests get their place in a trace.
struct Traces {
    propagator: Propagator,
    trust: Trust,
    sampler: Sampler,
    /// A sampler of the embedding program, which stands in the place of the settings' ratio.
    foreign: Option<Arc<ForeignSampler>>,
    /// What the admin listener shows of spans.
    recent: Option<Arc<Recent>>,
}

impl Traces {
    fn new(
        settings: &Settings,
        propagator: Propagator,
        foreign: Option<Arc<ForeignSampler>>,
        recent: Option<Arc<Recent>>,
    ) -> Self {
        Traces {
            propagator,
            trust: settings.trust.clone(),
            sampler: Sampler::new(&settings.sampling),
            foreign,
            recent,
        }
    }

    fn believes(&self, peer: &Peer) -> bool {
        self.trust.believes(peer.remote.map(|remote| remote.ip()))
    }
}

/// What is told of requests here, although nothing may be exported.
#[derive(Clone, Copy, Debug, Default)]
pub struct LocalReaders {
    /// Metrics are aggregated.
    pub metrics: bool,
    /// The latest traces are recorded, and shown with their log records.
    pub recent_traces: RecentTraces,
    /// Each request is told of in the access log.
    pub access_log: bool,
    /// The last lines that guests write are kept with their requests.
    pub output: bool,
}

impl Telemetry {
    /// Telemetry that does nothing.
    pub fn off() -> Self {
        Telemetry(None)
    }

    /// Starts what the settings ask for: spans, metrics and log records, each where it goes anywhere, and what
    /// `local` readers want.
    ///
    /// # Errors
    /// The spool cannot be used, or there is no thread for the exporter.
    pub fn start(settings: &Settings, component: &str, local: LocalReaders) -> anyhow::Result<Telemetry> {
        Self::start_with(settings, component, local, Interfaces::default())
    }

    /// Starts what [`start`](Self::start) does, with interfaces of OpenTelemetry that the embedding program implements; a
    /// span exporter turns spans on by itself.
    ///
    /// # Errors
    /// The spool cannot be used, or there is no thread for the exporter.
    pub fn start_with(
        settings: &Settings,
        component: &str,
        local: LocalReaders,
        mut interfaces: Interfaces,
    ) -> anyhow::Result<Telemetry> {
        // Made once: all signals are of the same instance of the service.
        let resource: Arc<[u8]> = resource::encode(settings, component).into();
        let envelopes = Envelopes::of(settings, component, &resource);
        let target = export::Target::of(settings, &envelopes, interfaces.exporter.take())?;
        let mut sources = target.as_ref().map(|target| target.sources()).unwrap_or_default();
        if local.metrics && sources.metrics.is_none() {
            sources.metrics = Some(Registries::new(settings, false));
        }
        if let Some(metrics) = sources.metrics.as_ref().filter(|_| local.metrics) {
            metrics.keep_for_pages();
        }
        let exporter = target.map(|target| export::Exporter::start(target, &sources)).transpose()?;
        let recent = Recent::new(local.recent_traces, &envelopes.spans, &envelopes.guests);
        if exporter.is_none()
            && sources.metrics.is_none()
            && recent.is_none()
            && !local.access_log
            && !local.output
        {
            return Ok(Telemetry::off());
        }
        Ok(Telemetry::with(settings, component, sources, exporter, recent, local, envelopes, interfaces))
    }

    /// Telemetry whose spans wait in a buffer that the caller drains, in place of an exporter; with what `local`
    /// readers want.
    pub fn buffered(settings: &Settings, component: &str, local: LocalReaders) -> (Self, Arc<Buffer>) {
        let queue = settings.spans;
        let spans = Arc::new(Pipeline::new(queue.max_items, queue.batching.max_items));
        let buffer = Arc::clone(spans.buffer());
        let metrics = local.metrics.then(|| Registries::new(settings, false));
        let sources = Sources { spans: Some(spans), metrics, ..Sources::default() };
        let envelopes = Envelopes::of(settings, component, &resource::encode(settings, component).into());
        let recent = Recent::new(local.recent_traces, &envelopes.spans, &envelopes.guests);
        let none = Interfaces::default();
        let telemetry = Self::with(settings, component, sources, None, recent, local, envelopes, none);
        (telemetry, buffer)
    }

    /// Telemetry with nothing that is told here.
    #[cfg(test)]
    fn new(
        settings: &Settings,
        component: &str,
        sources: Sources,
        exporter: Option<export::Exporter>,
    ) -> Self {
        let envelopes = Envelopes::of(settings, component, &resource::encode(settings, component).into());
        let (local, none) = (LocalReaders::default(), Interfaces::default());
        Self::with(settings, component, sources, exporter, None, local, envelopes, none)
    }

    #[allow(clippy::too_many_arguments, reason = "called with what three ways to start have made")]
    fn with(
        settings: &Settings,
        component: &str,
        sources: Sources,
        exporter: Option<export::Exporter>,
        recent: Option<Recent>,
        local: LocalReaders,
        envelopes: Envelopes,
        interfaces: Interfaces,
    ) -> Self {
        let pipeline = match &sources.spans {
            Some(pipeline) => Some(Arc::clone(pipeline)),
            None => recent.is_some().then(|| Arc::new(Pipeline::unread())),
        };
        let recent = recent.map(Arc::new);
        if let (Some(pipeline), Some(recent)) = (&pipeline, recent.clone()) {
            pipeline.observe(move |span| recent.add(span));
        }
        let shown = shown_by(settings, recent.as_ref());
        let traces = pipeline.is_some().then(|| {
            let Interfaces { sampler, propagator, .. } = interfaces;
            let propagator = Propagator::new(&settings.propagators).replaced_by(propagator);
            Traces::new(settings, propagator, sampler, recent)
        });
        let logs = match &sources.logs {
            Some(pipeline) => Some(Arc::clone(pipeline)),
            None => shown.is_some().then(|| Arc::new(Pipeline::unread())),
        };
        let logs = logs.map(|pipeline| Arc::new(LogRecords::new(pipeline, &settings.limits, shown)));
        let exported_logs = logs.clone().filter(|_| sources.logs.is_some());
        let (host, metrics) =
            sources.metrics.clone().map(|Registries { host, guests }| (host, guests)).unzip();
        if let Some(host) = &host {
            host.observe_telemetry(&sources, exported_logs.as_ref());
        }
        let shared = Arc::new(Shared {
            component: component.into(),
            methods: Methods::new(settings.known_methods.as_deref()),
            spans: pipeline.map(|pipeline| spans_with(settings, pipeline, Arc::new(Room::default()))),
            families: Registry::new(),
            metrics: host.clone(),
            access: local.access_log.then(|| AccessLog::new(exported_logs.clone())),
            keeps_output: local.output,
            exceptions: ExceptionLog::new(settings.exceptions, component, exported_logs.as_ref()),
        });
        let propagator = traces.as_ref().map(|traces| traces.propagator.clone());
        let signals = Signals { metrics, logs, host, propagator };
        let components = Mutex::default();
        Telemetry(Some(Arc::new(On { traces, shared, sources, signals, exporter, envelopes, components })))
    }

    fn traces(&self) -> Option<&Traces> {
        self.0.as_ref()?.traces.as_ref()
    }

    fn spans(&self) -> Option<&Spans> {
        self.0.as_ref()?.shared.spans.as_ref()
    }
}

/// How log records are shown beside the spans in `recent`.
fn shown_by(settings: &Settings, recent: Option<&Arc<Recent>>) -> Option<Shown> {
    let has_unsampled = KeepRules::new(settings).are_any();
    recent.map(|recent| Shown { recent: Arc::clone(recent), has_unsampled })
}

/// What spans are made with that go to `pipeline`.
fn spans_with(settings: &Settings, pipeline: Arc<Pipeline>, tail_room: Arc<Room>) -> Spans {
    Spans {
        pipeline,
        profile: settings.semconv,
        path_names: PathNames::new(),
        request_headers: HeaderFilter::new("http.request.header.", &settings.request_headers),
        response_headers: HeaderFilter::new("http.response.header.", &settings.response_headers),
        limits: Limits::new(&settings.limits),
        keep: KeepRules::new(settings),
        tail_room,
    }
}

impl Traces {
    /// Takes the span out of what a request's headers say of its caller, where `peer` is not believed.
    #[inline(always)]
    fn take_stranger(&self, peer: &Peer, caller: &mut Caller) -> Option<SpanContext> {
        if self.believes(peer) { None } else { std::mem::take(caller).context }
    }

    /// The ids of a request's span, and whether it is recorded, decided before anything is built; with the context of a
    /// caller that is not believed.
    #[inline]
    fn identify(
        &self,
        peer: &Peer,
        head: &http::request::Parts,
        route: Option<&str>,
        keep: KeepRules,
    ) -> (Identity, Option<SpanContext>) {
        let mut caller = self.propagator.extract(&head.headers);
        let stranger = self.take_stranger(peer, &mut caller);
        let trace_id = caller.context.as_ref().map_or_else(TraceId::random, |parent| parent.trace_id);
        let parent = caller.context.as_ref().map(|parent| parent.span_id);
        let decision = self.sampler.decide_of(trace_id, caller, &head.method, head.uri.path(), route);
        (Identity::new(trace_id, parent, decision, keep.are_any()), stranger)
    }

    /// What [`identify`](Self::identify) says, where a sampler of the program's decides or the caller is in this process;
    /// with the attributes that such a sampler adds.
    fn identify_embedded(
        &self,
        peer: &Peer,
        head: &http::request::Parts,
        route: Option<&str>,
        within: Option<&opentelemetry::Context>,
        (shared, spans): (&Shared, &Spans),
    ) -> (Identity, Option<SpanContext>, Vec<(String, Value)>) {
        // A caller in this process is nearer than what its request brings, and nobody to be mistrusted.
        let local = within.and_then(SpanContext::with_origin);
        let parent_is_remote = local.as_ref().is_none_or(|(_, is_remote)| *is_remote);
        let (caller, stranger) = match local {
            Some((context, _)) => (Caller::from(context), None),
            None => {
                let mut caller = self.propagator.extract(&head.headers);
                let stranger = self.take_stranger(peer, &mut caller);
                (caller, stranger)
            }
        };
        let trace_id = caller.context.as_ref().map_or_else(TraceId::random, |parent| parent.trace_id);
        let parent = caller.context.as_ref().map(|parent| parent.span_id);
        let has_rule =
            caller.sampled.is_none() && self.sampler.has_rule_for(&head.method, head.uri.path(), route);
        let asked = self.foreign.as_ref().filter(|_| !has_rule).and_then(|foreign| {
            foreign.decide(&Asked {
                trace_id,
                caller: caller.context.as_ref(),
                within,
                baggage: self.baggage(peer, head, within).0,
                stranger: stranger.as_ref(),
                facts: &Facts::new(peer, head, &shared.methods),
                head,
                route,
                methods: &shared.methods,
                spans,
                random: self.sampler.random_of(caller.context.as_ref()),
            })
        });
        let Sampled { decision, is_recorded, attributes } = match asked {
            Some(sampled) => sampled,
            None => Sampled {
                decision: self.sampler.decide_of(trace_id, caller, &head.method, head.uri.path(), route),
                is_recorded: false,
                attributes: Vec::new(),
            },
        };
        let mut identity = Identity::new(trace_id, parent, decision, is_recorded || spans.keep.are_any());
        identity.parent_is_remote &= parent_is_remote;
        (identity, stranger, attributes)
    }

    /// The baggage of a request; with it the number of members that were malformed or over a limit.
    fn baggage(
        &self,
        peer: &Peer,
        head: &http::request::Parts,
        within: Option<&opentelemetry::Context>,
    ) -> (Baggage, u32) {
        if let Some(within) = within.filter(|within| !within.baggage().is_empty()) {
            return interfaces::baggage_of(within);
        }
        if self.believes(peer) { self.propagator.baggage(&head.headers) } else { Default::default() }
    }
}

impl On {
    /// Starts the record of a request for which a sampler of the program's decides, or whose caller is in this process.
    /// Apart, so that other requests pay nothing for it.
    #[cold]
    #[inline(never)]
    fn start_embedded(
        &self,
        peer: &Peer,
        head: &http::request::Parts,
        route: Option<&str>,
        within: Option<&opentelemetry::Context>,
        (traces, spans): (&Traces, &Spans),
    ) -> ServerSpan {
        let (identity, stranger, attributes) =
            traces.identify_embedded(peer, head, route, within, (&self.shared, spans));
        if identity.recording == Recording::No && !self.shared.reads_all_requests() {
            return ServerSpan::unrecorded(identity.context);
        }
        let span = self.record(peer, head, route, Some(identity), stranger);
        for (key, value) in attributes {
            span.set_attribute(&key, value);
        }
        span
    }

    /// Starts the record of a request, which may have a span.
    #[inline(always)]
    fn record(
        &self,
        peer: &Peer,
        head: &http::request::Parts,
        route: Option<&str>,
        identity: Option<Identity>,
        stranger: Option<SpanContext>,
    ) -> ServerSpan {
        let shared = &self.shared;
        let is_recorded = identity.as_ref().is_some_and(|identity| identity.recording != Recording::No);
        let spans = shared.spans.as_ref().filter(|_| is_recorded);
        let headers = spans.map(|spans| spans.request_headers.capture(&head.headers, spans.limits.value));
        let facts = Facts::new(peer, head, &shared.methods);
        let span = ServerSpan::of(Record::start(shared, identity, facts, headers.unwrap_or_default()));
        if let Some(route) = route {
            span.set_route(route);
        }
        if let Some(context) = stranger {
            // Where it came from; nothing of it is carried on.
            span.add_link(Linked::remote(context), Vec::new());
        }
        span
    }
}

impl Telemetry {
    /// Where guests' metrics and log records go; nowhere when telemetry is off.
    pub fn signals(&self) -> Signals {
        self.0.as_ref().map(|on| on.signals.clone()).unwrap_or_default()
    }

    /// Whether anything is exported.
    pub fn is_on(&self) -> bool {
        self.0.as_ref().is_some_and(|on| on.exporter.is_some())
    }

    /// All metrics; none where they are neither exported nor shown.
    pub fn metrics(&self) -> Option<&Registries> {
        self.0.as_ref()?.sources.metrics.as_ref()
    }

    /// Starts the record of a request whose head has been read, and with it its SERVER span.
    pub fn server_span(&self, peer: &Peer, head: &http::request::Parts) -> ServerSpan {
        self.server_span_of(peer, head, None, None)
    }

    /// Starts the record and the SERVER span of a request for which the server has found this route, by whose pattern it is
    /// sampled and called. `within` is the context of a caller in this process; where it has a span, that is the parent,
    /// whatever the head says.
    pub fn server_span_of(
        &self,
        peer: &Peer,
        head: &http::request::Parts,
        route: Option<&str>,
        within: Option<&opentelemetry::Context>,
    ) -> ServerSpan {
        let Some(on) = &self.0 else {
            return ServerSpan::off();
        };
        let traced = on.traces.as_ref().zip(on.shared.spans.as_ref());
        let (mut identity, mut stranger) = (None, None);
        if let Some((traces, spans)) = traced {
            if traces.foreign.is_some() || within.is_some() {
                return on.start_embedded(peer, head, route, within, (traces, spans));
            }
            let (own, other) = traces.identify(peer, head, route, spans.keep);
            if own.recording == Recording::No && !on.shared.reads_all_requests() {
                return ServerSpan::unrecorded(own.context);
            }
            (identity, stranger) = (Some(own), other);
        }
        on.record(peer, head, route, identity, stranger)
    }

    /// The baggage that a request brings, if its peer is believed, or that the context of its caller in this process has;
    /// what is malformed of it is counted.
    pub fn baggage(
        &self,
        peer: &Peer,
        head: &http::request::Parts,
        within: Option<&opentelemetry::Context>,
    ) -> Baggage {
        let Some(traces) = self.traces() else {
            return Baggage::default();
        };
        let (baggage, dropped) = traces.baggage(peer, head, within);
        if let Some(spans) = self.spans() {
            counters::add(&spans.pipeline.counters.baggage, dropped);
        }
        baggage
    }

    /// What became of spans, log records and metrics so far; all zero when telemetry is off.
    pub fn totals(&self) -> Totals {
        let Some(on) = &self.0 else {
            return Totals::default();
        };
        let mut logs = on.signals.log_totals();
        let mut metrics = on.signals.metric_totals();
        // What waits together is counted together; the rest is each component's.
        for of_component in self.components() {
            let signals = of_component.signals();
            logs.over_limit += signals.log_totals().over_limit;
            metrics.ignored.add(signals.metric_totals().ignored);
        }
        Totals {
            logs,
            metrics,
            spans: self.spans().map(|spans| spans.pipeline.totals()).unwrap_or_default(),
            left_out: self.spans().map(|spans| spans.pipeline.counters.totals()).unwrap_or_default(),
        }
    }

    /// Ends the spans that guests left open, sends what is buffered and stops the exporter, by `deadline` at the latest;
    /// says what was lost.
    ///
    /// Blocks the calling thread. Spans that end later are dropped and counted. A second call changes nothing.
    pub fn shutdown(&self, deadline: Instant) -> Totals {
        for on in self.components().iter().chain([self]).filter_map(|telemetry| telemetry.0.as_ref()) {
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
    pub fn hurry(&self, deadline: Instant) {
        if let Some(exporter) = self.0.as_ref().and_then(|on| on.exporter.as_ref()) {
            exporter.hurry(deadline);
        }
    }
}

#[cfg(test)]
mod tests;
