//! Tells the operator about the endpoint without filling the log: the first failure, one line a minute, the recovery.

use super::signal::Signal;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Time between two lines about the same trouble.
const EVERY: Duration = Duration::from_secs(60);

/// The state of an endpoint as far as it was told.
pub(super) struct Health {
    signal: Signal,
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
    last_failure_line: Option<Instant>,
    last_rejection_line: Option<Instant>,
    last_overflow_line: Option<Instant>,
    /// Items known to have met full buffers.
    overflowed: u64,
    /// The endpoint does not know the signal, which was told.
    unknown: bool,
}

impl Health {
    pub(super) fn new(signal: Signal, endpoint: String, spool: Option<&Path>) -> Self {
        let spool = spool.map(|path| path.display().to_string());
        Health { signal, endpoint, spool, state: Mutex::default() }
    }

    /// The endpoint answered that it does not know the signal. Told once with what to do, then no more: many backends
    /// take but one signal. False for traces, where such an answer is a mistake in the settings.
    pub(super) fn not_taken(&self, error: &str) -> bool {
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
    pub(super) fn failed(&self, now: Instant, error: &str, dropped: u64) {
        let mut state = self.state();
        let since = *state.failing_since.get_or_insert(now);
        state.failures += 1;
        if !is_due(&mut state.last_failure_line, now) {
            return;
        }
        let (endpoint, items, spool) = (&self.endpoint, self.signal.items(), self.spool.as_deref());
        if std::mem::replace(&mut state.told, true) {
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
                "cannot export {items}; requests are not affected, and what follows is told once a minute"
            );
        }
    }

    /// A batch arrived at `now`; the endpoint refused `rejected` of its items, and `says` something on one line.
    pub(super) fn arrived(&self, now: Instant, rejected: u32, says: Option<&str>) {
        let mut state = self.state();
        let (endpoint, items) = (&self.endpoint, self.signal.items());
        state.failures = 0;
        state.unknown = false;
        if let Some(since) = state.failing_since.take()
            && std::mem::take(&mut state.told)
        {
            tracing::info!(endpoint, "{items} are exported again, after {} s", (now - since).as_secs());
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

    /// So far, `dropped` items met full buffers. While the endpoint fails, that is no news.
    pub(super) fn overflowed(&self, now: Instant, dropped: u64) {
        let mut state = self.state();
        let more = dropped - std::mem::replace(&mut state.overflowed, dropped);
        if more > 0 && state.failing_since.is_none() && is_due(&mut state.last_overflow_line, now) {
            let (endpoint, items, relief) = (&self.endpoint, self.signal.items(), self.signal.relief());
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

/// Whether a line about some trouble may be told again at `now`; then that is the `last` time.
pub(super) fn is_due(last: &mut Option<Instant>, now: Instant) -> bool {
    let due = last.is_none_or(|last| now.duration_since(last) >= EVERY);
    if due {
        *last = Some(now);
    }
    due
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::tests::logged;

    #[test]
    fn the_first_failure_is_told_then_one_a_minute_then_the_recovery() {
        let health = Health::new(Signal::Traces, "http://c:4318/v1/traces".into(), None);
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let first = logged(|| health.failed(at(0), "connection refused", 0));
        assert!(first.contains("WARN") && first.contains("connection refused"), "{first}");
        assert!(first.contains("http://c:4318/v1/traces"), "{first}");
        assert_eq!(logged(|| (1..60).for_each(|n| health.failed(at(n), "refused", n))), "");
        let second = logged(|| health.failed(at(60), "refused", 99));
        assert!(second.contains("for 60 s now") && second.contains("dropped=99"), "{second}");
        assert!(second.contains("failures=61"), "{second}");
        let recovery = logged(|| health.arrived(at(70), 0, None));
        assert!(recovery.contains("INFO") && recovery.contains("after 70 s"), "{recovery}");
        assert_eq!(logged(|| health.arrived(at(71), 0, None)), "");
    }

    #[test]
    fn full_buffers_are_told_once_a_minute_unless_the_endpoint_fails() {
        let health = Health::new(Signal::Traces, "http://c/".into(), None);
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(logged(|| health.overflowed(at(0), 0)), "");
        let line = logged(|| health.overflowed(at(1), 5));
        assert!(line.contains("5 were dropped") && line.contains("MAX_QUEUE_SIZE"), "{line}");
        assert_eq!(logged(|| health.overflowed(at(60), 7)), "");
        assert_eq!(logged(|| health.overflowed(at(62), 7)), "", "none since");
        assert_eq!(logged(|| health.overflowed(at(63), 8)).lines().count(), 1);
        logged(|| health.failed(at(200), "refused", 8));
        assert_eq!(logged(|| health.overflowed(at(201), 9)), "");
    }

    #[test]
    fn a_signal_that_is_not_taken_is_told_once_and_how_to_stop_it() {
        let health = Health::new(Signal::Logs, "http://c/v1/logs".into(), None);
        let lines = logged(|| (0..100).for_each(|_| assert!(health.not_taken("404 Not Found"))));
        assert_eq!(lines.lines().count(), 1, "{lines}");
        for part in ["WARN", "http://c/v1/logs", "404", "log records", "OTEL_LOGS_EXPORTER=none"] {
            assert!(lines.contains(part), "{part}: {lines}");
        }
        let traces = Health::new(Signal::Traces, "http://c/".into(), None);
        assert!(!traces.not_taken("404 Not Found"), "that is a failure as any other");
    }

    #[test]
    fn an_endpoint_that_comes_and_goes_does_not_fill_the_log() {
        let health = Health::new(Signal::Traces, "http://c/".into(), None);
        let start = Instant::now();
        let lines = logged(|| {
            for n in 0..600u64 {
                let now = start + Duration::from_millis(n * 99);
                health.failed(now, "refused", 0);
                health.arrived(now, 1, Some("too old"));
            }
        });
        assert_eq!(lines.lines().count(), 3, "one failure, its end, one rejection: {lines}");
    }
}
