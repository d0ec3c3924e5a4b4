//! What one invocation may record beside its span: a guest in a loop must not fill the buffers that all share.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Measurements of metrics, and with them new series.
const MAX_MEASUREMENTS: u32 = 1000;
/// Log records.
const MAX_LOG_RECORDS: u32 = 1000;

/// Counts what an invocation has recorded. Lives as long as its trace; a store has one for what its guest does on
/// nobody's behalf.
#[derive(Debug, Default)]
pub(crate) struct Quota {
    measurements: AtomicU32,
    log_records: AtomicU32,
}

impl Quota {
    /// Whether one more measurement may be recorded.
    pub(crate) fn measurement(&self) -> bool {
        take(&self.measurements, MAX_MEASUREMENTS)
    }

    /// Whether one more log record may be emitted.
    pub(crate) fn log_record(&self) -> bool {
        take(&self.log_records, MAX_LOG_RECORDS)
    }
}

fn take(used: &AtomicU32, limit: u32) -> bool {
    // Stops at the limit, so that it never starts anew.
    used.fetch_update(Relaxed, Relaxed, |used| (used < limit).then_some(used + 1)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beyond_the_limit_stays_beyond_it() {
        let quota = Quota::default();
        let made = (0..3000).filter(|_| quota.measurement()).count();
        assert_eq!(made, MAX_MEASUREMENTS as usize);
        assert!(quota.log_record(), "counted apart");
    }
}
