//! Tail sampling: spans of requests that were not sampled are held back until the request's end says whether they are
//! exported after all (`Settings::keep_errors`, `keep_slow`).
//!
//! Bounded for each request and for all of them together. What is discarded is no loss, since
//! the request was not sampled, and what was counted on the way is forgotten with it.

use crate::pipeline::Pipeline;
use crate::settings::Settings;
use pounce_otlp::Loss;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

/// Bytes of encoded spans that one request may hold back; there are no more of them than it may have spans.
const MAX_HELD: usize = 2 * 1024 * 1024;
/// Bytes of encoded spans that all requests together may hold back.
const MAX_HELD_IN_ALL: usize = 32 * 1024 * 1024;
/// Bytes that a span takes beside its own.
const PER_SPAN: usize = size_of::<usize>();

/// When a request is exported although it was not sampled.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct KeepRules {
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
    /// The rules that the settings ask for.
    pub(crate) fn new(settings: &Settings) -> Self {
        KeepRules { errors: settings.keep_errors, slow: settings.keep_slow }
    }

    /// Whether any request could be kept by them.
    pub(crate) fn are_any(self) -> bool {
        self.errors || self.slow.is_some()
    }

    /// Why a request is kept that `lasted` so long, if it is.
    pub(super) fn reason(self, has_failed: bool, lasted: Duration) -> Option<Reason> {
        let is_slow = || self.slow.is_some_and(|slow| lasted > slow);
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

/// Room for what all requests hold back together.
#[derive(Debug)]
pub(crate) struct Room {
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

/// What becomes of the spans of a request that was not sampled, as far as its end has decided it.
#[derive(Debug)]
pub(super) enum Tail {
    /// The request is under way; spans under it that have ended wait.
    Undecided(TailBuffer),
    /// They are exported, those that end later too.
    Exported,
    /// They are not.
    Discarded,
}

impl Default for Tail {
    fn default() -> Self {
        Tail::Undecided(TailBuffer::default())
    }
}

/// Encoded spans of one request that wait for its end.
#[derive(Debug, Default)]
pub(super) struct TailBuffer {
    bytes: Vec<u8>,
    /// Where each span ends.
    ends: Vec<usize>,
    /// Spans that had no room.
    lost: u64,
}

impl TailBuffer {
    fn len(&self) -> usize {
        self.ends.last().copied().unwrap_or_default()
    }

    /// Bytes that it takes of the room.
    fn size(&self) -> usize {
        self.len() + self.ends.len() * PER_SPAN
    }

    /// Takes in a span that `encode` appends; one without room is counted.
    pub(super) fn push(&mut self, room: &Room, encode: impl Fn(&mut Vec<u8>)) {
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
    /// Passes the spans on to `pipeline`, or discards them without one, and gives their room back.
    pub(super) fn settle(self, room: &Room, pipeline: Option<&Pipeline>) {
        if let Some(pipeline) = pipeline {
            pipeline.counts().lose(Loss::HeldFull, self.lost);
            self.spans().for_each(|span| pipeline.push(|out| out.extend_from_slice(span)));
        }
        room.give(self.size());
    }
}

#[cfg(test)]
mod tests;
