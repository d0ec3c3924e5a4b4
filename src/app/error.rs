//! Why a server could not be built.

use std::fmt;

use crate::config::Mistakes;
use crate::server::ListenError;

/// Error of an [`App`](super::App) that could not be built.
///
/// Its text is that of its own step; what caused it, if something did, is its
/// [`source`](std::error::Error::source).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Settings that cannot work, all of them.
    #[error(transparent)]
    Settings(#[from] Mistakes),
    /// Certificates or keys with which TLS cannot be spoken.
    #[error(transparent)]
    Tls(Cause),
    /// Components that cannot be served: their files cannot be read or compiled, or import what the host does not have.
    #[error(transparent)]
    Component(Cause),
    /// Address that cannot be listened on, for clients or for operators.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Telemetry that cannot be started, such as for its spool.
    #[error(transparent)]
    Telemetry(Cause),
    /// Resource that the system does not give, such as a thread.
    #[error(transparent)]
    System(Cause),
}

impl StartError {
    /// Whether settings or a component are at fault, so that the same will fail anywhere; otherwise this machine is, as it
    /// is now.
    #[must_use]
    pub fn is_mistake(&self) -> bool {
        matches!(self, Self::Settings(_) | Self::Tls(_) | Self::Component(_))
    }

    /// The error with all its causes, as one text.
    pub(crate) fn whole(&self) -> String {
        let causes = std::iter::successors(std::error::Error::source(self), |&cause| cause.source());
        causes.fold(self.to_string(), |text, cause| format!("{text}: {cause}"))
    }
}

/// Error of a step of the start, with what caused it.
pub struct Cause(anyhow::Error);

impl From<anyhow::Error> for Cause {
    fn from(error: anyhow::Error) -> Self {
        Self(error)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Cause {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}
