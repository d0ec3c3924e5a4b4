//! Turns of guests that compute: as many go on at once as there are threads, and the others wait in line.
//!
//! A guest gives way at each tick of the clock. If all that compute went on after that, a request that needs a
//! thousandth of a tick would wait for a whole one of each of them: 256 requests of one client for two seconds. So what
//! has computed from one tick to the next goes on when its turn comes; what needs less time never waits in line.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// The line of the guests of one engine.
#[derive(Debug)]
pub(crate) struct Turns {
    /// Ticks so far.
    now: AtomicU64,
    /// Guests that compute at once.
    at_once: usize,
    line: Mutex<Line>,
}

#[derive(Debug, Default)]
struct Line {
    /// Turns given since the last tick.
    given: usize,
    waiting: VecDeque<oneshot::Sender<()>>,
}

/// When a guest gave way last.
#[derive(Debug, Default)]
pub(super) struct GaveWay(u64);

impl Turns {
    /// `at_once` guests compute at once, one at least.
    pub(super) fn new(at_once: usize) -> Self {
        Self { now: AtomicU64::new(1), at_once: at_once.max(1), line: Mutex::default() }
    }

    /// The clock has ticked: the next in line go on.
    pub(super) fn tick(&self) {
        self.now.fetch_add(1, Ordering::Relaxed);
        let mut line = self.line();
        line.given = 0;
        while line.given < self.at_once
            && let Some(next) = line.waiting.pop_front()
        {
            // Who has gone meanwhile takes nobody's turn.
            line.given += usize::from(next.send(()).is_ok());
        }
    }

    /// What a guest waits for that gives way now: nothing unless it has computed since it last did.
    pub(super) fn turn(&self, last: &mut GaveWay) -> Option<oneshot::Receiver<()>> {
        let now = self.now.load(Ordering::Relaxed);
        let before = std::mem::replace(&mut last.0, now);
        if now.saturating_sub(before) > 1 {
            return None;
        }
        let mut line = self.line();
        if line.given < self.at_once && line.waiting.is_empty() {
            line.given += 1;
            return None;
        }
        let (turn, comes) = oneshot::channel();
        line.waiting.push_back(turn);
        Some(comes)
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One that has computed since the last tick.
    fn computing(turns: &Turns) -> Option<oneshot::Receiver<()>> {
        turns.turn(&mut GaveWay(turns.now.load(Ordering::Relaxed) - 1))
    }

    #[test]
    fn what_has_just_begun_or_waited_goes_on() {
        let turns = Turns::new(1);
        for _ in 0..10 {
            turns.tick();
            assert!(turns.turn(&mut GaveWay::default()).is_none());
        }
    }

    #[test]
    fn what_computes_alone_never_waits() {
        let turns = Turns::new(1);
        let mut guest = GaveWay::default();
        for _ in 0..10 {
            turns.tick();
            assert!(turns.turn(&mut guest).is_none());
        }
    }

    #[test]
    fn others_go_on_in_the_order_in_which_they_came() {
        let turns = Turns::new(2);
        turns.tick();
        assert!(computing(&turns).is_none() && computing(&turns).is_none());
        let mut waiting: Vec<_> = (0..5).map(|_| computing(&turns).expect("two compute")).collect();
        // One gives up.
        waiting.remove(1);
        for left in [2, 0] {
            turns.tick();
            waiting.retain_mut(|turn| turn.try_recv().is_err());
            assert_eq!(waiting.len(), left);
        }
        assert!(computing(&turns).is_some(), "both turns of this tick are taken");
        turns.tick();
        assert!(computing(&turns).is_none(), "whoever gave up takes no turn");
    }
}
