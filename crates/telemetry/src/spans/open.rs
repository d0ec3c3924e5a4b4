//! What a shutdown still has to close, held in shards so that no lock is shared by all threads.

use crate::pipeline::thread_slot;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// More shards than this are of no use to as many threads as there are.
const MAX_SHARDS: usize = 64;

/// Values that are registered from their first need for it until they are dropped.
pub(crate) struct Registry<T>(Box<[Shard<T>]>);

/// The values that the threads of a shard have registered, by their addresses. Neighbours keep off each other's cache
/// lines.
#[repr(align(128))]
struct Shard<T>(Mutex<HashMap<usize, Weak<T>>>);

impl<T> Registry<T> {
    pub(crate) fn new() -> Self {
        let shards = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_SHARDS);
        Registry((0..shards).map(|_| Shard(Mutex::default())).collect())
    }

    /// Registers `value`; returns the shard that it is in, to be unregistered from.
    pub(crate) fn add(&self, value: &Arc<T>) -> usize {
        let shard = thread_slot() % self.0.len();
        self.0[shard].lock().insert(Arc::as_ptr(value).addr(), Arc::downgrade(value));
        shard
    }

    /// Unregisters a value that is being dropped.
    pub(crate) fn remove(&self, shard: usize, value: &T) {
        let entry = self.0[shard].lock().remove(&std::ptr::from_ref(value).addr());
        // The last reference to its memory, perhaps: freed outside the lock.
        drop(entry);
    }

    /// All values that are still in use.
    pub(crate) fn all(&self) -> Vec<Arc<T>> {
        self.0
            .iter()
            .flat_map(|shard| shard.lock().values().filter_map(Weak::upgrade).collect::<Vec<_>>())
            .collect()
    }
}

impl<T> Shard<T> {
    fn lock(&self) -> MutexGuard<'_, HashMap<usize, Weak<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_there_from_whichever_thread_until_they_are_removed() {
        let registry = Registry::new();
        let values: Vec<_> = (0..10).map(Arc::new).collect();
        let shards: Vec<_> = std::thread::scope(|threads| {
            let registry = &registry;
            let add = |value| threads.spawn(move || registry.add(value));
            let handles: Vec<_> = values.iter().map(add).collect();
            handles.into_iter().map(|handle| handle.join().unwrap()).collect()
        });
        let mut all: Vec<_> = registry.all().iter().map(|value| **value).collect();
        all.sort_unstable();
        assert_eq!(all, (0..10).collect::<Vec<_>>());
        values.iter().zip(&shards).skip(1).for_each(|(value, shard)| registry.remove(*shard, value));
        assert_eq!(registry.all(), [Arc::clone(&values[0])]);
    }
}
