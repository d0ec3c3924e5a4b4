//! Who may come in: the number of requests in flight, and the refusal of further ones before any work is done for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::guest::Failure;
use crate::telemetry::host_metrics;

/// The gate in front of the guests.
#[derive(Debug)]
pub(crate) struct Admission {
    places: Arc<Semaphore>,
    limit: usize,
    shed: AtomicU64,
}

impl Admission {
    /// A gate for `limit` requests at once.
    pub(crate) fn new(limit: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(limit)), limit, shed: AtomicU64::new(0) }
    }

    /// A place for one request, freed when the permit is dropped.
    pub(crate) fn admit(&self) -> Result<OwnedSemaphorePermit, Failure> {
        self.places.clone().try_acquire_owned().map_err(|_| {
            Failure::overloaded(format!("{} requests are in flight (http.max-in-flight)", self.limit))
        })
    }

    /// Counts the request if it was shed: here, or further on for want of memory or of an instance.
    pub(crate) fn count<T>(&self, answer: &Result<T, Failure>) {
        if answer.as_ref().is_err_and(Failure::is_overloaded) {
            self.shed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Requests that are let in at once.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Has the metrics tell what is counted here.
    pub(crate) fn observe(self: &Arc<Self>, metrics: &host_metrics::Host) {
        let limit = self.limit as u64;
        metrics.observe(&host_metrics::REQUESTS_LIMIT, &[], move || Some(limit));
        let admission = Arc::clone(self);
        metrics.observe(&host_metrics::REQUESTS_SHED, &[], move || Some(admission.shed()));
    }

    /// Requests refused since the start.
    pub(crate) fn shed(&self) -> u64 {
        self.shed.load(Ordering::Relaxed)
    }
}
