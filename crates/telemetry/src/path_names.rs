//! Keeps span names few: the first 500 distinct paths may stand in names, whatever comes after may not.
//!
//! Only the `compat` profile names spans after paths, and only those without a route.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};

/// Distinct paths that may stand in names.
const MAX_PATHS: usize = 500;
/// Slots of the table: a power of two, far from full, so that a search is short.
const SLOTS: usize = 2048;

/// The paths seen, as hashes in a table that only grows: looking up takes no lock and writes nothing.
///
/// A hash stands for its path: that two of 500 paths meet in 64 bits under a secret key will not happen.
pub(super) struct PathNames {
    key: RandomState,
    slots: Box<[AtomicU64]>,
    known: AtomicUsize,
    warned: AtomicBool,
}

impl PathNames {
    pub(super) fn new() -> Self {
        PathNames {
            key: RandomState::new(),
            slots: std::iter::repeat_with(AtomicU64::default).take(SLOTS).collect(),
            known: AtomicUsize::new(0),
            warned: AtomicBool::new(false),
        }
    }

    /// Whether a span may be named after `path`.
    pub(super) fn admit(&self, path: &str) -> bool {
        let hash = self.key.hash_one(path).max(1); // zero marks an empty slot
        let mut at = hash as usize;
        for _ in 0..SLOTS {
            let slot = &self.slots[at % SLOTS];
            match slot.load(Relaxed) {
                found if found == hash => return true,
                0 => {
                    if !self.take_place() {
                        return self.refuse();
                    }
                    match slot.compare_exchange(0, hash, Relaxed, Relaxed) {
                        Ok(_) => return true,
                        Err(found) => {
                            self.known.fetch_sub(1, Relaxed);
                            if found == hash {
                                return true;
                            }
                        }
                    }
                }
                _ => {}
            }
            at = at.wrapping_add(1);
        }
        self.refuse()
    }

    fn take_place(&self) -> bool {
        self.known.fetch_update(Relaxed, Relaxed, |known| (known < MAX_PATHS).then_some(known + 1)).is_ok()
    }

    fn refuse(&self) -> bool {
        if !self.warned.swap(true, Relaxed) {
            tracing::warn!(
                "more than {MAX_PATHS} distinct paths without a route: spans of further paths are named after their \
                 method alone. Tell the route of each request (in the guest: `set-route` of `pounce:telemetry/tracing`, \
                 for example \"/users/{{id}}\"), or set `otel.semconv = \"http\"`, which never names spans after paths"
            );
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_hundred_paths_and_no_more() {
        let names = PathNames::new();
        for round in 0..2 {
            for n in 0..600 {
                assert_eq!(names.admit(&format!("/{n}")), n < MAX_PATHS, "round {round}, path {n}");
            }
        }
        assert!(names.warned.load(Relaxed));
    }

    #[test]
    fn threads_together_keep_to_the_limit() {
        let names = PathNames::new();
        let admitted = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (names, admitted) = (&names, &admitted);
                scope.spawn(move || {
                    let own = (0..400).filter(|n| names.admit(&format!("/{thread}/{n}"))).count();
                    admitted.fetch_add(own, Relaxed);
                });
            }
        });
        assert_eq!(admitted.into_inner(), MAX_PATHS);
    }
}
