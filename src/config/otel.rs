//! The settings of telemetry: its options, and what only standard variables set.

use std::time::Duration;

use http::{HeaderName, HeaderValue};

use super::options::OtelOptions;
use super::otel_env;
use super::resolve::Resolver;
use super::value::{
    Endpoint, Exporter, GuestParents, PropagateTo, Propagators, Sampler, Semconv, Timeout, TrustParent,
};
use super::vars::Vars;

/// What is traced, and where it is sent.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Otel {
    /// Where OTLP is sent; setting it turns telemetry on.
    pub endpoint: Option<Endpoint>,
    /// Where spans go.
    pub exporter: Exporter,
    /// `service.name`; the component's name when absent.
    pub service_name: Option<String>,
    /// Headers sent to the endpoint; values are marked sensitive.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Which traces are kept (`otel.sample`).
    pub sampler: Sampler,
    /// Formats of trace context in headers.
    pub propagators: Propagators,
    /// Whose trace context is believed.
    pub trust_parent: TrustParent,
    /// Which destinations get trace context.
    pub propagate_to: PropagateTo,
    /// Whether traces that start here carry the flag of a random id.
    pub random_flag: bool,
    /// Which semantic conventions spans follow.
    pub semconv: Semconv,
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
    /// How spans are gathered before they are sent (`OTEL_BSP_*`).
    pub batch: Batch,
}

/// How spans are gathered before they are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Batch {
    /// Longest time a span waits; never zero.
    pub schedule_delay: Duration,
    /// Spans that wait at most; further ones are dropped and counted.
    pub max_queue_size: usize,
    /// Spans sent at once at most; never more than wait.
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
            Exporter::Otlp => self.endpoint.is_some(),
            Exporter::Console => true,
            Exporter::None => false,
        }
    }

    pub(crate) fn resolve(resolver: &mut Resolver<'_>, vars: &Vars) -> Self {
        let options = OtelOptions::resolve(resolver);
        Self::with_standard(options, vars, &mut resolver.warnings)
    }

    fn with_standard(options: OtelOptions, vars: &Vars, warnings: &mut Vec<String>) -> Self {
        let otel = Self {
            endpoint: options.endpoint,
            exporter: options.exporter,
            service_name: options.service_name.filter(|name| !name.trim().is_empty()),
            headers: options.headers.into_iter().flat_map(|header| header.0).collect(),
            sampler: options.sample,
            propagators: options.propagators,
            trust_parent: options.trust_parent,
            propagate_to: options.propagate_to,
            random_flag: options.random_flag,
            semconv: options.semconv,
            request_headers: options.request_headers.into_iter().map(|header| header.0).collect(),
            response_headers: options.response_headers.into_iter().map(|header| header.0).collect(),
            guest_parents: options.guest_parents,
            resource_attributes: otel_env::resource_attributes(vars, warnings)
                .into_iter()
                .filter(|(key, _)| key != otel_env::SERVICE_NAME)
                .collect(),
            timeout: otel_env::export_timeout(vars, warnings),
            batch: otel_env::batch(vars, warnings),
        };
        otel_env::warn_of_the_rest(&otel, vars, warnings);
        otel
    }
}
