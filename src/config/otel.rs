//! The settings of telemetry: its options, and what only standard variables set.

use std::path::PathBuf;
use std::time::Duration;

use http::uri::Scheme;
use http::{HeaderName, HeaderValue};
use pounce_otlp::Proxies;
use pounce_telemetry::settings::Limits;

use super::mistake::Mistake;
use super::options::OtelOptions;
use super::otel_env;
use super::otel_env::{OfTracesOnly, TransportOfTraces};
use super::resolve::{Resolver, Source};
use super::signals::{Destination, LogsExport, MetricsExport};
use super::transport::Transport;
use super::value::{
    ByteSize, Endpoint, ExceptionSignal, Exporter, GuestParents, LogLevel, PeerService, PropagateTo,
    Propagators, Protocol, SampleRoute, Sampler, Semconv, Timeout, TrustParent,
};
use super::vars::Vars;

/// What is traced, and where it is sent.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Otel {
    /// Nothing is exported, whatever else is set (`OTEL_SDK_DISABLED`).
    pub disabled: bool,
    /// Where OTLP is sent; setting it turns telemetry on.
    pub endpoint: Option<Endpoint>,
    /// Where spans go; metrics and logs go by their own settings.
    pub exporter: Exporter,
    /// `service.name`; the component's name when absent.
    pub service_name: Option<String>,
    /// Headers sent to the endpoint; values are marked sensitive.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// How spans are sent, and the other signals where they don't say otherwise.
    pub transport: Transport,
    /// Proxies on the way to endpoints.
    pub proxies: Proxies,
    /// Where telemetry waits that an endpoint does not take now (`otel.spool`).
    pub spool: Option<PathBuf>,
    /// Bytes that the spool may take on the disk (`otel.spool-max`).
    pub spool_max: ByteSize,
    /// Which traces are kept (`otel.sample`).
    pub sampler: Sampler,
    /// Shares by route, which stand above that of `sampler` (`otel.sample-route`).
    pub sample_routes: Vec<SampleRoute>,
    /// Whether traces of failed requests are kept, whatever was decided before (`otel.keep-errors`).
    pub keep_errors: bool,
    /// Traces of requests that take longer are kept, whatever was decided before (`otel.keep-slow`).
    pub keep_slow: Timeout,
    /// Formats of trace context in headers.
    pub propagators: Propagators,
    /// Whose trace context is believed.
    pub trust_parent: TrustParent,
    /// Which destinations get trace context.
    pub propagate_to: PropagateTo,
    /// What the services that guests call are called on spans (`otel.peer-service`); the first that matches counts.
    pub peer_services: Vec<PeerService>,
    /// Whether traces that start here carry the flag of a random id.
    pub random_flag: bool,
    /// Which semantic conventions spans follow.
    pub semconv: Semconv,
    /// Methods that spans, metrics and the access log's records name in place of those of the conventions (`OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS`).
    pub known_methods: Option<Vec<String>>,
    /// Which signal carries exceptions; events of spans, where no log records are exported.
    pub exceptions: ExceptionSignal,
    /// Least severe lines of the log that telemetry writes about itself (`OTEL_LOG_LEVEL`); that of the others when absent.
    pub log_level: Option<LogLevel>,
    /// Request headers that are recorded on spans.
    pub request_headers: Vec<HeaderName>,
    /// Response headers that are recorded on spans.
    pub response_headers: Vec<HeaderName>,
    /// What a remote parent that a guest names is to its span.
    pub guest_parents: GuestParents,
    /// Further attributes of the resource (`OTEL_RESOURCE_ATTRIBUTES`), without `service.name`.
    pub resource_attributes: Vec<(String, String)>,
    /// Time one attempt to export may take (`OTEL_EXPORTER_OTLP_TIMEOUT`).
    pub timeout: Timeout,
    /// How much a span or a log record may hold (`OTEL_*_LIMIT`).
    pub limits: Limits,
    /// How spans are gathered before they are sent (`OTEL_BSP_*`).
    pub batch: Batch,
    /// How guests' metrics are collected and sent.
    pub metrics: MetricsExport,
    /// How guests' log records are gathered and sent.
    pub logs: LogsExport,
}

/// How spans or log records are gathered before they are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Batch {
    /// Longest time one waits; never zero.
    pub schedule_delay: Duration,
    /// So many wait at most; further ones are dropped and counted.
    pub max_queue_size: usize,
    /// So many are sent at once at most; never more than wait.
    pub max_export_batch_size: usize,
    /// Time sending one batch may take, retries included.
    pub export_timeout: Timeout,
}

impl Default for Batch {
    fn default() -> Self {
        Self {
            schedule_delay: Duration::from_secs(5),
            max_queue_size: 2048,
            max_export_batch_size: 512,
            export_timeout: Timeout(Some(Duration::from_secs(30))),
        }
    }
}

impl Default for Otel {
    fn default() -> Self {
        Self::with_standard(OtelOptions::default(), &Vars::default(), &mut Vec::new())
    }
}

impl Otel {
    /// Whether spans go anywhere.
    #[must_use]
    pub fn is_on(&self) -> bool {
        match self.exporter {
            _ if self.disabled => false,
            Exporter::Otlp => self.endpoint.is_some(),
            Exporter::Console => true,
            Exporter::None => false,
        }
    }

