//! The host's own instruments: what each is called, its unit, its attributes, and what it says.
//!
//! Names under `http.` and `otel.` are OpenTelemetry's; those of our own begin with `pounce.`. `docs/metrics.md` is made
//! from this table.

use crate::metrics::kind::{DURATION_BOUNDS, Kind};
use crate::metrics::prometheus_names::{family_name, unit_word};
use crate::semconv::{
    ERROR_TYPE, HTTP_REQUEST_METHOD, HTTP_RESPONSE_STATUS_CODE, HTTP_ROUTE, NETWORK_PROTOCOL_VERSION,
    SERVER_ADDRESS, SERVER_PORT, TLS_PROTOCOL_VERSION, URL_SCHEME,
};

/// An instrument of the host's own.
#[derive(Clone, Copy, Debug)]
pub struct Definition {
    /// Name, in the form of OpenTelemetry: words and dots.
    pub name: &'static str,
    /// Unit, as UCUM writes it.
    pub unit: &'static str,
    /// What it counts.
    pub description: &'static str,
    /// What becomes of its measurements.
    pub kind: Kind,
    /// Upper ends of the buckets of a histogram.
    pub bounds: &'static [f64],
    /// Keys of the attributes that its series have, or some of them have.
    pub attributes: &'static [&'static str],
}

impl Definition {
    /// Name of its samples on pages for Prometheus, less what a histogram adds to each.
    pub fn prometheus_name(&self) -> String {
        let is_counter = matches!(self.kind, Kind::Counter | Kind::Seconds);
        let total = if is_counter { "_total" } else { "" };
        family_name(self.name, unit_word(self.unit).as_deref(), is_counter) + total
    }
}

/// Ends of buckets for bodies and memory: each four times the last.
const BYTES: &[f64] = &[
    0.0,
    64.0,
    256.0,
    1024.0,
    4096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
    268_435_456.0,
    1_073_741_824.0,
];
/// Ends of buckets for what takes microseconds if all is well.
const SHORT: &[f64] = &[
    0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
    1.0,
];

/// What tells requests apart that are over.
const OF_REQUEST: &[&str] = &[
    HTTP_REQUEST_METHOD,
    URL_SCHEME,
    HTTP_RESPONSE_STATUS_CODE,
    HTTP_ROUTE,
    ERROR_TYPE,
    NETWORK_PROTOCOL_VERSION,
];
/// What tells requests apart that have begun.
const OF_BEGUN: &[&str] = &[HTTP_REQUEST_METHOD, URL_SCHEME];
/// What tells outgoing requests apart.
const OF_CALL: &[&str] = &[
    HTTP_REQUEST_METHOD,
    SERVER_ADDRESS,
    SERVER_PORT,
    HTTP_RESPONSE_STATUS_CODE,
    ERROR_TYPE,
    NETWORK_PROTOCOL_VERSION,
];
/// What tells TLS handshakes apart.
const OF_HANDSHAKE: &[&str] = &[TLS_PROTOCOL_VERSION, ERROR_TYPE];
const ERROR: &[&str] = &[ERROR_TYPE];
const FILE: &[&str] = &["file"];
const OUTCOME: &[&str] = &["outcome"];
const REASON: &[&str] = &["reason"];
const SIGNAL: &[&str] = &["signal"];
const SIGNAL_AND_REASON: &[&str] = &["signal", "reason"];

macro_rules! definitions {
    ($(
        $name:ident = $kind:ident($text:literal, $unit:literal $(, $bounds:ident)?) $(by $attributes:ident)?: $description:literal;
    )+) => {
        $(#[doc = $description]
        pub const $name: Definition = Definition {
            name: $text,
            unit: $unit,
            description: $description,
            kind: Kind::$kind,
            bounds: definitions!(@list $($bounds)?),
            attributes: definitions!(@list $($attributes)?),
        };)+
        /// All instruments of the host's own, those that belong together side by side.
        pub const ALL: &[Definition] = &[$($name),+];
    };
    (@list) => { &[] };
    (@list $list:ident) => { $list };
}

