//! One request as the host sees it. Shared by the server's response body, the store that runs the guest and every host
//! function: who ends first differs, so each looks here for what the others did.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use http::HeaderValue;
use tokio::sync::{Notify, OwnedSemaphorePermit};

use super::failure::Failure;
use crate::telemetry::ServerSpan;

/// The trace headers of a request as they came, for a guest's `inject` while telemetry is off.
#[derive(Debug, Default)]
pub(crate) struct IncomingContext {
    pub(crate) traceparent: Option<HeaderValue>,
    pub(crate) tracestate: Option<HeaderValue>,
}

/// A request in flight. Guests only ever name it implicitly, as "the current request".
#[derive(Debug)]
pub(crate) struct RequestScope {
    pub(crate) span: ServerSpan,
    pub(crate) incoming: IncomingContext,
    /// When the request was handed to the guest layer, for `pounce.queue.duration`.
    pub(crate) admitted: Instant,
    failure: OnceLock<Failure>,
    cancelled: AtomicBool,
    cancelled_at: OnceLock<Instant>,
    /// The expiry of a cancelled request was seen by the event loop of its instance (0.3): the loop is not stuck.
    acknowledged: AtomicBool,
    closed: AtomicBool,
    cancel: Notify,
    fail: Notify,
    close: Notify,
    /// Held for as long as the request takes up a place: the last owner of the scope frees it.
    _permit: Option<OwnedSemaphorePermit>,
}

impl RequestScope {
    pub(crate) fn new(
        span: ServerSpan,
        incoming: IncomingContext,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Self {
        Self {
            span,
            incoming,
            admitted: Instant::now(),
            failure: OnceLock::new(),
            cancelled: AtomicBool::new(false),
            cancelled_at: OnceLock::new(),
            acknowledged: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            cancel: Notify::new(),
            fail: Notify::new(),
            close: Notify::new(),
            _permit: permit,
        }
    }

    /// Records why the request failed; the first reason stays.
    pub(crate) fn fail(&self, failure: Failure) {
        // A second failure is a consequence of the first.
        _ = self.failure.set(failure);
        self.fail.notify_one();
    }

    /// Resolves with the reason once there is one. For one waiter.
    pub(crate) async fn failed(&self) -> Failure {
        loop {
            if let Some(failure) = self.failure.get() {
                return failure.clone();
            }
            self.fail.notified().await;
        }
    }

    pub(crate) fn failure(&self) -> Option<&Failure> {
        self.failure.get()
    }

    /// Asks for the guest's work on this request to stop: nobody waits for the response any more.
    pub(crate) fn cancel(&self) {
        // Only the first time counts.
        _ = self.cancelled_at.set(Instant::now());
        self.cancelled.store(true, Ordering::Release);
        self.cancel.notify_one();
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    /// Resolves once [`cancel`](Self::cancel) was called. For one waiter.
    pub(crate) async fn cancelled(&self) {
        while !self.is_cancelled() {
            self.cancel.notified().await;
        }
        self.acknowledged.store(true, Ordering::Release);
    }

    /// Cancelled at least so long ago, and nobody in the instance has noticed.
    pub(crate) fn is_ignored_for(&self, time: std::time::Duration) -> bool {
        !self.acknowledged.load(Ordering::Acquire)
            && self.cancelled_at.get().is_some_and(|at| at.elapsed() >= time)
    }

    /// The response is over, one way or another; guest code that still runs does so on its own account.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.close.notify_one();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Resolves once the response is over. For one waiter.
    pub(crate) async fn closed(&self) {
        while !self.is_closed() {
            self.close.notified().await;
        }
    }
}
