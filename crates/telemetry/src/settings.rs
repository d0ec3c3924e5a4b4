//! Settings of telemetry: what is recorded of requests, and where it goes.
//!
//! Where settings come from (variables, files, flags) is the program's affair: [`Settings`] has values that are read
//! and checked.

use http::{HeaderName, Method};
use pounce_otlp::{Batching, Endpoint, Names, Proxies, Signal, words};
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Settings of all three signals. The default records every request, in case somebody reads it, and exports nothing.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// `service.name` of the resource; the one among its attributes, or else the component's name, when absent.
    pub service_name: Option<String>,
    /// Further attributes of the resource; the last of several with the same key counts.
    pub resource_attributes: Vec<(String, String)>,
    /// OTLP endpoint of each signal that has one; the others are not exported.
    pub endpoints: Vec<(Signal, Endpoint)>,
    /// Proxies on the way to the endpoints.
    pub proxies: Proxies,
    /// Directory where telemetry waits that an endpoint does not take; nowhere when absent.
    pub spool: Option<SpoolSettings>,
    /// In which form spans are printed on standard error, a tree per request, in place of an endpoint of theirs; not at all
    /// when absent.
    pub console: Option<ConsoleForm>,
    /// How spans wait for their export.
    pub spans: Queue,
    /// Most time that an exporter of the embedding program may take for a batch of spans; any when absent.
    pub span_export_timeout: Option<Duration>,
    /// How log records wait for theirs.
    pub log_records: Queue,
    /// How metrics are added up and collected.
    pub metrics: MetricsSettings,
    /// Which traces are recorded.
    pub sampling: Sampling,
    /// Whether requests that fail are recorded although they were not sampled.
    pub keep_errors: bool,
    /// Requests that take longer are recorded although they were not sampled.
    pub keep_slow: Option<Duration>,
    /// Formats of trace context and baggage in headers.
    pub propagators: Propagators,
    /// Peers whose trace context and baggage are believed.
    pub trust: Trust,
    /// Semantic conventions of spans.
    pub semconv: Semconv,
    /// Methods that are told by name, in place of those that the conventions know.
    pub known_methods: Option<Vec<String>>,
    /// Request headers that are recorded on spans.
    pub request_headers: Vec<HeaderName>,
    /// Response headers that are recorded on spans.
    pub response_headers: Vec<HeaderName>,
    /// Signal that carries exceptions; events of spans, where no log records are exported.
    pub exceptions: ExceptionSignal,
    /// How much a span or a log record may hold.
    pub limits: Limits,
}

/// Directory where telemetry waits while its endpoint does not take it.
#[derive(Debug, Clone)]
pub struct SpoolSettings {
    /// Made if it is not there; each process needs its own.
    pub directory: PathBuf,
    /// Most bytes on the disk; beyond them the oldest is dropped and counted.
    pub max_bytes: u64,
    /// Names of settings in advice.
    pub names: &'static Names,
}

/// How items of one signal wait for their export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queue {
    /// Most items that wait; further ones are dropped and counted.
    pub max_items: usize,
    /// How they are gathered into requests.
    pub batching: Batching,
}

impl Default for Queue {
    /// OpenTelemetry's defaults for spans.
    fn default() -> Self {
        Queue { max_items: 2048, batching: Batching::default() }
    }
}

/// How metrics are added up and collected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetricsSettings {
    /// Time between two collections; never zero.
    pub interval: Duration,
    /// What sums and histograms say.
    pub temporality: Temporality,
    /// Measurements that may be exemplars.
    pub exemplars: ExemplarFilter,
    /// How histograms are added up.
    pub histograms: HistogramAggregation,
}

impl Default for MetricsSettings {
    /// OpenTelemetry's defaults: cumulative, each minute.
    fn default() -> Self {
        MetricsSettings {
            interval: Duration::from_secs(60),
            temporality: Temporality::default(),
            exemplars: ExemplarFilter::default(),
            histograms: HistogramAggregation::default(),
        }
    }
}

