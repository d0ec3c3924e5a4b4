//! The CLIENT span of one outgoing request: from when the guest hands it over until the response head, or until the
//! guest lets go of it.

use super::child::{Child, Facts};
use super::children::Start;
use super::context::SpanContext;
use super::encode::{Borrowed, Kind, SpanWriter};
use super::exceptions::ExceptionLog;
use super::id::SpanId;
use super::limits::{MAX_NAME, MAX_VALUE};
use super::methods::Methods;
use super::quota::Quota;
use super::request::{AddressText, protocol_version, split_authority};
use super::server_span::ServerSpan;
use super::value::{Length, Status, shortened};
use super::{redact, semconv};
use crate::config::Semconv;
use http::{Method, StatusCode, Uri, Version};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Why a request that its guest let go of has no response.
const CANCELLED: &str = "cancelled";

/// What is known of the connection that carried a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Connected {
    /// The other end.
    pub(crate) peer: Option<SocketAddr>,
    /// It had carried requests before.
    pub(crate) reused: bool,
    /// Time the name took to resolve, for the request that opened it.
    pub(crate) resolve: Option<Duration>,
    /// Time TCP took to connect, for the request that opened it.
    pub(crate) connect: Option<Duration>,
}

/// The facts of an outgoing request.
pub(super) struct Call {
    method: Method,
    uri: Uri,
    /// What the operator calls the other side.
    peer_service: Option<Arc<str>>,
    outcome: Outcome,
    connected: Option<Connected>,
}

enum Outcome {
    /// The guest let go of it.
    None,
    Response(StatusCode, Version),
    Failed {
        error_type: Box<str>,
        message: Box<str>,
    },
}

/// Handle on the span; a request that is dropped before its end was cancelled.
pub(crate) struct ClientSpan {
    context: Option<SpanContext>,
    record: Option<Arc<Child>>,
    exceptions: Option<Arc<ExceptionLog>>,
}

impl ServerSpan {
    /// Starts the CLIENT span of an outgoing request under `parent`, the server span when `None`. `peer_service` is what
    /// the operator calls the other side, if anything; it is asked for only where the span is recorded.
    pub(crate) fn client(
        &self,
        parent: Option<&SpanContext>,
        method: &Method,
        uri: &Uri,
        peer_service: impl FnOnce() -> Option<Arc<str>>,
    ) -> ClientSpan {
        let exceptions = self.exceptions().cloned();
        let Some(server) = self.context() else {
            return ClientSpan { context: None, record: None, exceptions };
        };
        let parent = parent.unwrap_or(&server);
        let record = self.children().and_then(|children| {
            let call = Call {
                method: method.clone(),
                uri: uri.clone(),
                peer_service: peer_service(),
                outcome: Outcome::None,
                connected: None,
            };
            children.start(Start {
                trace_id: parent.trace_id,
                trace_state: parent.trace_state.clone(),
                parent: Some(parent.span_id),
                parent_is_remote: false,
                id: None,
                kind: Kind::Client,
                name: children.shared.methods.name(method),
                time: None,
                facts: Facts::Call(Box::new(call)),
            })
        });
        let context = match &record {
            Some(record) => record.context().clone(),
            // Each request gets a parent id of its own, recorded or not.
            None if !self.is_recording_children() => {
                SpanContext { span_id: SpanId::random(), flags: server.flags, ..parent.clone() }
            }
            // One too many: the other side belongs under the nearest span that a backend gets to see.
            None => SpanContext { flags: server.flags, ..parent.clone() },
        };
        ClientSpan { context: Some(context), record, exceptions }
    }
}

impl ClientSpan {
    /// What the request tells its receiver; `None` when telemetry is off.
    pub(crate) fn context(&self) -> Option<&SpanContext> {
        self.context.as_ref()
    }

    /// A response head came; ends the span.
    pub(crate) fn respond(self, status: StatusCode, version: Version, connected: Option<Connected>) {
        self.end(Outcome::Response(status, version), connected);
    }

