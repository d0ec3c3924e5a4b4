//! Sends what there is to OTLP endpoints, each signal by itself.

mod answer;
mod batches;
mod client;
mod connect;
pub(crate) mod doctor;
mod grpc;
mod metrics;
mod refusal;
mod sender;
mod trouble;

use super::batch::Envelope;
use super::health::Health;
use super::signal::Signal;
use super::spool::Spool;
use super::{Sources, Stop};
use crate::config::{self, Endpoint, Protocol, Proxies, Transport};
use crate::telemetry::counters::Counters;
use crate::telemetry::pipeline::Pipeline;
use client::{Client, Target};
use connect::Connections;
use sender::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use trouble::Trouble;

/// What the exporter needs of the configuration.
pub(in crate::telemetry) struct Settings {
    proxies: Proxies,
    traces: Option<(Route, config::Batch)>,
    metrics: Option<(Route, Envelope, config::MetricsExport)>,
    logs: Option<(Route, config::Batch)>,
}

/// Where one signal goes, and what stands around it.
struct Route {
    signal: Signal,
    url: http::Uri,
    headers: Vec<(http::HeaderName, http::HeaderValue)>,
    transport: Transport,
    timeout: config::Timeout,
    export_timeout: config::Timeout,
    envelope: Envelope,
    /// The settings ask for deltas, of metrics.
    prefers_deltas: bool,
}

impl Settings {
    pub(super) fn new(otel: &config::Otel, component: &str, resource: &Arc<[u8]>) -> Self {
        let is_sent = otel.is_on() && otel.exporter == config::Exporter::Otlp;
        let traces = otel.endpoint.as_ref().filter(|_| is_sent).map(|endpoint| Route {
            signal: Signal::Traces,
            url: url(endpoint, &otel.transport, Signal::Traces),
            headers: otel.headers.clone(),
            transport: otel.transport.clone(),
            timeout: otel.timeout,
            export_timeout: otel.batch.export_timeout,
            envelope: Envelope::of_spans(resource, otel.semconv),
            prefers_deltas: false,
        });
        let route = |signal: Signal, to: &config::Destination, export_timeout| {
            let transport = otel.transport_of(to);
            Some(Route {
                signal,
                url: url(&otel.endpoint_of(to, signal.path())?, transport, signal),
                headers: to.headers.as_ref().unwrap_or(&otel.headers).clone(),
                transport: transport.clone(),
                timeout: to.timeout,
                export_timeout,
                envelope: Envelope::of_guests(resource, component),
                prefers_deltas: signal == Signal::Metrics
                    && otel.metrics.temporality != config::Temporality::Cumulative,
            })
        };
        let (metrics, logs) = (&otel.metrics, &otel.logs);
        Settings {
            proxies: otel.proxies.clone(),
            traces: traces.map(|route| (route, otel.batch.clone())),
            metrics: route(Signal::Metrics, &metrics.to, metrics.export_timeout)
                .map(|route| (route, Envelope::of_host(resource), metrics.clone())),
            logs: route(Signal::Logs, &logs.to, logs.batch.export_timeout)
                .map(|route| (route, logs.batch.clone())),
        }
    }

    /// Whether a signal goes to an endpoint.
    pub(super) fn has(&self, signal: Signal) -> bool {
        self.routes().any(|route| route.signal == signal)
    }

    /// Whether any does.
    pub(super) fn has_any(&self) -> bool {
        self.routes().next().is_some()
    }

    fn routes(&self) -> impl Iterator<Item = &Route> {
        let traces = self.traces.iter().map(|(route, _)| route);
        let metrics = self.metrics.iter().map(|(route, ..)| route);
        let logs = self.logs.iter().map(|(route, _)| route);
        traces.chain(metrics).chain(logs)
    }
}

/// Runs until the shutdown, all signals side by side.
pub(super) async fn run(settings: Settings, sources: &Sources, spool: Option<&Arc<Spool>>, stop: Stop) {
    if let Some(spool) = spool {
        let off = Signal::ALL.into_iter().filter(|signal| !settings.has(*signal));
        off.for_each(|signal| spool.unclaimed(signal));
    }
    let Settings { proxies, traces, metrics, logs } = settings;
    let pools = Pools { proxies, made: Mutex::default() };
    let spans = async {
        if let (Some((route, batch)), Some(pipeline)) = (traces, &sources.spans) {
            let sender = route.sender(&pools, spool, &pipeline.counters, Some(pipeline));
            batches::run(sender, route.envelope, &batch, pipeline, stop.clone()).await;
        }
    };
    let records = async {
        if let (Some((route, batch)), Some(pipeline)) = (logs, &sources.logs) {
            let sender = route.sender(&pools, spool, &pipeline.counters, Some(pipeline));
            batches::run(sender, route.envelope, &batch, pipeline, stop.clone()).await;
        }
    };
    let points = async {
        if let (Some((route, of_host, export)), Some(metrics)) = (metrics, &sources.metrics) {
            let sender = route.sender(&pools, spool, metrics.counters(), None);
            metrics::run(sender, [of_host, route.envelope], &export, metrics, stop.clone()).await;
        }
    };
    tokio::join!(spans, records, points);
    if let Some(spool) = spool {
        spool.tell_unclaimed_dropped();
    }
}

/// Connections that signals share which are sent in the same way.
struct Pools {
    proxies: Proxies,
    made: Mutex<Vec<(Transport, bool, Arc<Connections>)>>,
}

impl Pools {
    fn of(&self, route: &Route) -> Arc<Connections> {
        let encrypted = route.url.scheme_str() == Some("https") || self.proxies.http.starts_with("https:");
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |(transport, with_roots, _): &&(Transport, bool, Arc<Connections>)| {
            *transport == route.transport && *with_roots == encrypted
        };
        if let Some((_, _, connections)) = made.iter().find(same) {
            return Arc::clone(connections);
        }
        let http2 = route.transport.protocol == Protocol::Grpc;
        let fresh = Arc::new(Connections::new(&route.transport, &self.proxies, http2, encrypted));
        made.push((route.transport.clone(), encrypted, Arc::clone(&fresh)));
        fresh
    }
}

impl Route {
    fn target(&self) -> Target {
        Target {
            signal: self.signal,
            url: self.url.clone(),
            protocol: self.transport.protocol,
            compression: self.transport.compression,
            timeout: self.timeout.0,
            prefers_deltas: self.prefers_deltas,
        }
    }

    fn client(&self, pools: &Pools) -> Client {
        Client::new(pools.of(self), self.target(), &self.headers)
    }

    fn sender(
        &self,
        pools: &Pools,
        spool: Option<&Arc<Spool>>,
        counters: &Arc<Counters>,
        pipeline: Option<&Arc<Pipeline>>,
    ) -> Arc<Sender> {
        let client = self.client(pools);
        let name = client::for_people(&self.url);
        let trouble = Trouble::new(pipeline.cloned());
        counters.condition.goes_to(&name);
        let health = Health::new(self.signal, name, spool.map(|spool| spool.path()));
        let lane = spool.map(|spool| spool.lane(self.signal, counters));
        Arc::new(Sender::new(client, health, Arc::clone(counters), trouble, lane, self.export_timeout.0))
    }
}

/// The endpoint's URL for one signal.
fn url(endpoint: &Endpoint, transport: &Transport, signal: Signal) -> http::Uri {
    match transport.protocol {
        Protocol::Grpc => endpoint.of_call(grpc::path(signal)),
        Protocol::HttpProtobuf | Protocol::HttpJson => endpoint.url.clone(),
    }
}