/// Which traces are recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampling {
    /// Share of the traces that start here, from 0 to 1, chosen by trace id.
    pub ratio: f64,
    /// Whether the decision of a caller that has made one is followed.
    pub parent_based: bool,
    /// Shares of the requests of some routes, which stand above `ratio`.
    pub routes: Vec<RouteRatio>,
    /// Whether traces that start here carry the flag of a random id (level 2 of W3C Trace Context).
    pub random_flag: bool,
}

/// Share of the traces of one route that are recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct RouteRatio {
    /// Requests with this method only; with any when absent.
    pub method: Option<Method>,
    /// Pattern of the path: `{name}` is a segment or a part of one, `{*name}` at the end all that is left.
    pub path: String,
    /// Share from 0 to 1.
    pub ratio: f64,
}

impl Sampling {
    /// This share of all traces, whatever a caller has decided.
    #[must_use]
    pub fn share(ratio: f64) -> Self {
        Sampling { ratio, parent_based: false, routes: Vec::new(), random_flag: true }
    }

    /// Sampling of this share of the traces about which no caller has decided.
    #[must_use]
    pub fn parent_based(self) -> Self {
        Sampling { parent_based: true, ..self }
    }
}

impl Default for Sampling {
    /// All traces but those that a caller has decided against.
    fn default() -> Self {
        Sampling::share(1.0).parent_based()
    }
}

/// Formats of trace context and baggage that are read and written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Propagators(Vec<HeaderFormat>);

impl Default for Propagators {
    /// W3C Trace Context and Baggage.
    fn default() -> Self {
        Propagators(vec![HeaderFormat::TraceContext, HeaderFormat::Baggage])
    }
}

impl FromIterator<HeaderFormat> for Propagators {
    /// Each format once.
    fn from_iter<I: IntoIterator<Item = HeaderFormat>>(formats: I) -> Self {
        let mut once = Vec::new();
        for format in formats {
            if !once.contains(&format) {
                once.push(format);
            }
        }
        Propagators(once)
    }
}

impl Propagators {
    /// Whether this format is read and written.
    #[must_use]
    pub fn has(&self, format: HeaderFormat) -> bool {
        self.0.contains(&format)
    }

    /// The formats in the order in which they were named.
    #[must_use]
    pub fn formats(&self) -> &[HeaderFormat] {
        &self.0
    }
}

/// Peers whose trace context and baggage are believed.
#[derive(Clone, Default)]
pub struct Trust(Option<Arc<IsTrusted>>);

type IsTrusted = dyn Fn(Option<IpAddr>) -> bool + Send + Sync;

impl Trust {
    /// Peers for whose address `is_trusted` holds; `None` is a peer on a Unix socket.
    pub fn of(is_trusted: impl Fn(Option<IpAddr>) -> bool + Send + Sync + 'static) -> Self {
        Trust(Some(Arc::new(is_trusted)))
    }

    /// Whether what a peer at this address says of the trace counts.
    pub(crate) fn believes(&self, peer: Option<IpAddr>) -> bool {
        self.0.as_ref().is_none_or(|is_trusted| is_trusted(peer))
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_none() { "Trust(everybody)" } else { "Trust(some)" })
    }
}

/// Attributes of a span or a log record at most, and its events, its links, and the attributes of one of them.
///
/// They are for what guests add: what Pounce itself writes is bounded, and always stands. No limit is ever above
/// [`Limits::default`], so that memory stays bounded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Attributes of one span.
    pub span_attributes: usize,
    /// Characters of one text, and bytes of one value of bytes, of a span, an event or a link; the host's own included.
    /// Absent: as many bytes as [`Limits::LONGEST`] says, four times as many of a stack trace.
    pub span_value_length: Option<usize>,
    /// Events of one span.
    pub events: usize,
    /// Links of one span.
    pub links: usize,
    /// Attributes of one event.
    pub event_attributes: usize,
    /// Attributes of one link.
    pub link_attributes: usize,
    /// Attributes of one log record.
    pub log_attributes: usize,
    /// Length of an attribute's value of a log record, as `span_value_length` of a span.
    pub log_value_length: Option<usize>,
}

