//! Examples of the measurements of a series that lead to traces: the last of each bucket.

use super::kind::Measurement;
use crate::clock::unix_nanos;
use crate::context::SpanContext;
use crate::settings::ExemplarFilter;
use pounce_otlp::id::{SpanId, TraceId};
use std::sync::{Mutex, PoisonError};

/// Exemplars of one point that an SDK in a guest hands over.
pub const MAX_EXEMPLARS: usize = 8;

/// When and in which span something was measured, where that is worth an exemplar.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Witness {
    pub span: Option<(TraceId, SpanId)>,
    /// Unix time in nanoseconds.
    pub time: u64,
}

impl Witness {
    /// That of a measurement in `span` at `time`, if `filter` wants it; `is_exported` is whether the span can be found.
    pub(super) fn of(
        filter: ExemplarFilter,
        span: Option<&SpanContext>,
        is_exported: bool,
        time: impl FnOnce() -> u64,
    ) -> Option<Self> {
        let is_wanted = match filter {
            ExemplarFilter::TraceBased => is_exported,
            ExemplarFilter::AlwaysOn => true,
            ExemplarFilter::AlwaysOff => false,
        };
        let span = span.map(|span| (span.trace_id, span.span_id));
        is_wanted.then(|| Witness { span, time: time() })
    }
}

/// A measurement and the span in which it was made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exemplar {
    pub witness: Witness,
    pub value: Measurement,
}

/// The exemplars of one series. Nobody waits for their locks but who reads them.
pub(super) struct Exemplars {
    filter: ExemplarFilter,
    slots: Box<[Mutex<Slot>]>,
}

#[derive(Default)]
struct Slot {
    last: Option<Exemplar>,
    /// It was read as new.
    is_told: bool,
}

impl Exemplars {
    pub(super) fn new(filter: ExemplarFilter, slots: usize) -> Self {
        let slots = if filter == ExemplarFilter::AlwaysOff { 0 } else { slots };
        Exemplars { filter, slots: (0..slots).map(|_| Mutex::default()).collect() }
    }

    /// Memory of so many.
    pub(super) fn size(slots: usize) -> usize {
        slots * size_of::<Mutex<Slot>>()
    }

    /// What a measurement in the span of `context` is worth, if anything.
    pub(super) fn witness(&self, context: Option<&SpanContext>) -> Option<Witness> {
        Witness::of(self.filter, context, context.is_some_and(SpanContext::is_sampled), unix_nanos)
    }

    /// Keeps a measurement in a slot, unless somebody else has a hand on that.
    pub(super) fn offer(&self, slot: usize, value: Measurement, witness: Witness) {
        if let Some(Ok(mut slot)) = self.slots.get(slot).map(Mutex::try_lock) {
            *slot = Slot { last: Some(Exemplar { witness, value }), is_told: false };
        }
    }

    /// The exemplars that there are; with `new`, only ones that were not read so before.
    pub(super) fn read(&self, new: bool) -> Vec<Exemplar> {
        let read = |slot: &Mutex<Slot>| {
            let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
            let was_told = slot.is_told;
            slot.is_told |= new;
            slot.last.filter(|_| !(new && was_told))
        };
        self.slots.iter().filter_map(read).collect()
    }
}
