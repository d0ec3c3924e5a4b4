//! A span as guest and host hold it: the request's own, or one under it. One interface for both.

use super::annotations::{Account, Annotations};
use super::child::Child;
use crate::context::{Linked, SpanContext};
use crate::request::record::Record;
use crate::value::{Exception, Status, Value};
use std::sync::Arc;

/// Handle on a span; cheap to clone. Everything is a no-op when nothing is recorded, and a counted one once the span has
/// ended.
#[derive(Clone, Default)]
pub struct Span(pub(crate) Node);

/// What a handle is on.
#[derive(Clone, Default)]
pub(crate) enum Node {
    /// Telemetry is off, or there is no request.
    #[default]
    Off,
    /// The request has no readers, or too many spans: what comes under this span is put under this context.
    Unrecorded(SpanContext),
    /// The span of a request, sampled or not.
    Server(Arc<Record>),
    /// A span under it, which is recorded.
    Child(Arc<Child>),
}

impl std::fmt::Debug for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.known_context() {
            Some(context) => write!(f, "Span({})", context.traceparent()),
            None => f.write_str("Span(off)"),
        }
    }
}

impl Span {
    /// A span that is not recorded and has no ids.
    pub const fn off() -> Self {
        Span(Node::Off)
    }

    /// A span that is not recorded; what comes under it is put under `context`.
    pub const fn unrecorded(context: SpanContext) -> Self {
        Span(Node::Unrecorded(context))
    }

    /// Whether what is written to the span is recorded, and may be exported.
    pub fn is_recording(&self) -> bool {
        match &self.0 {
            Node::Server(record) => record.is_recording(),
            Node::Child(child) => child.is_open(),
            Node::Off | Node::Unrecorded(_) => false,
        }
    }

    /// Whether a write would be recorded, for callers that would convert what they write for nothing. A write that would
    /// come after the span's end is counted here.
    pub fn takes_writes(&self) -> bool {
        let is_recording = self.is_recording();
        match &self.0 {
            Node::Server(record) if !is_recording => record.count_late_write(),
            Node::Child(child) if !is_recording => child.count_late_write(),
            _ => {}
        }
        is_recording
    }

    /// Whether an attribute is a fact of the request that metrics and access log tell, although its span is not recorded.
    pub fn is_fact(&self, key: &str) -> bool {
        matches!(&self.0, Node::Server(record) if !record.is_recorded() && Record::is_fact(key))
    }

    /// What identifies the span to others; also after its end.
    pub fn context(&self) -> Option<SpanContext> {
        self.known_context().cloned()
    }

    pub(crate) fn known_context(&self) -> Option<&SpanContext> {
        match &self.0 {
            Node::Off => None,
            Node::Unrecorded(context) => Some(context),
            Node::Server(record) => record.context(),
            Node::Child(child) => Some(child.context()),
        }
    }

    /// Sets an attribute; the last value of a key wins. `http.route` and `error.type` of the request's span are facts of
    /// the request. A `pounce.` key is dropped.
    pub fn set_attribute(&self, key: &str, value: Value) {
        match &self.0 {
            Node::Server(record) => record.set_attribute(key, value),
            _ => self.annotate(|annotations, account| annotations.set_attribute(key, value, account)),
        }
    }

    /// Adds an event that happened at `time`, in nanoseconds of Unix time; now when `None`.
    pub fn add_event(&self, name: &str, attributes: Vec<(String, Value)>, time: Option<u64>) {
        let time = time.unwrap_or_else(|| self.now());
        self.annotate(|annotations, account| annotations.add_event(time, name, attributes, account));
    }

    /// Adds an `exception` event; does not touch the status.
    pub fn record_exception(&self, exception: Exception) {
        let now = self.now();
        self.annotate(|annotations, account| annotations.add_exception(now, exception, account));
    }

    /// Adds a link to another span.
    pub fn add_link(&self, to: impl Into<Linked>, attributes: Vec<(String, Value)>) {
        self.annotate(|annotations, account| annotations.add_link(to.into(), attributes, account));
    }

    /// Sets the status on behalf of the guest. As in the specification, `Ok` is final and `Unset` is ignored.
    pub fn set_status(&self, status: Status) {
        self.annotate(|annotations, _| annotations.set_status(status));
    }

    /// Renames the span.
    pub fn update_name(&self, name: &str) {
        self.annotate(|annotations, account| annotations.rename(name, account.left_out));
    }

    /// Ends a guest's own span at `time`, in nanoseconds of Unix time; now when `None`. Only the first end counts. The
    /// request's span is ended by the server.
    pub fn end(&self, time: Option<u64>) {
        if let Node::Child(child) = &self.0 {
            child.end(time);
        }
    }

    fn annotate(&self, write: impl FnOnce(&mut Annotations, Account<'_>)) {
        match &self.0 {
            Node::Server(record) => record.annotate(write),
            Node::Child(child) => child.annotate(write),
            Node::Off | Node::Unrecorded(_) => {}
        }
    }

    /// Now, in nanoseconds of Unix time; 0 where nothing is recorded.
    fn now(&self) -> u64 {
        match &self.0 {
            Node::Server(record) if record.is_recorded() => record.clock().now(),
            Node::Child(child) => child.now(),
            _ => 0,
        }
    }
}
