//! What metrics keep of an outgoing request until there is a response, or none.

use super::Host;
use super::definitions::CLIENT_DURATION;
use crate::context::SpanContext;
use crate::http_facts::{protocol_version, split_authority};
use crate::limits::{MAX_NAME, MAX_VALUE};
use crate::metrics::attributes::AttributeSet;
use crate::metrics::kind::Measurement;
use crate::semconv;
use crate::value::{Value, shortened};
use http::{Method, StatusCode, Uri, Version};
use std::sync::Arc;
use std::time::Instant;

/// An outgoing request under way; one that is dropped before its end was cancelled.
pub struct OutgoingRequest {
    host: Arc<Host>,
    /// Place among the known methods.
    method: u16,
    address: Box<str>,
    port: u16,
    started: Instant,
    /// The CLIENT span, if it is exported.
    span: Option<SpanContext>,
    ended: bool,
}

/// How it ended.
#[derive(Clone, Copy, Debug)]
pub enum OutgoingEnd<'a> {
    /// A response began, with this status in this version of HTTP.
    Response(StatusCode, Version),
    /// Holds the error's type.
    Failed(&'a str),
}

impl Host {
    /// An outgoing request begins; `span` is its own.
    pub fn outgoing(
        self: &Arc<Self>,
        method: &Method,
        uri: &Uri,
        span: Option<&SpanContext>,
    ) -> OutgoingRequest {
        let default_port = if uri.scheme_str() == Some("https") { 443 } else { 80 };
        let authority = uri.authority().map(|authority| authority.as_str()).unwrap_or_default();
        let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let (address, port) = split_authority(authority).unwrap_or_default();
        OutgoingRequest {
            host: Arc::clone(self),
            method: self.methods.place(method),
            address: shortened(address, MAX_VALUE).into(),
            port: port.unwrap_or(default_port),
            started: Instant::now(),
            span: span.filter(|span| span.is_sampled()).cloned(),
            ended: false,
        }
    }
}

impl OutgoingRequest {
    /// There is a response head, or there will be none.
    pub fn end(mut self, end: OutgoingEnd<'_>) {
        self.record(end);
    }

    fn record(&mut self, end: OutgoingEnd<'_>) {
        self.ended = true;
        let (status, version, error) = match end {
            OutgoingEnd::Response(status, version) => {
                let failed = status.is_client_error() || status.is_server_error();
                let error = failed.then(|| status.as_str().to_owned());
                (Some(status), protocol_version(version), error)
            }
            OutgoingEnd::Failed(error) => (None, None, Some(shortened(error, MAX_NAME).to_owned())),
        };
        let text = |text: &str| Value::Text(text.to_owned());
        let known = [
            (semconv::HTTP_REQUEST_METHOD, text(self.host.methods.at(self.method))),
            (semconv::SERVER_ADDRESS, text(&self.address)),
            (semconv::SERVER_PORT, Value::Int(self.port.into())),
        ];
        let found = [
            status.map(|status| (semconv::HTTP_RESPONSE_STATUS_CODE, Value::Int(status.as_u16().into()))),
            version.map(|version| (semconv::NETWORK_PROTOCOL_VERSION, text(version))),
            error.map(|error| (semconv::ERROR_TYPE, Value::Text(error))),
        ];
        let attributes = AttributeSet::of_host(known.into_iter().chain(found.into_iter().flatten()));
        let series = self.host.metrics.series_as(&CLIENT_DURATION, attributes);
        let seconds = self.started.elapsed().as_secs_f64();
        series.record_by(Measurement::Double(seconds), self.host.witness(self.span.as_ref()));
    }
}

/// The guest let go of it.
impl Drop for OutgoingRequest {
    fn drop(&mut self) {
        if !self.ended {
            self.record(OutgoingEnd::Failed("cancelled"));
        }
    }
}
