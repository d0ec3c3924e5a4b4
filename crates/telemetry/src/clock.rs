//! The time of a request: one reading of the wall clock, then a clock that is never set back.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Tells the Unix time of moments of one request, so that its spans and events are in order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    started: Instant,
    /// Unix time in nanoseconds; none where no span tells it.
    start_unix_nanos: Option<u64>,
}

impl Clock {
    /// A clock that starts now; of a request without spans, `tells_time` is false, and the wall clock is not read.
    pub(crate) fn start(tells_time: bool) -> Self {
        Clock { start_unix_nanos: tells_time.then(unix_nanos), started: Instant::now() }
    }

    /// When it was started, in nanoseconds of Unix time.
    pub(crate) fn started(&self) -> u64 {
        self.start_unix_nanos.unwrap_or_default()
    }

    /// Time since the start.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Now, in nanoseconds of Unix time.
    pub(crate) fn now(&self) -> u64 {
        self.after(self.elapsed())
    }

    /// The moment `elapsed` after the start, in nanoseconds of Unix time; now where the start is not known in it.
    pub(crate) fn after(&self, elapsed: Duration) -> u64 {
        self.start_unix_nanos.map_or_else(unix_nanos, |start| start.saturating_add(nanos(elapsed)))
    }
}

/// The wall clock, in nanoseconds of Unix time.
pub(crate) fn unix_nanos() -> u64 {
    nanos(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
