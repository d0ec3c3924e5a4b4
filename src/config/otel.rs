//! The settings of telemetry: its options, and what only standard variables set.

use std::path::PathBuf;
use std::time::Duration;

use http::uri::Scheme;
use http::{HeaderName, HeaderValue};
use pounce_otlp::Proxies;
use pounce_telemetry::settings::Limits;

use super::mistake::Mistake;
use super::options::OtelOptions;
use super::otel_env::{self, Kind, Reader};
use super::resolve::{Resolver, Source};
use super::value::{
    ByteSize, Certificates, Compression, Endpoint, ExceptionSignal, ExemplarFilter, Exporter, GuestParents,
    HeaderToRecord, HistogramAggregation, LogLevel, PeerService, PrivateKey, PropagateTo, Propagators,
    Protocol, SampleRoute, Sampler, Semconv, Temporality, Timeout, TrustParent,
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
    /// Whether spans that are printed are a line each, with a bar (`dev.tree`).
    pub(crate) has_bars: bool,
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
    /// Items that wait at most; further ones are dropped and counted.
    pub max_queue_size: usize,
    /// Items that are sent at once at most; never more than wait.
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

/// Where one signal beside traces is sent.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Destination {
    /// Whether it is sent at all (`OTEL_METRICS_EXPORTER`, `OTEL_LOGS_EXPORTER`).
    pub enabled: bool,
    /// Its own endpoint; derived from `otel.endpoint` when absent.
    pub endpoint: Option<Endpoint>,
    /// Its own headers; `otel.headers` when absent. Values are marked sensitive.
    pub headers: Option<Vec<(HeaderName, HeaderValue)>>,
    /// How it is sent; as spans are when absent.
    pub transport: Option<Transport>,
    /// Time one attempt to export may take.
    pub timeout: Timeout,
}

/// How metrics are collected and sent.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct MetricsExport {
    /// Where they go.
    pub to: Destination,
    /// Time between two collections (`OTEL_METRIC_EXPORT_INTERVAL`); never zero.
    pub interval: Duration,
    /// Time sending one collection may take, retries included (`OTEL_METRIC_EXPORT_TIMEOUT`).
    pub export_timeout: Timeout,
    /// Whether sums and histograms say all since the start, or what came since the last time.
    pub temporality: Temporality,
    /// Which measurements may be exemplars.
    pub exemplars: ExemplarFilter,
    /// How histograms are added up.
    pub histograms: HistogramAggregation,
}

/// How log records are gathered and sent.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct LogsExport {
    /// Where they go.
    pub to: Destination,
    /// How they are gathered (`OTEL_BLRP_*`).
    pub batch: Batch,
}

impl Default for Destination {
    fn default() -> Self {
        Self {
            enabled: true,
            endpoint: None,
            headers: None,
            transport: None,
            timeout: Timeout(Some(Duration::from_secs(10))),
        }
    }
}

impl Default for MetricsExport {
    fn default() -> Self {
        Self {
            to: Destination::default(),
            interval: Duration::from_secs(60),
            export_timeout: Timeout(Some(Duration::from_secs(30))),
            temporality: Temporality::Cumulative,
            exemplars: ExemplarFilter::TraceBased,
            histograms: HistogramAggregation::Explicit,
        }
    }
}

impl Default for LogsExport {
    fn default() -> Self {
        let batch = Batch { schedule_delay: Duration::from_secs(1), ..Batch::default() };
        Self { to: Destination::default(), batch }
    }
}

/// How one signal is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transport {
    /// The form of OTLP (`otel.protocol`).
    pub protocol: Protocol,
    /// How requests are compressed (`otel.compression`).
    pub compression: Compression,
    /// The authorities that vouch for the endpoint, in place of the system's (`otel.certificate`).
    pub certificate: Option<Certificates>,
    /// Who Pounce is to the endpoint (`otel.client-certificate`); nobody without the key.
    pub client_certificate: Option<Certificates>,
    /// The key of that certificate (`otel.client-key`).
    pub client_key: Option<PrivateKey>,
    /// Whether an endpoint without a scheme, which only gRPC has, is one without TLS (`OTEL_EXPORTER_OTLP_INSECURE`).
    pub(crate) insecure: bool,
}

impl Default for Transport {
    fn default() -> Self {
        Self {
            protocol: Protocol::HttpProtobuf,
            compression: Compression::None,
            certificate: None,
            client_certificate: None,
            client_key: None,
            insecure: false,
        }
    }
}

