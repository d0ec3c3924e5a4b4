//! Where the metrics of guests' SDKs wait for the next export, in bounds.

use super::collect::Collected;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Points that wait for an export; further ones are dropped and counted.
const MAX_WAITING: u32 = 10_000;
/// Bytes of all that waits.
pub(super) const MAX_BYTES: usize = 4 * 1024 * 1024;

/// What became of a metric.
pub(super) enum Added {
    Yes,
    Full,
    Closed,
}

/// Encoded metrics on their way to the next export.
#[derive(Default)]
pub(super) struct SdkQueue(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    metrics: Vec<Collected>,
    points: u32,
    bytes: usize,
    closed: bool,
}

impl SdkQueue {
    /// All that waits.
    pub(super) fn take(&self) -> Vec<Collected> {
        let mut waiting = self.lock();
        (waiting.points, waiting.bytes) = (0, 0);
        std::mem::take(&mut waiting.metrics)
    }

    /// Takes nothing any more, as there will be no further export; how many points waited.
    pub(super) fn close(&self) -> u32 {
        let mut waiting = self.lock();
        waiting.closed = true;
        waiting.metrics = Vec::new();
        std::mem::take(&mut waiting.points)
    }

    /// Points and bytes that are left of the limits.
    pub(super) fn room(&self) -> (u32, usize) {
        let waiting = self.lock();
        (MAX_WAITING - waiting.points, MAX_BYTES - waiting.bytes)
    }

    /// Whether there was room. It may be taken by another thread between this and [`Self::room`].
    pub(super) fn add(&self, collected: Collected) -> Added {
        let mut waiting = self.lock();
        if waiting.closed {
            return Added::Closed;
        }
        let points = waiting.points.saturating_add(collected.points);
        let bytes = waiting.bytes + collected.bytes.len();
        if points > MAX_WAITING || bytes > MAX_BYTES {
            return Added::Full;
        }
        (waiting.points, waiting.bytes) = (points, bytes);
        waiting.metrics.push(collected);
        Added::Yes
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
