//! One step of the way to an endpoint, and how it went.

use std::time::{Duration, Instant};

/// One thing that has to work.
#[derive(Debug, Clone)]
pub struct Step {
    /// Name of the step: `proxy`, `name`, `connect`, `tunnel`, `TLS` or `send`.
    pub name: &'static str,
    /// How the step went.
    pub outcome: Outcome,
    /// What was found.
    pub text: String,
    /// Time that the step took; `None` where there was nothing to wait for.
    pub took: Option<Duration>,
}

/// How a step went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It worked.
    Worked,
    /// It failed, and the way ends here.
    Failed,
    /// It was not tried, as it was before for another signal, or would be in vain.
    Skipped,
}

impl Step {
    pub(super) fn new(
        name: &'static str,
        outcome: Outcome,
        text: impl Into<String>,
        since: Option<Instant>,
    ) -> Self {
        Step { name, outcome, text: text.into(), took: since.map(|since| since.elapsed()) }
    }
}
