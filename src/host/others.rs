//! How a task that has much to do lets all others on its thread go first.

use std::future::poll_fn;
use std::task::Poll;

/// Waits until sockets and timers have been looked at, and all tasks of this thread have run that are ready then.
///
/// tokio's own yield waits for the next look at the sockets alone, however long the thread's queue is; and the task that is
/// woken last in that look is run next, which may well be the one that has yielded. Who goes on by it alone goes on
/// several times in one round of the queue, which grows without end where each time adds tasks to it.
pub(crate) async fn let_others_go_on() {
    to_the_end_of_the_queue().await;
    tokio::task::yield_now().await;
    to_the_end_of_the_queue().await;
}

/// Waits until all tasks of this thread have run that are ready now: a task that wakes itself while it runs is put last.
pub(crate) async fn to_the_end_of_the_queue() {
    let mut is_last = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut is_last, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[tokio::test]
    async fn all_that_are_ready_are_run_first() {
        let order = Arc::new(Mutex::new(Vec::new()));
        let (ours, theirs) = (order.clone(), order.clone());
        tokio::spawn(async move {
            // More than are run between two looks at the sockets.
            for n in 0..100 {
                let theirs = theirs.clone();
                tokio::spawn(async move { theirs.lock().unwrap().push(n) });
            }
            let_others_go_on().await;
            ours.lock().unwrap().push(100);
        })
        .await
        .unwrap();
        assert_eq!(*order.lock().unwrap(), (0..=100).collect::<Vec<_>>());
    }
}
