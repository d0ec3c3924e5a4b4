//! Tells the operator what a component was refused, without letting it flood the log.
//!
//! The guest sees an error code only; the flag to add goes here.

use std::collections::HashMap;
use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};

/// Targets that are told apart; a guest that guesses hosts fills no memory.
const MOST_TARGETS: usize = 256;

/// Counts the refusals of one component and logs the first of each target, then
/// every time that target's count has grown tenfold.
#[derive(Debug)]
pub(super) struct RefusalLog {
    component: Arc<str>,
    /// What is refused, before the number of [`MOST_TARGETS`].
    what: &'static str,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    by_target: HashMap<String, u64>,
    /// Refusals of targets beyond [`MOST_TARGETS`].
    others: u64,
    total: u64,
}

/// What a refusal leads to in the log.
#[derive(Debug, PartialEq, Eq)]
enum Say {
    Nothing,
    /// The refusal, which is this target's n-th.
    Refusal(u64),
    /// That from here on targets are no longer named.
    TooMany,
}

impl RefusalLog {
    /// A log of what is refused to a component; `what` that is, as in "`what` 256 targets refused".
    pub(super) fn new(component: Arc<str>, what: &'static str) -> Self {
        Self { component, what, counts: Mutex::default() }
    }

    /// Counts the refusal of a target and logs it when it is news.
    pub(super) fn note(&self, target: &str, refused: &dyn Display) {
        let component = &*self.component;
        match self.count(target) {
            Say::Nothing => {}
            Say::Refusal(1) => tracing::warn!(component, "{refused}"),
            Say::Refusal(times) => tracing::warn!(component, times, "{refused}"),
            Say::TooMany => tracing::warn!(
                component,
                "{} {MOST_TARGETS} targets refused; further targets are counted and not named",
                self.what
            ),
        }
    }

    /// All refusals so far.
    pub(super) fn total(&self) -> u64 {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).total
    }

    fn count(&self, target: &str) -> Say {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.total += 1;
        if let Some(times) = counts.by_target.get_mut(target) {
            *times += 1;
            return if is_power_of_ten(*times) { Say::Refusal(*times) } else { Say::Nothing };
        }
        if counts.by_target.len() < MOST_TARGETS {
            counts.by_target.insert(target.to_owned(), 1);
            return Say::Refusal(1);
        }
        counts.others += 1;
        if counts.others == 1 { Say::TooMany } else { Say::Nothing }
    }
}

fn is_power_of_ten(n: u64) -> bool {
    n.checked_ilog10().is_some_and(|digits| 10u64.pow(digits) == n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_then_every_tenfold() {
        let log = RefusalLog::new("c".into(), "calls of more than");
        let said: Vec<u64> = (1..=1000)
            .filter_map(|_| match log.count("http://a.test") {
                Say::Refusal(n) => Some(n),
                _ => None,
            })
            .collect();
        assert_eq!(said, [1, 10, 100, 1000]);
        assert_eq!(log.count("http://b.test"), Say::Refusal(1));
        assert_eq!(log.total(), 1001);
    }

    #[test]
    fn a_guest_that_guesses_hosts_is_bounded() {
        let log = RefusalLog::new("c".into(), "calls of more than");
        for n in 0..MOST_TARGETS {
            assert_eq!(log.count(&n.to_string()), Say::Refusal(1));
        }
        assert_eq!(log.count("one more"), Say::TooMany);
        assert_eq!(log.count("and more"), Say::Nothing);
        assert_eq!(log.counts.lock().unwrap().by_target.len(), MOST_TARGETS);
    }
}
