//! The SERVER span of one request: who may write to it, and how it ends; and with it the request's metrics, which need
//! no span.
//!
//! A request that is not recorded has ids and nothing else. One that is has a record behind an `Arc`, shared by the
//! server, which ends it, and the guest, which adds to it; the end encodes it into the pipeline and frees what it held.

use super::children::Children;
use super::context::{Linked, SpanContext};
use super::counters::Counters;
use super::exceptions::ExceptionLog;
use super::limits::{MAX_NAME, MAX_VALUE};
use super::metrics::host::{Host, Measured};
use super::recording::{Late, Recording};
use super::response::{self, Failure};
use super::semconv;
use super::value::{Exception, Status, Value, shortened};
use http::{HeaderMap, StatusCode};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Handle on the SERVER span of a request; cheap to clone. Everything is a no-op when nothing is recorded, and a
/// counted one once the span has ended.
#[derive(Clone, Default)]
pub(crate) struct ServerSpan(State, Option<Arc<Beside>>);

/// What the request has beside its span, recorded or not.
struct Beside {
    measured: Option<Measured>,
    exceptions: Option<Arc<ExceptionLog>>,
}

/// Bytes of what a request has beside its span.
#[cfg(test)]
pub(super) const BESIDE_SIZE: usize = size_of::<Beside>();

#[derive(Clone, Default)]
enum State {
    #[default]
    Off,
    Unsampled(SpanContext),
    Recording(Arc<Recording>),
}

/// How an invocation went, as far as it is known; what is `None` is not recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Phases {
    /// The instance had served requests before.
    pub(crate) reused: Option<bool>,
    /// Time before a guest took the request.
    pub(crate) queue: Option<Duration>,
    /// Time to instantiate the component.
    pub(crate) instantiate: Option<Duration>,
    /// Processor time the guest spent.
    pub(crate) cpu: Option<Duration>,
    /// Most linear memory the guest held, in bytes.
    pub(crate) memory_peak: Option<u64>,
}

impl fmt::Debug for ServerSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.context() {
            Some(context) => write!(f, "ServerSpan({})", context.traceparent()),
            None => f.write_str("ServerSpan(off)"),
        }
    }
}

impl ServerSpan {
    /// The span of a server without telemetry.
    pub(crate) const fn off() -> Self {
        ServerSpan(State::Off, None)
    }

    pub(super) fn unsampled(context: SpanContext) -> Self {
        ServerSpan(State::Unsampled(context), None)
    }

    pub(super) fn recorded(recording: Recording) -> Self {
        ServerSpan(State::Recording(Arc::new(recording)), None)
    }

    /// With what metrics tell of the request, and where its exceptions go that are log records.
    #[inline]
    pub(super) fn set_beside(&mut self, measured: Option<Measured>, exceptions: Option<Arc<ExceptionLog>>) {
        self.1 = Some(Arc::new(Beside { measured, exceptions }));
    }

    fn measured(&self) -> Option<&Measured> {
        self.1.as_ref()?.measured.as_ref()
    }

    pub(super) fn exceptions(&self) -> Option<&Arc<ExceptionLog>> {
        self.1.as_ref()?.exceptions.as_ref()
    }

    /// The host's own metrics, where somebody wants them.
    pub(crate) fn metrics(&self) -> Option<&Arc<Host>> {
        self.measured().map(Measured::host)
    }

    /// Whether somebody looks at what the guest costs.
    pub(crate) fn wants_costs(&self) -> bool {
        self.measured().is_some() || self.is_recording_children()
    }

    /// Whether telemetry is on: then there are ids, sampled or not.
    pub(crate) fn is_on(&self) -> bool {
        !matches!(self.0, State::Off)
    }

    /// Whether what is written to the span is recorded, and may be exported.
    pub(crate) fn is_recording(&self) -> bool {
        self.recording().is_some_and(|span| !span.late().ended)
    }

    /// The same for a caller that is about to write, and would convert what it writes for nothing: a write after the
    /// end of the span is counted here.
    pub(crate) fn takes_writes(&self) -> bool {
        let recording = self.is_recording();
        if let Some(span) = self.recording().filter(|_| !recording) {
            Counters::add(&span.counters().late_writes, 1u32);
        }
        recording
    }

