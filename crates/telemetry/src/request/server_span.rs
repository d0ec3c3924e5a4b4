//! The span of a request as the server holds it, and with it the request's record: what the server tells of it, and how
//! it ends.

use super::outcome::{BodySize, Phases};
use super::output::OutputLine;
use super::record::Record;
use crate::context::{Linked, SpanContext};
use crate::exceptions::ExceptionLog;
use crate::metrics::host::Host;
use crate::spans::child::{Facts, Start};
use crate::spans::span::{Node, Span};
use crate::value::{Exception, Value};
use http::{HeaderMap, StatusCode};
use pounce_otlp::id::SpanId;
use pounce_otlp::wire::Kind;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// Handle on a request's record and on its SERVER span; cheap to clone. A request without readers has ids at most,
/// and no record.
#[derive(Clone, Default)]
pub struct ServerSpan(Span);

/// How a guest wants a span of its own.
#[derive(Default)]
pub struct ChildOptions {
    /// Its kind; internal when `None`.
    pub kind: Option<Kind>,
    /// Unix time in nanoseconds; now when `None`.
    pub start: Option<u64>,
    /// The parent is in another process.
    pub parent_is_remote: bool,
    /// Its id where the guest chose it.
    pub id: Option<SpanId>,
    /// Its first attributes.
    pub attributes: Vec<(String, Value)>,
    /// Its links, each with attributes.
    pub links: Vec<(Linked, Vec<(String, Value)>)>,
}

impl fmt::Debug for ServerSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server{:?}", self.0)
    }
}

/// What guests may write to it.
impl Deref for ServerSpan {
    type Target = Span;

    fn deref(&self) -> &Span {
        &self.0
    }
}

impl ServerSpan {
    /// The span of a server without telemetry.
    pub const fn off() -> Self {
        ServerSpan(Span::off())
    }

    /// The span of a request that was not sampled and has no other readers.
    pub(crate) fn unrecorded(context: SpanContext) -> Self {
        ServerSpan(Span::unrecorded(context))
    }

    pub(crate) fn of(record: Arc<Record>) -> Self {
        ServerSpan(Span(Node::Server(record)))
    }

    /// Whether telemetry is on: then there are ids, sampled or not.
    pub fn is_on(&self) -> bool {
        self.known_context().is_some()
    }

    /// The host's own metrics, where they are exported or shown.
    pub fn metrics(&self) -> Option<&Arc<Host>> {
        self.record()?.metrics()
    }

    pub(crate) fn exceptions(&self) -> Option<&Arc<ExceptionLog>> {
        self.record()?.shared().exceptions.as_ref()
    }

    /// Whether span or metrics tell what the guest costs.
    pub fn wants_costs(&self) -> bool {
        self.record().is_some_and(|record| record.is_recorded() || record.metrics().is_some())
    }

    /// Whether spans under this one are recorded, also after its end.
    pub fn is_recording_children(&self) -> bool {
        self.recorded().is_some()
    }

    /// Ids of the span where it is exported, for whatever refers others to it: sampled, or kept once it has ended.
    pub fn exported_context(&self) -> Option<&SpanContext> {
        self.record()?.exported_context()
    }

    /// Whether both are handles on one span, or both are off.
    pub fn is_same(&self, other: &Self) -> bool {
        match (&self.0.0, &other.0.0) {
            (Node::Off, Node::Off) => true,
            (Node::Unrecorded(one), Node::Unrecorded(two)) => one.span_id == two.span_id,
            (Node::Server(one), Node::Server(two)) => Arc::ptr_eq(one, two),
            _ => false,
        }
    }

    /// Sets the route of the request, and with it the span's name `{METHOD} {route}`, in place of one chosen before.
    pub fn set_route(&self, route: &str) {
        self.tell(|record| record.set_route(route));
    }

    /// The guest wrote a line for the request: kept under [`LocalReaders::output`](crate::LocalReaders).
    pub fn hear(&self, is_stderr: bool, line: &str) {
        if let Some(record) = self.record() {
            record.hear(is_stderr, line);
        }
    }

    /// The last lines that the guest wrote for the request, and how many came before; none once the request is over.
    pub fn output(&self) -> (Vec<OutputLine>, usize) {
        self.record().map(|record| record.output()).unwrap_or_default()
    }

    /// The response head was sent.
    pub fn response_head(&self, status: StatusCode, headers: &HeaderMap) {
        self.tell(|record| record.respond(status, headers));
    }

