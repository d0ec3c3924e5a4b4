//! STUB
pub(crate) mod logs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
#[derive(Clone)]
pub(crate) struct Telemetry;
impl Telemetry {
    pub(crate) fn start(_: &crate::config::Otel, _: &str) -> anyhow::Result<Self> {
        Ok(Self)
    }
    pub(crate) fn is_on(&self) -> bool {
        false
    }
    pub(crate) fn server_span(&self, _: &Peer, _: &http::request::Parts, _: Option<&str>) -> ServerSpan {
        ServerSpan
    }
    pub(crate) fn shutdown(&self, _: Instant) -> String {
        String::new()
    }
}
pub(crate) struct Peer {
    pub(crate) remote: Option<SocketAddr>,
    pub(crate) local: Option<SocketAddr>,
    pub(crate) tls: bool,
}
#[derive(Clone, Default, Debug)]
pub(crate) struct ServerSpan;
#[derive(Clone, Debug)]
pub(crate) struct SpanContext {
    pub(crate) trace_id: String,
    pub(crate) span_id: String,
    pub(crate) flags: u8,
    pub(crate) trace_state: String,
}
impl ServerSpan {
    pub(crate) fn off() -> Self {
        Self
    }
    pub(crate) fn is_on(&self) -> bool {
        false
    }
    pub(crate) fn is_recording(&self) -> bool {
        false
    }
    pub(crate) fn context(&self) -> Option<SpanContext> {
        None
    }
    pub(crate) fn set_attribute(&self, _: &str, _: Value) {}
    pub(crate) fn add_event(&self, _: &str, _: Vec<(String, Value)>) {}
    pub(crate) fn add_event_at(&self, _: &str, _: Vec<(String, Value)>, _: Option<u64>) {}
    pub(crate) fn record_exception(&self, _: Exception) {}
    pub(crate) fn set_status(&self, _: Status) {}
    pub(crate) fn set_route(&self, _: &str) {}
    pub(crate) fn update_name(&self, _: &str) {}
    pub(crate) fn response_head(&self, _: http::StatusCode) {}
    pub(crate) fn fail(&self, _: &str, _: Option<Exception>) {}
    pub(crate) fn phases(&self, _: Phases) {}
    pub(crate) fn end(&self, _: u64) {}
}
pub(crate) struct Phases {
    pub(crate) reused: Option<bool>,
    pub(crate) queue: Option<Duration>,
    pub(crate) instantiate: Option<Duration>,
    pub(crate) cpu: Option<Duration>,
    pub(crate) memory_peak: Option<u64>,
}
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Text(String),
    Bool(bool),
    Int(i64),
    Double(f64),
    Bytes(Vec<u8>),
    Texts(Vec<String>),
    Bools(Vec<bool>),
    Ints(Vec<i64>),
    Doubles(Vec<f64>),
}
#[derive(Clone, Debug)]
pub(crate) struct Exception {
    pub(crate) kind: String,
    pub(crate) message: String,
    pub(crate) stacktrace: Option<String>,
    pub(crate) attributes: Vec<(String, Value)>,
}
#[derive(Clone, Debug)]
pub(crate) enum Status {
    Unset,
    Ok,
    Error(String),
}
pub(crate) mod propagation {
    pub(crate) fn extract(_: &http::HeaderMap) -> Option<super::SpanContext> {
        None
    }
    pub(crate) fn inject(_: &super::SpanContext, _: &mut http::HeaderMap) {}
}
