//! One batch to its end: how long to try, how often, in which parts, and what became of it.

use super::answer::{Accepted, Failed, on_one_line};
use super::client::{Client, Payload};
use super::health::Health;
use super::refusal::Refusal;
use super::retry::{Load, Trouble};
use super::stop::Stop;
use crate::batch::{Batch, MAX_REQUEST};
use crate::losses::{Counts, Loss};
use crate::spool::Lane;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

/// The longest time that sending one batch may take, whatever the settings say.
const MAX_ELAPSED: Duration = Duration::from_secs(300);
/// The longest quiet that an endpoint may ask for; then it is asked again, by one that is held.
const MAX_QUIET: Duration = Duration::from_secs(1800);
/// The longest time for which a batch is held because the endpoint asks for it.
const MAX_HELD: Duration = Duration::from_secs(3600);
/// After the shutdown has begun, no batch is tried again later than this: an operator waits.
const LAST_TRIES: Duration = Duration::from_secs(5);
/// How long an attempt may take once the shutdown has begun, where the disk takes the batch instead.
const LAST_ATTEMPT: Duration = Duration::from_secs(2);

/// However little an endpoint takes, batches of this size are tried.
const LEAST: usize = 16 * 1024;

/// Why the endpoint does not have a batch.
enum Undone {
    Failed(Failed),
    /// It is more than the endpoint takes, and may go in parts.
    TooLarge {
        /// Bytes of its message.
        size: usize,
        /// What the endpoint said of it; none where it was not tried.
        failed: Option<Failed>,
    },
}

/// Sends the batches of one signal.
pub(crate) struct Sender {
    client: Client,
    pub(crate) health: Health,
    pub(crate) trouble: Trouble,
    /// Takes what the endpoint does not, if there is one.
    pub(crate) spool: Option<Lane>,
    counts: Arc<Counts>,
    limit: Duration,
    /// Bytes of a message that the endpoint may take: three quarters of the least that it found too large.
    most: AtomicUsize,
}

impl Sender {
    /// `limit` holds for one batch, all attempts together.
    pub(crate) fn new(
        client: Client,
        health: Health,
        counts: Arc<Counts>,
        trouble: Trouble,
        spool: Option<Lane>,
        limit: Option<Duration>,
    ) -> Self {
        let limit = limit.map_or(MAX_ELAPSED, |limit| limit.min(MAX_ELAPSED));
        Sender { client, health, trouble, spool, counts, limit, most: AtomicUsize::new(MAX_REQUEST) }
    }

    /// The spool, while it takes batches.
    pub(crate) fn spool(&self) -> Option<&Lane> {
        self.spool.as_ref().filter(|spool| spool.takes())
    }

    /// Sends one batch, again and again while that may help; with a spool once, and then the disk has it. What is too
    /// large for the endpoint goes in parts. Counts each part as soon as it is over: what is dropped in the middle, the
    /// shutdown counts.
    pub(crate) async fn send(&self, batch: Batch, mut stop: Stop) {
        let mut parts = vec![batch];
        while let Some(part) = parts.pop() {
            match self.send_whole(&part, &mut stop).await {
                Ok(Some(accepted)) => self.arrived(&accepted, part.items),
                Ok(None) => {}
                Err(Undone::Failed(failed)) => self.lost(&failed, part.items),
                Err(Undone::TooLarge { size, failed }) => {
                    if let Some([first, second]) = self.halves(&part, size, failed) {
                        parts.extend([second, first]);
                    }
                }
            }
        }
    }

