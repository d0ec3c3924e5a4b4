//! The access log: each request as one line, when it is over, and as a log record where those are exported.
//!
//! It needs no spans: with telemetry off a line has no ids. The query stays out, as it may carry what is secret; spans
//! have it, redacted.

use super::Peer;
use super::context::SpanContext;
use super::limits::{MAX_NAME, MAX_VALUE};
use super::log_records::{LogRecord, LogRecords, Severity};
use super::logs::{is_for_people, printable};
use super::methods::Methods;
use super::request::{AddressText, content_length, header_text, protocol_version};
use super::semconv;
use super::value::{Value, shortened};
use crate::config;
use http::{HeaderValue, Method, StatusCode, Uri, Version, header, request::Parts};
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// The access log of a component.
pub(crate) struct AccessLog {
    is_on: bool,
    records: Option<Arc<LogRecords>>,
    /// Those that records name.
    methods: Methods,
}

/// Bytes of a request's body that have come so far.
pub(crate) type Received = Arc<AtomicU64>;

/// What the log will say of a request that is under way. The URI and headers share the memory of the request.
pub(crate) struct Access {
    records: Option<(Arc<LogRecords>, Methods)>,
    began: Instant,
    peer: Peer,
    method: Method,
    uri: Uri,
    version: Version,
    user_agent: Option<HeaderValue>,
    /// Bytes of the body by its head, as its span has them.
    declared: Option<u64>,
    received: Received,
    status: Option<StatusCode>,
    error_type: Option<Box<str>>,
}

/// What is known of a request once it is over.
pub(crate) struct End<'a> {
    pub(crate) component: &'a str,
    /// The request's span, where there are spans.
    pub(crate) context: Option<&'a SpanContext>,
    pub(crate) route: Option<&'a str>,
    /// Bytes of the response's body.
    pub(crate) sent: u64,
}

impl AccessLog {
    /// With `is_on` false nothing is kept of any request; `records` is where log records are exported to.
    pub(crate) fn new(is_on: bool, records: Option<Arc<LogRecords>>, otel: &config::Otel) -> Self {
        Self { is_on, records, methods: Methods::new(otel.known_methods.as_deref()) }
    }

    /// A request came, its head has been read.
    #[inline]
    pub(crate) fn begin(&self, peer: &Peer, head: &Parts) -> Option<Box<Access>> {
        self.is_on.then(|| {
            let records = self.records.as_ref().map(|records| (Arc::clone(records), self.methods.clone()));
            Box::new(Access::new(records, peer, head))
        })
    }
}

impl Access {
    fn new(records: Option<(Arc<LogRecords>, Methods)>, peer: &Peer, head: &Parts) -> Self {
        Access {
            records,
            began: Instant::now(),
            peer: peer.clone(),
            method: head.method.clone(),
            uri: head.uri.clone(),
            version: head.version,
            user_agent: head.headers.get(header::USER_AGENT).cloned(),
            declared: content_length(&head.headers),
            received: Received::default(),
            status: None,
            error_type: None,
        }
    }

    /// To be told of each piece of the request's body.
    pub(crate) fn received(&self) -> Received {
        self.received.clone()
    }

    /// The response head was sent.
    pub(crate) fn answered(&mut self, status: StatusCode) {
        self.status = Some(status);
    }

    /// The request failed; the first reason stays.
    pub(crate) fn failed(&mut self, error_type: &str) {
        self.error_type.get_or_insert_with(|| shortened(error_type, MAX_NAME).into());
    }

    /// The request is over: writes it down.
    pub(crate) fn end(mut self, end: &End<'_>) {
        let took = self.began.elapsed();
        if let Some(status) = self.status.filter(StatusCode::is_server_error) {
            // As on spans: the guest's own 500 is an error, of the kind that its code says.
            self.failed(status.as_str());
        }
        let agent = self.user_agent.as_ref().map(header_text);
        let agent = agent.as_deref().map(|agent| shortened(agent, MAX_VALUE));
        self.line(end, took, agent);
        if let Some((records, methods)) = &self.records {
            records.emit_own(&self.record(end, took, agent, methods), end.context);
        }
    }

