//! Spans of requests that were not sampled, held back until the request's end says whether they are exported after all
//! (`otel.keep-errors`, `otel.keep-slow`).
//!
//! Bounded for each request and for all of them together. What is thrown away is no loss: nobody had asked for it, and
//! what was counted on the way is forgotten with it.

use super::counters::Counters;
use super::pipeline::Pipeline;
use crate::config;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Bytes of encoded spans that one request may hold back; there are no more of them than it may have spans.
const MAX_HELD: usize = 2 * 1024 * 1024;
/// Bytes that all requests together may.
const MAX_HELD_IN_ALL: usize = 32 * 1024 * 1024;
/// Bytes that a span takes beside its own.
const PER_SPAN: usize = size_of::<usize>();

/// When a request is exported although it was not sampled.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct KeepRules {
    errors: bool,
    slow: Option<Duration>,
}

/// Why a request is exported although it was not sampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    Error,
    Slow,
}

impl KeepRules {
    /// Those of the settings.
    pub(super) fn new(otel: &config::Otel) -> Self {
        KeepRules { errors: otel.keep_errors, slow: otel.keep_slow.0 }
    }

    /// Whether any request could be kept by them.
    pub(super) fn are_any(self) -> bool {
        self.errors || self.slow.is_some()
    }

    /// Why a request is kept that took `nanos`, if it is.
    pub(super) fn reason(self, has_failed: bool, nanos: u64) -> Option<Reason> {
        let is_slow = || self.slow.is_some_and(|slow| Duration::from_nanos(nanos) > slow);
        if self.errors && has_failed { Some(Reason::Error) } else { is_slow().then_some(Reason::Slow) }
    }
}

impl Reason {
    /// As `pounce.sampling.reason` has it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Reason::Error => "error",
            Reason::Slow => "slow",
        }
    }
}

/// Bytes that all requests hold back.
#[derive(Debug)]
pub(super) struct Room {
    used: AtomicUsize,
    max: usize,
}

impl Default for Room {
    fn default() -> Self {
        Room { used: AtomicUsize::new(0), max: MAX_HELD_IN_ALL }
    }
}

impl Room {
    fn take(&self, bytes: usize) -> bool {
        let fits = self.used.fetch_add(bytes, Relaxed) + bytes <= self.max;
        if !fits {
            self.give(bytes);
        }
        fits
    }

    fn give(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Relaxed);
    }
}

/// Where the spans of one request go when they end.
#[derive(Clone)]
pub(super) enum Outlet {
    /// The request was sampled: straight into the pipeline.
    Pipeline,
    /// It was not, and its end decides.
    Held(Arc<Held>),
}

/// The spans of one request that have ended before it.
pub(super) struct Held {
    pipeline: Arc<Pipeline>,
    room: Arc<Room>,
    /// What was dropped of the request's spans, until somebody is to know.
    counters: Counters,
    state: Mutex<State>,
}

enum State {
    Waiting(Waiting),
    Exported,
    Thrown,
}

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    /// Where each span ends.
    ends: Vec<usize>,
    /// Spans that had no room.
    lost: u64,
}

impl Waiting {
    fn len(&self) -> usize {
        self.ends.last().copied().unwrap_or_default()
    }

    /// What it takes of the room.
    fn size(&self) -> usize {
        self.len() + self.ends.len() * PER_SPAN
    }

    fn push(&mut self, room: &Room, encode: impl Fn(&mut Vec<u8>)) {
        let before = self.len();
        // What is beyond is of a span whose encoding panicked.
        self.bytes.truncate(before);
        encode(&mut self.bytes);
        let size = self.bytes.len() - before + PER_SPAN;
        if self.size() + size <= MAX_HELD && room.take(size) {
            self.ends.push(self.bytes.len());
        } else {
            self.bytes.truncate(before);
            self.bytes.shrink_to(MAX_HELD);
            self.lost += 1;
        }
    }

    fn spans(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.bytes[start..*end])
    }
}

impl Outlet {
    /// For the spans of a request that was not sampled.
    pub(super) fn held(pipeline: &Arc<Pipeline>, room: &Arc<Room>) -> Self {
        Outlet::Held(Arc::new(Held {
            pipeline: Arc::clone(pipeline),
            room: Arc::clone(room),
            counters: Counters::default(),
            state: Mutex::new(State::Waiting(Waiting::default())),
        }))
    }

    /// Takes in a span that `encode` writes, on its way into `pipeline`; it may be called twice.
    pub(super) fn push(&self, pipeline: &Pipeline, encode: impl Fn(&mut Vec<u8>)) {
        match self {
            Outlet::Pipeline => pipeline.push(encode),
            Outlet::Held(held) => held.push(encode),
        }
    }

    /// Where what is dropped of the request's spans is counted.
    pub(super) fn counters<'a>(&'a self, pipeline: &'a Pipeline) -> &'a Counters {
        match self {
            Outlet::Held(held) if !held.is_exported() => &held.counters,
            _ => &pipeline.counters,
        }
    }

    /// Whether its spans are exported, as far as that is decided.
    pub(super) fn is_exported(&self) -> bool {
        match self {
            Outlet::Pipeline => true,
            Outlet::Held(held) => held.is_exported(),
        }
    }
}

impl Held {
    fn push(&self, encode: impl Fn(&mut Vec<u8>)) {
        match &mut *self.state() {
            State::Waiting(waiting) => return waiting.push(&self.room, encode),
            State::Thrown => return,
            State::Exported => {}
        }
        self.pipeline.push(encode);
    }

