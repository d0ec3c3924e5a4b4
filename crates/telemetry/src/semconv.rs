//! Every attribute and event name that we write, in one place.
//!
//! Names come from the `opentelemetry-semantic-conventions` crate wherever it has them; those of our own begin with
//! `pounce.`.

pub(super) use legacy::*;
pub(super) use opentelemetry_semantic_conventions::SCHEMA_URL;
pub(super) use opentelemetry_semantic_conventions::attribute::{
    CLIENT_ADDRESS, ERROR_TYPE, EXCEPTION_MESSAGE, EXCEPTION_STACKTRACE, EXCEPTION_TYPE,
    HTTP_REQUEST_BODY_SIZE, HTTP_REQUEST_METHOD, HTTP_REQUEST_METHOD_ORIGINAL, HTTP_RESPONSE_BODY_SIZE,
    HTTP_RESPONSE_STATUS_CODE, HTTP_ROUTE, LOG_IOSTREAM, NETWORK_PEER_ADDRESS, NETWORK_PEER_PORT,
    NETWORK_PROTOCOL_VERSION, OTEL_SCOPE_NAME, OTEL_SCOPE_VERSION, SERVER_ADDRESS, SERVER_PORT,
    SERVICE_INSTANCE_ID, SERVICE_NAME, TELEMETRY_SDK_LANGUAGE, TELEMETRY_SDK_NAME, TELEMETRY_SDK_VERSION,
    TLS_CIPHER, TLS_CLIENT_HASH_SHA256, TLS_CLIENT_SUBJECT, TLS_PROTOCOL_NAME, TLS_PROTOCOL_VERSION,
    URL_FULL, URL_PATH, URL_QUERY, URL_SCHEME, USER_AGENT_ORIGINAL,
};

/// The names of before the HTTP conventions, which the profiles `compat` and `http/dup` write as well.
#[allow(deprecated, reason = "old names are deprecated, and wanted here")]
mod legacy {
    use opentelemetry_semantic_conventions::attribute;

    pub(crate) const HTTP_HOST: &str = attribute::HTTP_HOST;
    pub(crate) const HTTP_METHOD: &str = attribute::HTTP_METHOD;
    pub(crate) const HTTP_RESPONSE_CONTENT_LENGTH: &str = attribute::HTTP_RESPONSE_CONTENT_LENGTH;
    pub(crate) const HTTP_SCHEME: &str = attribute::HTTP_SCHEME;
    pub(crate) const HTTP_STATUS_CODE: &str = attribute::HTTP_STATUS_CODE;
    pub(crate) const HTTP_TARGET: &str = attribute::HTTP_TARGET;
    pub(crate) const HTTP_URL: &str = attribute::HTTP_URL;
    pub(crate) const NET_HOST_PORT: &str = attribute::NET_HOST_PORT;
    pub(crate) const NET_PEER_NAME: &str = attribute::NET_PEER_NAME;
    pub(crate) const NET_PEER_PORT: &str = attribute::NET_PEER_PORT;
    /// Written in all profiles: no service graph looks at its successor, `service.peer.name`, yet.
    pub(crate) const PEER_SERVICE: &str = attribute::PEER_SERVICE;
}

/// Whether only the host may set an attribute.
pub(super) fn is_reserved(key: &str) -> bool {
    key.starts_with("pounce.")
}

/// The component that served the request.
pub(super) const POUNCE_COMPONENT: &str = "pounce.component";
/// Whether the instance had served requests before.
pub(super) const POUNCE_INSTANCE_REUSED: &str = "pounce.instance.reused";
/// A neighbour's trap failed the request, and it was served once more. On server spans.
pub(super) const POUNCE_RETRIED: &str = "pounce.retried";
/// Name of the event that tells how the first attempt at such a request ended.
pub(super) const POUNCE_RETRY: &str = "pounce.retry";
/// Time in the queue before a guest took the request, in seconds.
pub(super) const POUNCE_QUEUE_DURATION: &str = "pounce.queue.duration";
/// Time to instantiate the component, in seconds.
pub(super) const POUNCE_INSTANTIATE_DURATION: &str = "pounce.instantiate.duration";
/// Processor time the guest spent, in seconds.
pub(super) const POUNCE_GUEST_CPU_TIME: &str = "pounce.guest.cpu_time";
/// Time from the head of a request to that of its response, in seconds. On server spans whose body went on for a
/// millisecond or more.
pub(super) const POUNCE_RESPONSE_HEAD_DURATION: &str = "pounce.response.head.duration";
/// Most linear memory the guest held, in bytes.
pub(super) const POUNCE_GUEST_MEMORY_PEAK: &str = "pounce.guest.memory.peak";

/// Why a request was exported that was not sampled: `error` or `slow`. On server spans.
pub(super) const POUNCE_SAMPLING_REASON: &str = "pounce.sampling.reason";
/// Time from the head of a request to the end of its response, in seconds; of a record of the access log.
pub(super) const POUNCE_REQUEST_DURATION: &str = "pounce.request.duration";
/// Name of the event that a record of the access log is.
pub(super) const POUNCE_ACCESS: &str = "pounce.access";

/// Marks the series that stands for all beyond the limit; named by the specification of metrics.
pub(super) const OTEL_METRIC_OVERFLOW: &str = "otel.metric.overflow";
/// A span that its guest left open, and the host ended.
pub(super) const POUNCE_INCOMPLETE: &str = "pounce.incomplete";
/// Whether the connection of an outgoing request had carried others before.
pub(super) const POUNCE_CONNECTION_REUSED: &str = "pounce.connection.reused";
/// Time the name of an outgoing request's host took to resolve, in seconds.
pub(super) const POUNCE_DNS_DURATION: &str = "pounce.dns.duration";
/// Time TCP took to connect for an outgoing request, in seconds.
pub(super) const POUNCE_CONNECT_DURATION: &str = "pounce.connect.duration";

/// What the schema URL of a guest's own scope is called on its spans, and what the names of its attributes begin with.
pub(super) const OTEL_SCOPE_SCHEMA_URL: &str = "otel.scope.schema_url";
pub(super) const OTEL_SCOPE: &str = "otel.scope.";

/// Names of the log records of exceptions, which the crate does not have yet.
pub(super) const HTTP_SERVER_REQUEST_EXCEPTION: &str = "http.server.request.exception";
pub(super) const HTTP_CLIENT_REQUEST_EXCEPTION: &str = "http.client.request.exception";

/// Name of the event that carries an exception.
pub(super) const EXCEPTION_EVENT: &str = "exception";

/// Value of `http.request.method` for a method that is none of [`KNOWN_METHODS`].
pub(super) const OTHER_METHOD: &str = "_OTHER";
/// Methods that may stand in `http.request.method` unless others are set; compared with their case.
pub(super) const KNOWN_METHODS: [&str; 10] =
    ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "QUERY", "CONNECT", "TRACE"];
