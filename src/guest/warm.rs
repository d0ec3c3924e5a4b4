//! Instances that are made before there is a request for them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::host::{Failure, FailureKind};

/// How long is waited for room for one instance, and how often it is looked whether there is some. Instances that nobody
/// uses are gone after a second (`IDLE_TIMEOUT`).
const ROOM_WITHIN: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(50);

/// Instances that wait for the first requests, however long these take to come.
pub(super) struct Warm<T> {
    instances: Mutex<Vec<T>>,
    /// Asked without a lock by all requests for a fresh instance after the first ones.
    has_some: AtomicBool,
}

impl<T> Warm<T> {
    /// None yet.
    pub(super) const fn new() -> Self {
        Self { instances: Mutex::new(Vec::new()), has_some: AtomicBool::new(false) }
    }

    /// Keeps instances until they are taken.
    pub(super) fn put(&self, instances: Vec<T>) {
        let mut kept = self.instances.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend(instances);
        self.has_some.store(!kept.is_empty(), Ordering::Release);
    }

    /// One of those that are left.
    pub(super) fn take(&self) -> Option<T> {
        if !self.has_some.load(Ordering::Acquire) {
            return None;
        }
        let mut kept = self.instances.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = kept.pop();
        self.has_some.store(!kept.is_empty(), Ordering::Release);
        taken
    }
}

/// Makes `count` instances, which exist at the same time, so that each has a slot of its own: the memory of a slot is
/// laid out when it is first used. Fewer where there is no room for more than one, which is waited for: after a reload
/// the generations before may still have all slots.
///
/// # Errors
/// Not even one can be made.
pub(super) async fn make<T>(
    count: usize,
    make: impl AsyncFn() -> Result<T, Failure>,
) -> Result<Vec<T>, Failure> {
    let begun = Instant::now();
    let first = loop {
        match make().await {
            Err(failure)
                if matches!(failure.kind, FailureKind::Overloaded) && begun.elapsed() < ROOM_WITHIN =>
            {
                tokio::time::sleep(LOOK).await;
            }
            first => break first?,
        }
    };
    let mut made = vec![first];
    while made.len() < count {
        match make().await {
            Ok(instance) => made.push(instance),
            Err(failure) => {
                let warm = made.len();
                tracing::warn!(warm, wanted = count, "fewer instances are warm: {}", failure.message);
                break;
            }
        }
    }
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::FailureKind;
    use std::cell::Cell;

    #[test]
    fn each_is_taken_once() {
        let warm = Warm::new();
        assert_eq!(warm.take(), None::<u8>);
        warm.put(vec![1, 2]);
        let mut taken = [warm.take(), warm.take(), warm.take()];
        taken.sort_unstable();
        assert_eq!(taken, [None, Some(1), Some(2)]);
    }

    #[tokio::test]
    async fn one_must_be_there_and_more_may() {
        let made = Cell::new(0);
        let at_most = |most: usize| {
            let made = &made;
            async move || {
                if made.get() == most {
                    return Err(Failure::new(FailureKind::Internal, "no room"));
                }
                made.set(made.get() + 1);
                Ok(made.get())
            }
        };
        assert!(make(2, at_most(0)).await.is_err());
        assert_eq!(make(4, at_most(2)).await.unwrap(), [1, 2]);
        made.set(0);
        assert_eq!(make(0, at_most(9)).await.unwrap(), [1], "for its errors");
        made.set(0);
        assert_eq!(make(3, at_most(9)).await.unwrap().len(), 3);
    }
}
