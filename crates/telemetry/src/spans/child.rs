//! The record of one span under a server span: a guest's own, or of an outgoing request.

use super::annotations::{Account, Annotations};
use super::call::Call;
use crate::context::{SpanContext, TraceState};
use crate::counters::{LATE_WRITE, LeftOut};
use crate::limits::MAX_SPAN;
use crate::request::record::Record;
use crate::request::spans::Spans;
use crate::scope::Scope;
use crate::semconv;
use pounce_otlp::id::{SpanId, TraceId};
use pounce_otlp::wire::{Borrowed, Code, Head, Kind, SpanWriter};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How long before its request a guest may say that a span began, in nanoseconds: clocks differ.
pub(super) const START_BEFORE: u64 = 1_000_000_000;

/// A span under a server span, being recorded.
pub(crate) struct Child {
    /// The request that it is of.
    request: Arc<Record>,
    context: SpanContext,
    /// None for the root of a trace.
    parent: Option<SpanId>,
    parent_is_remote: bool,
    kind: Kind,
    start_unix_nanos: u64,
    state: Mutex<State>,
}

/// What the host knows of a span that guests cannot say.
pub(crate) enum Facts {
    /// A guest's own span: nothing.
    None,
    /// An outgoing request.
    Call(Box<Call>),
}

/// What may change until the span's end.
struct State {
    ended: bool,
    name: Box<str>,
    annotations: Annotations,
    facts: Facts,
    /// Bytes left for its annotations, as long as all spans of the request have as many.
    room: usize,
}

/// What a span has from its start.
pub(crate) struct Start<'a> {
    pub(crate) trace_id: TraceId,
    pub(crate) trace_state: TraceState,
    /// None for the root of a trace.
    pub(crate) parent: Option<SpanId>,
    pub(crate) parent_is_remote: bool,
    /// Its id where the guest chose it.
    pub(crate) id: Option<SpanId>,
    pub(crate) kind: Kind,
    pub(crate) name: &'a str,
    /// Unix time in nanoseconds; now when `None`.
    pub(crate) time: Option<u64>,
    pub(crate) facts: Facts,
}

impl Child {
    pub(super) fn new(request: Arc<Record>, context: SpanContext, name: &str, start: Start<'_>) -> Self {
        let clock = request.clock();
        let (first, now) = (clock.started().saturating_sub(START_BEFORE), clock.now());
        let state = State {
            ended: false,
            name: name.into(),
            annotations: Annotations::default(),
            facts: start.facts,
            room: MAX_SPAN,
        };
        Child {
            request,
            context,
            parent: start.parent,
            parent_is_remote: start.parent_is_remote,
            kind: start.kind,
            start_unix_nanos: start.time.map_or(now, |time| time.clamp(first, now)),
            state: Mutex::new(state),
        }
    }

    pub(super) fn context(&self) -> &SpanContext {
        &self.context
    }

    pub(super) fn is_open(&self) -> bool {
        !self.state().ended
    }

    /// Whether it is of an outgoing request.
    pub(super) fn is_call(&self) -> bool {
        matches!(self.state().facts, Facts::Call(_))
    }

    /// Now, in nanoseconds of Unix time.
    pub(super) fn now(&self) -> u64 {
        self.request.clock().now()
    }

    /// Counts a write that came after the end.
    pub(super) fn count_late_write(&self) {
        self.request.count(LATE_WRITE);
    }

    /// Adds what a guest says; counted once the span has ended.
    pub(super) fn annotate(&self, write: impl FnOnce(&mut Annotations, Account<'_>)) {
        let mut left_out = LeftOut::default();
        let mut state = self.state();
        match (state.ended, self.request.spans(), self.request.family.get()) {
            (true, ..) => left_out = LATE_WRITE,
            (false, Some(Spans { limits, .. }), Some(family)) => {
                let State { annotations, room: own, .. } = &mut *state;
                family.charge(|all| {
                    let before = (*own).min(*all);
                    let mut room = before;
                    write(annotations, Account { limits, room: &mut room, left_out: &mut left_out });
                    // What an annotation replaces is given back.
                    *own = *own + room - before;
                    *all = *all + room - before;
                });
            }
            _ => {}
        }
        drop(state);
        self.request.count(left_out);
    }

    /// Adds what the host has seen.
    pub(super) fn observe(&self, see: impl FnOnce(&mut Facts)) {
        see(&mut self.state().facts);
    }

    /// Ends the span at `time`, in nanoseconds of Unix time; now when `None`. Only the first end counts.
    pub(super) fn end(&self, time: Option<u64>) {
        let now = self.now();
        let end = time.map_or(now, |time| time.clamp(self.start_unix_nanos.min(now), now));
        self.finish(end, true);
    }

    /// Ends a span that its guest left open.
    pub(super) fn abandon(&self) {
        self.finish(self.now(), false);
    }

    fn finish(&self, end_unix_nanos: u64, complete: bool) {
        let mut state = self.state();
        if state.ended {
            return;
        }
        state.ended = true;
        let incomplete = !complete && matches!(state.facts, Facts::None);
        let Some(spans) = self.request.spans() else { return };
        let scope = Scope::of(&state.annotations.attributes.list);
        let has_scope = scope.is_some();
        let encode =
            |out: &mut Vec<u8>| self.encode(out, &state, spans, end_unix_nanos, incomplete, has_scope);
        self.request.push(|out| match &scope {
            None => encode(out),
            Some(scope) => scope.wrap(out, encode),
        });
        state.annotations = Annotations::default();
    }

    fn encode(
        &self,
        out: &mut Vec<u8>,
        state: &State,
        spans: &Spans,
        end_unix_nanos: u64,
        incomplete: bool,
        has_scope: bool,
    ) {
        let mut span = SpanWriter::start(
            out,
            &Head {
                context: self.context.wire(),
                parent: self.parent,
                parent_is_remote: self.parent_is_remote,
                kind: self.kind,
                start_unix_nanos: self.start_unix_nanos,
                // One nanosecond at least: backends take a length of zero for a negative one, and mark the span.
                end_unix_nanos: end_unix_nanos.max(self.start_unix_nanos.saturating_add(1)),
            },
        );
        let State { annotations, name, facts, .. } = state;
        let shared = self.request.shared();
        span.name([annotations.name.as_deref().unwrap_or(name), "", ""]);
        let of_guest = annotations.status();
        let of_host = match facts {
            Facts::None => None,
            Facts::Call(call) => call.write(spans.profile, spans.limits.value, &shared.methods, &mut span),
        };
        span.text(semconv::POUNCE_COMPONENT, &shared.component);
        if incomplete {
            span.attribute(semconv::POUNCE_INCOMPLETE, Borrowed::Bool(true));
        }
        for (key, value) in &annotations.attributes.list {
            if !(has_scope && Scope::tells(key)) {
                span.attribute(key, Borrowed::Any(value));
            }
        }
        // A guest's error says more than ours.
        let is_guests = matches!((facts, of_guest), (Facts::None, _) | (_, Some((Code::Error, _))));
        annotations.finish(if is_guests { of_guest } else { of_host }, span);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A span that its last holder does not end was left open.
impl Drop for Child {
    fn drop(&mut self) {
        self.abandon();
    }
}
