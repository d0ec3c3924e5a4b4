//! How the export of one signal goes right now, for those who look instead of reading the log.

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Instant;

/// Set by the exporter, read by the admin listener.
#[derive(Debug, Default)]
pub(super) struct Condition {
    /// Where it goes, for people: neither credentials nor a query.
    endpoint: OnceLock<Box<str>>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failing_since: Option<Instant>,
    last_error: Option<Box<str>>,
}

impl Condition {
    /// Says where the signal goes, as people may see it.
    pub(super) fn goes_to(&self, endpoint: &str) {
        self.endpoint.get_or_init(|| endpoint.into());
    }

    /// An attempt failed.
    pub(super) fn failed(&self, error: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.failing_since.get_or_insert_with(Instant::now);
        state.last_error = Some(error.into());
    }

    /// A batch arrived.
    pub(super) fn arrived(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).failing_since = None;
    }

    pub(super) fn endpoint(&self) -> Option<String> {
        self.endpoint.get().map(|endpoint| endpoint.to_string())
    }

    /// For how many seconds nothing has arrived that was tried, and what was last wrong.
    pub(super) fn trouble(&self) -> (Option<f64>, Option<String>) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let seconds = state.failing_since.map(|since| since.elapsed().as_secs_f64());
        (seconds, state.last_error.as_deref().map(str::to_owned))
    }
}
