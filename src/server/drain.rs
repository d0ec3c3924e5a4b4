//! Stopping kindly: the phase that every connection watches, and the count of requests that a drain waits for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Notify, watch};

/// Where the server is between its start and its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Serving,
    /// No new connections; requests on open ones are still served, each with the news that it is the last.
    Draining,
    /// Nothing is in flight: idle connections are closed.
    Closing,
    /// Time is up: what is left is cut.
    Cut,
}

/// Shared by the lifecycle, which sets the phase, and by all connections.
#[derive(Clone, Debug)]
pub(crate) struct Drain {
    phase: Arc<watch::Sender<Phase>>,
    requests: Arc<Requests>,
}

#[derive(Debug, Default)]
struct Requests {
    open: AtomicUsize,
    none: Notify,
}

impl Drain {
    pub(crate) fn new() -> Self {
        Self { phase: Arc::new(watch::Sender::new(Phase::Serving)), requests: Arc::default() }
    }

    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.send_replace(phase);
    }

    pub(crate) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// Counts a request until the guard is dropped.
    pub(crate) fn open(&self) -> OpenRequest {
        self.requests.open.fetch_add(1, Ordering::AcqRel);
        OpenRequest(self.requests.clone())
    }

    /// Requests whose responses are not over.
    pub(crate) fn in_flight(&self) -> usize {
        self.requests.open.load(Ordering::Acquire)
    }

    /// Resolves when no request is in flight.
    pub(crate) async fn idle(&self) {
        loop {
            let none = self.requests.none.notified();
            if self.in_flight() == 0 {
                return;
            }
            none.await;
        }
    }
}

/// A request in flight.
#[derive(Debug)]
pub(crate) struct OpenRequest(Arc<Requests>);

impl Drop for OpenRequest {
    fn drop(&mut self) {
        if self.0.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.none.notify_waiters();
        }
    }
}
