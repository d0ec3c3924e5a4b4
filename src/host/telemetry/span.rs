//! The resource `span`: a guest's handle on its request's span, or on one of its own.

use wasmtime::component::Resource;

use super::{Host, convert, invalid};
use crate::host::MAX_SPANS;
use crate::host::bindings::types;
use crate::host::current::Current;
use crate::host::scope::Trace;
use pounce_telemetry::{Span, SpanContext, Status};

/// A handle. It keeps naming the same span across awaits and tasks.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct GuestSpan {
    /// None where there was no request when the guest asked.
    trace: Option<Trace>,
    /// None for the server span.
    child: Option<Span>,
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
    pub(super) fn new(trace: Option<Trace>, child: Span) -> Self {
        Self { trace, child: Some(child), owned: true }
    }

    pub(super) fn trace(&self) -> Option<&Trace> {
        self.trace.as_ref()
    }

    pub(super) fn child(&self) -> Option<&Span> {
        self.child.as_ref()
    }

    /// The context of the span; none while telemetry is off.
    pub(super) fn context(&self) -> Option<SpanContext> {
        self.span().context()
    }

    /// The span that the handle is on: the guest's own, or that of its request.
    pub(super) fn span(&self) -> &Span {
        static OFF: Span = Span::off();
        match (&self.child, &self.trace) {
            (Some(child), _) => child,
            (None, Some(trace)) => &trace.span,
            (None, None) => &OFF,
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

/// Sets attributes, of which those that nobody would record are not converted.
pub(super) fn set_attributes(span: &Span, list: Vec<types::Attribute>) {
    let takes_writes = span.takes_writes();
    for attribute in list {
        if takes_writes || span.is_fact(&attribute.key) {
            span.set_attribute(&attribute.key, attribute.value.into());
        }
    }
}

/// Adds an event.
pub(super) fn add_event(span: &Span, name: &str, list: Vec<types::Attribute>, time: Option<u64>) {
    if span.takes_writes() {
        span.add_event(name, convert::attributes(list), time);
    }
}

/// Adds a link.
pub(super) fn add_link(span: &Span, context: SpanContext, list: Vec<types::Attribute>) {
    if span.takes_writes() {
        span.add_link(context, convert::attributes(list));
    }
}

/// Adds the event, and sets the error status with the exception's message.
pub(super) fn record_exception(span: &Span, error: types::Exception) {
    if span.takes_writes() {
        let message = error.message.clone();
        span.record_exception(error.into());
        span.set_status(Status::Error(message));
    }
}
