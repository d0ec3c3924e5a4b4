//! The access log: each request as one line, when it is over, and as a log record where those are exported.
//!
//! It needs no spans: with telemetry off a line has no ids. The query stays out, as it may carry what is secret; spans
//! have it, redacted.

use super::facts::Facts;
use super::finished::Finished;
use crate::http_facts::{AddressText, header_text, protocol_version};
use crate::limits::{MAX_NAME, MAX_VALUE};
use crate::log_records::{LogRecord, LogRecords, Severity};
use crate::logs::{Readers, printable, readers};
use crate::methods::Methods;
use crate::semconv;
use crate::value::{Value, shortened};
use std::borrow::Cow;
use std::sync::Arc;

/// The access log of a component.
pub(crate) struct AccessLog {
    /// Where log records are exported to, if anywhere.
    records: Option<Arc<LogRecords>>,
}

impl AccessLog {
    pub(crate) fn new(records: Option<Arc<LogRecords>>) -> Self {
        AccessLog { records }
    }

    /// Writes down a request that is over, which `component` has served; records name no other `methods`.
    pub(super) fn tell(&self, request: &Finished<'_>, component: &str, methods: &Methods) {
        let agent = request.facts.user_agent.as_ref().map(header_text);
        let agent = agent.as_deref().map(|agent| shortened(agent, MAX_VALUE));
        line(request, component, agent);
        if let Some(records) = &self.records {
            records.export_own(&record(request, component, agent, methods), request.context);
        }
    }
}

fn path(facts: &Facts) -> &str {
    shortened(facts.uri.path(), MAX_VALUE)
}

fn method(facts: &Facts) -> &str {
    shortened(facts.method.as_str(), MAX_NAME)
}

fn line(request: &Finished<'_>, component: &str, agent: Option<&str>) {
    let Finished { facts, outcome, context, .. } = request;
    let (method, path) = (method(facts), path(facts));
    let code = outcome.status.map(|status| status.as_u16());
    let status = code.map_or(Cow::Borrowed("-"), |code| code.to_string().into());
    let (shown_method, shown_path) = (printable(method), printable(path));
    // Operators have them in the message. Fields that are texts are written with escapes, but for those that developers read.
    let readers = readers();
    let is_field = readers != Readers::Operators;
    let (method, path) =
        if readers == Readers::Developers { (&*shown_method, &*shown_path) } else { (method, path) };
    tracing::info!(
        target: "access",
        component = Some(component).filter(|component| !component.is_empty()),
        method = is_field.then_some(method),
        path = is_field.then_some(path),
        status = code.filter(|_| is_field),
        route = outcome.route.as_deref(),
        duration_ms = request.lasted.as_micros() as f64 / 1e3,
        bytes_in = request.received,
        bytes_out = request.sent,
        error.type = outcome.error_type(),
        retried = outcome.retried.then_some(true),
        client = facts.peer.client().map(|client| display(client.to_canonical())),
        peer = facts.peer.remote.map(display),
        protocol = protocol_version(facts.version),
        user_agent = agent,
        trace_id = context.map(|context| display(context.trace_id)),
        span_id = context.map(|context| display(context.span_id)),
        "{shown_method} {shown_path} {status}"
    );
}

/// The attributes are as those of spans and metrics, which they are looked for with; the message has the method as it was
/// sent.
fn record(request: &Finished<'_>, component: &str, agent: Option<&str>, methods: &Methods) -> LogRecord {
    let Finished { facts, outcome, .. } = request;
    let text = |text: &str| Some(Value::Text(text.to_owned()));
    let int = |int: u64| i64::try_from(int).ok().map(Value::Int);
    let method = method(facts);
    let (known, original) = match methods.is_known(facts.method_place) {
        true => (method, None),
        false => (semconv::OTHER_METHOD, text(method)),
    };
    let remote = facts.peer.remote;
    let address = |address| text(AddressText::new(address).as_str());
    let attributes = [
        (semconv::POUNCE_COMPONENT, Some(component).filter(|component| !component.is_empty()).and_then(text)),
        (semconv::HTTP_REQUEST_METHOD, text(known)),
        (semconv::HTTP_REQUEST_METHOD_ORIGINAL, original),
        (semconv::URL_PATH, text(path(facts))),
        (semconv::HTTP_ROUTE, outcome.route.as_deref().and_then(text)),
        (semconv::HTTP_RESPONSE_STATUS_CODE, outcome.status.and_then(|status| int(status.as_u16().into()))),
        (semconv::POUNCE_REQUEST_DURATION, Some(Value::Double(request.lasted.as_secs_f64()))),
        (semconv::HTTP_REQUEST_BODY_SIZE, int(facts.announced_body.unwrap_or(request.received))),
        (semconv::HTTP_RESPONSE_BODY_SIZE, int(request.sent)),
        (semconv::ERROR_TYPE, outcome.error_type().and_then(text)),
        (semconv::POUNCE_RETRIED, outcome.retried.then_some(Value::Bool(true))),
        (semconv::CLIENT_ADDRESS, facts.peer.client().and_then(address)),
        (semconv::NETWORK_PEER_ADDRESS, remote.and_then(|remote| address(remote.ip()))),
        (semconv::NETWORK_PEER_PORT, remote.and_then(|remote| int(remote.port().into()))),
        (semconv::NETWORK_PROTOCOL_VERSION, protocol_version(facts.version).and_then(text)),
        (semconv::USER_AGENT_ORIGINAL, agent.and_then(text)),
    ];
    let attributes = attributes.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
    let status = outcome.status.map_or(Cow::Borrowed("-"), |status| status.as_u16().to_string().into());
    let message = format!("{} {} {status}", printable(method), printable(path(facts)));
    LogRecord::of_host(Severity::Info, &message, Some(semconv::POUNCE_ACCESS), attributes.collect())
}
