//! The way out: which signals go where, on the thread of `pounce-otlp`'s exporter; and spans for people.

mod console;

use super::logs;
use super::metrics::{Collected, Metrics, Reader, Registries};
use super::pipeline::Pipeline;
use super::{scope, semconv, terminal};
use crate::interfaces::{Export, ExporterThread};
use crate::settings::{MetricsSettings, Queue, Semconv, Settings, SpoolSettings};
use anyhow::Context as _;
use pounce_otlp::wire as encode;
use pounce_otlp::{Batch, Builder, Collection, Endpoint, Envelope, Signal, Source, Spool, Stream};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Where the exporter finds what it sends.
#[derive(Clone, Default)]
pub(super) struct Sources {
    pub(super) spans: Option<Arc<Pipeline>>,
    /// Guests' log records, if they are exported.
    pub(super) logs: Option<Arc<Pipeline>>,
    /// Metrics, if they are exported, or read by somebody else.
    pub(super) metrics: Option<Registries>,
    /// Exports of components that have a resource of their own, in the order in which they came.
    pub(super) others: Arc<Mutex<Vec<Member>>>,
}

/// Metrics of a component that has a resource of its own.
#[derive(Clone)]
pub(super) struct Member {
    pub(super) component: Arc<str>,
    pub(super) metrics: Registries,
    pub(super) envelopes: Envelopes,
}

/// Where each signal goes.
pub(super) struct Target {
    /// Each signal that goes to an endpoint.
    otlp: Vec<(Signal, Endpoint)>,
    /// Where what cannot be sent there waits.
    spool: Option<Arc<Spool>>,
    /// Spans for people, in place of an endpoint.
    console: Option<console::Printer>,
    /// An exporter of the embedding program, in place of both.
    foreign: Option<Box<dyn Export>>,
    settings: Settings,
    envelopes: Envelopes,
}

/// What stands around the items of each kind.
#[derive(Clone)]
pub(super) struct Envelopes {
    pub(super) spans: Envelope,
    pub(super) host: Envelope,
    pub(super) guests: Envelope,
    /// The OTLP message that is in all of them.
    pub(super) resource: Arc<[u8]>,
}

/// The running exporter.
pub(super) struct Exporter {
    /// None where all that is exported goes to the program's own exporter.
    otlp: Option<pounce_otlp::Exporter>,
    foreign: Option<ExporterThread>,
}

impl Sources {
    /// Spans alone.
    #[cfg(test)]
    pub(super) fn of_spans(spans: Pipeline) -> Self {
        Sources { spans: Some(Arc::new(spans)), ..Sources::default() }
    }

    /// Metrics of components that have a resource of their own.
    pub(super) fn others(&self) -> MutexGuard<'_, Vec<Member>> {
        self.others.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Envelopes {
    pub(super) fn of(settings: &Settings, component: &str, resource: &Arc<[u8]>) -> Self {
        Envelopes {
            spans: of_spans(resource, settings.semconv),
            host: Envelope::new(resource, scope::of_host("pounce"), semconv::SCHEMA_URL),
            guests: of_guests(resource, component),
            resource: Arc::clone(resource),
        }
    }

    /// The export of another component, whose spans and log records share the buffers of this one; with the numbers by
    /// which they are told apart there.
    pub(super) fn of_another(
        &self,
        settings: &Settings,
        component: &str,
        resource: &Arc<[u8]>,
    ) -> (Self, Origins) {
        let origins = Origins {
            spans: self.spans.add_origin(resource, scope::of_host("pounce"), schema_of(settings.semconv)),
            logs: self.guests.add_origin(resource, scope_of_guests(component), ""),
        };
        (Self::of(settings, component, resource), origins)
    }
}

/// Numbers of a component in the envelopes of shared buffers.
pub(super) struct Origins {
    pub(super) spans: u32,
    pub(super) logs: u32,
}

/// The envelope of spans, which the host writes.
pub(super) fn of_spans(resource: &Arc<[u8]>, profile: Semconv) -> Envelope {
    Envelope::new(resource, scope::of_host("pounce"), schema_of(profile))
}

/// A backend may translate by the schema; the old names of the other profiles have no place in it.
fn schema_of(profile: Semconv) -> &'static str {
    if profile == Semconv::Http { semconv::SCHEMA_URL } else { "" }
}

/// The envelope of what guests of `component` record, in a scope of their own: they choose the names in it.
fn of_guests(resource: &Arc<[u8]>, component: &str) -> Envelope {
    Envelope::new(resource, scope_of_guests(component), "")
}

