//! Budgets: how much of something may be taken at once, memory in bytes or places by number.
//!
//! Components of one server share what there is. Each has a part for certain, and what is beyond the parts of all is for
//! whoever comes first: one that takes all it can get leaves the others theirs.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// How much of something may be taken at once, and how much of it is taken.
#[derive(Debug)]
pub(crate) struct Budget {
    /// Below zero for a moment, where what was just taken of a part is given back before it is counted here.
    used: AtomicI64,
    limit: u64,
    part: Option<Part>,
}

/// What one of several has of a whole.
#[derive(Debug)]
struct Part {
    /// For certain.
    own: u64,
    /// What is taken beyond that comes out of here.
    rest: Arc<Budget>,
}

impl Part {
    /// How much of `used` comes out of the rest.
    fn beyond(&self, used: i64) -> i64 {
        used.saturating_sub(i64::try_from(self.own).unwrap_or(i64::MAX)).max(0)
    }
}

impl Budget {
    /// A budget of `limit`.
    pub(crate) fn new(limit: u64) -> Self {
        Self { used: AtomicI64::new(0), limit, part: None }
    }

    /// What is left of `whole` when each of `count` has its part for certain, half of what an equal share would be.
    pub(crate) fn rest_of(whole: u64, count: usize) -> Arc<Self> {
        let certain = certain_part(whole, count).saturating_mul(count as u64);
        Arc::new(Self::new(whole.saturating_sub(certain)))
    }

    /// One of `count` parts of `whole`, of which `rest` is what is beyond them; `limit` at most.
    pub(crate) fn part_of(whole: u64, count: usize, rest: Arc<Self>, limit: u64) -> Self {
        let own = certain_part(whole, count);
        let limit = limit.min(own.saturating_add(rest.limit));
        Self { used: AtomicI64::new(0), limit, part: Some(Part { own, rest }) }
    }

    /// Takes `amount`, or nothing where it does not fit.
    pub(super) fn take(&self, amount: u64) -> bool {
        let Ok(more) = i64::try_from(amount) else { return false };
        let fits =
            |used: i64| used.checked_add(more).filter(|sum| i128::from(*sum) <= i128::from(self.limit));
        let Ok(before) = self.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, fits) else {
            return false;
        };
        let Some(part) = &self.part else { return true };
        // Each change of `used` goes with that of what is beyond the part: the sums agree, in whatever order they come.
        let beyond = part.beyond(before + more) - part.beyond(before);
        if beyond == 0 || part.rest.take(beyond.unsigned_abs()) {
            return true;
        }
        let now = self.used.fetch_sub(more, Ordering::AcqRel);
        part.rest.change(beyond - (part.beyond(now) - part.beyond(now - more)));
        false
    }

    /// Counts an `amount` that is held already, whether or not it fits.
    pub(super) fn add(&self, amount: u64) {
        self.change(i64::try_from(amount).unwrap_or(i64::MAX));
    }

    pub(super) fn give_back(&self, amount: u64) {
        self.change(-i64::try_from(amount).unwrap_or(i64::MAX));
    }

    fn change(&self, by: i64) {
        let before = self.used.fetch_add(by, Ordering::AcqRel);
        if let Some(part) = &self.part {
            part.rest.change(part.beyond(before + by) - part.beyond(before));
        }
    }

    /// Takes one until what is returned is dropped; none where there is none left.
    pub(crate) fn hold_one(self: &Arc<Self>) -> Option<HeldOne> {
        self.take(1).then(|| HeldOne(self.clone()))
    }

    /// Nothing more can be taken.
    pub(crate) fn is_used_up(&self) -> bool {
        let used = self.used();
        let has_no_more = |part: &Part| used >= part.own && part.rest.is_used_up();
        used >= self.limit || self.part.as_ref().is_some_and(has_no_more)
    }

    /// How much is taken now.
    pub(crate) fn used(&self) -> u64 {
        u64::try_from(self.used.load(Ordering::Acquire)).unwrap_or_default()
    }

    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }
}

/// What each of `count` has of `whole` for certain.
fn certain_part(whole: u64, count: usize) -> u64 {
    whole / (2 * count.max(1) as u64)
}

/// One of a budget, until it is dropped.
#[derive(Debug)]
pub(crate) struct HeldOne(Arc<Budget>);

impl Drop for HeldOne {
    fn drop(&mut self) {
        self.0.give_back(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(whole: u64, count: usize) -> (Arc<Budget>, Vec<Arc<Budget>>) {
        let rest = Budget::rest_of(whole, count);
        let part = || Arc::new(Budget::part_of(whole, count, rest.clone(), u64::MAX));
        (rest.clone(), (0..count).map(|_| part()).collect())
    }

    #[test]
    fn who_takes_all_it_can_get_leaves_the_others_their_parts() {
        let (rest, parts) = parts(100, 2);
        let [greedy, other] = &parts[..] else { panic!("two") };
        assert_eq!((rest.limit(), greedy.limit()), (50, 75));
        assert!(greedy.take(75) && !greedy.take(1) && greedy.is_used_up());
        assert!(!other.is_used_up() && other.take(25), "its part is there");
        assert!(!other.take(1) && other.is_used_up());
        greedy.give_back(10);
        assert!(other.take(10), "what one gives back of the rest the other may have");
        assert!(!greedy.take(1));
        other.give_back(35);
        greedy.give_back(65);
        assert_eq!((rest.used(), greedy.used(), other.used()), (0, 0, 0));
    }

    #[test]
    fn a_limit_of_its_own_counts_before_the_rest() {
        let rest = Budget::rest_of(100, 2);
        let small = Budget::part_of(100, 2, rest.clone(), 10);
        assert!(small.take(10) && !small.take(1) && small.is_used_up());
        assert_eq!(rest.used(), 0);
    }

    #[test]
    fn one_that_is_held_is_given_back() {
        let (rest, parts) = parts(8, 2);
        let held: Vec<_> = (0..6).map(|_| parts[0].hold_one().expect("its part and the rest")).collect();
        assert!(parts[0].hold_one().is_none() && parts[1].hold_one().is_some());
        assert_eq!(rest.used(), 4);
        drop(held);
        assert_eq!((rest.used(), parts[0].used()), (0, 0));
    }

    #[test]
    fn sums_agree_whoever_comes_first() {
        let (rest, parts) = parts(64, 2);
        std::thread::scope(|threads| {
            for part in &parts {
                for _ in 0..2 {
                    threads.spawn(|| {
                        for amount in (0..20_000).map(|n| n % 29 + 1) {
                            if part.take(amount) {
                                part.give_back(amount);
                            }
                        }
                    });
                }
            }
        });
        assert_eq!((rest.used(), parts[0].used(), parts[1].used()), (0, 0, 0));
    }
}
