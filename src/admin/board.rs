//! Where the server is between its start and its end, and what it says of itself.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

use super::status::Facts;

/// Where the server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub(crate) enum Phase {
    /// The component is being loaded.
    Starting,
    /// The component is being compiled, on its way to be served.
    Compiling,
    /// Requests are served.
    Ready,
    /// Requests in flight are served to their end; new ones belong elsewhere.
    Draining,
}

impl Phase {
    const ALL: [Self; 4] = [Self::Starting, Self::Compiling, Self::Ready, Self::Draining];

    /// As `/readyz` says it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Compiling => "compiling",
            Self::Ready => "ready",
            Self::Draining => "draining",
        }
    }
}

/// What a server says of itself.
type Source = Box<dyn Fn() -> Facts + Send + Sync>;

/// Written by the app, read by every answer.
pub(super) struct Board {
    phase: AtomicU8,
    facts: OnceLock<Source>,
}

impl Board {
    pub(super) fn new() -> Self {
        Self { phase: AtomicU8::new(Phase::Starting as u8), facts: OnceLock::new() }
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
    }

    pub(super) fn ready(&self, facts: Source) {
        self.facts.get_or_init(|| facts);
        self.enter(Phase::Ready);
    }

    pub(super) fn phase(&self) -> Phase {
        Phase::ALL[usize::from(self.phase.load(Ordering::Acquire))]
    }

    /// None while the component is being loaded.
    pub(super) fn facts(&self) -> Option<Facts> {
        self.facts.get().map(|facts| facts())
    }
}
