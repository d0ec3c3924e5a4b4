//! Instances of 0.2 that wait for their next request.
//!
//! Each thread has a shelf of its own, on which it puts instances and from which it takes the one that was used last: that
//! is the warmest, and no other thread waits for the lock. Only who finds nothing there looks at the shelves of others. No
//! instance is ever dropped under a lock, since that takes long: its memory is unmapped or reset.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pounce_otlp::thread_slot;

/// Instances with the moment since which they wait, the longest first.
type Shelf<T> = Vec<(Instant, T)>;

/// Instances that wait.
pub(super) struct Idle<T> {
    shelves: Box<[Mutex<Shelf<T>>]>,
    timeout: Duration,
}

impl<T> Idle<T> {
    /// An instance is kept for `timeout`.
    pub(super) fn new(timeout: Duration) -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self { shelves: (0..threads).map(|_| Mutex::default()).collect(), timeout }
    }

    /// An instance that is not too old, if there is one.
    pub(super) fn take(&self) -> Option<T> {
        let own = thread_slot() % self.shelves.len();
        (own..self.shelves.len()).chain(0..own).find_map(|at| {
            let last = self.shelf(at).pop();
            last.filter(|(since, _)| since.elapsed() < self.timeout).map(|(_, instance)| instance)
        })
    }

    pub(super) fn put(&self, instance: T) {
        let own = thread_slot() % self.shelves.len();
        self.shelf(own).push((Instant::now(), instance));
    }

    /// Drops the instances that are too old.
    pub(super) fn expire(&self) {
        for at in 0..self.shelves.len() {
            let expired: Shelf<T> = {
                let mut shelf = self.shelf(at);
                let kept = shelf.partition_point(|(since, _)| since.elapsed() >= self.timeout);
                shelf.drain(..kept).collect()
            };
            drop(expired);
        }
    }

    fn shelf(&self, at: usize) -> MutexGuard<'_, Shelf<T>> {
        self.shelves[at].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const LONG: Duration = Duration::from_secs(3600);

    #[test]
    fn the_last_one_comes_first_and_none_is_forgotten() {
        let idle = Arc::new(Idle::new(LONG));
        let of_other = Arc::clone(&idle);
        std::thread::spawn(move || of_other.put(0)).join().unwrap();
        idle.put(1);
        idle.put(2);
        let taken: Vec<i32> = std::iter::from_fn(|| idle.take()).collect();
        assert_eq!(taken.len(), 3);
        assert!(taken.iter().position(|n| *n == 2) < taken.iter().position(|n| *n == 1), "{taken:?}");
        idle.put(3);
        idle.expire();
        assert_eq!(idle.take(), Some(3));
    }

    /// Something that needs every lock as it is dropped.
    struct Instance(Arc<Idle<Instance>>, Arc<AtomicUsize>);

    impl Drop for Instance {
        fn drop(&mut self) {
            for at in 0..self.0.shelves.len() {
                drop(self.0.shelves[at].try_lock().expect("no lock is held"));
            }
            self.1.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn what_is_too_old_is_dropped_outside_the_lock() {
        let (idle, dropped) = (Arc::new(Idle::new(Duration::ZERO)), Arc::new(AtomicUsize::new(0)));
        for _ in 0..3 {
            idle.put(Instance(idle.clone(), dropped.clone()));
        }
        assert!(idle.take().is_none());
        assert_eq!(dropped.load(Ordering::Relaxed), 1);
        idle.expire();
        assert_eq!(dropped.load(Ordering::Relaxed), 3);
    }
}
