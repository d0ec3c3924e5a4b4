//! Collects what does not wait in a buffer (metrics) at each interval and at the end, and sends what was collected.

use super::sender::Sender;
use super::stop::Stop;
use crate::batch::Batch;
use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until};

/// Occasion of a collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Collection {
    /// An interval is over.
    Periodic,
    /// The shutdown has begun: nothing is collected after this.
    Last,
}

/// Runs until the shutdown.
pub(crate) async fn run(
    sender: Arc<Sender>,
    interval: Duration,
    mut collect: impl FnMut(Collection) -> Vec<Batch>,
    mut stop: Stop,
) {
    // An interval of zero would be a busy loop.
    let period = interval.max(Duration::from_millis(10));
    let mut ticks = interval_at(Instant::now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_last = false;
    while !is_last {
        tokio::select! {
            biased;
            _deadline = stop.stopped() => is_last = true,
            _now = ticks.tick() => {}
            () = stored_is_due(&sender) => {
                // One at a time and the oldest first, as below.
                let mut over = stop.clone();
                tokio::select! {
                    () = sender.send_stored(stop.clone()) => {}
                    () = over.over() => {}
                }
                continue;
            }
        }
        let collection = if is_last { Collection::Last } else { Collection::Periodic };
        send(&sender, collect(collection).into(), &stop).await;
    }
}

/// Waits until the oldest collection in the spool should be sent; for ever if there is none.
async fn stored_is_due(sender: &Sender) {
    if !sender.spool.as_ref().is_some_and(|spool| spool.waits()) {
        return std::future::pending().await;
    }
    if let Some(until) = sender.trouble.quiet_until() {
        sleep_until(until).await;
    }
}

/// Sends one collection, until the deadline of the shutdown at the latest. In turn, and before the next collection: a
/// later one of the same numbers must not arrive first. Behind those that wait in the spool, for the same reason.
///
/// What is left then is counted by the caller of the shutdown.
async fn send(sender: &Sender, mut batches: VecDeque<Batch>, stop: &Stop) {
    let mut over = stop.clone();
    let mut over = pin!(over.over());
    while let Some(batch) = batches.pop_front() {
        let sent = async {
            match &sender.spool {
                Some(spool) if (spool.waits() || sender.trouble.is_down()) && spool.put(&batch).await => {}
                _ => sender.send(batch, stop.clone()).await,
            }
        };
        tokio::select! {
            () = sent => {}
            () = over.as_mut() => return,
        }
    }
}
