//! The SERVER span of a finished request, as OTLP: name, attributes in each profile, and what the guest said.

use super::finished::Finished;
use super::headers::CapturedHeaders;
use super::outcome::{BodySize, Outcome, Phases};
use super::spans::Spans;
use super::tail::Reason;
use crate::http_facts::{AddressText, header_text, protocol_version, split_authority};
use crate::limits::{Attributes, MAX_VALUE};
use crate::methods::Methods;
use crate::settings::Semconv;
use crate::value::{Length, Value, shortened};
use crate::{redact, semconv};
use pounce_otlp::id::SpanId;
use pounce_otlp::wire::{Borrowed, Head, Kind, SpanWriter};
use std::borrow::Cow;
use std::time::Duration;

/// A body that takes less time after its head than this is not told apart from it.
const SHORTEST_BODY: Duration = Duration::from_millis(1);

/// The SERVER span of a request that is over.
pub(super) struct ServerSpan<'a> {
    pub(super) request: &'a Finished<'a>,
    pub(super) spans: &'a Spans,
    pub(super) component: &'a str,
    pub(super) methods: &'a Methods,
    /// The caller's span.
    pub(super) parent: Option<SpanId>,
    pub(super) parent_is_remote: bool,
    /// Why it is exported although it was not sampled.
    pub(super) reason: Option<Reason>,
}

