//! The time of a request: one reading of the wall clock, then a clock that is never set back.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Tells the Unix time of moments of one request, so that its spans and events are in order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    started: Instant,
    start_unix_nanos: u64,
}

/// The end of a request, as its span tells it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ended {
    /// Nanoseconds of Unix time.
    pub(super) unix_nanos: u64,
    pub(super) lasted: Duration,
}

impl Clock {
    /// Starts now.
    pub(super) fn start() -> Self {
        Clock { start_unix_nanos: unix_nanos(), started: Instant::now() }
    }

    /// When it was started, in nanoseconds of Unix time.
    pub(super) fn started(&self) -> u64 {
        self.start_unix_nanos
    }

    /// When it was started.
    pub(super) fn instant(&self) -> Instant {
        self.started
    }

    /// Now, in nanoseconds of Unix time.
    pub(super) fn now(&self) -> u64 {
        self.start_unix_nanos.saturating_add(nanos(self.started.elapsed()))
    }
}

/// The wall clock, in nanoseconds of Unix time.
pub(super) fn unix_nanos() -> u64 {
    nanos(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