fn scope_of_guests(component: &str) -> Vec<u8> {
    let mut scope = scope::of_host("pounce.guest");
    encode::attribute(&mut scope, 3, semconv::POUNCE_COMPONENT, encode::Borrowed::Text(component));
    scope
}

/// Requests with `metrics`.
pub(super) fn batches_of_metrics(envelope: &Envelope, metrics: &[Collected]) -> Vec<Batch> {
    envelope.batches_of_metrics(metrics.iter().map(|metric| (metric.bytes.as_slice(), metric.points)))
}

impl Target {
    /// What the settings ask for; `None` where nothing is exported.
    ///
    /// # Errors
    /// The spool can't be used.
    pub(super) fn of(
        settings: &Settings,
        envelopes: &Envelopes,
        foreign: Option<Box<dyn Export>>,
    ) -> anyhow::Result<Option<Self>> {
        let console = settings.console.filter(|_| foreign.is_none());
        let console = console.map(|form| console::Printer::new(io::stderr(), terminal::is_coloured(), form));
        let mut otlp = settings.endpoints.clone();
        otlp.retain(|(signal, _)| foreign.is_none() || *signal != Signal::Traces);
        if otlp.is_empty() && console.is_none() && foreign.is_none() {
            return Ok(None);
        }
        let open = |spool: &SpoolSettings| Spool::open(&spool.directory, spool.max_bytes, spool.names);
        let spool = settings.spool.as_ref().filter(|_| !otlp.is_empty()).map(open).transpose()?;
        let (settings, envelopes) = (settings.clone(), envelopes.clone());
        Ok(Some(Target { otlp, spool, console, foreign, settings, envelopes }))
    }

    /// Prints to `out`, without colour.
    #[cfg(test)]
    pub(super) fn console(settings: &Settings, out: impl io::Write + Send + 'static) -> Self {
        let console = Some(console::Printer::new(out, false, crate::settings::ConsoleForm::Whole));
        let envelopes = Envelopes::of(settings, "hello", &Arc::default());
        Target {
            otlp: Vec::new(),
            spool: None,
            console,
            foreign: None,
            settings: settings.clone(),
            envelopes,
        }
    }

    /// The buffers of what is sent there.
    pub(super) fn sources(&self) -> Sources {
        let pipeline = |max, batch| Arc::new(Pipeline::new(max, batch));
        let has = |signal| self.otlp.iter().any(|(other, _)| *other == signal);
        let has_spans = self.console.is_some() || self.foreign.is_some() || has(Signal::Traces);
        let (spans, logs) = (&self.settings.spans, &self.settings.log_records);
        // What is printed for people does not wait for others.
        let batch_size = if self.console.is_some() { 1 } else { spans.batching.max_items };
        Sources {
            spans: has_spans.then(|| pipeline(spans.max_items, batch_size)),
            logs: has(Signal::Logs).then(|| pipeline(logs.max_items, logs.batching.max_items)),
            metrics: has(Signal::Metrics).then(|| Registries::new(&self.settings, true)),
            others: Arc::default(),
        }
    }
}

impl Exporter {
    /// Starts the thread.
    pub(super) fn start(target: Target, sources: &Sources) -> anyhow::Result<Self> {
        let Target { otlp, spool, console, foreign, settings, envelopes } = target;
        let is_sending = console.is_some() || !otlp.is_empty();
        let foreign = foreign.zip(sources.spans.as_ref()).map(|(exporter, spans)| {
            let (envelope, timeout) = (envelopes.spans.clone(), settings.span_export_timeout);
            ExporterThread::start(exporter, spans.buffer(), envelope, settings.spans, timeout)
        });
        let foreign =
            foreign.transpose().context("cannot start the thread of the program's span exporter")?;
        let mut builder = pounce_otlp::Exporter::builder()
            .thread_name("pounce-telemetry")
            .on_thread_start(logs::keep_here)
            .proxies(settings.proxies.clone())
            .spool(spool);
        if let (Some(printer), Some(spans)) = (console, &sources.spans) {
            let buffer = Arc::clone(spans.buffer());
            builder = builder.beside(|stop| console::run(printer, buffer, stop));
        }
        let Envelopes { spans, host, guests, .. } = envelopes;
        let streams = Streams { builder, otlp };
        let streams = streams.of_buffer(Signal::Traces, &sources.spans, spans, settings.spans);
        let streams = streams.of_buffer(Signal::Logs, &sources.logs, guests.clone(), settings.log_records);
        let streams = streams.of_metrics(sources, [guests, host], settings.metrics);
        let otlp = is_sending.then(|| streams.builder.start()).transpose()?;
        Ok(Exporter { otlp, foreign })
    }

