//! Memory of guests: what one instance may take, what all may take together, and what a request is told when it is
//! refused. It is linear memory, and what the host keeps for a guest beside it (`held`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use wasmtime::ResourceLimiter;

use super::budget::Budget;
use super::held::MAX_HELD;
use super::meter::Meter;

/// Core instances, memories and tables of one store. A component of a real toolchain needs about 4, 1 and 2; composed
/// ones some times that. It bounds what a hostile component can ask of the pooling allocator.
const MAX_CORE_INSTANCES: usize = 256;
const MAX_MEMORIES: usize = 32;
const MAX_TABLES: usize = 64;

/// Why a growth was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The instance reached `guest.max-memory`.
    Instance,
    /// All instances together reached `guest.max-total-memory`.
    Total,
    /// The requests of the instance's client reached their share of that.
    Share,
    /// What the host keeps for the instance reached [`MAX_HELD`].
    Host,
}

/// The limiter of one store. Gives back what it took when the store goes.
#[derive(Debug)]
pub(crate) struct Limits {
    /// Bytes that all memories of the store may have together (wasmtime's own limiter counts each memory alone).
    max: u64,
    used: u64,
    /// What the host keeps for the guest.
    held: u64,
    /// Shared with the requests of the instance, whose spans tell it when the store is out of reach.
    peak: Arc<AtomicU64>,
    refused: Option<Refused>,
    /// What the growth that was last allowed took.
    last: u64,
    budget: Arc<Budget>,
    /// The share of the client whose request the store serves. None where it serves several, or has none.
    share: Option<Arc<Budget>>,
    /// Knows which of several requests is refused.
    meter: Option<Meter>,
}

impl Limits {
    pub(crate) fn new(max: u64, budget: Arc<Budget>) -> Self {
        Self {
            max,
            used: 0,
            held: 0,
            peak: Arc::default(),
            refused: None,
            last: 0,
            budget,
            share: None,
            meter: None,
        }
    }

    pub(super) fn set_meter(&mut self, meter: Option<Meter>) {
        self.meter = meter;
    }

    /// `share` has room for what the store holds.
    pub(super) fn fits(&self, share: &Budget) -> bool {
        share.used() + self.used + self.held <= share.limit()
    }

    /// From now on the store serves a request of the client with this share: what it holds counts there.
    pub(super) fn charge(&mut self, share: Option<Arc<Budget>>) {
        let held = self.used + self.held;
        if let Some(share) = &share {
            share.add(held);
        }
        if let Some(before) = std::mem::replace(&mut self.share, share) {
            before.give_back(held);
        }
    }

    /// Takes `bytes` of the budget, and of the client's share.
    fn take(&self, bytes: u64) -> Result<(), Refused> {
        if self.share.as_ref().is_some_and(|share| !share.take(bytes)) {
            return Err(Refused::Share);
        }
        if self.budget.take(bytes) {
            return Ok(());
        }
        if let Some(share) = &self.share {
            share.give_back(bytes);
        }
        Err(Refused::Total)
    }

    fn give_back(&self, bytes: u64) {
        self.budget.give_back(bytes);
        if let Some(share) = &self.share {
            share.give_back(bytes);
        }
    }

    fn refuse(&mut self, refused: Refused) {
        self.refused = Some(refused);
        if let Some(meter) = &self.meter {
            meter.refused(refused);
        }
    }

    /// The host keeps so many bytes for the guest now.
    ///
    /// # Errors
    /// They are too many, for the instance or with all others; then the sum stays as it was.
    pub(super) fn hold(&mut self, bytes: u64) -> Result<(), Refused> {
        let more = bytes.saturating_sub(self.held);
        let taken = match more {
            0 => Ok(()),
            _ if bytes > MAX_HELD => Err(Refused::Host),
            more => self.take(more),
        };
        match taken {
            Ok(()) => {
                self.give_back(self.held.saturating_sub(bytes));
                self.held = bytes;
            }
            Err(refused) => self.refuse(refused),
        }
        taken
    }

    /// The most bytes of linear memory that the instance has had.
    pub(crate) fn peak(&self) -> &Arc<AtomicU64> {
        &self.peak
    }

    /// The last growth that was refused, if any was: a trap after it is for want of memory.
    pub(crate) fn refused(&self) -> Option<Refused> {
        self.refused
    }

    /// Begins anew for the next request of an instance: what an earlier one was refused is not its concern.
    pub(crate) fn forget_refusal(&mut self) {
        self.refused = None;
    }

    pub(crate) fn max(&self) -> u64 {
        self.max
    }
}

impl Drop for Limits {
    fn drop(&mut self) {
        self.give_back(self.used + self.held);
    }
}