impl Limits {
    /// The most of anything that is counted.
    pub const MOST: usize = 128;
    /// Bytes of the longest value, other than stack traces.
    pub const LONGEST: usize = 4096;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            span_attributes: Self::MOST,
            span_value_length: None,
            events: Self::MOST,
            links: Self::MOST,
            event_attributes: Self::MOST,
            link_attributes: Self::MOST,
            log_attributes: Self::MOST,
            log_value_length: None,
        }
    }
}

words! {
    /// Format in which trace context or baggage travels (`OTEL_PROPAGATORS`).
    HeaderFormat {
        /// W3C Trace Context: `traceparent` and `tracestate`.
        #[default]
        TraceContext = "tracecontext",
        /// W3C Baggage: `baggage`.
        Baggage = "baggage",
        /// B3 in one header, `b3`; several are read, too.
        B3 = "b3",
        /// B3 in several headers, `X-B3-…`; a single one is read, too.
        B3Multi = "b3multi",
    }
}

words! {
    /// Measurements that may be exemplars (`OTEL_METRICS_EXEMPLAR_FILTER`).
    ExemplarFilter {
        /// Measurements that are made in a span which is exported.
        #[default]
        TraceBased = "trace_based",
        /// All.
        AlwaysOn = "always_on",
        /// None.
        AlwaysOff = "always_off",
    }
}

words! {
    /// How histograms are added up (`OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION`).
    HistogramAggregation {
        /// In buckets whose ends are given.
        #[default]
        Explicit = "explicit_bucket_histogram",
        /// In buckets that grow by a constant factor, as fine as the values allow.
        Exponential = "base2_exponential_bucket_histogram",
    }
}

words! {
    /// What sums and histograms of metrics say (`OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE`).
    Temporality {
        /// All since the start.
        #[default]
        Cumulative = "cumulative",
        /// What came since the last time; sums that may shrink say all since the start.
        Delta = "delta",
        /// As `delta`, but sums that are counted elsewhere say all since the start, too.
        LowMemory = "lowmemory",
    }
}

words! {
    /// What a remote parent that a guest names is to its span.
    GuestParents {
        /// A link; the span stays in the trace of its request.
        #[default]
        Link = "link",
        /// The parent; the span goes over to the other trace.
        Adopt = "adopt",
    }
}

words! {
    /// HTTP semantic conventions that spans follow (`OTEL_SEMCONV_STABILITY_OPT_IN`).
    Semconv {
        /// Stable and legacy attributes, and the legacy span names.
        #[default]
        Compat = "compat",
        /// Stable and legacy attributes, stable span names.
        HttpDup = "http/dup",
        /// Stable attributes and span names only.
        Http = "http",
    }
}

words! {
    /// Signal that carries exceptions (`OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN`).
    ExceptionSignal {
        /// Traces: they are events of spans.
        #[default]
        Events = "events",
        /// Logs: they are log records.
        Logs = "logs",
        /// Both.
        LogsDup = "logs/dup",
    }
}

words! {
    /// How log lines are written.
    LogFormat {
        /// Lines for people.
        #[default]
        Text = "text",
        /// One JSON object a line.
        Json = "json",
    }
}

words! {
    /// Least severe log lines that are written.
    LogLevel {
        /// Only what went wrong for good.
        Error = "error",
        /// Errors, and what looks wrong.
        Warn = "warn",
        /// Warnings, and what an operator wants to know.
        #[default]
        Info = "info",
        /// What operators want to know, and what a developer of a guest does.
        Debug = "debug",
        /// Everything, for a developer of Pounce.
        Trace = "trace",
    }
}

/// How the tree of a request's spans is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsoleForm {
    /// Each span with its attributes, events and links.
    Whole,
    /// Each span as one line, with a bar where it stands in the trace's time.
    Bars,
}