    /// There is no response; ends the span. Its exception is a log record within `quota`, as are those of the guest,
    /// who can fail as often as it likes.
    pub(crate) fn fail(self, error_type: &str, message: &str, quota: Option<&Quota>) {
        if let Some(log) = &self.exceptions {
            log.of_client(error_type, message, self.context(), quota);
        }
        if self.record.is_some() {
            let error_type = shortened(error_type, MAX_NAME).into();
            self.end(Outcome::Failed { error_type, message: shortened(message, MAX_VALUE).into() }, None);
        }
    }

    fn end(&self, outcome: Outcome, connected: Option<Connected>) {
        if let Some(record) = &self.record {
            record.observe(|facts| {
                if let Facts::Call(call) = facts {
                    call.outcome = outcome;
                    call.connected = connected;
                }
            });
            record.end(None);
        }
    }
}

impl Drop for ClientSpan {
    fn drop(&mut self) {
        if let Some(record) = &self.record {
            record.end(None);
        }
    }
}

impl Call {
    /// Writes the attributes of `profile`; gives the status.
    pub(super) fn write(
        &self,
        profile: Semconv,
        length: Length,
        methods: &Methods,
        span: &mut SpanWriter<'_>,
    ) -> Status {
        let has_legacy = profile != Semconv::Http;
        if methods.knows(&self.method) {
            span.text(semconv::HTTP_REQUEST_METHOD, self.method.as_str());
        } else {
            span.text(semconv::HTTP_REQUEST_METHOD, semconv::OTHER_METHOD);
            span.text(semconv::HTTP_REQUEST_METHOD_ORIGINAL, length.shortened(self.method.as_str()));
        }
        let default_port = if self.uri.scheme_str() == Some("https") { 443 } else { 80 };
        let authority = self.uri.authority().map(|authority| authority.as_str()).unwrap_or_default();
        let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        if let Some((host, port)) = split_authority(authority) {
            let (host, port) = (length.shortened(host), port.unwrap_or(default_port).into());
            span.text(semconv::SERVER_ADDRESS, host);
            span.int(semconv::SERVER_PORT, port);
            if has_legacy {
                span.text(semconv::NET_PEER_NAME, host);
                span.int(semconv::NET_PEER_PORT, port);
            }
        }
        let url = redact::url(&self.uri);
        let url = length.shortened(&url);
        span.text(semconv::URL_FULL, url);
        if has_legacy {
            span.text(semconv::HTTP_METHOD, length.shortened(self.method.as_str()));
            span.text(semconv::HTTP_URL, url);
        }
        if let Some(name) = &self.peer_service {
            span.text(semconv::PEER_SERVICE, length.shortened(name));
        }
        if let Some(connected) = &self.connected {
            connected.write(span);
        }
        match &self.outcome {
            Outcome::Response(status, version) => {
                span.int(semconv::HTTP_RESPONSE_STATUS_CODE, status.as_u16().into());
                if has_legacy {
                    span.int(semconv::HTTP_STATUS_CODE, status.as_u16().into());
                }
                if let Some(version) = protocol_version(*version) {
                    span.text(semconv::NETWORK_PROTOCOL_VERSION, version);
                }
                if status.is_client_error() || status.is_server_error() {
                    span.text(semconv::ERROR_TYPE, status.as_str());
                    // The code says it: no description.
                    Status::Error(String::new())
                } else {
                    Status::Unset
                }
            }
            Outcome::Failed { error_type, message } => {
                span.text(semconv::ERROR_TYPE, error_type);
                Status::Error(message.to_string())
            }
            Outcome::None => {
                span.text(semconv::ERROR_TYPE, CANCELLED);
                Status::Error("the request was let go of before its response".to_owned())
            }
        }
    }
}

impl Connected {
    fn write(&self, span: &mut SpanWriter<'_>) {
        if let Some(peer) = self.peer {
            span.text(semconv::NETWORK_PEER_ADDRESS, AddressText::new(peer.ip()).as_str());
            span.int(semconv::NETWORK_PEER_PORT, peer.port().into());
        }
        span.attribute(semconv::POUNCE_CONNECTION_REUSED, Borrowed::Bool(self.reused));
        for (key, time) in
            [(semconv::POUNCE_DNS_DURATION, self.resolve), (semconv::POUNCE_CONNECT_DURATION, self.connect)]
        {
            if let Some(time) = time {
                span.attribute(key, Borrowed::Double(time.as_secs_f64()));
            }
        }
    }
}
