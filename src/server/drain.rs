//! Stopping kindly: the phase that every connection watches, and the count of requests that a drain waits for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use tokio::sync::{Notify, watch};

/// Where the server is between its start and its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Phase {
    Serving,
    /// No new connections; requests on open ones are still served, each with the news that it is the last.
    Draining,
    /// Nothing is in flight: idle connections are closed.
    Closing,
    /// Time is up: what is left is cut.
    Cut,
}

impl Phase {
    const ALL: [Self; 4] = [Self::Serving, Self::Draining, Self::Closing, Self::Cut];
}

/// Shared by the lifecycle, which sets the phase, and by all connections.
#[derive(Clone, Debug)]
pub(crate) struct Drain(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    told: watch::Sender<Phase>,
    /// The phase without a lock, which every request looks at.
    phase: AtomicU8,
    open: AtomicUsize,
    none: Notify,
}

impl Shared {
    fn phase(&self) -> Phase {
        Phase::ALL[usize::from(self.phase.load(Ordering::Acquire))]
    }
}

impl Drain {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Shared {
            told: watch::Sender::new(Phase::Serving),
            phase: AtomicU8::new(Phase::Serving as u8),
            open: AtomicUsize::new(0),
            none: Notify::new(),
        }))
    }

    pub(crate) fn enter(&self, phase: Phase) {
        self.0.phase.store(phase as u8, Ordering::Release);
        self.0.told.send_replace(phase);
    }

    pub(crate) fn phase(&self) -> Phase {
        self.0.phase()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Phase> {
        self.0.told.subscribe()
    }

    /// Counts a request until the guard is dropped.
    pub(crate) fn open(&self) -> OpenRequest {
        self.0.open.fetch_add(1, Ordering::AcqRel);
        OpenRequest(self.0.clone())
    }

    /// Requests whose responses are not over.
    pub(crate) fn in_flight(&self) -> usize {
        self.0.open.load(Ordering::Acquire)
    }

    /// Resolves when no request is in flight.
    pub(crate) async fn idle(&self) {
        loop {
            let none = self.0.none.notified();
            if self.in_flight() == 0 {
                return;
            }
            none.await;
        }
    }
}

/// A request in flight.
#[derive(Debug)]
pub(crate) struct OpenRequest(Arc<Shared>);

impl OpenRequest {
    /// Where the server is.
    pub(crate) fn phase(&self) -> Phase {
        self.0.phase()
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        if self.0.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.none.notify_waiters();
        }
    }
}
