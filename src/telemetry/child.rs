//! The record of one span under a server span: a guest's own, or of an outgoing request.

use super::Shared;
use super::children::{Children, Start};
use super::client_span::Call;
use super::context::SpanContext;
use super::counters::Counters;
use super::encode::{Borrowed, Head, Kind, SpanWriter};
use super::id::SpanId;
use super::limits::MAX_SPAN;
use super::notes::{Account, Notes};
use super::scope::Scope;
use super::semconv;
use super::value::Status;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How long before its request a guest may say that a span began, in nanoseconds: clocks differ.
pub(super) const START_BEFORE: u64 = 1_000_000_000;

/// A span being recorded.
pub(super) struct Child {
    family: Arc<Children>,
    context: SpanContext,
    /// None for the root of a trace.
    parent: Option<SpanId>,
    parent_is_remote: bool,
    kind: Kind,
    start_unix_nanos: u64,
    late: Mutex<Late>,
}

/// What the host knows of a span that guests cannot say.
pub(super) enum Facts {
    /// A guest's own span: nothing.
    None,
    /// An outgoing request.
    Call(Box<Call>),
}

/// What may change until the end.
pub(super) struct Late {
    ended: bool,
    name: Box<str>,
    notes: Notes,
    facts: Facts,
    /// Bytes left for its notes, as long as all spans of the request have as many.
    room: usize,
}

impl Child {
    pub(super) fn new(family: Arc<Children>, context: SpanContext, name: &str, start: Start<'_>) -> Self {
        let (first, now) = (family.clock.started().saturating_sub(START_BEFORE), family.clock.now());
        let late = Late {
            ended: false,
            name: name.into(),
            notes: Notes::default(),
            facts: start.facts,
            room: MAX_SPAN,
        };
        Child {
            family,
            context,
            parent: start.parent,
            parent_is_remote: start.parent_is_remote,
            kind: start.kind,
            start_unix_nanos: start.time.map_or(now, |time| time.clamp(first, now)),
            late: Mutex::new(late),
        }
    }

    pub(super) fn context(&self) -> &SpanContext {
        &self.context
    }

    pub(super) fn is_open(&self) -> bool {
        !self.late().ended
    }

    /// Whether a write would be taken; counts one that would not.
    pub(super) fn takes_writes(&self) -> bool {
        let open = self.is_open();
        if !open {
            Counters::add(&self.family.counters().late_writes, 1u32);
        }
        open
    }

    /// Whether it is of an outgoing request.
    pub(super) fn is_call(&self) -> bool {
        matches!(self.late().facts, Facts::Call(_))
    }

    /// Now, in nanoseconds of Unix time.
    pub(super) fn now(&self) -> u64 {
        self.family.clock.now()
    }

    /// Adds what a guest says; counted once the span has ended.
    pub(super) fn note(&self, write: impl FnOnce(&mut Notes, Account<'_>)) {
        let mut late = self.late();
        let counters = self.family.counters();
        if late.ended {
            return Counters::add(&counters.late_writes, 1u32);
        }
        let Late { notes, room: own, .. } = &mut *late;
        self.family.charge(|all| {
            let before = (*own).min(*all);
            let mut room = before;
            write(notes, Account { limits: &self.family.shared.limits, room: &mut room, counters });
            // What a note replaces is given back.
            *own = *own + room - before;
            *all = *all + room - before;
        });
    }

    /// Adds what the host has seen.
    pub(super) fn observe(&self, see: impl FnOnce(&mut Facts)) {
        see(&mut self.late().facts);
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
        let mut late = self.late();
        if late.ended {
            return;
        }
        late.ended = true;
        let incomplete = !complete && matches!(late.facts, Facts::None);
        let family = &self.family;
        let scope = Scope::of(&late.notes.attributes.list);
        let encode = |out: &mut Vec<u8>| self.encode(out, &late, end_unix_nanos, incomplete, scope.is_some());
        family.push(|out| match &scope {
            None => encode(out),
            Some(scope) => scope.wrap(out, encode),
        });
        late.notes = Notes::default();
    }

    fn encode(&self, out: &mut Vec<u8>, late: &Late, end_unix_nanos: u64, incomplete: bool, has_scope: bool) {
        let mut span = SpanWriter::start(
            out,
            &Head {
                context: &self.context,
                parent: self.parent,
                parent_is_remote: self.parent_is_remote,
                kind: self.kind,
                start_unix_nanos: self.start_unix_nanos,
                // One nanosecond at least: backends take a length of zero for a negative one, and mark the span.
                end_unix_nanos: end_unix_nanos.max(self.start_unix_nanos.saturating_add(1)),
            },
        );
        let notes = &late.notes;
        span.name([notes.name.as_deref().unwrap_or(&late.name), "", ""]);
        let status = match &late.facts {
            Facts::None => notes.status.clone(),
            Facts::Call(call) => {
                let Shared { profile, limits, methods, .. } = &*self.family.shared;
                call.write(*profile, limits.value, methods, &mut span)
            }
        };
        span.text(semconv::POUNCE_COMPONENT, &self.family.shared.component);
        if incomplete {
            span.attribute(semconv::POUNCE_INCOMPLETE, Borrowed::Bool(true));
        }
        for (key, value) in &notes.attributes.list {
            if !(has_scope && Scope::tells(key)) {
                span.attribute(key, Borrowed::Any(value));
            }
        }
        // A guest's error says more than ours.
        let status = if matches!(notes.status, Status::Error(_)) { &notes.status } else { &status };
        notes.finish(status, span);
    }

    fn late(&self) -> MutexGuard<'_, Late> {
        self.late.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever holds a span last and does not end it left it open.
impl Drop for Child {
    fn drop(&mut self) {
        self.abandon();
    }
}
