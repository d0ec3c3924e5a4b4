//! Collects the metrics at each interval and at the end, and sends what they say.

use super::sender::Sender;
use crate::config;
use crate::telemetry::counters::Counters;
use crate::telemetry::export::Stop;
use crate::telemetry::export::batch::{Batch, Envelope};
use crate::telemetry::metrics::{Metrics, Reader};
use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// Runs until the shutdown.
pub(super) async fn run(
    sender: Arc<Sender>,
    envelope: Envelope,
    export: &config::MetricsExport,
    metrics: &Arc<Metrics>,
    mut stop: Stop,
) {
    // An interval of zero would be a busy loop.
    let period = export.interval.max(Duration::from_millis(10));
    let mut ticks = interval_at(Instant::now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut reader = Reader::new(Arc::clone(metrics), export.temporality);
    let mut is_last = false;
    while !is_last {
        tokio::select! {
            biased;
            _deadline = stop.stopped() => is_last = true,
            _now = ticks.tick() => {}
        }
        let collected = if is_last { reader.finish() } else { reader.collect() };
        send(&sender, envelope.batches_of_metrics(&collected).into(), metrics, &stop).await;
    }
}

/// Sends one collection, until the deadline of the shutdown at the latest. In turn, and before the next collection: a
/// later one of the same numbers must not arrive first.
async fn send(sender: &Sender, mut batches: VecDeque<Batch>, metrics: &Metrics, stop: &Stop) {
    let mut over = stop.clone();
    let mut over = pin!(over.over());
    while let Some(batch) = batches.pop_front() {
        let points = batch.items;
        tokio::select! {
            outcome = sender.send(batch, stop.clone()) => sender.count(Some(outcome)),
            () = over.as_mut() => {
                let left = points + batches.iter().map(|batch| batch.items).sum::<u32>();
                return Counters::add(&metrics.counters.export_failed, left);
            }
        }
    }
}
