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
    last_error: Option<(Box<str>, Instant)>,
}

/// What was wrong, and what still is.
pub(super) struct Trouble {
    /// For how many seconds nothing has arrived that was tried.
    pub(super) failing_for: Option<f64>,
    /// What was last wrong, and how many seconds ago.
    pub(super) last_error: Option<(String, f64)>,
}

impl Condition {
    /// Says where the signal goes, as people may see it.
    pub(super) fn goes_to(&self, endpoint: &str) {
        self.endpoint.get_or_init(|| endpoint.into());
    }

    /// An attempt failed.
    pub(super) fn failed(&self, error: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        state.failing_since.get_or_insert(now);
        state.last_error = Some((error.into(), now));
    }

    /// A batch arrived.
    pub(super) fn arrived(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).failing_since = None;
    }

    pub(super) fn endpoint(&self) -> Option<String> {
        self.endpoint.get().map(|endpoint| endpoint.to_string())
    }

    /// How it stands.
    pub(super) fn trouble(&self) -> Trouble {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let ago = |moment: Instant| moment.elapsed().as_secs_f64();
        Trouble {
            failing_for: state.failing_since.map(ago),
            last_error: state.last_error.as_ref().map(|(error, at)| (error.to_string(), ago(*at))),
        }
    }
}
