//! Tells the operator about the endpoint without filling the log: the first failure, one line a minute, the recovery.

use crate::once_a_minute::is_due;
use crate::settings::Names;
use crate::signal::Signal;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The state of an endpoint as far as it was told.
pub(crate) struct Health {
    signal: Signal,
    names: &'static Names,
    /// For people: no credentials, no query.
    endpoint: String,
    /// Where what cannot be sent waits meanwhile.
    spool: Option<String>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    failing_since: Option<Instant>,
    failures: u64,
    /// This failure was told, so its end must be.
    told: bool,
    /// Items lost when all was well, and told, for the last time.
    dropped_when_well: u64,
    /// More were lost since, in failures too short to be told.
    untold_loss: bool,
    /// This failure loses items, which was told.
    loss_told: bool,
    last_failure_line: Option<Instant>,
    last_rejection_line: Option<Instant>,
    last_overflow_line: Option<Instant>,
    last_size_line: Option<Instant>,
    /// Items known to have met full buffers; none after a failure, which was their reason.
    overflowed: Option<u64>,
    /// The endpoint does not know the signal, which was told.
    unknown: bool,
}

impl Health {
    pub(crate) fn new(signal: Signal, names: &'static Names, endpoint: String, spool: Option<&Path>) -> Self {
        let spool = spool.map(|path| path.display().to_string());
        Health { signal, names, endpoint, spool, state: Mutex::default() }
    }

    /// The endpoint answered that it does not know the signal. Told once with what to do, then no more: many backends
    /// take but one signal. False for traces, where such an answer is a mistake in the settings.
    pub(crate) fn not_taken(&self, error: &str) -> bool {
        let Some(off) = self.signal.off() else {
            return false;
        };
        if !std::mem::replace(&mut self.state().unknown, true) {
            let (endpoint, items) = (&self.endpoint, self.signal.items());
            tracing::warn!(
                endpoint,
                error,
                "the endpoint takes no {items}, which are lost: {off} stops sending them; this is told once"
            );
        }
        true
    }

    /// An attempt failed at `now`; so far, `dropped` items are lost.
    pub(crate) fn failed(&self, now: Instant, error: &str, dropped: u64) {
        let mut state = self.state();
        let since = *state.failing_since.get_or_insert(now);
        state.failures += 1;
        let begins_to_lose = !state.loss_told && dropped > state.dropped_when_well;
        let due = is_due(&mut state.last_failure_line, now);
        if !(due || begins_to_lose && state.told) {
            return;
        }
        state.loss_told |= begins_to_lose;
        let (endpoint, items, spool) = (&self.endpoint, self.signal.items(), self.spool.as_deref());
        if !due {
            tracing::warn!(endpoint, error, dropped, "{items} are lost from now on, and counted");
        } else if std::mem::replace(&mut state.told, true) {
            let (failures, seconds) = (state.failures, (now - since).as_secs());
            tracing::warn!(
                endpoint,
                error,
                failures,
                dropped,
                spool,
                "cannot export {items} for {seconds} s now"
            );
        } else {
            tracing::warn!(
                endpoint,
                error,
                dropped,
                spool,
                tip = self.names.diagnosis,
                "cannot export {items}; requests are not affected, and what follows is told once a minute"
            );
        }
    }

    /// A batch arrived at `now`, so many items being `dropped` so far; the endpoint refused `rejected` of its items, and
    /// `says` something on one line.
    pub(crate) fn arrived(&self, now: Instant, dropped: u64, rejected: u32, says: Option<&str>) {
        let mut state = self.state();
        let (endpoint, items) = (&self.endpoint, self.signal.items());
        state.failures = 0;
        state.unknown = false;
        let since = state.failing_since.take();
        let told = std::mem::take(&mut state.told);
        state.loss_told = false;
        if since.is_some() {
            state.overflowed = None;
        }
        let lost = dropped.saturating_sub(state.dropped_when_well);
        let has_cost = lost > 0 && (since.is_some() || state.untold_loss);
        let tells = told || has_cost && is_due(&mut state.last_failure_line, now);
        state.untold_loss = has_cost && !tells;
        let seconds = since.map_or(0, |since| (now - since).as_secs());
        if tells && lost > 0 {
            tracing::warn!(
                endpoint,
                lost,
                dropped,
                "{items} are exported again, after {seconds} s; {lost} were lost meanwhile"
            );
        } else if tells {
            tracing::info!(endpoint, "{items} are exported again, after {seconds} s");
        }
        if !state.untold_loss {
            state.dropped_when_well = dropped;
        }
        if (rejected > 0 || says.is_some()) && is_due(&mut state.last_rejection_line, now) {
            tracing::warn!(
                endpoint,
                rejected,
                says,
                "the endpoint has something to say about a batch of {items}"
            );
        }
    }

    /// The endpoint finds a batch of `size` bytes too large, which goes in parts instead.
    pub(crate) fn too_large(&self, now: Instant, error: &str, size: usize) {
        if is_due(&mut self.state().last_size_line, now) {
            let (endpoint, items, smaller) = (&self.endpoint, self.signal.items(), self.signal.smaller());
            tracing::warn!(
                endpoint,
                error,
                "{size} bytes of {items} are too large a batch for the endpoint: they are sent in parts, and nothing is \
                 lost; raise its limit, or {smaller}"
            );
        }
    }