    /// Whether spans under this one are recorded, also after its end.
    pub(crate) fn is_recording_children(&self) -> bool {
        matches!(self.0, State::Recording(_))
    }

    /// What identifies the span to others; also after its end.
    pub(crate) fn context(&self) -> Option<SpanContext> {
        self.known_context().cloned()
    }

    /// The same where the span is exported, for whatever refers others to it: sampled, or kept once it has ended.
    pub(crate) fn exported_context(&self) -> Option<&SpanContext> {
        self.recording().filter(|span| span.may_be_found()).map(Recording::context)
    }

    /// The same, borrowed.
    pub(super) fn known_context(&self) -> Option<&SpanContext> {
        match &self.0 {
            State::Off => None,
            State::Unsampled(context) => Some(context),
            State::Recording(span) => Some(span.context()),
        }
    }

    /// The route, as far as it is known and somebody has asked for it; also after the end.
    pub(crate) fn route(&self) -> Option<Box<str>> {
        let recorded = self.recording().and_then(|span| span.late().route.clone());
        recorded.or_else(|| self.measured().and_then(Measured::route))
    }

    /// Whether both are handles on one span, or both are off.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (State::Off, State::Off) => true,
            (State::Unsampled(one), State::Unsampled(two)) => one.span_id == two.span_id,
            (State::Recording(one), State::Recording(two)) => Arc::ptr_eq(one, two),
            _ => false,
        }
    }

    /// Sets an attribute; the last value of a key wins. `http.route` is the route; a `pounce.` key is dropped.
    pub(crate) fn set_attribute(&self, key: &str, value: Value) {
        if let Value::Text(text) = &value {
            self.measure_attribute(key, text);
        }
        self.write(|span, late| match value {
            Value::Text(route) if key == semconv::HTTP_ROUTE => late.set_route(&route),
            _ if response::is_reserved(key) => late.notes.refuse_attribute(span.counters()),
            value => {
                let (notes, account) = late.notes(span);
                notes.set_attribute(key, value, account);
            }
        });
    }

    /// What metrics take of an attribute, whether or not the span is recorded.
    pub(crate) fn measure_attribute(&self, key: &str, text: &str) {
        if let Some(measured) = self.measured() {
            match key {
                semconv::HTTP_ROUTE => measured.set_route(text),
                semconv::ERROR_TYPE => measured.set_error_type(text),
                _ => {}
            }
        }
    }

    /// Adds an event that happened at `time`, in nanoseconds of Unix time; now when `None`.
    pub(crate) fn add_event(&self, name: &str, attributes: Vec<(String, Value)>, time: Option<u64>) {
        self.write(|span, late| {
            let (notes, account) = late.notes(span);
            notes.add_event(time.unwrap_or_else(|| span.clock().now()), name, attributes, account);
        });
    }

    /// Adds an `exception` event; does not touch the status.
    pub(crate) fn record_exception(&self, exception: Exception) {
        self.write(|span, late| {
            let (notes, account) = late.notes(span);
            notes.add_exception(span.clock().now(), exception, account);
        });
    }

    /// Adds a link to another span.
    pub(crate) fn add_link(&self, to: impl Into<Linked>, attributes: Vec<(String, Value)>) {
        self.write(|span, late| {
            let (notes, account) = late.notes(span);
            notes.add_link(to.into(), attributes, account);
        });
    }

    /// Sets the status on behalf of the guest. As in the specification, `Ok` is final and `Unset` is ignored.
    pub(crate) fn set_status(&self, status: Status) {
        self.write(|_, late| late.notes.set_status(status));
    }

    /// Sets `http.route`, and with it the name `{METHOD} {route}`, in place of one chosen before.
    pub(crate) fn set_route(&self, route: &str) {
        if let Some(measured) = self.measured() {
            measured.set_route(route);
        }
        self.write(|span, late| {
            if route.is_empty() {
                return Counters::add(&span.counters().attributes, 1u32);
            }
            late.set_route(route);
            late.notes.name = None;
        });
    }

    /// Renames the span.
    pub(crate) fn update_name(&self, name: &str) {
        self.write(|span, late| late.notes.rename(name, span.counters()));
    }

    /// The response head was sent.
    pub(crate) fn response_head(&self, status: StatusCode, headers: &HeaderMap) {
        if let Some(measured) = self.measured() {
            measured.status(status);
        }
        self.write(|span, late| {
            late.response.status = Some(status);
            late.response.headers = span.wanted_of_response(headers);
        });
    }

    /// The request's body has come whole, so many bytes of it. That may be after the end, and is then no loss: nobody
    /// could have known before.
    pub(crate) fn request_body_size(&self, bytes: u64) {
        self.measured_body_size(bytes);
        if let Some(span) = self.recording() {
            span.late().response.request_body_size = Some(bytes);
        }
    }

    /// The same for metrics alone.
    pub(crate) fn measured_body_size(&self, bytes: u64) {
        if let Some(measured) = self.measured() {
            measured.body_size(bytes);
        }
    }

    /// The request failed on the host's side: status Error and `error.type`, of which the first stays.
    pub(crate) fn fail(&self, error_type: &str, exception: Option<Exception>) {
        if let Some(measured) = self.measured() {
            measured.fail(error_type);
        }
        let message: Box<str> =
            exception.as_ref().map(|e| shortened(&e.message, MAX_VALUE).into()).unwrap_or_default();
        let exception = match (self.exceptions(), exception) {
            (Some(log), Some(exception)) => log.of_server(exception, self.known_context()),
            (_, exception) => exception,
        };
        self.write(|span, late| {
            late.response.failure.get_or_insert_with(|| Failure {
                error_type: shortened(error_type, MAX_NAME).into(),
                message: Some(message),
            });
            if let Some(exception) = exception {
                let (notes, account) = late.notes(span);
                notes.add_exception(span.clock().now(), exception, account);
            }
        });
    }

    /// The request was refused for a mistake of its client's: `error.type` without status Error.
    pub(crate) fn refuse(&self, error_type: &str) {
        if let Some(measured) = self.measured() {
            measured.fail(error_type);
        }
        self.write(|_, late| {
            let error_type = shortened(error_type, MAX_NAME).into();
            late.response.failure.get_or_insert(Failure { error_type, message: None });
        });
    }

    /// Adds what is known of the invocation. A guest may work on after the end, and what that costs is no loss.
    pub(crate) fn phases(&self, phases: Phases) {
        if let Some(host) = self.metrics().filter(|_| phases.reused == Some(true)) {
            host.reused();
        }
        if let Some(span) = self.recording() {
            span.late().response.phases.add(phases);
        }
    }

    /// Ends the span, `body_bytes_sent` of the response's body having been sent; only the first call counts.
    pub(crate) fn end(&self, body_bytes_sent: u64) {
        let ended = self.recording().and_then(|span| {
            let mut late = span.late();
            (!late.ended).then(|| span.end(&mut late, body_bytes_sent))
        });
        if let Some(measured) = self.measured() {
            measured.end(body_bytes_sent, ended, self.exported_context());
        }
    }

    /// The spans under this one; `None` where none are recorded.
    pub(super) fn children(&self) -> Option<&Arc<Children>> {
        self.recording().map(Recording::children)
    }

    /// The spans under this one, if there has been any.
    pub(super) fn known_children(&self) -> Option<&Arc<Children>> {
        self.recording().and_then(Recording::known_children)
    }

    /// When it started, if it is recorded.
    pub(super) fn started(&self) -> Option<Instant> {
        self.recording().map(|span| span.clock().instant())
    }

    fn recording(&self) -> Option<&Recording> {
        match &self.0 {
            State::Recording(span) => Some(span),
            _ => None,
        }
    }

    fn write(&self, write: impl FnOnce(&Recording, &mut Late)) {
        if let Some(span) = self.recording() {
            let mut late = span.late();
            if late.ended {
                Counters::add(&span.counters().late_writes, 1u32);
            } else {
                write(span, &mut late);
            }
        }
    }
}