impl ResourceLimiter for Limits {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let (current, desired) = (current as u64, desired as u64);
        self.last = 0;
        // Beyond the memory's own declared maximum the growth fails whatever we say.
        if maximum.is_some_and(|maximum| desired > maximum as u64) {
            return Ok(false);
        }
        let more = desired.saturating_sub(current);
        if self.used.saturating_add(more) > self.max {
            self.refuse(Refused::Instance);
            return Ok(false);
        }
        if let Err(refused) = self.take(more) {
            self.refuse(refused);
            return Ok(false);
        }
        self.used += more;
        self.last = more;
        self.peak.fetch_max(self.used, Ordering::AcqRel);
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        // The machine had no memory after we said yes.
        let last = std::mem::take(&mut self.last);
        self.used -= last;
        self.give_back(last);
        self.refuse(Refused::Total);
        Ok(())
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        // The pooling allocator bounds elements; the on-demand one gets the same bound here.
        Ok(desired <= super::MAX_TABLE_ELEMENTS && maximum.is_none_or(|maximum| desired <= maximum))
    }

    fn instances(&self) -> usize {
        MAX_CORE_INSTANCES
    }

    fn tables(&self) -> usize {
        MAX_TABLES
    }

    fn memories(&self) -> usize {
        MAX_MEMORIES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_memories_of_a_store_count_together() {
        let budget = Arc::new(Budget::new(1000));
        let mut limits = Limits::new(100, budget.clone());
        assert!(limits.memory_growing(0, 60, None).unwrap());
        assert!(!limits.memory_growing(0, 60, None).unwrap());
        assert_eq!(limits.refused(), Some(Refused::Instance));
        assert!(limits.memory_growing(0, 40, None).unwrap());
        assert_eq!((limits.peak().load(Ordering::Relaxed), budget.used()), (100, 100));
        drop(limits);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn the_budget_bounds_all_stores_together() {
        let budget = Arc::new(Budget::new(150));
        let mut one = Limits::new(100, budget.clone());
        let mut two = Limits::new(100, budget.clone());
        assert!(one.memory_growing(0, 100, None).unwrap());
        assert!(!two.memory_growing(0, 100, None).unwrap());
        assert_eq!(two.refused(), Some(Refused::Total));
        drop(one);
        assert!(two.memory_growing(0, 100, None).unwrap());
    }

    #[test]
    fn what_the_machine_refuses_is_given_back() {
        let budget = Arc::new(Budget::new(100));
        let mut limits = Limits::new(100, budget.clone());
        assert!(limits.memory_growing(0, 60, None).unwrap());
        limits.memory_grow_failed(wasmtime::format_err!("no memory")).unwrap();
        assert_eq!(budget.used(), 0);
        assert!(limits.memory_growing(0, 100, None).unwrap());
    }

    #[test]
    fn what_the_host_keeps_counts_as_well() {
        let budget = Arc::new(Budget::new(MAX_HELD + 100));
        let mut one = Limits::new(100, budget.clone());
        one.hold(60).unwrap();
        assert_eq!(one.hold(MAX_HELD + 1), Err(Refused::Host));
        assert_eq!((one.refused(), budget.used()), (Some(Refused::Host), 60));
        one.hold(40).unwrap();
        assert_eq!(budget.used(), 40);
        let mut two = Limits::new(100, budget.clone());
        two.hold(MAX_HELD).unwrap();
        assert_eq!(one.hold(120), Err(Refused::Total));
        assert!(one.memory_growing(0, 50, None).unwrap());
        drop(one);
        assert_eq!(budget.used(), MAX_HELD);
        drop(two);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_declared_maximum_is_no_refusal_of_ours() {
        let mut limits = Limits::new(100, Arc::new(Budget::new(100)));
        assert!(!limits.memory_growing(0, 60, Some(50)).unwrap());
        assert_eq!(limits.refused(), None);
    }

    #[test]
    fn a_clients_share_is_that_of_the_request_which_is_served() {
        let budget = Arc::new(Budget::new(1000));
        let [one, other] = [100, 100].map(|limit| Arc::new(Budget::new(limit)));
        let mut limits = Limits::new(500, budget.clone());
        assert!(limits.memory_growing(0, 60, None).unwrap());
        limits.charge(Some(one.clone()));
        assert_eq!(limits.hold(30), Ok(()));
        assert_eq!((budget.used(), one.used()), (90, 90));
        assert!(!limits.memory_growing(60, 80, None).unwrap());
        assert_eq!((limits.refused(), limits.hold(50)), (Some(Refused::Share), Err(Refused::Share)));
        assert_eq!((budget.used(), one.used()), (90, 90), "what was refused was not taken");
        // Another client's request is next.
        assert!(limits.fits(&other) && !limits.fits(&Budget::new(89)));
        limits.charge(Some(other.clone()));
        assert_eq!((one.used(), other.used()), (0, 90));
        limits.charge(None);
        assert_eq!(limits.hold(300), Ok(()));
        assert_eq!((budget.used(), other.used()), (360, 0));
        // What it has is more than the next may have: no more of it.
        limits.charge(Some(one.clone()));
        assert!(one.is_used_up() && limits.hold(301) == Err(Refused::Share) && limits.hold(10) == Ok(()));
        drop(limits);
        assert_eq!((budget.used(), one.used()), (0, 0));
    }
}