    /// What the endpoint made of a batch; none if the disk has it.
    async fn send_whole(&self, batch: &Batch, stop: &mut Stop) -> Result<Option<Accepted>, Undone> {
        let started = Instant::now();
        // Time that the endpoint asks us to wait is not held against the limit.
        let mut give_up = started + self.limit;
        let payload = self.payload(batch)?;
        let load = Load { items: batch.items as usize, bytes: payload.bytes.len() };
        let mut held = None;
        let mut attempts = 0;
        loop {
            if self.spool().is_none() {
                give_up = self.keep_quiet(give_up, started + MAX_HELD, stop).await;
            }
            let mut failed = match self.attempt(&payload, give_up, stop).await {
                Ok(accepted) => return Ok(Some(accepted)),
                Err(Undone::Failed(failed)) => failed,
                Err(too_large) => return Err(too_large),
            };
            held.get_or_insert_with(|| self.trouble.hold(load));
            let again = self.hold_off(&mut failed, attempts);
            if let Some(asked) = failed.retry_after {
                give_up = (give_up + asked).min(started + MAX_HELD);
            }
            attempts += 1;
            let gives_up = !failed.retry || again >= give_up || is_last(&failed, again, stop);
            if failed.may_pass()
                && let Some(spool) = &self.spool
                && spool.put(batch).await
            {
                self.failed(&failed, 0);
                return Ok(None);
            }
            if gives_up {
                return Err(Undone::Failed(failed));
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

    /// Sends the oldest batch of the spool, once, if there is one, and counts what became of it. What is too large for
    /// the endpoint goes in parts, and from the first that does not arrive on they stay in the spool.
    pub(crate) async fn send_stored(&self, stop: Stop) {
        let Some(spool) = &self.spool else { return };
        let Some(stored) = spool.take().await else { return };
        let (mut parts, mut over) = (vec![stored.batch.clone()], 0);
        while let Some(part) = parts.pop() {
            match self.try_stored(&part, &stop).await {
                Ok(accepted) => self.arrived(&accepted, part.items),
                Err(Undone::TooLarge { size, failed }) => {
                    if let Some([first, second]) = self.halves(&part, size, failed) {
                        parts.extend([second, first]);
                        continue;
                    }
                }
                Err(Undone::Failed(failed)) if failed.may_pass() && !spool.is_hopeless(&stored) => {
                    self.failed(&failed, 0);
                    if let Some(rest) = spool.put_back(stored, over).await {
                        self.send(rest, stop).await;
                    }
                    return;
                }
                Err(Undone::Failed(failed)) => self.lost(&failed, part.items),
            }
            // Before the disk is waited for, which may take until the shutdown is over.
            spool.is_over(part.items);
            over += part.items;
        }
        spool.done(stored).await;
    }

    async fn try_stored(&self, batch: &Batch, stop: &Stop) -> Result<Accepted, Undone> {
        let payload = self.payload(batch)?;
        let result = self.attempt(&payload, Instant::now() + self.limit, stop).await;
        result.map_err(|mut undone| {
            if let Undone::Failed(failed) = &mut undone {
                self.hold_off(failed, 0);
            }
            undone
        })
    }

    /// What is sent of a batch. A single item is tried whatever its size: who knows what the endpoint takes.
    fn payload(&self, batch: &Batch) -> Result<Payload, Undone> {
        let payload = self.client.payload(batch.body.clone()).map_err(Undone::Failed)?;
        if payload.size > self.most.load(Relaxed) && batch.items > 1 {
            return Err(Undone::TooLarge { size: payload.size, failed: None });
        }
        Ok(payload)
    }

    /// The halves of a batch that is too large for the endpoint, which `failed` has told unless that is known already; a
    /// batch without halves is lost, and counted.
    fn halves(&self, batch: &Batch, size: usize, failed: Option<Failed>) -> Option<[Batch; 2]> {
        let signal = self.client.target().signal;
        let halves = batch.halves(signal);
        match (&halves, failed) {
            (Some(_), None) => {}
            (Some(_), Some(failed)) => {
                self.most.fetch_min((size - size / 4).max(LEAST), Relaxed);
                self.health.too_large(Instant::now().into_std(), &failed.error, size);
            }
            (None, failed) => {
                let mut failed = failed.unwrap_or_default();
                let what = signal.counted();
                failed.error.push_str(&format!(
                    "; it is one of the {what} that is too large for it by itself ({size} bytes): raise its limit"
                ));
                self.failed(&failed, batch.items);
                self.counts.lose(Loss::TooLargeForEndpoint, batch.items);
            }
        }
        halves
    }

    /// One attempt, which is over at `give_up` at the latest.
    async fn attempt(&self, payload: &Payload, give_up: Instant, stop: &Stop) -> Result<Accepted, Undone> {
        let out_of_time = async {
            let mut stop = stop.clone();
            let deadline = Instant::from(stop.stopped().await);
            // The disk needs time, too.
            let half = deadline.duration_since(Instant::now()) / 2;
            sleep(half.min(LAST_ATTEMPT)).await;
        };
        let in_vain = tokio::select! {
            result = timeout_at(give_up, self.client.post(payload)) => match result {
                // Whatever sends a page for people has not taken the batch.
                Ok(Ok(accepted)) if accepted.page => return Err(Undone::Failed(Failed::page())),
                Ok(Ok(accepted)) => return Ok(accepted),
                Ok(Err(failed)) if failed.refusal == Some(Refusal::TooLarge) => {
                    return Err(Undone::TooLarge { size: payload.size, failed: Some(failed) });
                }
                Ok(Err(failed)) => return Err(Undone::Failed(failed)),
                Err(_elapsed) => Failed::no_answer(self.limit),
            },
            () = out_of_time, if self.spool().is_some() => Failed::no_answer_in_the_end(),
        };
        self.client.given_up();
        Err(Undone::Failed(in_vain))
    }

    /// When to try again: as the endpoint asks, which is bounded here, or later from failure to failure.
    fn hold_off(&self, failed: &mut Failed, attempts: u32) -> Instant {
        let now = Instant::now();
        let again = match &self.spool {
            // All batches together, since each is tried once.
            Some(_) if failed.may_pass() => self.trouble.postpone(now),
            _ => now + Trouble::wait(attempts),
        };
        let Some(asked) = &mut failed.retry_after else {
            return again;
        };
        *asked = (*asked).min(MAX_QUIET);
        failed.error.push_str(&format!("; it asks to be left alone, for {} s at least", asked.as_secs()));
        // For all batches: others have no better chance.
        self.trouble.leave_alone(now + *asked);
        again.max(now + *asked)
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

    fn arrived(&self, accepted: &Accepted, items: u32) {
        let rejected = accepted.rejected.clamp(0, items.into()) as u32;
        let now = Instant::now().into_std();
        self.trouble.is_over();
        let dropped = self.counts.losses().dropped();
        self.health.arrived(now, dropped, rejected, on_one_line(&accepted.message).as_deref());
        self.counts.condition.arrived();
        self.counts.export(items - rejected);
        self.counts.lose(Loss::Rejected, rejected);
    }

    fn lost(&self, failed: &Failed, items: u32) {
        self.failed(failed, items);
        self.counts.lose(Loss::ExportFailed, items);
    }

    /// Tells of a failure, with which so many `items` more are lost.
    fn failed(&self, failed: &Failed, items: u32) {
        let now = Instant::now().into_std();
        self.counts.condition.failed(&failed.error);
        if failed.unknown_signal && self.health.not_taken(&failed.error) {
            return;
        }
        let dropped = self.counts.losses().dropped() + u64::from(items);
        self.health.failed(now, &failed.error, dropped);
    }
}

/// Whether it is too late to try `again`: at the end only an endpoint that answers is worth it, and not for long.
fn is_last(failed: &Failed, again: Instant, stop: &Stop) -> bool {
    stop.shutdown().is_some_and(|stop| {
        let last = stop.deadline.min(stop.began + LAST_TRIES);
        !failed.answered || again >= Instant::from(last)
    })
}