    fn path(&self) -> &str {
        shortened(self.uri.path(), MAX_VALUE)
    }

    fn method(&self) -> &str {
        shortened(self.method.as_str(), MAX_NAME)
    }

    fn line(&self, end: &End<'_>, took: Duration, agent: Option<&str>) {
        let (method, path) = (printable(self.method()), printable(self.path()));
        let code = self.status.map(|status| status.as_u16());
        let status = code.map_or(Cow::Borrowed("-"), |code| code.to_string().into());
        // People have them in the message. Fields that are texts are written with escapes in both forms.
        let is_field = !is_for_people();
        tracing::info!(
            target: "access",
            component = end.component,
            method = is_field.then(|| self.method()),
            path = is_field.then(|| self.path()),
            status = code.filter(|_| is_field),
            route = end.route,
            duration_ms = took.as_micros() as f64 / 1e3,
            bytes_in = self.received.load(Relaxed),
            bytes_out = end.sent,
            error.type = self.error_type.as_deref(),
            client = self.peer.client().map(|client| display(client.to_canonical())),
            peer = self.peer.remote.map(display),
            protocol = protocol_version(self.version),
            user_agent = agent,
            trace_id = end.context.map(|context| display(context.trace_id)),
            span_id = end.context.map(|context| display(context.span_id)),
            "{method} {path} {status}"
        );
    }

    /// The attributes are as those of spans and metrics, which they are looked for with; the message has the method as
    /// it was sent.
    fn record(&self, end: &End<'_>, took: Duration, agent: Option<&str>, methods: &Methods) -> LogRecord {
        let text = |text: &str| Some(Value::Text(text.to_owned()));
        let int = |int: u64| i64::try_from(int).ok().map(Value::Int);
        let method = self.method();
        let (known, original) = match methods.knows(&self.method) {
            true => (method, None),
            false => (semconv::OTHER_METHOD, text(method)),
        };
        let remote = self.peer.remote;
        let address = |address| text(AddressText::new(address).as_str());
        let attributes = [
            (semconv::POUNCE_COMPONENT, text(end.component)),
            (semconv::HTTP_REQUEST_METHOD, text(known)),
            (semconv::HTTP_REQUEST_METHOD_ORIGINAL, original),
            (semconv::URL_PATH, text(self.path())),
            (semconv::HTTP_ROUTE, end.route.and_then(text)),
            (semconv::HTTP_RESPONSE_STATUS_CODE, self.status.and_then(|status| int(status.as_u16().into()))),
            (semconv::POUNCE_REQUEST_DURATION, Some(Value::Double(took.as_secs_f64()))),
            (
                semconv::HTTP_REQUEST_BODY_SIZE,
                int(self.declared.unwrap_or_else(|| self.received.load(Relaxed))),
            ),
            (semconv::HTTP_RESPONSE_BODY_SIZE, int(end.sent)),
            (semconv::ERROR_TYPE, self.error_type.as_deref().and_then(text)),
            (semconv::CLIENT_ADDRESS, self.peer.client().and_then(address)),
            (semconv::NETWORK_PEER_ADDRESS, remote.and_then(|remote| address(remote.ip()))),
            (semconv::NETWORK_PEER_PORT, remote.and_then(|remote| int(remote.port().into()))),
            (semconv::NETWORK_PROTOCOL_VERSION, protocol_version(self.version).and_then(text)),
            (semconv::USER_AGENT_ORIGINAL, agent.and_then(text)),
        ];
        let attributes = attributes.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
        let status = self.status.map_or(Cow::Borrowed("-"), |status| status.as_u16().to_string().into());
        let message = format!("{} {} {status}", printable(method), printable(self.path()));
        LogRecord::of_host(Severity::Info, &message, Some(semconv::POUNCE_ACCESS), attributes.collect())
    }
}