    /// So far, `dropped` items met full buffers. While the endpoint fails that is told once, when it begins.
    pub(crate) fn overflowed(&self, now: Instant, dropped: u64) {
        let mut state = self.state();
        let more = dropped.saturating_sub(state.overflowed.replace(dropped).unwrap_or(dropped));
        if more == 0 {
            return;
        }
        let (endpoint, items, relief) = (&self.endpoint, self.signal.items(), self.signal.relief(self.names));
        if state.failing_since.is_some() {
            if state.told && !std::mem::replace(&mut state.loss_told, true) {
                tracing::warn!(
                    endpoint,
                    dropped,
                    "{items} are lost from now on, and counted: there is no room for more until the endpoint is back"
                );
            }
        } else if is_due(&mut state.last_overflow_line, now) {
            tracing::warn!(
                endpoint,
                dropped,
                "{items} come faster than the endpoint takes them, and {more} were dropped: {relief}"
            );
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::STANDARD;
    use crate::testing::logged;
    use std::time::Duration;

    #[test]
    fn the_first_failure_is_told_then_one_a_minute_then_the_recovery() {
        let health = Health::new(Signal::Traces, &STANDARD, "http://c:4318/v1/traces".into(), None);
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let first = logged(|| health.failed(at(0), "connection refused", 0));
        assert!(first.contains("WARN") && first.contains("connection refused"), "{first}");
        assert!(first.contains("http://c:4318/v1/traces"), "{first}");
        assert_eq!(logged(|| (1..60).for_each(|n| health.failed(at(n), "refused", 0))), "");
        let second = logged(|| health.failed(at(60), "refused", 99));
        assert!(second.contains("for 60 s now") && second.contains("dropped=99"), "{second}");
        assert!(second.contains("failures=61"), "{second}");
        let recovery = logged(|| health.arrived(at(70), 120, 0, None));
        assert!(recovery.contains("WARN") && recovery.contains("after 70 s; 120 were lost"), "{recovery}");
        assert_eq!(logged(|| health.arrived(at(71), 120, 0, None)), "");
        logged(|| health.failed(at(200), "refused", 120));
        let recovery = logged(|| health.arrived(at(205), 120, 0, None));
        assert!(recovery.contains("INFO") && recovery.contains("after 5 s"), "{recovery}");
    }

    /// However short the failure, and whatever has room for how much.
    #[test]
    fn loss_is_told_when_it_begins_and_when_it_ends() {
        let health = Health::new(Signal::Traces, &STANDARD, "http://c/".into(), None);
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        health.overflowed(at(0), 0);
        assert!(logged(|| health.failed(at(0), "refused", 0)).contains("dropped=0"));
        assert_eq!(logged(|| health.failed(at(1), "refused", 0)), "");
        assert!(logged(|| health.failed(at(9), "refused", 4)).contains("dropped=4"), "at once");
        assert_eq!(logged(|| health.failed(at(10), "refused", 5)), "");
        assert_eq!(logged(|| health.overflowed(at(11), 3)), "", "loss was told");
        assert!(logged(|| health.arrived(at(12), 8, 0, None)).contains("8 were lost"));
        assert_eq!(logged(|| health.overflowed(at(12), 4)), "", "that was the endpoint's fault");
        // Too soon for another line: told as soon as one is due.
        let quiet = logged(|| {
            health.failed(at(13), "refused", 9);
            health.arrived(at(14), 10, 0, None);
            health.arrived(at(58), 10, 0, None);
        });
        assert_eq!(quiet, "");
        assert!(logged(|| health.arrived(at(70), 10, 0, None)).contains("2 were lost"));
        assert_eq!(logged(|| health.arrived(at(200), 10, 0, None)), "");

        // Buffers that are full are told, too.
        logged(|| health.failed(at(300), "refused", 10));
        logged(|| health.overflowed(at(300), 10));
        let line = logged(|| health.overflowed(at(301), 12));
        assert!(line.contains("no room for more") && line.contains("dropped=12"), "{line}");
        assert_eq!(logged(|| health.overflowed(at(302), 13)), "");
    }

    #[test]
    fn full_buffers_are_told_once_a_minute() {
        let health = Health::new(Signal::Traces, &STANDARD, "http://c/".into(), None);
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(logged(|| health.overflowed(at(0), 0)), "");
        let line = logged(|| health.overflowed(at(1), 5));
        assert!(line.contains("5 were dropped") && line.contains("MAX_QUEUE_SIZE"), "{line}");
        assert_eq!(logged(|| health.overflowed(at(60), 7)), "");
        assert_eq!(logged(|| health.overflowed(at(62), 7)), "", "none since");
        assert_eq!(logged(|| health.overflowed(at(63), 8)).lines().count(), 1);
    }

    #[test]
    fn a_signal_that_is_not_taken_is_told_once_and_how_to_stop_it() {
        let health = Health::new(Signal::Logs, &STANDARD, "http://c/v1/logs".into(), None);
        let lines = logged(|| (0..100).for_each(|_| assert!(health.not_taken("404 Not Found"))));
        assert_eq!(lines.lines().count(), 1, "{lines}");
        for part in ["WARN", "http://c/v1/logs", "404", "log records", "OTEL_LOGS_EXPORTER=none"] {
            assert!(lines.contains(part), "{part}: {lines}");
        }
        let traces = Health::new(Signal::Traces, &STANDARD, "http://c/".into(), None);
        assert!(!traces.not_taken("404 Not Found"), "that is a failure as any other");
    }

    #[test]
    fn an_endpoint_that_comes_and_goes_does_not_fill_the_log() {
        let health = Health::new(Signal::Traces, &STANDARD, "http://c/".into(), None);
        let start = Instant::now();
        let lines = logged(|| {
            for n in 0..600u64 {
                let now = start + Duration::from_millis(n * 99);
                health.failed(now, "refused", 0);
                health.arrived(now, 0, 1, Some("too old"));
            }
        });
        assert_eq!(lines.lines().count(), 3, "one failure, its end, one rejection: {lines}");
    }
}