    /// Where a signal other than traces goes, `path` being its part of the path; none where it is not sent.
    pub(crate) fn endpoint_of(&self, to: &Destination, path: &str) -> Option<Endpoint> {
        let derived = || match self.transport_of(to).protocol {
            // All signals are calls to one place.
            Protocol::Grpc => self.endpoint.clone(),
            Protocol::HttpProtobuf | Protocol::HttpJson => self.endpoint.as_ref()?.of_signal(path),
        };
        if to.enabled && !self.disabled { to.endpoint.clone().or_else(derived) } else { None }
    }

    /// How a signal other than traces is sent.
    pub(crate) fn transport_of<'a>(&'a self, to: &'a Destination) -> &'a Transport {
        to.transport.as_ref().unwrap_or(&self.transport)
    }

    pub(crate) fn resolve(resolver: &mut Resolver<'_>, vars: &Vars) -> Self {
        let options = OtelOptions::resolve(resolver);
        let mut otel = Self::with_standard(options, vars, &mut resolver.warnings);
        otel.settle_endpoint(resolver);
        let set_by = |key: &str, variable: &str| {
            let mut in_force = resolver.in_force.iter();
            in_force.any(|one| one.key == key && one.source == Source::Variable(variable.to_owned()))
        };
        let traces_only = OfTracesOnly {
            endpoint: set_by("otel.endpoint", otel_env::TRACES_ENDPOINT),
            headers: set_by("otel.headers", otel_env::TRACES_HEADERS),
            transport: TransportOfTraces::find(set_by),
        };
        otel.disabled = set_by("otel.exporter", otel_env::DISABLED);
        let mut flawed = Vec::new();
        let signals = otel_env::signals(&otel, traces_only, vars, &mut resolver.warnings, &mut flawed);
        (otel.metrics, otel.logs) = signals;
        otel_env::warn_of_lost_exceptions(&otel, &mut resolver.warnings);
        let destinations = [&otel.metrics.to, &otel.logs.to];
        if otel.endpoint.is_some() || destinations.iter().any(|to| to.endpoint.is_some()) {
            otel.proxies = otel_env::proxies(vars, &mut resolver.warnings, &mut flawed);
        }
        resolver.mistakes.extend(flawed.into_iter().map(|flawed| {
            let what = format!("{} {}", flawed.quoted, flawed.flaw.what);
            Mistake::new(flawed.variable, what.trim_start(), flawed.flaw.hint)
        }));
        otel
    }

    /// With gRPC, an endpoint needs neither a scheme nor a path.
    fn settle_endpoint(&mut self, resolver: &mut Resolver<'_>) {
        if self.transport.protocol != Protocol::Grpc {
            return;
        }
        let Some(mut endpoint) = self.endpoint.take() else {
            return;
        };
        if endpoint.is_bare() {
            endpoint =
                endpoint.with_scheme(if self.transport.insecure { Scheme::HTTP } else { Scheme::HTTPS });
        }
        if let Some(shown) = resolver.in_force.iter_mut().find(|one| one.key == "otel.endpoint") {
            shown.value = endpoint.show_for_grpc();
        }
        self.endpoint = Some(endpoint);
    }

    fn with_standard(options: OtelOptions, vars: &Vars, warnings: &mut Vec<String>) -> Self {
        let otel = Self {
            disabled: false,
            endpoint: options.endpoint,
            exporter: options.exporter,
            service_name: options.service_name.filter(|name| !name.trim().is_empty()),
            headers: options.headers.into_iter().flat_map(|header| header.0).collect(),
            transport: Transport {
                protocol: options.protocol,
                compression: options.compression,
                certificate: options.certificate,
                client_certificate: options.client_certificate,
                client_key: options.client_key,
                insecure: otel_env::insecure(vars, warnings),
            },
            proxies: Proxies::default(),
            spool: options.spool,
            spool_max: options.spool_max,
            sampler: options.sample,
            sample_routes: options.sample_route,
            keep_errors: options.keep_errors,
            keep_slow: options.keep_slow,
            propagators: options.propagators,
            trust_parent: options.trust_parent,
            propagate_to: options.propagate_to,
            peer_services: options.peer_service,
            random_flag: options.random_flag,
            semconv: options.semconv,
            known_methods: otel_env::known_methods(vars, warnings),
            exceptions: otel_env::exceptions(vars, warnings),
            log_level: otel_env::log_level(vars, warnings),
            request_headers: options.request_headers.into_iter().map(|header| header.0).collect(),
            response_headers: options.response_headers.into_iter().map(|header| header.0).collect(),
            guest_parents: options.guest_parents,
            resource_attributes: otel_env::resource_attributes(vars, warnings)
                .into_iter()
                .filter(|(key, _)| key != otel_env::SERVICE_NAME)
                .collect(),
            timeout: otel_env::export_timeout(vars, warnings),
            limits: otel_env::limits(vars, warnings),
            batch: otel_env::batch(vars, warnings),
            metrics: MetricsExport::default(),
            logs: LogsExport::default(),
        };
        otel_env::warn_of_the_rest(&otel, vars, warnings);
        otel
    }
}