impl Transport {
    /// Which of these settings can't work with the others, why, and what to do; `None` when they can.
    pub(crate) fn flaw(&self) -> Option<(Kind, String, &'static str)> {
        match (&self.client_certificate, &self.client_key) {
            (Some(_), None) => Some((
                Kind::ClientCertificate,
                "there is no key for the client certificate".to_owned(),
                "set otel.client-key (OTEL_EXPORTER_OTLP_CLIENT_KEY), too",
            )),
            (None, Some(_)) => Some((
                Kind::ClientKey,
                "there is no certificate for the client key".to_owned(),
                "set otel.client-certificate (OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE), too",
            )),
            (Some(certificates), Some(key)) => key.mismatch(certificates).map(|what| {
                (Kind::ClientKey, what, "name the key with which the first certificate of the file was made")
            }),
            (None, None) => None,
        }
    }
}

impl Default for Otel {
    fn default() -> Self {
        Self::with_standard(&OtelOptions::default(), &mut Reader::new(&Vars::default()))
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

    pub(crate) fn resolve(resolver: &mut Resolver<'_>) -> Self {
        let options = OtelOptions::resolve(resolver);
        let otel = Self::with_standard(&options, &mut resolver.reader);
        if otel.transport.protocol == Protocol::Grpc
            && let Some(endpoint) = &otel.endpoint
            && let Some(shown) = resolver.in_force.iter_mut().find(|one| one.key == "otel.endpoint")
        {
            shown.value = endpoint.show_for_grpc();
        }
        resolver.in_force.append(&mut resolver.reader.in_force);
        resolver.mistakes.extend(std::mem::take(&mut resolver.reader.flawed).into_iter().map(|flawed| {
            let what = format!("{} {}", flawed.quoted, flawed.flaw.what);
            Mistake::new(flawed.variable, what.trim_start(), flawed.flaw.hint)
        }));
        otel
    }

    /// The variables of settings that have no option, each once, for the help.
    pub(crate) fn standard_variables() -> Vec<&'static str> {
        let vars = Vars::default();
        let mut reader = Reader::new(&vars);
        Self::with_standard(&OtelOptions::default(), &mut reader);
        reader.variables
    }

    /// With gRPC, an endpoint needs neither a scheme nor a path.
    pub(super) fn settle_endpoint(&mut self) {
        if self.transport.protocol == Protocol::Grpc
            && let Some(endpoint) = self.endpoint.take_if(|endpoint| endpoint.is_bare())
        {
            let scheme = if self.transport.insecure { Scheme::HTTP } else { Scheme::HTTPS };
            self.endpoint = Some(endpoint.with_scheme(scheme));
        }
    }

    fn with_standard(options: &OtelOptions, reader: &mut Reader<'_>) -> Self {
        let headers_to_record =
            |headers: &[HeaderToRecord]| headers.iter().map(|header| header.0.clone()).collect();
        let mut otel = Self {
            disabled: options.exporter.source == Source::by(otel_env::DISABLED),
            endpoint: options.endpoint.value.clone(),
            exporter: options.exporter.value,
            service_name: options.service_name.value.clone().filter(|name| !name.trim().is_empty()),
            headers: options.headers.value.iter().flat_map(|header| header.0.clone()).collect(),
            transport: Transport {
                protocol: options.protocol.value,
                compression: options.compression.value,
                certificate: options.certificate.value.clone(),
                client_certificate: options.client_certificate.value.clone(),
                client_key: options.client_key.value.clone(),
                insecure: false,
            },
            proxies: Proxies::default(),
            spool: options.spool.value.clone(),
            spool_max: options.spool_max.value,
            sampler: options.sample.value.clone(),
            sample_routes: options.sample_route.value.clone(),
            keep_errors: options.keep_errors.value,
            keep_slow: options.keep_slow.value,
            propagators: options.propagators.value.clone(),
            trust_parent: options.trust_parent.value.clone(),
            propagate_to: options.propagate_to.value.clone(),
            peer_services: options.peer_service.value.clone(),
            random_flag: options.random_flag.value,
            semconv: options.semconv.value,
            known_methods: None,
            exceptions: ExceptionSignal::default(),
            log_level: None,
            request_headers: headers_to_record(&options.request_headers.value),
            response_headers: headers_to_record(&options.response_headers.value),
            guest_parents: options.guest_parents.value,
            has_bars: false,
            resource_attributes: Vec::new(),
            timeout: Timeout(None),
            limits: Limits::default(),
            batch: Batch::default(),
            metrics: MetricsExport::default(),
            logs: LogsExport::default(),
        };
        otel_env::settings(reader, &mut otel, options);
        otel
    }
}
