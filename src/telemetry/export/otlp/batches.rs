//! From the buffers of spans or log records to the endpoint: when, and how many batches at once.

use super::sender::{Outcome, Sender};
use super::trouble::Load;
use crate::config;
use crate::telemetry::export::Stop;
use crate::telemetry::export::batch::{Batch, Envelope};
use crate::telemetry::pipeline::Pipeline;
use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// Requests on their way at once: one alone would be bound by the endpoint's latency.
const MAX_IN_FLIGHT: usize = 4;

/// Runs until the shutdown: drains the pipeline when a batch waits, and at least once per schedule delay.
pub(super) async fn run(
    sender: Arc<Sender>,
    envelope: Envelope,
    batch: &config::Batch,
    pipeline: &Pipeline,
    mut stop: Stop,
) {
    // A delay of zero would be a busy loop.
    let delay = batch.schedule_delay.max(Duration::from_millis(10));
    let max_items = batch.max_export_batch_size.max(1);
    let mut backlog: VecDeque<Batch> = VecDeque::new();
    let mut sending: JoinSet<Outcome> = JoinSet::new();
    let mut flush_at = Instant::now() + delay;

    loop {
        let quiet = sender.trouble.quiet_until();
        // While older batches wait, or one more could only be held, the pipeline holds what comes, within its bounds.
        let held_up = sender.trouble.holds() && (sending.len() >= MAX_IN_FLIGHT || sender.trouble.is_full());
        let takes = backlog.is_empty() && quiet.is_none() && !held_up;
        if takes && (pipeline.is_due() || Instant::now() >= flush_at) {
            backlog.extend(envelope.batches_of(&pipeline.drain(false), max_items));
            flush_at = Instant::now() + delay;
            let dropped = pipeline.totals().dropped.queue_full;
            sender.health.overflowed(Instant::now().into_std(), dropped);
        }
        if quiet.is_none() {
            fill(&mut sending, &mut backlog, &sender, &stop);
        }
        sender.trouble.behind(load(&backlog));
        // What was just taken may be on its way already.
        let takes = takes && backlog.is_empty();
        tokio::select! {
            () = pipeline.batch_ready.notified(), if takes => {}
            () = sleep_until(flush_at), if takes => {}
            () = sleep_until(quiet.unwrap_or(flush_at)), if quiet.is_some() => {}
            Some(outcome) = sending.join_next() => sender.count(outcome.ok()),
            _deadline = stop.stopped() => break,
        }
    }

    backlog.extend(envelope.batches_of(&pipeline.drain(true), max_items));
    let mut over = stop.clone();
    let mut over = pin!(over.over());
    loop {
        fill(&mut sending, &mut backlog, &sender, &stop);
        tokio::select! {
            outcome = sending.join_next() => match outcome {
                Some(outcome) => sender.count(outcome.ok()),
                None => break,
            },
            // Out of time: what has not arrived is counted by the caller.
            () = over.as_mut() => break,
        }
    }
    while let Some(outcome) = sending.try_join_next() {
        sender.count(outcome.ok());
    }
}

fn load(backlog: &VecDeque<Batch>) -> Load {
    let items = backlog.iter().map(|batch| batch.items as usize).sum();
    Load { items, bytes: backlog.iter().map(|batch| batch.body.len()).sum() }
}

fn fill(sending: &mut JoinSet<Outcome>, backlog: &mut VecDeque<Batch>, sender: &Arc<Sender>, stop: &Stop) {
    while sending.len() < MAX_IN_FLIGHT
        && let Some(batch) = backlog.pop_front()
    {
        let (sender, stop) = (Arc::clone(sender), stop.clone());
        sending.spawn(async move { sender.send(batch, stop).await });
    }
}
