//! One batch to its end: how long to try, how often, and what became of it.

use super::answer::{Failed, on_one_line};
use super::client::Client;
use super::trouble::{Load, Trouble};
use crate::telemetry::counters::Counters;
use crate::telemetry::export::Stop;
use crate::telemetry::export::batch::Batch;
use crate::telemetry::export::health::Health;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout_at};

/// The longest time that sending one batch may take, whatever the settings say.
const MAX_ELAPSED: Duration = Duration::from_secs(300);
/// The longest quiet that an endpoint may ask for; then it is asked again, by one that is held.
const MAX_QUIET: Duration = Duration::from_secs(1800);
/// The longest time for which a batch is held because the endpoint asks for it.
const MAX_HELD: Duration = Duration::from_secs(3600);
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
    pub(super) trouble: Trouble,
    counters: Arc<Counters>,
    limit: Duration,
}

impl Sender {
    /// `limit` holds for one batch, all attempts together.
    pub(super) fn new(
        client: Client,
        health: Health,
        counters: Arc<Counters>,
        trouble: Trouble,
        limit: Option<Duration>,
    ) -> Self {
        let limit = limit.map_or(MAX_ELAPSED, |limit| limit.min(MAX_ELAPSED));
        Sender { client, health, trouble, counters, limit }
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
        let load = Load { items: batch.items as usize, bytes: payload.len() };
        let mut held = None;
        loop {
            give_up = self.keep_quiet(give_up, started + MAX_HELD, &mut stop).await;
            let mut failed = match timeout_at(give_up, self.client.post(payload.clone())).await {
                // Whatever sends a page for people has not taken the batch.
                Ok(Ok(accepted)) if accepted.page => Failed::page(),
                Ok(Ok(accepted)) => {
                    let rejected = accepted.rejected.clamp(0, batch.items.into()) as u32;
                    let now = Instant::now().into_std();
                    self.health.arrived(now, rejected, on_one_line(&accepted.message).as_deref());
                    self.counters.condition.arrived();
                    return Outcome { items: batch.items, rejected: Some(rejected) };
                }
                Ok(Err(failed)) => failed,
                Err(_elapsed) => {
                    self.client.given_up();
                    Failed::no_answer(self.limit)
                }
            };
            held.get_or_insert_with(|| self.trouble.hold(load));
            let now = Instant::now();
            // Half to one and a half, so that a fleet does not come back at the same moment.
            let mut again = now + wait.mul_f64(0.5 + fastrand::f64());
            wait = (wait * 2).min(LONGEST_WAIT);
            if let Some(asked) = failed.retry_after {
                let asked = asked.min(MAX_QUIET);
                failed
                    .error
                    .push_str(&format!("; it asks to be left alone, for {} s at least", asked.as_secs()));
                // For all batches: others have no better chance.
                self.trouble.leave_alone(now + asked);
                again = again.max(now + asked);
                give_up = (give_up + asked).min(started + MAX_HELD);
            }
            // At the end only an endpoint that answers is worth another try.
            let hopeless = !failed.retry || (stop.is_stopping() && !failed.answered);
            if hopeless || again >= give_up {
                self.failed(&failed, batch.items);
                return Outcome { items: batch.items, rejected: None };
            }
            self.failed(&failed, 0);
            if stop.is_stopping() {
                sleep_until(again).await;
            } else {
                tokio::select! {
                    () = sleep_until(again) => {}
                    _deadline = stop.stopped() => {}
                }
            }
        }
    }

    /// Waits while the endpoint has asked for it, on behalf of another batch. Moves `give_up`, but not beyond `last`.
    async fn keep_quiet(&self, mut give_up: Instant, last: Instant, stop: &mut Stop) -> Instant {
        while !stop.is_stopping()
            && let Some(until) = self.trouble.quiet_until().filter(|until| *until < last)
        {
            give_up = (give_up + until.duration_since(Instant::now())).min(last);
            tokio::select! {
                () = sleep_until(until) => {}
                _deadline = stop.stopped() => {}
            }
        }
        give_up
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