    /// Counts further bytes of the request's body.
    pub fn request_body_came(&self, bytes: u64) {
        self.tell(|record| record.receive(bytes));
    }

    /// The request's body has come whole, so many bytes of it, and its head had not announced them. That may be after the
    /// end, and is then no loss.
    pub fn request_body_size(&self, bytes: u64) {
        self.tell(|record| record.set_body_size(BodySize::Known(bytes)));
    }

    /// The request has no body.
    pub fn no_request_body(&self) {
        self.tell(|record| record.set_body_size(BodySize::NoBody));
    }

    /// The request failed on the host's side: status Error and `error.type`, of which the first stays.
    pub fn fail(&self, error_type: &str, exception: Option<Exception>) {
        self.tell(|record| record.fail(error_type, exception));
    }

    /// The guest got over an exception, or has had it after its response: an event of the span unless that has ended, and a
    /// log record where exceptions are records. It changes neither status nor `error.type`.
    pub fn survive(&self, exception: Exception) {
        self.tell(|record| record.survive(exception));
    }

    /// The request was refused for a mistake of its client's: `error.type` without status Error.
    pub fn refuse(&self, error_type: &str) {
        self.tell(|record| record.refuse(error_type));
    }

    /// A first attempt at the request ended with `error_type`, and the request is served once more: `pounce.retried`, and
    /// an event `pounce.retry`.
    pub fn retry(&self, error_type: &str) {
        self.tell(|record| record.retry(error_type));
    }

    /// Adds what is known of the invocation. A guest may work on after the end, and what that costs is no loss.
    pub fn phases(&self, phases: Phases) {
        if let Some(host) = self.metrics().filter(|_| phases.reused == Some(true)) {
            host.reused();
        }
        self.tell(|record| record.add_phases(phases));
    }

    /// Ends the request, `body_bytes_sent` of the response's body having been sent; only the first call counts.
    pub fn end(&self, body_bytes_sent: u64) {
        self.tell(|record| record.end(body_bytes_sent));
    }

    /// Starts a span of the guest's own under `parent`, the server span when `None`.
    pub fn child(&self, parent: Option<&SpanContext>, name: &str, options: ChildOptions) -> Span {
        let Some(server) = self.known_context() else {
            return Span::off();
        };
        let parent = parent.unwrap_or(server);
        let Some(record) = self.recorded() else {
            return Span::unrecorded(SpanContext {
                span_id: SpanId::random(),
                flags: server.flags,
                ..parent.clone()
            });
        };
        let start = Start {
            trace_id: parent.trace_id,
            trace_state: parent.trace_state.clone(),
            parent: Some(parent.span_id),
            parent_is_remote: options.parent_is_remote,
            id: options.id,
            kind: options.kind.unwrap_or(Kind::Internal),
            name: if name.is_empty() { "unnamed" } else { name },
            time: options.start,
            facts: Facts::None,
        };
        let Some(child) = record.start_child(start) else {
            // What the guest hangs under it is put under the nearest span that a backend gets to see.
            return Span::unrecorded(SpanContext { flags: server.flags, ..parent.clone() });
        };
        let span = Span(Node::Child(child));
        for (key, value) in options.attributes {
            span.set_attribute(&key, value);
        }
        for (to, attributes) in options.links {
            span.add_link(to, attributes);
        }
        span
    }

    /// Whether `context` is this span's, or that of a span under it.
    pub fn owns(&self, context: &SpanContext) -> bool {
        let is_own = self
            .known_context()
            .is_some_and(|own| (own.trace_id, own.span_id) == (context.trace_id, context.span_id));
        is_own || self.recorded().is_some_and(|record| record.knows_child(context.trace_id, context.span_id))
    }

    /// Whether a span under this one is still open.
    pub fn has_open_children(&self) -> bool {
        self.recorded().is_some_and(|record| record.has_open_children())
    }

    /// Ends the spans under this one that are still open, marked as incomplete.
    pub fn close_children(&self) {
        if let Some(record) = self.recorded() {
            record.close_children(false);
        }
    }

    fn tell(&self, tell: impl FnOnce(&Record)) {
        if let Some(record) = self.record() {
            tell(record);
        }
    }

    /// The record of the request, if there is one.
    fn record(&self) -> Option<&Arc<Record>> {
        match &self.0.0 {
            Node::Server(record) => Some(record),
            _ => None,
        }
    }

    /// The record of a request whose spans are recorded.
    pub(crate) fn recorded(&self) -> Option<&Arc<Record>> {
        self.record().filter(|record| record.is_recorded())
    }
}
