//! A guest's own span, as guest and host hold it.

use super::child::{Child, Facts};
use super::children::Start;
use super::context::{Linked, SpanContext};
use super::encode::Kind;
use super::id::SpanId;
use super::notes::{Account, Notes};
use super::response;
use super::server_span::ServerSpan;
use super::value::{Exception, Status, Value};
use std::sync::Arc;

/// Handle on a span under a server span; cheap to clone. Everything is a no-op when nothing is recorded, and a counted
/// one once the span has ended.
#[derive(Clone)]
pub(crate) enum ChildSpan {
    /// Telemetry is off, or there is no request.
    Off,
    /// The request is not recorded, or has too many spans: what comes under this span is put under this context.
    Unrecorded(SpanContext),
    /// It is recorded.
    Recording(Recorded),
}

/// A span that is recorded.
#[derive(Clone)]
pub(crate) struct Recorded(pub(super) Arc<Child>);

impl std::fmt::Debug for ChildSpan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.context() {
            Some(context) => write!(f, "ChildSpan({})", context.traceparent()),
            None => f.write_str("ChildSpan(off)"),
        }
    }
}

/// How a guest wants its span.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) kind: Option<Kind>,
    /// Unix time in nanoseconds; now when `None`.
    pub(crate) start: Option<u64>,
    /// The parent is in another process.
    pub(crate) parent_is_remote: bool,
    /// Its id where the guest chose it.
    pub(crate) id: Option<SpanId>,
    pub(crate) attributes: Vec<(String, Value)>,
    pub(crate) links: Vec<(Linked, Vec<(String, Value)>)>,
}

impl ServerSpan {
    /// Starts a span of the guest's own under `parent`, the server span when `None`.
    pub(crate) fn child(&self, parent: Option<&SpanContext>, name: &str, options: Options) -> ChildSpan {
        let Some(server) = self.known_context() else {
            return ChildSpan::Off;
        };
        let parent = parent.unwrap_or(server);
        let Some(children) = self.children() else {
            return ChildSpan::Unrecorded(SpanContext {
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
        let Some(child) = children.start(start) else {
            // Whatever the guest hangs under it is put under the nearest span that a backend gets to see.
            return ChildSpan::Unrecorded(SpanContext { flags: server.flags, ..parent.clone() });
        };
        let span = ChildSpan::Recording(Recorded(child));
        for (key, value) in options.attributes {
            span.set_attribute(&key, value);
        }
        for (to, attributes) in options.links {
            span.add_link(to, attributes);
        }
        span
    }

    /// Whether `context` is this span's, or that of a span under it.
    pub(crate) fn owns(&self, context: &SpanContext) -> bool {
        let is_own = self
            .known_context()
            .is_some_and(|own| (own.trace_id, own.span_id) == (context.trace_id, context.span_id));
        is_own
            || self.known_children().is_some_and(|children| children.knows(context.trace_id, context.span_id))
    }

    /// Whether a span under this one is still open.
    pub(crate) fn has_open_children(&self) -> bool {
        self.known_children().is_some_and(|children| children.has_open())
    }

    /// Ends the spans under this one that are still open, marked as incomplete.
    pub(crate) fn close_children(&self) {
        if let Some(children) = self.known_children() {
            children.close(false);
        }
    }
}

impl ChildSpan {
    /// Whether what is written to the span is recorded, and may be exported.
    pub(crate) fn is_recording(&self) -> bool {
        self.record().is_some_and(Child::is_open)
    }

    /// The same for a caller that is about to write, and would convert what it writes for nothing: a write after the
    /// end of the span is counted here.
    pub(crate) fn takes_writes(&self) -> bool {
        self.record().is_some_and(Child::takes_writes)
    }

    /// What identifies the span to others; also after its end.
    pub(crate) fn context(&self) -> Option<SpanContext> {
        match self {
            ChildSpan::Off => None,
            ChildSpan::Unrecorded(context) => Some(context.clone()),
            ChildSpan::Recording(span) => Some(span.0.context().clone()),
        }
    }

    /// Sets an attribute; the last value of a key wins. A `pounce.` key is dropped.
    pub(crate) fn set_attribute(&self, key: &str, value: Value) {
        self.note(|notes, account| {
            if response::is_reserved(key) {
                notes.refuse_attribute(account.counters);
            } else {
                notes.set_attribute(key, value, account);
            }
        });
    }

    /// Adds an event that happened at `time`, in nanoseconds of Unix time; now when `None`.
    pub(crate) fn add_event(&self, name: &str, attributes: Vec<(String, Value)>, time: Option<u64>) {
        if let Some(span) = self.record() {
            let time = time.unwrap_or_else(|| span.now());
            span.note(|notes, account| notes.add_event(time, name, attributes, account));
        }
    }

    /// Adds an `exception` event; does not touch the status.
    pub(crate) fn record_exception(&self, exception: Exception) {
        if let Some(span) = self.record() {
            let now = span.now();
            span.note(|notes, account| notes.add_exception(now, exception, account));
        }
    }

    /// Adds a link to another span.
    pub(crate) fn add_link(&self, to: impl Into<Linked>, attributes: Vec<(String, Value)>) {
        self.note(|notes, account| notes.add_link(to.into(), attributes, account));
    }

    /// Sets the status. As in the specification, `Ok` is final and `Unset` is ignored.
    pub(crate) fn set_status(&self, status: Status) {
        self.note(|notes, _| notes.set_status(status));
    }

    /// Renames the span.
    pub(crate) fn update_name(&self, name: &str) {
        self.note(|notes, account| notes.rename(name, account.counters));
    }

    /// Ends the span at `time`, in nanoseconds of Unix time; now when `None`. Only the first end counts.
    pub(crate) fn end(&self, time: Option<u64>) {
        if let Some(span) = self.record() {
            span.end(time);
        }
    }

    fn note(&self, write: impl FnOnce(&mut Notes, Account<'_>)) {
        if let Some(span) = self.record() {
            span.note(write);
        }
    }

    fn record(&self) -> Option<&Child> {
        match self {
            ChildSpan::Recording(span) => Some(&span.0),
            _ => None,
        }
    }
}
