//! One batch to its end: how long to try, how often, and what became of it.

use super::MAX_ELAPSED;
use super::answer::Failed;
use super::client::Client;
use crate::telemetry::counters::Counters;
use crate::telemetry::export::Stop;
use crate::telemetry::export::batch::Batch;
use crate::telemetry::export::health::Health;
use crate::telemetry::export::signal::Signal;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// Longest wait that an endpoint may ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);
/// Waits between attempts double from the first to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// What became of a batch.
pub(super) struct Outcome {
    items: u32,
    /// Items refused by the endpoint; `None` when the batch did not arrive.
    rejected: Option<u32>,
}

/// Sends the batches of one signal.
pub(super) struct Sender {
    client: Client,
    pub(super) health: Health,
    counters: Arc<Counters>,
    limit: Duration,
}

impl Sender {
    /// `name` is the endpoint as people may see it; `limit` holds for one batch, all attempts together.
    pub(super) fn new(
        client: Client,
        signal: Signal,
        name: String,
        counters: Arc<Counters>,
        limit: Option<Duration>,
    ) -> Self {
        counters.condition.goes_to(&name);
        let limit = limit.map_or(MAX_ELAPSED, |limit| limit.min(MAX_ELAPSED));
        Sender { client, health: Health::new(signal, name), counters, limit }
    }

    /// Counts what became of a batch; nothing if its task died, which the shutdown sees.
    pub(super) fn count(&self, outcome: Option<Outcome>) {
        let Some(Outcome { items, rejected }) = outcome else {
            return;
        };
        match rejected {
            Some(rejected) => {
                Counters::add(&self.counters.exported, items - rejected);
                Counters::add(&self.counters.rejected, rejected);
            }
            None => Counters::add(&self.counters.export_failed, items),
        }
    }

    /// Sends one batch, again and again while that may help.
    pub(super) async fn send(&self, batch: Batch, mut stop: Stop) -> Outcome {
        let started = Instant::now();
        // Time that the endpoint asks us to wait is not held against the limit.
        let mut give_up = started + self.limit;
        let mut wait = FIRST_WAIT;
        let payload = match self.client.payload(batch.body) {
            Ok(payload) => payload,
            Err(failed) => {
                self.failed(&failed, batch.items);
                return Outcome { items: batch.items, rejected: None };
            }
        };
        loop {
            let failed = match timeout_at(give_up, self.client.post(payload.clone())).await {
                Ok(Ok(accepted)) => {
                    let rejected = accepted.rejected.clamp(0, batch.items.into()) as u32;
                    let now = Instant::now().into_std();
                    self.health.arrived(now, rejected, &accepted.message);
                    self.counters.condition.arrived();
                    return Outcome { items: batch.items, rejected: Some(rejected) };
                }
                Ok(Err(failed)) => failed,
                Err(_elapsed) => {
                    self.client.given_up();
                    Failed::no_answer(self.limit)
                }
            };
            // Half to one and a half, so that a fleet does not come back at the same moment.
            let mut pause = wait.mul_f64(0.5 + fastrand::f64());
            wait = (wait * 2).min(LONGEST_WAIT);
            if let Some(asked) = failed.retry_after {
                pause = asked.min(MAX_RETRY_AFTER);
                give_up = (give_up + pause).min(started + MAX_ELAPSED);
            }
            // At the end only an endpoint that answers is worth another try.
            let hopeless = !failed.retry || (stop.is_stopping() && !failed.answered);
            if hopeless || Instant::now() + pause >= give_up {
                self.failed(&failed, batch.items);
                return Outcome { items: batch.items, rejected: None };
            }
            self.failed(&failed, 0);
            if stop.is_stopping() {
                sleep(pause).await;
            } else {
                tokio::select! {
                    () = sleep(pause) => {}
                    _deadline = stop.stopped() => {}
                }
            }
        }
    }

    /// Tells of a failure, with which so many `items` more are lost.
    fn failed(&self, failed: &Failed, items: u32) {
        let now = Instant::now().into_std();
        self.counters.condition.failed(&failed.error);
        if failed.unknown_signal && self.health.not_taken(&failed.error) {
            return;
        }
        let dropped = self.counters.dropped().spans() + u64::from(items);
        self.health.failed(now, &failed.error, dropped);
    }
}
