//! How the export of one signal goes right now, for a status page.

use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Instant;

/// Condition of the endpoint of one signal.
#[derive(Debug, Default)]
pub struct Condition {
    /// Where it goes, for people: neither credentials nor a query.
    endpoint: OnceLock<Box<str>>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failing_since: Option<Instant>,
    last_error: Option<(Box<str>, Instant)>,
}

/// What was wrong with an endpoint, and what still is.
#[derive(Clone, Debug)]
pub struct Trouble {
    /// Seconds for which nothing that was tried has arrived; `None` while all is well.
    pub failing_for: Option<f64>,
    /// The last error, and how many seconds ago it was; it stays when all is well again.
    pub last_error: Option<(String, f64)>,
}

impl Condition {
    /// Says where the signal goes, as people may see it.
    pub(crate) fn goes_to(&self, endpoint: &str) {
        self.endpoint.get_or_init(|| endpoint.into());
    }

    /// An attempt failed.
    pub(crate) fn failed(&self, error: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        state.failing_since.get_or_insert(now);
        state.last_error = Some((error.into(), now));
    }

    /// A batch arrived.
    pub(crate) fn arrived(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).failing_since = None;
    }

    /// Where the signal goes, without credentials and query; `None` where nothing is sent over the network.
    #[must_use]
    pub fn endpoint(&self) -> Option<String> {
        self.endpoint.get().map(|endpoint| endpoint.to_string())
    }

    /// What was wrong, and what still is.
    #[must_use]
    pub fn trouble(&self) -> Trouble {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let ago = |moment: Instant| moment.elapsed().as_secs_f64();
        Trouble {
            failing_for: state.failing_since.map(ago),
            last_error: state.last_error.as_ref().map(|(error, at)| (error.to_string(), ago(*at))),
        }
    }
}
