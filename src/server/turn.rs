//! How much an HTTP/2 connection, or the accepting of connections, may do before others have their turn.
//!
//! A connection is one task, and while it works through its frames nobody else is served on that thread. Frames are cheap
//! for who sends them, and some are not for who reads them; requests are tasks, which all have to be run before whoever
//! waits on that thread gets on. So a turn ends when as many bytes were read as take a tenth of a millisecond, or when as
//! many requests have begun as let everybody have a turn within 0.7 ms. Both are learned from turn to turn.
//! Connections are tasks as well, which a listener can make as fast as peers connect.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::guest::let_others_go_on;

/// What reading may take in a turn.
const TIME: Duration = Duration::from_micros(100);
/// Bytes that are read in a turn at most: a frame of the largest kind, or 1,800 of the smallest.
const MOST_BYTES: usize = 16 * 1024;
/// Bytes that are read in a turn in any case: no frames take that long, but on a thread that was interrupted they seem to.
const LEAST_BYTES: usize = 1024;
/// What it may take until everybody has had a turn.
const ROUND: Duration = Duration::from_micros(700);
/// Requests that begin in a turn at most, where it takes no time until the next.
const MOST_REQUESTS: usize = 16;
/// Connections that are accepted in a turn at most.
const MOST_CONNECTIONS: usize = 8;

/// What an HTTP/2 connection reads in a turn: counted by its socket, judged by its task.
#[derive(Debug)]
pub(crate) struct Reading {
    /// Bytes in this turn.
    read: AtomicUsize,
    /// Bytes in this turn at most.
    most: AtomicUsize,
}

impl Default for Reading {
    fn default() -> Self {
        // Nobody knows yet what its frames cost.
        Self { read: AtomicUsize::new(0), most: AtomicUsize::new(LEAST_BYTES) }
    }
}

// One task calls all of these, so no order is needed.
impl Reading {
    /// Bytes that may still be read in this turn.
    pub(super) fn room(&self) -> usize {
        self.most.load(Ordering::Relaxed).saturating_sub(self.read.load(Ordering::Relaxed))
    }

    /// Counts bytes that were read.
    pub(super) fn came(&self, bytes: usize) {
        self.read.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Ends a turn that has begun at that time; whether there may be more to read, since all that may be was read.
    fn end(&self, begun: Instant) -> bool {
        let was_cut = self.room() == 0;
        let read = self.read.swap(0, Ordering::Relaxed);
        if was_cut {
            let most = affordable(read, begun.elapsed(), TIME).clamp(LEAST_BYTES, MOST_BYTES);
            self.most.store(most, Ordering::Relaxed);
        }
        was_cut
    }
}

/// The turns of a connection, for its task.
#[derive(Debug)]
pub(super) struct Turns<'a> {
    reading: &'a Reading,
    /// When this turn has begun.
    begun: Option<Instant>,
    /// When the turn before it had begun, if that was cut short.
    before: Option<Instant>,
    /// Requests in this turn, and at most.
    requests: usize,
    most: usize,
}

impl<'a> Turns<'a> {
    pub(super) fn new(reading: &'a Reading) -> Self {
        Self { reading, begun: None, before: None, requests: 0, most: MOST_REQUESTS }
    }

    /// Goes on with a turn, or begins one. Whether there may be another request in it.
    pub(super) fn go_on(&mut self) -> bool {
        if self.begun.is_none() {
            let now = Instant::now();
            self.begun = Some(now);
            if let Some(before) = self.before.take() {
                self.most = affordable(self.most, now - before, ROUND).clamp(1, MOST_REQUESTS);
            }
        }
        self.requests < self.most
    }

    /// Counts a request.
    pub(super) fn request(&mut self) {
        self.requests += 1;
    }

    /// Ends a turn. Whether it was cut short: then there may be more to do, and nobody wakes the task for it.
    pub(super) fn end(&mut self) -> bool {
        let begun = self.begun.take().unwrap_or_else(Instant::now);
        let has_more = self.reading.end(begun);
        let is_cut = std::mem::take(&mut self.requests) >= self.most || has_more;
        self.before = is_cut.then_some(begun);
        is_cut
    }
}

/// The turns of a listener.
#[derive(Debug)]
pub(super) struct Accepting {
    /// Connections in this turn, and at most.
    accepted: usize,
    most: usize,
}

impl Default for Accepting {
    fn default() -> Self {
        Self { accepted: 0, most: MOST_CONNECTIONS }
    }
}

impl Accepting {
    /// Counts a connection. If it is the last of this turn, lets everybody else have theirs.
    pub(super) async fn accepted(&mut self) {
        self.accepted += 1;
        if self.accepted < self.most {
            return;
        }
        let ended = Instant::now();
        let_others_go_on().await;
        self.most = affordable(self.accepted, ended.elapsed(), ROUND).clamp(1, MOST_CONNECTIONS);
        self.accepted = 0;
    }
}

/// How many of what took `time` there may be in `target`, where there were `done`.
fn affordable(done: usize, time: Duration, target: Duration) -> usize {
    let affordable = done as u128 * target.as_nanos() / time.as_nanos().max(1);
    usize::try_from(affordable).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_much_is_affordable_as_fits() {
        for (done, micros, expected) in
            [(16_000, 500, 16_000), (16_000, 4_000, 2_000), (16_000, 250, 32_000), (1, 10_000_000, 0)]
        {
            let affordable = affordable(done, Duration::from_micros(micros), Duration::from_micros(500));
            assert_eq!(affordable, expected, "{done} in {micros} µs");
        }
        assert_eq!(affordable(usize::MAX, Duration::ZERO, ROUND), usize::MAX);
    }

    #[test]
    fn a_turn_is_over_when_its_bytes_are_read() {
        let reading = Reading::default();
        assert_eq!(reading.room(), LEAST_BYTES);
        reading.came(LEAST_BYTES - 1);
        assert_eq!(reading.room(), 1);
        assert!(!reading.end(Instant::now()), "all that there was has been read");
        reading.came(LEAST_BYTES);
        assert_eq!(reading.room(), 0);
        assert!(reading.end(Instant::now()));
        assert!(reading.room() >= LEAST_BYTES, "the next turn has room");
    }

    #[test]
    fn a_turn_is_over_when_its_requests_have_begun() {
        let reading = Reading::default();
        let mut turns = Turns::new(&reading);
        for _ in 0..MOST_REQUESTS {
            assert!(turns.go_on());
            turns.request();
        }
        assert!(!turns.go_on());
        assert!(turns.end(), "there may be more of them");
        assert!(turns.go_on(), "one of them in the next turn at least");
        turns.end();
        turns.before = Instant::now().checked_sub(Duration::from_secs(1));
        assert!(turns.go_on());
        turns.request();
        assert!(!turns.go_on(), "no more than one where the others take so long");
    }
}
