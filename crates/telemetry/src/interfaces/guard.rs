//! Stands between a request and code of the embedding program that runs on its way.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A call that takes longer than this has waited for something; nothing that only computes does.
const WAITS: Duration = Duration::from_millis(10);
/// Waiting that is put up with; what is beyond has the callee left alone.
const PATIENCE: Duration = Duration::from_millis(500);
/// How much longer the callee is left alone than it has been waited for. Patience comes back as slowly.
const REST: u32 = 100;
/// Time between two lines of the log about one callee.
const EVERY: Duration = Duration::from_secs(60);

/// Code of the embedding program, which is asked only as long as it does not hold requests up, and may panic.
pub(super) struct Guard<T> {
    callee: T,
    /// What it is, for the log: `sampler`.
    what: &'static str,
    began: Instant,
    /// It is left alone until then, in nanoseconds from the start.
    rests_until: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Time that was waited, less what has been forgiven, and when that was reckoned.
    waited: Duration,
    reckoned: Duration,
    said: Option<Duration>,
}

impl<T> Guard<T> {
    pub(super) fn new(what: &'static str, callee: T) -> Self {
        let began = Instant::now();
        Guard { callee, what, began, rests_until: AtomicU64::new(0), state: Mutex::default() }
    }

    /// What `ask` gets to know of the callee; `None` where it panicked, and while it is left alone.
    pub(super) fn ask<R>(&self, ask: impl FnOnce(&T) -> R) -> Option<R> {
        let before = self.began.elapsed();
        if nanos(before) < self.rests_until.load(Relaxed) {
            return None;
        }
        // What it leaves half done is its own.
        let answer = catch_unwind(AssertUnwindSafe(|| ask(&self.callee)));
        let now = self.began.elapsed();
        if now - before > WAITS {
            self.waited(now - before, now);
        }
        match answer {
            Ok(answer) => Some(answer),
            Err(panic) => {
                let why = said_by(&*panic);
                self.say(now, || format!("the {} of the program panicked: {why}", self.what));
                None
            }
        }
    }

    fn waited(&self, waited: Duration, now: Duration) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let forgiven = now.saturating_sub(state.reckoned) / REST;
        state.waited = state.waited.saturating_sub(forgiven) + waited;
        state.reckoned = now;
        if state.waited <= PATIENCE {
            return;
        }
        let rest = state.waited * REST;
        state.waited = Duration::ZERO;
        drop(state);
        self.rests_until.fetch_max(nanos(now + rest), Relaxed);
        self.say(now, || {
            format!(
                "the {} of the program holds requests up ({waited:?} the last time): it is not asked for {rest:?}",
                self.what
            )
        });
    }

    /// Says something in the log, at most once a minute.
    fn say(&self, now: Duration, what: impl FnOnce() -> String) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.said.is_none_or(|said| now.saturating_sub(said) >= EVERY) {
            state.said = Some(now);
            drop(state);
            tracing::warn!("{}", what());
        }
    }
}

/// The message of a panic; empty where it has none.
pub(super) fn said_by(panic: &(dyn Any + Send)) -> &str {
    let of_text = || panic.downcast_ref::<String>().map(String::as_str);
    panic.downcast_ref::<&str>().copied().or_else(of_text).unwrap_or_default()
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl<T: fmt::Debug> fmt::Debug for Guard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.callee.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn a_panic_is_no_answer_and_the_next_call_is_asked_again() {
        let guard = Guard::new("sampler", 7);
        assert_eq!(guard.ask(|_| -> u32 { panic!("no") }), None);
        assert_eq!(guard.ask(|seven| *seven), Some(7));
    }

    #[test]
    fn who_holds_requests_up_is_left_alone_in_proportion() {
        let guard = Guard::new("sampler", Cell::new(0));
        let seconds = Duration::from_secs;
        let rests_until = || Duration::from_nanos(guard.rests_until.load(Relaxed));
        // Half a second is put up with, in all.
        guard.waited(Duration::from_millis(400), seconds(1));
        assert_eq!(rests_until(), Duration::ZERO);
        // Ten seconds forgive a tenth of one.
        guard.waited(Duration::from_millis(150), seconds(11));
        assert_eq!(rests_until(), Duration::ZERO);
        guard.waited(Duration::from_millis(100), seconds(11));
        assert_eq!(rests_until(), seconds(11) + Duration::from_millis(550) * 100);
        assert_eq!(guard.ask(|calls| calls.set(calls.get() + 1)), None);
        assert_eq!(guard.callee.get(), 0, "it is not even asked");
        guard.rests_until.store(0, Relaxed);
        assert_eq!(guard.ask(|calls| calls.set(calls.get() + 1)), Some(()));
    }
}
