//! Tells the operator about the endpoint without filling the log: the first failure, one line a minute, the recovery.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Time between two lines about the same trouble.
const EVERY: Duration = Duration::from_secs(60);

/// The state of an endpoint as far as it was told.
pub(super) struct Health {
    /// For people: no credentials, no query.
    endpoint: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    failing_since: Option<Instant>,
    failures: u64,
    lost: u64,
    /// The failure going on was told, so its end must be.
    told: bool,
    last_failure_line: Option<Instant>,
    last_rejection_line: Option<Instant>,
}

impl Health {
    pub(super) fn new(endpoint: String) -> Self {
        Health {
            endpoint,
            state: Mutex::default(),
        }
    }

    /// An attempt failed; `lost` spans were given up with it.
    pub(super) fn failed(&self, error: &str, lost: u32) {
        let mut state = self.state();
        let now = Instant::now();
        let since = *state.failing_since.get_or_insert(now);
        state.failures += 1;
        state.lost += u64::from(lost);
        if !is_due(&mut state.last_failure_line, now) {
            return;
        }
        let again = std::mem::replace(&mut state.told, true);
        let endpoint = &self.endpoint;
        if again {
            let (failures, lost, seconds) = (state.failures, state.lost, since.elapsed().as_secs());
            tracing::warn!(
                endpoint,
                error,
                failures,
                lost,
                "still cannot export spans, for {seconds} s now"
            );
        } else {
            tracing::warn!(
                endpoint,
                error,
                "cannot export spans; requests are not affected, further failures are told once a minute"
            );
        }
    }

    /// A batch arrived; the endpoint refused `rejected` of its spans.
    pub(super) fn arrived(&self, rejected: u64, message: &str) {
        let mut state = self.state();
        let now = Instant::now();
        let endpoint = &self.endpoint;
        if let Some(since) = state.failing_since.take()
            && std::mem::take(&mut state.told)
        {
            let (lost, seconds) = (state.lost, since.elapsed().as_secs());
            tracing::info!(
                endpoint,
                lost,
                "spans are exported again, after {seconds} s"
            );
        }
        (state.failures, state.lost) = (0, 0);
        if (rejected > 0 || !message.is_empty()) && is_due(&mut state.last_rejection_line, now) {
            tracing::warn!(
                endpoint,
                rejected,
                message,
                "the endpoint did not take all spans of a batch"
            );
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_due(last: &mut Option<Instant>, now: Instant) -> bool {
    let due = last.is_none_or(|last| now.duration_since(last) >= EVERY);
    if due {
        *last = Some(now);
    }
    due
}
