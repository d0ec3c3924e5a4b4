//! From ready to gone: serve, drain in order, flush telemetry, say what was lost.

use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use super::App;
use crate::server::Phase;

/// Time that connections get to close once nothing is in flight, and telemetry to flush when the grace period is over.
const LAST_MOMENT: Duration = Duration::from_secs(2);

/// How serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Every request that had come in was answered.
    Drained,
    /// The grace period ended, or a second signal came, while so many requests were in flight.
    Cut(usize),
}

impl App {
    /// Serves until SIGTERM or Ctrl-C, then drains; a second signal ends the drain.
    ///
    /// # Errors
    /// The signal handlers cannot be installed.
    pub async fn run(self) -> std::io::Result<Outcome> {
        let mut term = signal(SignalKind::terminate())?;
        let mut int = signal(SignalKind::interrupt())?;
        let mut next = async || {
            tokio::select! {
                _ = term.recv() => "SIGTERM",
                _ = int.recv() => "SIGINT",
            }
        };
        let serving = self.start();
        let name = next().await;
        tracing::info!(
            signal = name,
            in_flight = serving.app.handler.drain.in_flight(),
            "draining for up to {:?}; another signal ends it",
            serving.app.grace_period
        );
        Ok(serving.stop(async { _ = next().await }).await)
    }

    /// Serves until `shutdown` resolves, then drains. For programs that have signals, or their own end, in hand.
    pub async fn run_until(self, shutdown: impl Future<Output = ()>) -> Outcome {
        let serving = self.start();
        shutdown.await;
        serving.stop(std::future::pending()).await
    }

    fn start(mut self) -> Serving {
        let mut listeners = JoinSet::new();
        for listener in std::mem::take(&mut self.listeners) {
            let server = self.server.clone();
            listeners.spawn(async move { server.run(listener).await });
        }
        Serving { app: self, listeners }
    }
}

struct Serving {
    app: App,
    listeners: JoinSet<()>,
}

impl Serving {
    /// Drains: no new connections, requests end, connections close, telemetry is flushed.
    async fn stop(mut self, hurry: impl Future<Output = ()>) -> Outcome {
        let drain = self.app.handler.drain.clone();
        let deadline = Instant::now() + self.app.grace_period;
        drain.enter(Phase::Draining);
        let finished = tokio::select! {
            () = drain.idle() => true,
            () = tokio::time::sleep_until(deadline.into()) => false,
            () = hurry => false,
        };
        let outcome = if finished { Outcome::Drained } else { Outcome::Cut(drain.in_flight()) };
        if finished {
            drain.enter(Phase::Closing);
            let closed = tokio::time::timeout(LAST_MOMENT, async {
                while self.listeners.join_next().await.is_some() {}
            });
            if closed.await.is_err() {
                tracing::debug!("connections that do not close are cut");
            }
        }
        drain.enter(Phase::Cut);
        while self.listeners.join_next().await.is_some() {}
        self.flush(deadline, outcome).await;
        outcome
    }

    async fn flush(&self, deadline: Instant, outcome: Outcome) {
        let telemetry = self.app.telemetry.clone();
        let deadline = deadline.max(Instant::now() + LAST_MOMENT);
        // Blocks until the exporter is done, which has its own thread.
        let totals = tokio::task::spawn_blocking(move || telemetry.shutdown(deadline)).await;
        if let Outcome::Cut(requests) = outcome {
            tracing::warn!(requests, "requests cut at the end of the grace period (http.grace-period)");
        }
        self.say_losses();
        match totals {
            Ok(totals) if self.app.telemetry.is_on() => tracing::info!("spans: {totals}"),
            Ok(_) => {}
            Err(error) => tracing::error!("telemetry did not shut down: {error}"),
        }
        tracing::info!("stopped");
    }

    /// Nothing is lost in silence: a line for each kind of loss that there was.
    fn say_losses(&self) {
        let handler = &self.app.handler;
        let losses = handler.guests.losses();
        for (count, what) in [
            (handler.admission.shed(), "requests shed for want of room (http.max-in-flight)"),
            (losses.output_lines, "lines of guest output dropped"),
            (losses.outgoing_requests, "outgoing requests refused (guest.allow-outbound)"),
            (losses.telemetry_unattributed, "telemetry calls of guests without a current request"),
            (losses.telemetry_unsupported, "telemetry calls of guests that this version does not record"),
        ] {
            if count > 0 {
                tracing::warn!(count, "{what}");
            }
        }
    }
}
