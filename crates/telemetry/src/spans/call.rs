//! What the host knows of an outgoing request, and what its CLIENT span says about it.

use crate::http_facts::{AddressText, protocol_version, split_authority};
use crate::methods::Methods;
use crate::settings::Semconv;
use crate::value::Length;
use crate::{redact, semconv};
use http::{Method, StatusCode, Uri, Version};
use pounce_otlp::wire::{Borrowed, Code, SpanWriter};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// `error.type` of a request without a response that its guest let go of.
const CANCELLED: &str = "cancelled";

/// What is known of the connection that carried a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connected {
    /// The other end.
    pub peer: Option<SocketAddr>,
    /// It had carried requests before.
    pub reused: bool,
    /// Time the name took to resolve, for the request that opened it.
    pub resolve: Option<Duration>,
    /// Time TCP took to connect, for the request that opened it.
    pub connect: Option<Duration>,
}

/// Facts of an outgoing request.
pub(crate) struct Call {
    method: Method,
    uri: Uri,
    /// What the operator calls the other side.
    peer_service: Option<Arc<str>>,
    end: CallEnd,
    connected: Option<Connected>,
}

/// How an outgoing request ended.
pub(super) enum CallEnd {
    /// The guest let go of it.
    None,
    Response(StatusCode, Version),
    Failed {
        error_type: Box<str>,
        message: Box<str>,
    },
}

impl Call {
    /// A request that is about to be sent; `peer_service` is what the operator calls the other side.
    pub(super) fn new(method: &Method, uri: &Uri, peer_service: Option<Arc<str>>) -> Self {
        Call { method: method.clone(), uri: uri.clone(), peer_service, end: CallEnd::None, connected: None }
    }

    /// Takes how it ended, and what is known of its connection.
    pub(super) fn end(&mut self, end: CallEnd, connected: Option<Connected>) {
        (self.end, self.connected) = (end, connected);
    }

    /// Writes the attributes of `profile`; returns the span's status with its description.
    pub(super) fn write(
        &self,
        profile: Semconv,
        length: Length,
        methods: &Methods,
        span: &mut SpanWriter<'_>,
    ) -> Option<(Code, &str)> {
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
        match &self.end {
            CallEnd::Response(status, version) => {
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
                    Some((Code::Error, ""))
                } else {
                    None
                }
            }
            CallEnd::Failed { error_type, message } => {
                span.text(semconv::ERROR_TYPE, error_type);
                Some((Code::Error, message))
            }
            CallEnd::None => {
                span.text(semconv::ERROR_TYPE, CANCELLED);
                Some((Code::Error, "the request was let go of before its response"))
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
