//! Sends batches to an OTLP endpoint as `http/protobuf`: when, how many at once, and how long to try.

mod client;

use super::Stop;
use super::batch::{Batch, Envelope};
use super::health::Health;
use crate::config;
use crate::telemetry::counters::Counters;
use crate::telemetry::pipeline::Pipeline;
use client::{Client, Failed};
use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

/// Requests on their way at once: one alone would be bound by the endpoint's latency.
const MAX_IN_FLIGHT: usize = 4;
/// A batch is given up after this in any case, whatever the settings and the endpoint ask for.
const MAX_ELAPSED: Duration = Duration::from_secs(300);
/// Longest wait that an endpoint may ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);
/// Waits between attempts double from the first to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// What the exporter needs of the configuration.
pub(in crate::telemetry) struct Settings {
    url: http::Uri,
    headers: Vec<(http::HeaderName, http::HeaderValue)>,
    timeout: config::Timeout,
    batch: config::Batch,
    envelope: Envelope,
}

impl Settings {
    pub(super) fn new(otel: &config::Otel, endpoint: &config::Endpoint, component: &str) -> Self {
        Settings {
            url: endpoint.url.clone(),
            headers: otel.headers.clone(),
            timeout: otel.timeout,
            batch: otel.batch.clone(),
            envelope: Envelope::new(otel, component),
        }
    }
}

/// What became of a batch.
struct Outcome {
    spans: u32,
    /// Spans refused by the endpoint; `None` when the batch did not arrive.
    rejected: Option<u32>,
}

/// Runs until the shutdown: drains the pipeline when a batch waits, and at least once per schedule delay.
pub(super) async fn run(settings: Settings, pipeline: &Arc<Pipeline>, mut stop: Stop) {
    let batch = &settings.batch;
    let sender = Arc::new(Sender {
        client: Client::new(&settings.url, &settings.headers, settings.timeout.0),
        health: Health::new(client::for_people(&settings.url)),
        pipeline: Arc::clone(pipeline),
        limit: batch.export_timeout.0.map_or(MAX_ELAPSED, |limit| limit.min(MAX_ELAPSED)),
    });
    // A delay of zero would be a busy loop.
    let delay = batch.schedule_delay.max(Duration::from_millis(10));
    let mut backlog: VecDeque<Batch> = VecDeque::new();
    let mut sending: JoinSet<Outcome> = JoinSet::new();
    let mut flush_at = Instant::now() + delay;

    loop {
        // While older batches wait, the pipeline holds what comes, within its bounds.
        if backlog.is_empty() && (pipeline.is_due() || Instant::now() >= flush_at) {
            backlog.extend(
                settings.envelope.batches(&pipeline.drain(false), batch.max_export_batch_size.max(1)),
            );
            flush_at = Instant::now() + delay;
            let dropped = pipeline.totals().dropped.queue_full;
            sender.health.overflowed(Instant::now().into_std(), dropped);
        }
        fill(&mut sending, &mut backlog, &sender, &stop);
        tokio::select! {
            () = pipeline.batch_ready.notified(), if backlog.is_empty() => {}
            () = sleep_until(flush_at), if backlog.is_empty() => {}
            Some(outcome) = sending.join_next() => count(pipeline, outcome.ok()),
            _deadline = stop.stopped() => break,
        }
    }

    backlog.extend(settings.envelope.batches(&pipeline.drain(true), batch.max_export_batch_size.max(1)));
    let mut over = stop.clone();
    let mut over = pin!(over.over());
    loop {
        fill(&mut sending, &mut backlog, &sender, &stop);
        tokio::select! {
            outcome = sending.join_next() => match outcome {
                Some(outcome) => count(pipeline, outcome.ok()),
                None => break,
            },
            // Out of time: what has not arrived is counted by the caller.
            () = over.as_mut() => break,
        }
    }
    while let Some(outcome) = sending.try_join_next() {
        count(pipeline, outcome.ok());
    }
}

fn fill(sending: &mut JoinSet<Outcome>, backlog: &mut VecDeque<Batch>, sender: &Arc<Sender>, stop: &Stop) {
    while sending.len() < MAX_IN_FLIGHT
        && let Some(batch) = backlog.pop_front()
    {
        let (sender, stop) = (Arc::clone(sender), stop.clone());
        sending.spawn(async move { sender.send(batch, stop).await });
    }
}

fn count(pipeline: &Pipeline, outcome: Option<Outcome>) {
    let Some(Outcome { spans, rejected }) = outcome else {
        return;
    };
    let counters = &pipeline.counters;
    match rejected {
        Some(rejected) => {
            Counters::add(&counters.exported, spans - rejected);
            Counters::add(&counters.rejected, rejected);
        }
        None => Counters::add(&counters.export_failed, spans),
    }
}

struct Sender {
    client: Client,
    health: Health,
    pipeline: Arc<Pipeline>,
    limit: Duration,
}

impl Sender {
    /// Sends one batch, again and again while that may help.
    async fn send(&self, batch: Batch, mut stop: Stop) -> Outcome {
        let started = Instant::now();
        // Time that the endpoint asks us to wait is not held against the limit.
        let mut give_up = started + self.limit;
        let mut wait = FIRST_WAIT;
        loop {
            let failed = match timeout_at(give_up, self.client.post(batch.body.clone())).await {
                Ok(Ok(accepted)) => {
                    let rejected = accepted.rejected.clamp(0, batch.spans.into()) as u32;
                    let now = Instant::now().into_std();
                    self.health.arrived(now, rejected, &accepted.message);
                    return Outcome { spans: batch.spans, rejected: Some(rejected) };
                }
                Ok(Err(failed)) => failed,
                Err(_elapsed) => Failed::no_answer(self.limit),
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
                self.failed(&failed, batch.spans);
                return Outcome { spans: batch.spans, rejected: None };
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

    /// Tells of a failure, with which `spans` more are lost.
    fn failed(&self, failed: &Failed, spans: u32) {
        let dropped = self.pipeline.totals().dropped.spans() + u64::from(spans);
        self.health.failed(Instant::now().into_std(), &failed.error, dropped);
    }
}