definitions! {
    REQUEST_DURATION = Histogram("http.server.request.duration", "s", DURATION_BOUNDS) by OF_REQUEST:
        "Time from a request's head to the end of its response.";
    ACTIVE_REQUESTS = UpDownCounter("http.server.active_requests", "{request}") by OF_BEGUN:
        "Requests whose responses are not over.";
    REQUEST_BODY_SIZE = Histogram("http.server.request.body.size", "By", BYTES) by OF_REQUEST:
        "Bytes of request bodies.";
    RESPONSE_BODY_SIZE = Histogram("http.server.response.body.size", "By", BYTES) by OF_REQUEST:
        "Bytes of response bodies that were sent.";
    CLIENT_DURATION = Histogram("http.client.request.duration", "s", DURATION_BOUNDS) by OF_CALL:
        "Time from a guest's outgoing request to the head of its response.";

    INSTANCE_LIVE = UpDownCounter("pounce.instance.live", "{instance}"):
        "Instances that there are.";
    INSTANCE_CREATED = Counter("pounce.instance.created", "{instance}"):
        "Instances made, the one at the start of the server included.";
    INSTANCE_REUSED = Counter("pounce.instance.reused", "{request}"):
        "Requests served by an instance that had served others.";
    INSTANTIATE_DURATION = Histogram("pounce.instantiate.duration", "s", SHORT):
        "Time to make an instance.";
    GUEST_CPU_TIME = Seconds("pounce.guest.cpu_time", "s"):
        "Processor time that guests spent on requests.";
    GUEST_MEMORY_PEAK = Histogram("pounce.guest.memory.peak", "By", BYTES):
        "Most linear memory of the instance that served a request, up to the end of the request.";
    GUEST_MEMORY_USED = UpDownCounter("pounce.guest.memory.used", "By"):
        "Memory of all instances: linear memory, and what the host keeps for guests.";
    GUEST_MEMORY_LIMIT = UpDownCounter("pounce.guest.memory.limit", "By"):
        "Memory that all instances may have (guest.max-total-memory).";
    POOL_SLOTS_USED = UpDownCounter("pounce.pool.slots.used", "{slot}"):
        "Slots of instances that are taken.";
    POOL_SLOTS_LIMIT = UpDownCounter("pounce.pool.slots.limit", "{slot}"):
        "Slots of instances that there are.";
    READY = UpDownCounter("pounce.ready", "{server}"):
        "1 while requests are served, 0 while the server starts or drains.";
    REQUESTS_SHED = Counter("pounce.requests.shed", "{request}") by REASON:
        "Requests refused for want of room; the reason is the limit, component where the places left are kept for other components, or guests for want of memory or of an instance.";
    REQUESTS_RATE_LIMITED = Counter("pounce.requests.rate_limited", "{request}"):
        "Requests refused because their client sends too many (http.rate-limit).";
    PROXY_PROTOCOL_FAILED = Counter("pounce.proxy_protocol.failed", "{connection}"):
        "Connections of trusted proxies that were closed because no valid header of the PROXY protocol came.";
    REQUESTS_WORKING = UpDownCounter("pounce.requests.in_flight", "{request}"):
        "Requests that guests work on.";
    RESPONSES_WAITING = UpDownCounter("pounce.responses.waiting", "{response}"):
        "Responses whose guests have finished and whose clients have not taken all of them.";
    RESPONSES_WAITING_LIMIT = UpDownCounter("pounce.responses.waiting.limit", "{response}"):
        "Responses that may wait so; beyond it, guests keep their places.";
    RESPONSES_READ_AHEAD = UpDownCounter("pounce.responses.read_ahead", "By"):
        "Bytes of responses that guests have written and clients leave no room for.";
    REQUESTS_LIMIT = UpDownCounter("pounce.requests.limit", "{request}"):
        "Requests that may be in flight at once (http.max-in-flight, or fewer where memory is short).";
    RELOADS = Counter("pounce.reloads", "{reload}") by OUTCOME:
        "Reloads of components and routes; the outcome is done, or failed where something was wrong and nothing has changed.";
    TLS_HANDSHAKES = Counter("pounce.tls.handshakes", "{handshake}") by OF_HANDSHAKE:
        "TLS handshakes that are over, by version; those that failed by error.type.";
    TLS_CERTIFICATE_EXPIRY = UpDownCounter("pounce.tls.certificate.time_to_expiry", "s") by FILE:
        "Time that a certificate of the listeners has left, by its file; 0 where it has expired.";
    TLS_CERTIFICATE_RELOADS = Counter("pounce.tls.certificate.reloads", "{reload}") by OUTCOME:
        "Certificates that have changed and were read again; the outcome is done, or failed where the old ones stay.";
    GUEST_TRAPS = Counter("pounce.guest.traps", "{trap}") by ERROR:
        "Requests that a guest failed: by a trap, for want of memory or time, or without a response. One that runs once more counts if it fails again.";
    GUEST_RETRIES = Counter("pounce.guest.retries", "{request}") by OUTCOME:
        "Requests that another's trap failed, and that may run once more (guest.retry-neighbours); the outcome is answered, failed, or refused where too many did at once.";
    OUTBOUND_REFUSED = Counter("pounce.outbound.refused", "{request}"):
        "Outgoing requests that no rule allows (guest.allow-outbound).";
    OUTPUT_DROPPED = Counter("pounce.guest.output.dropped", "{line}"):
        "Lines of guests' output beyond the rate that is logged.";
    LOG_LINES_DROPPED = Counter("pounce.log.lines.dropped", "{line}"):
        "Lines of the log left out because there were too many of their kind.";

    SPAN_EXPORTED = Counter("otel.sdk.exporter.span.exported", "{span}") by ERROR:
        "Spans whose export is over; with error.type where it failed.";
    SPAN_INFLIGHT = UpDownCounter("otel.sdk.exporter.span.inflight", "{span}"):
        "Spans on their way to the endpoint.";
    SPAN_QUEUE_SIZE = UpDownCounter("otel.sdk.processor.span.queue.size", "{span}"):
        "Spans that wait for an export.";
    SPAN_QUEUE_CAPACITY = UpDownCounter("otel.sdk.processor.span.queue.capacity", "{span}"):
        "Spans that may wait for an export.";
    SPAN_PROCESSED = Counter("otel.sdk.processor.span.processed", "{span}") by ERROR:
        "Spans that left the queue; with error.type where they were not exported.";
    LOG_EXPORTED = Counter("otel.sdk.exporter.log.exported", "{log_record}") by ERROR:
        "Log records whose export is over; with error.type where it failed.";
    LOG_INFLIGHT = UpDownCounter("otel.sdk.exporter.log.inflight", "{log_record}"):
        "Log records on their way to the endpoint.";
    LOG_QUEUE_SIZE = UpDownCounter("otel.sdk.processor.log.queue.size", "{log_record}"):
        "Log records that wait for an export.";
    LOG_QUEUE_CAPACITY = UpDownCounter("otel.sdk.processor.log.queue.capacity", "{log_record}"):
        "Log records that may wait for an export.";
    LOG_PROCESSED = Counter("otel.sdk.processor.log.processed", "{log_record}") by ERROR:
        "Log records that left the queue; with error.type where they were not exported.";
    POINT_EXPORTED = Counter("otel.sdk.exporter.metric_data_point.exported", "{data_point}") by ERROR:
        "Points of metrics whose export is over; with error.type where it failed.";
    TELEMETRY_DROPPED = Counter("pounce.telemetry.dropped", "{item}") by SIGNAL_AND_REASON:
        "What limits of telemetry left out, by signal and reason.";
    TELEMETRY_SPOOLED = UpDownCounter("pounce.telemetry.spooled", "{item}") by SIGNAL:
        "What waits on the disk for the endpoint, by signal.";
}
