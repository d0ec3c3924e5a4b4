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
mod tests;
