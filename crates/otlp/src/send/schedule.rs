//! From the buffers of spans or log records to the endpoint: when, and how many batches at once.

use super::retry::Load;
use super::sender::Sender;
use super::stop::Stop;
use crate::batch::{Batch, Envelope};
use crate::buffer::Buffer;
use crate::losses::Loss;
use crate::settings::Batching;
use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

/// Requests on their way at once: one alone would be bound by the endpoint's latency.
const MAX_IN_FLIGHT: usize = 4;

/// How often a disk that failed is looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Runs until the shutdown: drains the buffer when a batch waits, and at least once per schedule delay.
pub(crate) async fn run(
    sender: Arc<Sender>,
    envelope: Envelope,
    batching: Batching,
    buffer: &Buffer,
    mut stop: Stop,
) {
    // A delay of zero would be a busy loop.
    let delay = batching.delay.max(Duration::from_millis(10));
    let max_items = batching.max_items.max(1);
    let mut work =
        Work { sender, backlog: VecDeque::new(), sending: JoinSet::new(), spooling: JoinSet::new() };
    let mut flush_at = Instant::now() + delay;

    loop {
        let dropped = buffer.counts().lost(Loss::QueueFull);
        work.sender.health.overflowed(Instant::now().into_std(), dropped);
        let trouble = &work.sender.trouble;
        let quiet = trouble.quiet_until();
        // While older batches wait, or one more could only be held, the buffer holds what comes, within its bounds.
        let held_up = trouble.holds() && (work.is_busy() || trouble.is_full());
        let spools = work.sender.spool().is_some();
        let takes = work.backlog.is_empty() && (spools || (quiet.is_none() && !held_up));
        if takes && (buffer.is_due() || Instant::now() >= flush_at) {
            work.backlog.extend(envelope.batches_of(&buffer.drain(false), max_items));
            flush_at = Instant::now() + delay;
        }
        // More waits than can be on its way: the disk has room for it, the buffer soon has not.
        let overflows = spools && work.is_busy() && !work.backlog.is_empty() && buffer.is_due();
        if spools && (overflows || quiet.is_some() || work.waits_for_probe()) {
            work.spool();
        }
        if quiet.is_none() {
            work.fill(&stop);
        }
        work.sender.trouble.behind(load(&work.backlog));
        // What was just taken may be on its way already.
        let takes = takes && work.backlog.is_empty();
        tokio::select! {
            () = buffer.ready(), if takes || spools => {}
            () = sleep_until(flush_at), if takes => {}
            () = sleep_until(quiet.unwrap_or(flush_at)), if quiet.is_some() => {}
            // A disk that failed may work again.
            () = sleep(LOOK_AGAIN), if work.sender.spool.is_some() && !spools => {}
            () = work.step() => {}
            _deadline = stop.stopped() => break,
        }
    }

    work.backlog.extend(envelope.batches_of(&buffer.drain(true), max_items));
    let mut over = stop.clone();
    let mut over = pin!(over.over());
    while !work.is_done() {
        // An endpoint that was away a moment ago is not waited for, where the disk takes it all.
        if work.sender.spool().is_some() && work.sender.trouble.is_down() {
            work.spool();
        } else {
            work.fill(&stop);
        }
        tokio::select! {
            () = work.step() => {}
            // Out of time: what has not arrived is counted by the caller.
            () = over.as_mut() => break,
        }
    }
}

/// What was taken out of the buffer and is not done.
struct Work {
    sender: Arc<Sender>,
    backlog: VecDeque<Batch>,
    sending: JoinSet<()>,
    /// At most one, which comes back if the disk does not take it.
    spooling: JoinSet<Option<Batch>>,
}

impl Work {
    /// Whether no more can be on its way.
    fn is_busy(&self) -> bool {
        self.sending.len() >= MAX_IN_FLIGHT
    }

    fn is_done(&self) -> bool {
        self.backlog.is_empty() && self.sending.is_empty() && self.spooling.is_empty()
    }

    /// Whether one batch, on its way or in the spool, is to show first that the endpoint is back.
    fn waits_for_probe(&self) -> bool {
        let Sender { trouble, spool, .. } = &*self.sender;
        trouble.is_down() && (!self.sending.is_empty() || spool.as_ref().is_some_and(|spool| spool.waits()))
    }

    /// Gives the disk what waits, one batch after another.
    fn spool(&mut self) {
        if self.spooling.is_empty()
            && let Some(batch) = self.backlog.pop_front()
        {
            let sender = Arc::clone(&self.sender);
            self.spooling.spawn(async move {
                let taken = match &sender.spool {
                    Some(spool) => spool.put(&batch).await,
                    None => false,
                };
                (!taken).then_some(batch)
            });
        }
    }

    /// Sends what waits: what is new first, then what is in the spool.
    fn fill(&mut self, stop: &Stop) {
        let probes = self.waits_for_probe();
        while !self.is_busy()
            && !probes
            && let Some(batch) = self.backlog.pop_front()
        {
            let (sender, stop) = (Arc::clone(&self.sender), stop.clone());
            self.sending.spawn(async move { sender.send(batch, stop).await });
        }
        // What is on the disk is safe there at the end.
        let most = if self.sender.trouble.is_down() { 1 } else { MAX_IN_FLIGHT };
        while self.sending.len() < most
            && !stop.is_stopping()
            && self.sender.spool.as_ref().is_some_and(|spool| spool.waits())
        {
            let (sender, stop) = (Arc::clone(&self.sender), stop.clone());
            self.sending.spawn(async move { sender.send_stored(stop).await });
        }
    }

    /// Waits until something is done; for ever if nothing is under way.
    async fn step(&mut self) {
        tokio::select! {
            Some(_over) = self.sending.join_next() => {}
            Some(spooled) = self.spooling.join_next() => {
                // A task that died took its batch along, which the shutdown sees.
                self.backlog.extend(spooled.ok().flatten());
            }
            else => std::future::pending().await,
        }
    }
}

fn load(backlog: &VecDeque<Batch>) -> Load {
    let items = backlog.iter().map(|batch| batch.items as usize).sum();
    Load { items, bytes: backlog.iter().map(|batch| batch.body.len()).sum() }
}