impl ServerSpan<'_> {
    /// The span's name in three parts. It counts the path among those that names are made of.
    pub(super) fn name(&self) -> [&str; 3] {
        let Outcome { annotations, route, .. } = self.request.outcome;
        let facts = self.request.facts;
        let method = if self.has_known_method() { facts.method.as_str() } else { "HTTP" };
        let path = facts.uri.path();
        match (&annotations.name, route) {
            (Some(name), _) => [name, "", ""],
            (None, Some(route)) => [method, " ", route],
            (None, None) if self.spans.profile != Semconv::Compat || path.is_empty() => [method, "", ""],
            (None, None) if self.spans.path_names.admit(path) => [method, " ", shortened(path, MAX_VALUE)],
            (None, None) => [method, "", ""],
        }
    }

    /// Appends the span, which began at `start_unix_nanos` and is called `name`.
    pub(super) fn encode(
        &self,
        out: &mut Vec<u8>,
        name: [&str; 3],
        request_headers: &CapturedHeaders,
        start_unix_nanos: u64,
    ) {
        let Some(context) = self.request.context else { return };
        let mut span = SpanWriter::start(
            out,
            &Head {
                context: context.wire(),
                parent: self.parent,
                parent_is_remote: self.parent_is_remote,
                kind: Kind::Server,
                start_unix_nanos,
                end_unix_nanos: self.request.ended_at(),
            },
        );
        span.name(name);
        let outcome = self.request.outcome;
        let guest = &outcome.annotations.attributes;
        self.write_facts(&mut Facts { span: &mut span, guest, length: self.spans.limits.value });
        self.spans.request_headers.write(request_headers, guest, &mut span);
        self.spans.response_headers.write(&outcome.response_headers, guest, &mut span);
        self.write_outcome(&mut span);
        if let Some(reason) = self.reason {
            span.text(semconv::POUNCE_SAMPLING_REASON, reason.as_str());
        }
        outcome.annotations.finish(outcome.span_status(self.spans.profile), span);
    }

    fn has_known_method(&self) -> bool {
        self.methods.is_known(self.request.facts.method_place)
    }

    /// Writes the attributes that are known from the start, without those that the guest has set itself.
    fn write_facts(&self, span: &mut Facts<'_, '_>) {
        let facts = self.request.facts;
        let peer = &facts.peer;
        let (scheme, default_port) = if peer.is_https() { ("https", 443) } else { ("http", 80) };
        let method = facts.method.as_str();
        let query = facts.uri.query().map(redact::query);
        let authority = facts.authority();
        let server = authority.and_then(split_authority);
        let server_port = server.map(|(_, port)| port.unwrap_or(default_port));

        if self.has_known_method() {
            span.text(semconv::HTTP_REQUEST_METHOD, method);
        } else {
            span.text(semconv::HTTP_REQUEST_METHOD, semconv::OTHER_METHOD);
            span.text(semconv::HTTP_REQUEST_METHOD_ORIGINAL, method);
        }
        span.text(semconv::URL_PATH, facts.uri.path());
        if let Some(query) = &query {
            span.text(semconv::URL_QUERY, query);
        }
        span.text(semconv::URL_SCHEME, scheme);
        if let Some((host, _)) = server {
            span.text(semconv::SERVER_ADDRESS, host);
        }
        if let Some(port) = server_port {
            span.int(semconv::SERVER_PORT, port.into());
        }
        if let Some(version) = protocol_version(facts.version) {
            span.text(semconv::NETWORK_PROTOCOL_VERSION, version);
        }
        if let Some(remote) = peer.remote {
            let address = AddressText::new(remote.ip());
            span.text(semconv::NETWORK_PEER_ADDRESS, address.as_str());
            span.int(semconv::NETWORK_PEER_PORT, remote.port().into());
            if peer.told.is_none() {
                span.text(semconv::CLIENT_ADDRESS, address.as_str());
            }
        }
        if let Some(client) = peer.told.as_ref().and_then(|_| peer.client()) {
            span.text(semconv::CLIENT_ADDRESS, AddressText::new(client).as_str());
        }
        if let Some(tls) = &peer.tls {
            span.text(semconv::TLS_PROTOCOL_NAME, "tls");
            span.text(semconv::TLS_PROTOCOL_VERSION, tls.version);
            span.text(semconv::TLS_CIPHER, &tls.cipher);
            if let Some(client) = &tls.client {
                span.text(semconv::TLS_CLIENT_SUBJECT, &client.subject);
                span.text(semconv::TLS_CLIENT_HASH_SHA256, &client.sha256);
            }
        }
        if let Some(agent) = &facts.user_agent {
            span.text(semconv::USER_AGENT_ORIGINAL, &header_text(agent));
        }
        let size = match (self.request.outcome.body_size, facts.announced_body) {
            (BodySize::Known(bytes), _) | (_, Some(bytes)) => Some(bytes),
            _ => None,
        };
        if let Some(size) = size {
            span.int(semconv::HTTP_REQUEST_BODY_SIZE, size);
        }
        if self.spans.profile == Semconv::Http {
            return;
        }

        span.text(semconv::HTTP_METHOD, method);
        let path = facts.uri.path();
        match &query {
            Some(Cow::Owned(redacted)) => {
                span.text(semconv::HTTP_TARGET, &[path, "?", redacted].concat());
            }
            _ => span.text(semconv::HTTP_TARGET, facts.uri.path_and_query().map_or(path, |p| p.as_str())),
        }
        span.text(semconv::HTTP_SCHEME, scheme);
        if let Some(authority) = authority {
            span.text(semconv::HTTP_HOST, authority);
        }
        if let Some(port) = server_port.or(peer.local.map(|local| local.port())) {
            span.int(semconv::NET_HOST_PORT, port.into());
        }
    }

    /// Writes the attributes that are known at the end, then the guest's.
    fn write_outcome(&self, span: &mut SpanWriter<'_>) {
        let Finished { outcome, sent, .. } = *self.request;
        let length = self.spans.limits.value;
        if let Some(route) = &outcome.route {
            span.text(semconv::HTTP_ROUTE, length.shortened(route));
        }
        if let Some(status) = outcome.status {
            span.int(semconv::HTTP_RESPONSE_STATUS_CODE, status.as_u16().into());
            span.int(semconv::HTTP_RESPONSE_BODY_SIZE, sent);
            if self.spans.profile != Semconv::Http {
                span.int(semconv::HTTP_STATUS_CODE, status.as_u16().into());
                span.int(semconv::HTTP_RESPONSE_CONTENT_LENGTH, sent);
            }
        }
        if let Some(error_type) = outcome.error_type() {
            span.text(semconv::ERROR_TYPE, length.shortened(error_type));
        }
        if !self.component.is_empty() {
            span.text(semconv::POUNCE_COMPONENT, length.shortened(self.component));
        }
        write_phases(&outcome.phases, span);
        // Most bodies are there with the head: of those it says nothing.
        let rest = |head: &Duration| self.request.lasted.saturating_sub(*head) >= SHORTEST_BODY;
        if let Some(head) = outcome.head.filter(rest) {
            span.attribute(semconv::POUNCE_RESPONSE_HEAD_DURATION, Borrowed::Double(head.as_secs_f64()));
        }
        if outcome.retried {
            span.attribute(semconv::POUNCE_RETRIED, Borrowed::Bool(true));
        }
        for (key, value) in &outcome.annotations.attributes.list {
            if !is_hosts(key) {
                span.attribute(key, Borrowed::Any(value));
            }
        }
    }
}

