//! The time of day as OTLP has it.

use std::time::{SystemTime, UNIX_EPOCH};

/// Unix time in nanoseconds.
pub(super) fn unix_nanos() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX)
}
