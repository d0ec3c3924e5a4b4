//! What one invocation may record beside its span: a guest in a loop must not fill the buffers that all share.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Instant;

/// Measurements of metrics, and with them new series.
const MAX_MEASUREMENTS: u32 = 1000;
/// Log records.
const MAX_LOG_RECORDS: u32 = 1000;
/// Seconds after which a quota that is refilled is full again.
const REFILL: u64 = 60;

/// Counts what an invocation has recorded. Lives as long as its trace; a store has one for what its guest does on
/// nobody's behalf, which is refilled each minute, since a store has no end that is sure to come.
#[derive(Debug, Default)]
pub struct Quota {
    measurements: AtomicU32,
    log_records: AtomicU32,
    refill: Option<Refill>,
}

#[derive(Debug)]
struct Refill {
    started: Instant,
    /// Periods since then when it was last refilled.
    period: AtomicU64,
}

impl Quota {
    /// For what the guest of a store does on nobody's behalf.
    pub fn of_store() -> Self {
        let refill = Refill { started: Instant::now(), period: AtomicU64::new(0) };
        Quota { refill: Some(refill), ..Quota::default() }
    }

    /// Whether one more measurement may be recorded.
    pub fn measurement(&self) -> bool {
        self.refill();
        take(&self.measurements, MAX_MEASUREMENTS)
    }

    /// Whether one more log record may be emitted.
    pub fn log_record(&self) -> bool {
        self.refill();
        take(&self.log_records, MAX_LOG_RECORDS)
    }

    fn refill(&self) {
        if let Some(refill) = &self.refill {
            self.refill_at(refill, refill.started.elapsed().as_secs());
        }
    }

    fn refill_at(&self, refill: &Refill, seconds: u64) {
        let period = seconds / REFILL;
        if refill.period.fetch_max(period, Relaxed) < period {
            self.measurements.store(0, Relaxed);
            self.log_records.store(0, Relaxed);
        }
    }
}

fn take(used: &AtomicU32, limit: u32) -> bool {
    // Stops at the limit, so that it never starts anew.
    used.fetch_update(Relaxed, Relaxed, |used| (used < limit).then_some(used + 1)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measurements(quota: &Quota) -> u32 {
        (0..3000).map(|_| u32::from(quota.measurement())).sum()
    }

    #[test]
    fn what_is_beyond_the_limit_stays_beyond_it() {
        let quota = Quota::default();
        assert_eq!(measurements(&quota), MAX_MEASUREMENTS);
        assert!(quota.log_record(), "counted apart");
        assert_eq!(measurements(&quota), 0);
    }

    #[test]
    fn that_of_a_store_is_refilled_each_minute() {
        let quota = Quota::of_store();
        let refill = quota.refill.as_ref().unwrap();
        assert_eq!(measurements(&quota), MAX_MEASUREMENTS);
        quota.refill_at(refill, REFILL - 1);
        assert!(!quota.measurement());
        quota.refill_at(refill, REFILL);
        assert_eq!((measurements(&quota), quota.log_record()), (MAX_MEASUREMENTS, true));
        quota.refill_at(refill, 2 * REFILL - 1);
        assert!(!quota.measurement(), "once");
        quota.refill_at(refill, 5 * REFILL);
        assert_eq!(measurements(&quota), MAX_MEASUREMENTS);
    }
}
