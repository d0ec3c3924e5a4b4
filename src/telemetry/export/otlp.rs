//! Sends what there is to OTLP endpoints as `http/protobuf`, each signal by itself.

mod batches;
mod client;
mod metrics;
mod sender;

use super::batch::Envelope;
use super::signal::Signal;
use super::{Sources, Stop};
use crate::config;
use crate::telemetry::counters::Counters;
use client::{Client, Connections};
use sender::Sender;
use std::sync::Arc;
use std::time::Duration;

/// What the exporter needs of the configuration.
pub(in crate::telemetry) struct Settings {
    traces: Option<(Route, config::Batch)>,
    metrics: Option<(Route, Envelope, config::MetricsExport)>,
    logs: Option<(Route, config::Batch)>,
}

/// Where one signal goes, and what stands around it.
struct Route {
    signal: Signal,
    url: http::Uri,
    headers: Vec<(http::HeaderName, http::HeaderValue)>,
    timeout: config::Timeout,
    export_timeout: config::Timeout,
    envelope: Envelope,
}

impl Settings {
    pub(super) fn new(otel: &config::Otel, component: &str, resource: &Arc<[u8]>) -> Self {
        let is_sent = otel.is_on() && otel.exporter == config::Exporter::Otlp;
        let traces = otel.endpoint.as_ref().filter(|_| is_sent).map(|endpoint| Route {
            signal: Signal::Traces,
            url: endpoint.url.clone(),
            headers: otel.headers.clone(),
            timeout: otel.timeout,
            export_timeout: otel.batch.export_timeout,
            envelope: Envelope::of_spans(resource, otel.semconv),
        });
        let route = |signal: Signal, to: &config::Destination, export_timeout| {
            Some(Route {
                signal,
                url: otel.endpoint_of(to, signal.path())?.url,
                headers: to.headers.as_ref().unwrap_or(&otel.headers).clone(),
                timeout: to.timeout,
                export_timeout,
                envelope: Envelope::of_guests(resource, component),
            })
        };
        let (metrics, logs) = (&otel.metrics, &otel.logs);
        Settings {
            traces: traces.map(|route| (route, otel.batch.clone())),
            metrics: route(Signal::Metrics, &metrics.to, metrics.export_timeout)
                .map(|route| (route, Envelope::of_host(&resource), metrics.clone())),
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
pub(super) async fn run(settings: Settings, sources: &Sources, stop: Stop) {
    let connections = Connections::new(settings.routes().any(Route::is_encrypted));
    let Settings { traces, metrics, logs } = settings;
    let spans = async {
        if let (Some((route, batch)), Some(pipeline)) = (traces, &sources.spans) {
            let sender = route.sender(&connections, &pipeline.counters);
            batches::run(sender, route.envelope, &batch, pipeline, stop.clone()).await;
        }
    };
    let records = async {
        if let (Some((route, batch)), Some(pipeline)) = (logs, &sources.logs) {
            let sender = route.sender(&connections, &pipeline.counters);
            batches::run(sender, route.envelope, &batch, pipeline, stop.clone()).await;
        }
    };
    let points = async {
        if let (Some((route, of_host, export)), Some(metrics)) = (metrics, &sources.metrics) {
            let sender = route.sender(&connections, metrics.counters());
            metrics::run(sender, [of_host, route.envelope], &export, metrics, stop.clone()).await;
        }
    };
    tokio::join!(spans, records, points);
}

impl Route {
    fn is_encrypted(&self) -> bool {
        self.url.scheme_str() == Some("https")
    }

    fn sender(&self, connections: &Connections, counters: &Arc<Counters>) -> Arc<Sender> {
        let client = Client::new(connections, self.signal, &self.url, &self.headers, self.timeout.0);
        let name = client::for_people(&self.url);
        Arc::new(Sender::new(client, self.signal, name, Arc::clone(counters), self.export_timeout.0))
    }
}

/// The longest time that sending one batch may take, whatever the settings and the endpoint ask for.
const MAX_ELAPSED: Duration = Duration::from_secs(300);
