//! Requests to a server with one kind of telemetry, for the benches of this crate.

use http::{HeaderMap, Request, StatusCode, request::Parts};
use pounce_otlp::{Batching, Buffer};
use pounce_telemetry::settings::{Queue, Sampling, Semconv};
use pounce_telemetry::{
    Baggage, ChildOptions, LocalReaders, Peer, Propagator, RecentTraces, ServerSpan, Settings, Telemetry,
};
use std::net::SocketAddr;
use std::sync::Arc;

pub(crate) const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Requests to a server with one kind of telemetry, whose spans are taken out and thrown away.
pub(crate) struct Requests {
    telemetry: Telemetry,
    buffer: Arc<Buffer>,
    peer: Peer,
    no_headers: HeaderMap,
}

impl Requests {
    fn of(telemetry: Telemetry, buffer: Arc<Buffer>) -> Self {
        let address = |port| Some(SocketAddr::from(([127, 0, 0, 1], port)));
        let peer = Peer { remote: address(40_000), local: address(8080), ..Peer::default() };
        Requests { telemetry, buffer, peer, no_headers: HeaderMap::new() }
    }

    /// Telemetry that is off.
    pub(crate) fn off() -> Self {
        Self::of(Telemetry::off(), Arc::new(Buffer::unread()))
    }

    fn with(settings: Settings, local: LocalReaders) -> Self {
        let spans = Queue { max_items: 1 << 20, batching: Batching::default() };
        let (telemetry, buffer) = Telemetry::buffered(&Settings { spans, ..settings }, "hello", local);
        Self::of(telemetry, buffer)
    }

    /// Each request is recorded or none.
    pub(crate) fn on(is_sampled: bool, semconv: Semconv) -> Self {
        Self::with(Settings { semconv, sampling: all_or_none(is_sampled), ..Settings::default() }, NOBODY)
    }

    /// Metrics beside spans that are sampled or not.
    pub(crate) fn measured(is_sampled: bool) -> Self {
        let sampling = all_or_none(is_sampled);
        let settings = Settings { sampling, semconv: Semconv::Http, ..Settings::default() };
        Self::with(settings, LocalReaders { metrics: true, ..NOBODY })
    }

    /// Metrics and no spans.
    pub(crate) fn only_measured() -> Self {
        let local = LocalReaders { metrics: true, ..NOBODY };
        let telemetry =
            Telemetry::start(&Settings::default(), "hello", local).expect("no endpoint, no spool");
        Self::of(telemetry, Arc::new(Buffer::unread()))
    }

    /// Each request is recorded, and shown among the recent traces, as with an admin listener.
    pub(crate) fn shown() -> Self {
        let settings = Settings { semconv: Semconv::Http, ..Settings::default() };
        Self::with(
            settings,
            LocalReaders { recent_traces: RecentTraces { traces: 100, ..RecentTraces::default() }, ..NOBODY },
        )
    }

    /// No request is sampled, and those that fail are kept.
    pub(crate) fn keeping_errors() -> Self {
        let sampling = all_or_none(false);
        let settings =
            Settings { sampling, semconv: Semconv::Http, keep_errors: true, ..Settings::default() };
        Self::with(settings, NOBODY)
    }

    fn begin(&self, head: &Parts) -> ServerSpan {
        self.telemetry.server_span(&self.peer, head)
    }

    /// One request from its head to the end of its response.
    pub(crate) fn request(&self, head: &Parts) {
        let span = self.begin(head);
        span.response_head(StatusCode::OK, &self.no_headers);
        span.end(42);
    }

    /// One request whose guest has a span of its own.
    pub(crate) fn request_with_child(&self, head: &Parts) {
        let span = self.begin(head);
        span.child(None, "work", ChildOptions::default()).end(None);
        span.response_head(StatusCode::OK, &self.no_headers);
        span.end(42);
    }

    /// Takes the encoded spans; gives their bytes.
    pub(crate) fn drain(&self) -> usize {
        self.buffer.drain(false).iter().map(|chunk| chunk.bytes.len()).sum()
    }
}

pub(crate) const NOBODY: LocalReaders = LocalReaders {
    metrics: false,
    recent_traces: RecentTraces { traces: 0, memory: 16 << 20 },
    access_log: false,
    output: false,
};

fn all_or_none(is_sampled: bool) -> Sampling {
    Sampling::share(if is_sampled { 1.0 } else { 0.0 })
}

/// Reads the caller's context and writes it back.
pub(crate) fn propagate(from: &HeaderMap, to: &mut HeaderMap) {
    let propagator = Propagator::default();
    if let Some(context) = propagator.extract(from).context {
        propagator.inject(&context, &Baggage::default(), to);
    }
}

pub(crate) fn head(headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::get("/users/7?page=2").header("host", "localhost:8080");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).expect("a valid request").into_parts().0
}
