//! The resource `span`: a guest's handle on its request's span, or on one of its own.

use wasmtime::component::Resource;

use super::{Host, convert, invalid};
use crate::host::MAX_SPANS;
use crate::host::bindings::types;
use crate::host::current::Current;
use crate::host::scope::Trace;
use crate::telemetry::{ChildSpan, ServerSpan, SpanContext, Status, Value};

/// A handle. It keeps naming the same span across awaits and tasks.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct GuestSpan {
    /// None where there was no request when the guest asked.
    trace: Option<Trace>,
    /// None for the server span.
    child: Option<ChildSpan>,
    /// The span ends with the handle.
    owned: bool,
}

/// What stands for a span that no handle could be made of: the store has too many. Nothing is recorded through it.
static NONE: GuestSpan = GuestSpan { trace: None, child: None, owned: false };

/// The number of a handle that does nothing, which no table gives out.
const NO_HANDLE: u32 = u32::MAX;

/// A handle that does nothing, counted: the guest keeps a place for it, as for any other.
pub(super) fn nothing<T: 'static>(host: &mut Host<'_>) -> Resource<T> {
    host.data_mut().empty_handles += 1;
    Resource::new_own(NO_HANDLE)
}

/// Counts such a handle no more, if it is one.
pub(super) fn forget_nothing<T: 'static>(host: &mut Host<'_>, handle: &Resource<T>) {
    if handle.rep() == NO_HANDLE {
        let state = host.data_mut();
        state.empty_handles = state.empty_handles.saturating_sub(1);
    }
}

/// A handle for the guest. A store with too many gets one that does nothing, and a count: a trap would cost the
/// request, and a full table every other resource.
pub(super) fn give(host: &mut Host<'_>, span: GuestSpan) -> Resource<GuestSpan> {
    let state = host.data_mut();
    if state.spans < MAX_SPANS
        && let Ok(given) = state.table.push(span)
    {
        state.spans += 1;
        return given;
    }
    invalid(host);
    nothing(host)
}

/// Takes a handle back; none where it does nothing, which is in no table.
pub(super) fn take(host: &mut Host<'_>, handle: Resource<GuestSpan>) -> Option<GuestSpan> {
    forget_nothing(host, &handle);
    let state = host.data_mut();
    let span = state.table.delete(handle).ok()?;
    state.spans -= 1;
    Some(span)
}

/// The span that a handle names.
pub(super) fn named<'a>(host: &'a mut Host<'_>, handle: &Resource<GuestSpan>) -> &'a GuestSpan {
    host.data_mut().table.get(handle).unwrap_or(&NONE)
}

impl GuestSpan {
    /// A handle on the innermost entered span.
    pub(super) fn of(current: Option<Current>) -> Self {
        match current {
            Some(Current { trace, span }) => Self { trace: Some(trace), child: span, owned: false },
            None => Self { trace: None, child: None, owned: false },
        }
    }

    /// The handle that a new span ends with.
    pub(super) fn new(trace: Option<Trace>, child: ChildSpan) -> Self {
        Self { trace, child: Some(child), owned: true }
    }

    pub(super) fn trace(&self) -> Option<&Trace> {
        self.trace.as_ref()
    }

    pub(super) fn child(&self) -> Option<&ChildSpan> {
        self.child.as_ref()
    }

    /// The context of the span; none while telemetry is off.
    pub(super) fn context(&self) -> Option<SpanContext> {
        match &self.child {
            Some(child) => child.context(),
            None => self.trace.as_ref()?.span.context(),
        }
    }

    /// What a call on the handle is about.
    pub(super) fn target(&self) -> Target<'_> {
        static OFF: ServerSpan = ServerSpan::off();
        match &self.child {
            Some(child) => Target::Child(child),
            None => Target::Server(self.trace.as_ref().map_or(&OFF, |trace| &trace.span)),
        }
    }

    /// Ends a guest's own span; the host ends the server span.
    pub(super) fn end(&self, time: Option<u64>) {
        if let Some(child) = &self.child {
            child.end(time);
        }
    }

    /// The guest drops its handle.
    pub(super) fn dropped(&self) {
        if self.owned {
            self.end(None);
        }
    }
}

/// The span that a call is about, by a handle or by the request alone.
#[derive(Clone, Copy)]
pub(super) enum Target<'a> {
    Server(&'a ServerSpan),
    Child(&'a ChildSpan),
}

impl Target<'_> {
    pub(super) fn is_recording(self) -> bool {
        match self {
            Self::Child(child) => child.is_recording(),
            Self::Server(span) => span.is_recording(),
        }
    }

    /// Whether a write is recorded; one that comes too late is counted.
    pub(super) fn takes_writes(self) -> bool {
        match self {
            Self::Child(child) => child.takes_writes(),
            Self::Server(span) => span.takes_writes(),
        }
    }

    pub(super) fn set_attribute(self, key: &str, value: Value) {
        match self {
            Self::Child(child) => child.set_attribute(key, value),
            Self::Server(span) => span.set_attribute(key, value),
        }
    }

    pub(super) fn set_attributes(self, list: Vec<types::Attribute>) {
        let takes_writes = self.takes_writes();
        for attribute in list {
            match (takes_writes, self, attribute.value) {
                (true, _, value) => self.set_attribute(&attribute.key, value.into()),
                // Metrics tell the same of a request whether or not it is sampled.
                (false, Self::Server(span), types::Value::Text(text)) => {
                    span.measure_attribute(&attribute.key, &text);
                }
                (false, ..) => {}
            }
        }
    }

    pub(super) fn add_event(self, name: &str, list: Vec<types::Attribute>, time: Option<u64>) {
        if self.takes_writes() {
            let attributes = convert::attributes(list);
            match self {
                Self::Child(child) => child.add_event(name, attributes, time),
                Self::Server(span) => span.add_event(name, attributes, time),
            }
        }
    }

    pub(super) fn add_link(self, context: SpanContext, list: Vec<types::Attribute>) {
        if self.takes_writes() {
            let attributes = convert::attributes(list);
            match self {
                Self::Child(child) => child.add_link(context, attributes),
                Self::Server(span) => span.add_link(context, attributes),
            }
        }
    }

    /// The event, and the error status with the exception's message.
    pub(super) fn record_exception(self, error: types::Exception) {
        if self.takes_writes() {
            let message = error.message.clone();
            match self {
                Self::Child(child) => child.record_exception(error.into()),
                Self::Server(span) => span.record_exception(error.into()),
            }
            self.set_status(Status::Error(message));
        }
    }

    pub(super) fn set_status(self, status: Status) {
        match self {
            Self::Child(child) => child.set_status(status),
            Self::Server(span) => span.set_status(status),
        }
    }

    pub(super) fn update_name(self, name: &str) {
        match self {
            Self::Child(child) => child.update_name(name),
            Self::Server(span) => span.update_name(name),
        }
    }
}