/// How many attributes of the guest are left out although they say something else than the host does.
pub(super) fn left_out(outcome: &Outcome, sent: u64) -> u32 {
    let is_lost = |(key, value): &&(Box<str>, Value)| {
        let hosts = match &**key {
            semconv::HTTP_RESPONSE_STATUS_CODE | semconv::HTTP_STATUS_CODE => {
                outcome.status.map(|status| Value::Int(status.as_u16().into()))
            }
            semconv::HTTP_RESPONSE_BODY_SIZE | semconv::HTTP_RESPONSE_CONTENT_LENGTH => {
                outcome.status.and(i64::try_from(sent).ok()).map(Value::Int)
            }
            key if is_hosts(key) => None,
            _ => return false,
        };
        hosts.as_ref() != Some(value)
    };
    let lost = outcome.annotations.attributes.list.iter().filter(is_lost).count();
    u32::try_from(lost).unwrap_or(u32::MAX).saturating_add(outcome.overrules_guest().into())
}

/// Keys that the host writes at the end, whatever a guest has set.
fn is_hosts(key: &str) -> bool {
    matches!(
        key,
        semconv::HTTP_RESPONSE_STATUS_CODE
            | semconv::HTTP_RESPONSE_BODY_SIZE
            | semconv::HTTP_STATUS_CODE
            | semconv::HTTP_RESPONSE_CONTENT_LENGTH
            | semconv::HTTP_ROUTE
            | semconv::ERROR_TYPE
    )
}

fn write_phases(phases: &Phases, span: &mut SpanWriter<'_>) {
    if let Some(reused) = phases.reused {
        span.attribute(semconv::POUNCE_INSTANCE_REUSED, Borrowed::Bool(reused));
    }
    for (key, duration) in [
        (semconv::POUNCE_QUEUE_DURATION, phases.queue),
        (semconv::POUNCE_INSTANTIATE_DURATION, phases.instantiate),
        (semconv::POUNCE_GUEST_CPU_TIME, phases.cpu),
    ] {
        if let Some(seconds) = duration.as_ref().map(Duration::as_secs_f64) {
            span.attribute(key, Borrowed::Double(seconds));
        }
    }
    if let Some(peak) = phases.memory_peak {
        span.attribute(semconv::POUNCE_GUEST_MEMORY_PEAK, Borrowed::Int(peak as i64));
    }
}

/// Writes facts that the guest has not set itself; texts may be as long as a client makes them, and are cut.
struct Facts<'a, 'b> {
    span: &'a mut SpanWriter<'b>,
    guest: &'a Attributes,
    length: Length,
}

impl Facts<'_, '_> {
    #[inline(always)]
    fn text(&mut self, key: &'static str, text: &str) {
        if self.is_free(key) {
            self.span.text(key, self.length.shortened(text));
        }
    }

    #[inline(always)]
    fn int(&mut self, key: &'static str, int: u64) {
        if self.is_free(key) {
            self.span.int(key, int);
        }
    }

    #[inline(always)]
    fn is_free(&self, key: &str) -> bool {
        self.guest.list.is_empty() || !self.guest.has(key)
    }
}
