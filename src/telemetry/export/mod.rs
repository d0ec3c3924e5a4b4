//! The exporter: a thread with a runtime of its own, so that neither the server's load nor its shutdown stops it.

mod batch;
mod console;
mod entries;
mod health;
mod otlp;
pub(super) mod otlp_json;
mod signal;
mod spool;
mod wire;

#[cfg(test)]
pub(super) use batch::read;

use super::logs;
use super::metrics::Registries;
use super::pipeline::Pipeline;
use crate::config;
use anyhow::Context;
pub(crate) use otlp::doctor;
use spool::Spool;
use std::io::{self, IsTerminal};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime;
use tokio::sync::watch;

/// Time to flush when the handle is dropped without a shutdown.
const DROP_GRACE: Duration = Duration::from_secs(1);
/// How much later than its deadline a shutdown still waits for the exporter's last word.
const ANSWER_GRACE: Duration = Duration::from_millis(100);
/// How often the shutdown looks whether its deadline has moved.
const LOOK: Duration = Duration::from_millis(50);

pub(super) use batch::Envelope;
pub(super) use entries::Entries;
pub(super) use signal::Signal;

/// Where the exporter finds what it sends.
#[derive(Clone, Default)]
pub(super) struct Sources {
    pub(super) spans: Option<Arc<Pipeline>>,
    /// Guests' log records, if they are exported.
    pub(super) logs: Option<Arc<Pipeline>>,
    /// Metrics, if they are exported, or read by somebody else.
    pub(super) metrics: Option<Registries>,
}

/// Where each signal goes.
pub(super) struct Target {
    otlp: Option<Box<otlp::Settings>>,
    /// Where what cannot be sent there waits.
    spool: Option<Arc<Spool>>,
    /// Spans for people, in place of an endpoint.
    console: Option<console::Printer>,
}

/// Handle on the exporter's thread.
pub(super) struct Exporter {
    stop: watch::Sender<Option<Shutdown>>,
    /// Answers when the thread is done; taken by the first shutdown.
    done: Mutex<Option<Receiver<()>>>,
}

/// The exporter's view of the shutdown.
#[derive(Clone)]
struct Stop(watch::Receiver<Option<Shutdown>>);

/// When the shutdown began, and when it ends.
#[derive(Clone, Copy, Debug)]
struct Shutdown {
    began: Instant,
    deadline: Instant,
}

impl Sources {
    /// Spans alone, for tests and benchmarks.
    pub(super) fn of_spans(spans: Pipeline) -> Self {
        Sources { spans: Some(Arc::new(spans)), logs: None, metrics: None }
    }
}

impl Target {
    /// What the settings ask for; `None` where nothing is exported.
    ///
    /// # Errors
    /// The spool can't be used.
    pub(super) fn of(
        otel: &config::Otel,
        component: &str,
        resource: &Arc<[u8]>,
    ) -> anyhow::Result<Option<Self>> {
        let console = (otel.is_on() && otel.exporter == config::Exporter::Console).then(|| {
            let colour =
                io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
            console::Printer::new(io::stderr(), colour)
        });
        let otlp = Some(otlp::Settings::new(otel, component, resource)).filter(otlp::Settings::has_any);
        let spool = if otlp.is_some() { Spool::open(otel)? } else { None };
        Ok((otlp.is_some() || console.is_some()).then(|| Target { otlp: otlp.map(Box::new), spool, console }))
    }

    /// Prints to `out`, without colour.
    #[cfg(test)]
    pub(super) fn console(out: impl io::Write + Send + 'static) -> Self {
        Target { otlp: None, spool: None, console: Some(console::Printer::new(out, false)) }
    }

    /// The buffers of what is sent there.
    pub(super) fn sources(&self, otel: &config::Otel) -> Sources {
        let pipeline = |max, batch| Arc::new(Pipeline::new(max, batch));
        let has = |signal| self.otlp.as_ref().is_some_and(|settings| settings.has(signal));
        let has_spans = self.console.is_some() || has(Signal::Traces);
        let logs = &otel.logs.batch;
        Sources {
            spans: has_spans.then(|| pipeline(otel.batch.max_queue_size, self.batch_size(otel))),
            logs: has(Signal::Logs).then(|| pipeline(logs.max_queue_size, logs.max_export_batch_size)),
            metrics: has(Signal::Metrics).then(|| Registries::new(otel, true)),
        }
    }

    /// Spans that make a batch; what is printed for people does not wait for others.
    pub(super) fn batch_size(&self, otel: &config::Otel) -> usize {
        if self.console.is_some() { 1 } else { otel.batch.max_export_batch_size }
    }
}