    /// Flushes and stops, by `deadline` at the latest; afterwards every span, record and point is accounted for.
    pub(super) fn shutdown(&self, sources: &Sources, deadline: Instant) {
        if let Some(foreign) = &self.foreign {
            // Both at once: neither waits for the other.
            self.hurry(deadline);
            foreign.shutdown(deadline);
        }
        if let Some(otlp) = &self.otlp {
            otlp.shutdown(deadline);
        }
        let pipelines = [&sources.spans, &sources.logs];
        pipelines.into_iter().flatten().for_each(|pipeline| pipeline.settle());
        // Metrics that are only looked at here were never to arrive anywhere.
        if let Some(metrics) = &sources.metrics
            && metrics.counters().condition().endpoint().is_some()
        {
            let others = sources.others();
            let all = others.iter().map(|other| &other.metrics);
            Registries::settle(&std::iter::once(metrics).chain(all).cloned().collect::<Vec<_>>());
        }
    }

    /// Has the shutdown end by `deadline`, if that is sooner than it would.
    pub(super) fn hurry(&self, deadline: Instant) {
        self.otlp.iter().for_each(|otlp| otlp.hurry(deadline));
        self.foreign.iter().for_each(|foreign| foreign.hurry(deadline));
    }
}

/// The streams of an exporter that is being built, and the endpoints that are left.
struct Streams {
    builder: Builder,
    otlp: Vec<(Signal, Endpoint)>,
}

impl Streams {
    fn of_buffer(
        self,
        signal: Signal,
        pipeline: &Option<Arc<Pipeline>>,
        envelope: Envelope,
        queue: Queue,
    ) -> Self {
        let Some(pipeline) = pipeline else { return self };
        let buffer = Arc::clone(pipeline.buffer());
        self.add(signal, Source::Buffer { buffer, envelope, batching: queue.batching })
    }

    fn of_metrics(
        self,
        sources: &Sources,
        [of_guests, of_host]: [Envelope; 2],
        settings: MetricsSettings,
    ) -> Self {
        let Some(metrics) = &sources.metrics else { return self };
        let readers = move |metrics: &Registries, of_guests: &Envelope, of_host: &Envelope| {
            let reader = |metrics: &Arc<Metrics>| Reader::new(Arc::clone(metrics), settings.temporality);
            [(of_guests.clone(), reader(&metrics.guests)), (of_host.clone(), reader(metrics.host.metrics()))]
        };
        let mut all = Vec::from(readers(metrics, &of_guests, &of_host));
        let (others, mut known) = (Arc::clone(&sources.others), 0);
        let collect = move |collection| {
            for other in others.lock().unwrap_or_else(PoisonError::into_inner).iter().skip(known) {
                all.extend(readers(&other.metrics, &other.envelopes.guests, &other.envelopes.host));
                known += 1;
            }
            let read = |reader: &mut Reader| match collection {
                Collection::Periodic => reader.collect(),
                Collection::Last => reader.finish(),
            };
            all.iter_mut()
                .flat_map(|(envelope, reader)| batches_of_metrics(envelope, &read(reader)))
                .collect()
        };
        let (counts, interval) = (Arc::clone(metrics.counters()), settings.interval);
        self.add(Signal::Metrics, Source::Collector { counts, interval, collect: Box::new(collect) })
    }

    fn add(mut self, signal: Signal, source: Source) -> Self {
        if let Some(at) = self.otlp.iter().position(|(other, _)| *other == signal) {
            let (signal, endpoint) = self.otlp.swap_remove(at);
            self.builder = self.builder.stream(Stream { signal, endpoint, source });
        }
        self
    }
}

/// What an endpoint would read of `chunks`, by scope.
#[cfg(test)]
pub(super) fn read(chunks: &[pounce_otlp::Chunk]) -> Vec<opentelemetry_proto::tonic::trace::v1::ScopeSpans> {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    let envelope = of_spans(&Vec::new().into(), Semconv::Compat);
    let requests = envelope.batches_of(chunks, usize::MAX).into_iter();
    let decode =
        |batch: Batch| <ExportTraceServiceRequest as prost::Message>::decode(batch.body).expect("valid");
    requests
        .flat_map(|batch| decode(batch).resource_spans)
        .flat_map(|of_resource| of_resource.scope_spans)
        .collect()
}