    /// Exports what was held back and what comes later, or throws both away. Only the first call counts.
    pub(super) fn settle(&self, is_kept: bool) {
        let waiting = {
            let mut state = self.state();
            let State::Waiting(waiting) = &mut *state else { return };
            let waiting = std::mem::take(waiting);
            *state = if is_kept { State::Exported } else { State::Thrown };
            waiting
        };
        if is_kept {
            let counters = &self.pipeline.counters;
            counters.take_over(&self.counters);
            Counters::add(&counters.held_full, waiting.lost);
            waiting.spans().for_each(|span| self.pipeline.push(|out| out.extend_from_slice(span)));
        }
        self.room.give(waiting.size());
    }

    fn is_exported(&self) -> bool {
        matches!(*self.state(), State::Exported)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Counted by somebody who had looked for the place before the decision.
        if self.is_exported() {
            self.pipeline.counters.take_over(&self.counters);
        }
        // A request ends before it is let go of; should one not, its room is given back all the same.
        self.settle(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(max: usize) -> (Arc<Pipeline>, Arc<Room>, Arc<Held>) {
        let pipeline = Arc::new(Pipeline::new(4096, 512));
        let room = Arc::new(Room { used: AtomicUsize::new(0), max });
        let Outlet::Held(held) = Outlet::held(&pipeline, &room) else { unreachable!() };
        (pipeline, room, held)
    }

    fn push(held: &Held, bytes: usize) {
        held.push(|out| out.extend(std::iter::repeat_n(7, bytes)));
    }

    fn exported(pipeline: &Pipeline) -> (u32, usize) {
        let chunks = pipeline.drain(false);
        (chunks.iter().map(|chunk| chunk.spans).sum(), chunks.iter().map(|chunk| chunk.bytes.len()).sum())
    }

    #[test]
    fn what_is_held_back_goes_the_way_that_the_end_decides() {
        for is_kept in [true, false] {
            let (pipeline, room, held) = held(MAX_HELD_IN_ALL);
            push(&held, 100);
            push(&held, 50);
            assert_eq!(exported(&pipeline), (0, 0));
            assert_eq!(room.used.load(Relaxed), 150 + 2 * PER_SPAN);
            held.settle(is_kept);
            held.settle(!is_kept);
            push(&held, 3);
            assert_eq!(exported(&pipeline), if is_kept { (3, 153) } else { (0, 0) });
            assert_eq!(room.used.load(Relaxed), 0);
            assert_eq!(pipeline.totals().ended, if is_kept { 3 } else { 0 });
        }
    }

    #[test]
    fn a_request_holds_back_no_more_than_it_may() {
        let (pipeline, room, held) = held(MAX_HELD_IN_ALL);
        for _ in 0..20 {
            push(&held, MAX_HELD / 10);
        }
        assert!(room.used.load(Relaxed) <= MAX_HELD);
        held.settle(true);
        let totals = pipeline.totals();
        assert_eq!((exported(&pipeline).0, totals.dropped.held_full, totals.ended), (9, 11, 20));
    }

    #[test]
    fn all_together_hold_back_no_more_than_they_may() {
        let (pipeline, room, first) = held(1000);
        let Outlet::Held(second) = Outlet::held(&pipeline, &room) else { unreachable!() };
        push(&first, 900);
        push(&second, 900);
        push(&second, 50);
        assert_eq!(room.used.load(Relaxed), 950 + 2 * PER_SPAN);
        first.settle(false);
        push(&second, 900);
        second.settle(true);
        let totals = pipeline.totals();
        assert_eq!((exported(&pipeline), totals.dropped.held_full), ((2, 950), 1));
        assert_eq!(room.used.load(Relaxed), 0);
    }

    #[test]
    fn what_was_dropped_of_a_request_counts_only_if_it_is_exported() {
        for is_kept in [true, false] {
            let (pipeline, _, held) = held(0);
            let outlet = Outlet::Held(Arc::clone(&held));
            let early = outlet.counters(&pipeline);
            Counters::add(&early.events, 2u32);
            push(&held, 1);
            held.settle(is_kept);
            Counters::add(&early.events, 1u32);
            Counters::add(&outlet.counters(&pipeline).links, 1u32);
            drop((outlet, held));
            let totals = pipeline.totals();
            let counted = (totals.events_dropped, totals.links_dropped, totals.dropped.held_full);
            assert_eq!(counted, if is_kept { (3, 1, 1) } else { (0, 0, 0) });
        }
    }

    #[test]
    fn an_error_says_more_than_slowness_and_slow_is_longer_than_the_limit() {
        let rules = |errors, slow: Option<u64>| KeepRules { errors, slow: slow.map(Duration::from_nanos) };
        assert!(
            !rules(false, None).are_any() && rules(true, None).are_any() && rules(false, Some(1)).are_any()
        );
        for (rules, has_failed, expected) in [
            (rules(true, Some(10)), true, Some(Reason::Error)),
            (rules(true, Some(10)), false, Some(Reason::Slow)),
            (rules(false, Some(10)), true, Some(Reason::Slow)),
            (rules(true, Some(11)), false, None),
            (rules(true, None), false, None),
            (rules(false, None), true, None),
        ] {
            assert_eq!(rules.reason(has_failed, 11), expected, "{rules:?}");
        }
    }
}