impl Exporter {
    /// Starts the thread.
    pub(super) fn start(target: Target, sources: &Sources) -> anyhow::Result<Self> {
        let (stop, stopped) = watch::channel(None);
        let (started, is_started) = mpsc::sync_channel(1);
        let (finished, done) = mpsc::sync_channel(1);
        let sources = sources.clone();
        std::thread::Builder::new()
            .name("pounce-telemetry".to_owned())
            .spawn(move || {
                logs::keep_here();
                // Made here, because a runtime must not be dropped on a thread of another one.
                let built = runtime::Builder::new_current_thread()
                    .enable_all()
                    .on_thread_start(logs::keep_here)
                    .build();
                let runtime = match built {
                    Ok(runtime) => runtime,
                    Err(error) => return drop(started.send(Err(error))),
                };
                let _gone = started.send(Ok(()));
                let stop = Stop(stopped);
                runtime.block_on(async {
                    let Target { otlp, spool, console } = target;
                    let printed = async {
                        if let (Some(printer), Some(spans)) = (console, &sources.spans) {
                            console::run(printer, spans, stop.clone()).await;
                        }
                    };
                    let sent = async {
                        if let Some(settings) = otlp {
                            otlp::run(*settings, &sources, spool.as_ref(), stop.clone()).await;
                        }
                    };
                    tokio::join!(printed, sent);
                });
                // A name lookup that hangs must not hold up the shutdown.
                runtime.shutdown_background();
                let _gone = finished.send(());
            })
            .context("cannot start the thread of the telemetry exporter")?;
        is_started
            .recv()
            .context("the thread of the telemetry exporter died")?
            .context("cannot start the runtime of the telemetry exporter")?;
        Ok(Exporter { stop, done: Mutex::new(Some(done)) })
    }

    /// Flushes and stops, by `deadline` at the latest; afterwards every span, record and point is accounted for.
    pub(super) fn shutdown(&self, sources: &Sources, deadline: Instant) {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(done) = done.take() {
            self.hurry(deadline);
            loop {
                let moved = self.stop.borrow().map(|stop| stop.deadline);
                let end = moved.unwrap_or(deadline) + ANSWER_GRACE;
                let left = end.saturating_duration_since(Instant::now());
                // When it does not answer the thread is stuck or gone: what it holds is then lost, and counted below.
                match done.recv_timeout(left.min(LOOK)) {
                    Err(mpsc::RecvTimeoutError::Timeout) if !left.is_zero() => {}
                    _ => break,
                }
            }
            let pipelines = [&sources.spans, &sources.logs];
            pipelines.into_iter().flatten().for_each(|pipeline| pipeline.settle());
            // Those that are only looked at here were never to arrive anywhere.
            if let Some(metrics) = &sources.metrics
                && metrics.counters().condition.endpoint().is_some()
            {
                metrics.settle();
            }
        }
    }

    /// Has the shutdown end by `deadline`, if that is sooner than it would.
    pub(super) fn hurry(&self, deadline: Instant) {
        self.stop.send_modify(|stop| {
            let sooner = stop.get_or_insert(Shutdown { began: Instant::now(), deadline });
            sooner.deadline = sooner.deadline.min(deadline);
        });
    }
}

impl Stop {
    /// Waits for the shutdown; gives its deadline.
    async fn stopped(&mut self) -> Instant {
        match self.0.wait_for(Option::is_some).await {
            Ok(stop) => stop.map_or_else(Instant::now, |stop| stop.deadline),
            Err(_handle_dropped) => Instant::now() + DROP_GRACE,
        }
    }

    /// Waits for the deadline of the shutdown, which may be moved meanwhile.
    async fn over(&mut self) {
        loop {
            let deadline = self.stopped().await;
            let moved = tokio::time::timeout_at(deadline.into(), self.0.changed()).await;
            match moved {
                Ok(Ok(())) => {}
                Ok(Err(_handle_dropped)) => return tokio::time::sleep_until(deadline.into()).await,
                Err(_elapsed) => return,
            }
        }
    }

    /// The shutdown, once it has begun.
    fn shutdown(&self) -> Option<Shutdown> {
        let gone = || Shutdown { began: Instant::now(), deadline: Instant::now() + DROP_GRACE };
        (*self.0.borrow()).or_else(|| self.0.has_changed().is_err().then(gone))
    }

    /// Whether the shutdown has begun.
    fn is_stopping(&self) -> bool {
        self.0.borrow().is_some() || self.0.has_changed().is_err()
    }
}
