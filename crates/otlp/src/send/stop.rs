//! The shutdown of an exporter, as those who must end by it see it.

use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Time to flush when the handle is dropped without a shutdown.
const DROP_GRACE: Duration = Duration::from_secs(1);

/// The shutdown, as what runs on the exporter's thread sees it; cheap to clone.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<Option<Shutdown>>);

/// When the shutdown began, and when it ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shutdown {
    pub(super) began: Instant,
    pub(super) deadline: Instant,
}

impl Stop {
    pub(super) fn new(stopped: watch::Receiver<Option<Shutdown>>) -> Self {
        Stop(stopped)
    }

    /// Waits for the shutdown; gives its deadline.
    pub async fn stopped(&mut self) -> Instant {
        match self.0.wait_for(Option::is_some).await {
            Ok(stop) => stop.map_or_else(Instant::now, |stop| stop.deadline),
            Err(_handle_dropped) => Instant::now() + DROP_GRACE,
        }
    }

    /// Waits for the deadline of the shutdown, which may be moved meanwhile.
    pub async fn over(&mut self) {
        loop {
            let deadline = self.stopped().await;
            let moved = tokio::time::timeout_at(deadline.into(), self.0.changed()).await;
            match moved {
                Ok(Ok(())) => {}
                Ok(Err(_handle_dropped)) => return tokio::time::sleep_until(deadline.into()).await,
                Err(_elapsed) => return,
            }
        }
    }

    /// The shutdown, once it has begun.
    pub(super) fn shutdown(&self) -> Option<Shutdown> {
        let gone = || Shutdown { began: Instant::now(), deadline: Instant::now() + DROP_GRACE };
        (*self.0.borrow()).or_else(|| self.0.has_changed().is_err().then(gone))
    }

    /// Whether the shutdown has begun.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.0.borrow().is_some() || self.0.has_changed().is_err()
    }
}
