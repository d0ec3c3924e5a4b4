//! From ready to gone: serve, drain in order, flush telemetry, say what was lost.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::{Fuse, FusedFuture as _};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::{JoinError, JoinSet};

use super::App;
use super::reload::Reloads;
use super::supervisor::Supervisor;
use crate::admin::Admin;
use crate::server::{Drain, Listening, Phase, SocketFile};
use pounce_telemetry::{Extent, Telemetry, Totals};

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

/// The signals that tell a server to stop, and those that must not end it.
pub(crate) struct Stops {
    term: Signal,
    int: Signal,
    /// Ctrl-\, and what some supervisors send to have a server finish its work.
    quit: Signal,
    /// Read your settings again.
    hup: Signal,
    /// Who does so, once there is something to reload.
    reloads: Option<Arc<Reloads>>,
    /// Asked of other servers (open the log again, replace the binary), and the end of a program that does not know them.
    _ignored: [Signal; 2],
}

impl Stops {
    /// Takes them over, so that none ends the process any more and none is lost: what comes waits to be asked for.
    ///
    /// # Errors
    /// The handlers cannot be installed.
    pub(crate) fn install() -> std::io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            hup: signal(SignalKind::hangup())?,
            reloads: None,
            _ignored: [signal(SignalKind::user_defined1())?, signal(SignalKind::user_defined2())?],
        })
    }

    /// Waits for one that tells to stop, and answers the others; may be dropped and called again without losing any.
    pub(crate) async fn next(&mut self) -> &'static str {
        loop {
            tokio::select! {
                _ = self.term.recv() => return "SIGTERM",
                _ = self.int.recv() => return "SIGINT",
                _ = self.quit.recv() => return "SIGQUIT",
                _ = self.hup.recv() => match &self.reloads {
                    Some(reloads) => {
                        tracing::info!(signal = "SIGHUP", "reading the settings again");
                        reloads.ask();
                    }
                    None => tracing::warn!(
                        signal = "SIGHUP",
                        "there is nothing to reload yet: the server is not ready"
                    ),
                },
            }
        }
    }
}

impl App {
    /// Serves until SIGTERM, SIGQUIT or Ctrl-C, then drains; a second signal ends the drain. SIGHUP loads the
    /// component again, SIGUSR1 and SIGUSR2 are ignored.
    ///
    /// The call itself takes over the signals, so that none is lost between it and the first poll of the future.
    ///
    /// # Errors
    /// The signal handlers cannot be installed.
    pub fn run(self) -> impl Future<Output = std::io::Result<Outcome>> {
        let stops = Stops::install();
        async move { Ok(self.run_on(stops?, Supervisor::NONE).await) }
    }

    /// Serves until one of the signals that were taken over earlier, then drains; `supervisor` is told of it.
    pub(crate) async fn run_on(self, mut stops: Stops, supervisor: Supervisor) -> Outcome {
        stops.reloads = Some(self.reloads.clone());
        self.reloads.tell(supervisor, serving_on(&self.listeners()));
        // Ends with this call. A task, since the runtime does not run this call itself on a thread that serves.
        let mut alive = JoinSet::new();
        alive.spawn(supervisor.keep_alive());
        let serving = self.start();
        let name = stops.next().await;
        tracing::info!(
            signal = name,
            in_flight = serving.app.handler.drain.in_flight(),
            "draining for up to {:?}{}; another signal ends it",
            serving.app.grace_period,
            match serving.app.drain_delay {
                Duration::ZERO => String::new(),
                delay => format!(", {delay:?} from now (http.drain-delay)"),
            }
        );
        supervisor.stopping(&format!("draining after {name}"));
        // Who drains reloads nothing.
        stops.reloads = None;
        serving.stop(async { _ = stops.next().await }).await
    }

    /// Serves until `shutdown` resolves, then drains. For programs that have signals, or their own end, in hand.
    pub async fn run_until(self, shutdown: impl Future<Output = ()>) -> Outcome {
        let serving = self.start();
        shutdown.await;
        serving.stop(std::future::pending()).await
    }

    fn start(mut self) -> Serving {
        let mut listeners = JoinSet::new();
        if let Some(tls) = self.server.tls() {
            listeners.spawn(tls.clone().watch(self.handler.drain.watch()));
        }
        listeners.spawn(self.reloads.clone().run(self.handler.drain.watch()));
        for listener in std::mem::take(&mut self.listeners) {
            let server = self.server.clone();
            listeners.spawn(async move { server.run(listener).await });
        }
        Serving { app: self, listeners }
    }
}

fn serving_on(listeners: &[Listening]) -> String {
    let urls: Vec<_> = listeners.iter().map(ToString::to_string).collect();
    format!("serving on {}", urls.join(", "))
}

/// Stops what was started before there was a component to serve.
pub(super) async fn abandon(
    signal: &impl std::fmt::Display,
    telemetry: &Telemetry,
    admin: Option<(Admin, Option<SocketFile>)>,
) {
    tracing::info!(%signal, "told to stop before the component was loaded");
    if let Some((admin, _)) = &admin {
        admin.draining();
    }
    let (flushed, deadline) = (telemetry.clone(), Instant::now() + LAST_MOMENT);
    let totals = tokio::task::spawn_blocking(move || flushed.shutdown(deadline)).await;
    say_flushed(telemetry, totals);
    if let Some((admin, _file)) = admin {
        admin.stop().await;
    }
    tracing::info!("stopped");
}

/// What became of telemetry.
fn say_flushed(telemetry: &Telemetry, totals: Result<Totals, JoinError>) {
    match totals {
        Ok(totals) if totals.lost() > 0 => tracing::warn!("telemetry: {totals}"),
        Ok(totals) if telemetry.is_on() => tracing::info!("telemetry: {totals}"),
        Ok(_) => {}
        Err(error) => tracing::error!("telemetry did not shut down: {error}"),
    }
}

struct Serving {
    app: App,
    listeners: JoinSet<()>,
}

impl Serving {
    /// Drains: no new connections, requests end, connections close, telemetry is flushed. `hurry` ends the drain, and
    /// leaves the flush but a moment.
    async fn stop(mut self, hurry: impl Future<Output = ()>) -> Outcome {
        let drain = self.app.handler.drain.clone();
        let mut hurry = pin!(hurry.fuse());
        if let Some((admin, _)) = &self.app.admin {
            admin.draining();
        }
        // Who sends requests here learns from `/readyz` to send them elsewhere; until then they are served as ever.
        tokio::select! {
            () = tokio::time::sleep(self.app.drain_delay) => {}
            () = hurry.as_mut() => {}
        }
        let hurried = hurry.is_terminated();
        let deadline = Instant::now() + self.app.grace_period;
        drain.enter(Phase::Draining);
        let drained = async {
            drain.idle().await;
            drain.enter(Phase::Closing);
            self.closed(&drain).await;
        };
        tokio::select! {
            // First: with nothing in flight there is nothing to cut.
            biased;
            () = drained => {}
            () = std::future::ready(()), if hurried => {}
            () = tokio::time::sleep_until(deadline.into()) => {}
            () = hurry.as_mut() => {}
        }
        let outcome = match drain.in_flight() {
            0 => Outcome::Drained,
            requests => Outcome::Cut(requests),
        };
        drain.enter(Phase::Cut);
        while self.listeners.join_next().await.is_some() {}
        // HTTP/2 streams are tasks of their own: the spans of those that were cut end when they notice.
        _ = tokio::time::timeout(LAST_MOMENT, drain.idle()).await;
        self.flush(deadline, hurry, outcome).await;
        // Last: it tells of the drain, and of the flush.
        if let Some((admin, _file)) = self.app.admin.take() {
            admin.stop().await;
        }
        tracing::info!("stopped");
        outcome
    }

    /// Waits until the connections have closed. A request that was on its way while nothing was in flight is served to
    /// its end; connections without one get a last moment.
    async fn closed(&mut self, drain: &Drain) {
        let moment = async {
            loop {
                drain.idle().await;
                tokio::time::sleep(LAST_MOMENT).await;
                if drain.in_flight() == 0 {
                    return;
                }
            }
        };
        tokio::select! {
            () = async { while self.listeners.join_next().await.is_some() {} } => {}
            () = moment => tracing::debug!("connections that do not close are cut"),
        }
    }

    async fn flush(
        &self,
        deadline: Instant,
        hurry: Pin<&mut Fuse<impl Future<Output = ()>>>,
        outcome: Outcome,
    ) {
        let last_moment = || Instant::now() + LAST_MOMENT;
        let deadline = if hurry.is_terminated() { last_moment() } else { deadline.max(last_moment()) };
        let telemetry = self.app.telemetry.clone();
        // Blocks until the exporter is done, which has its own thread.
        let mut shutdown = tokio::task::spawn_blocking(move || telemetry.shutdown(deadline));
        let totals = tokio::select! {
            totals = &mut shutdown => totals,
            () = hurry, if !hurry.is_terminated() => {
                self.app.telemetry.hurry(last_moment());
                shutdown.await
            }
        };
        if let Outcome::Cut(requests) = outcome {
            tracing::warn!(
                requests,
                "requests cut before they were complete: a second signal, or the end of http.grace-period"
            );
        }
        self.say_losses(&self.app.telemetry.totals());
        self.say_called();
        say_flushed(&self.app.telemetry, totals);
    }

    /// What a guest may call here and not elsewhere, as the flags that allow it.
    fn say_called(&self) {
        let Some(ledger) = &self.app.ledger else { return };
        let (flags, is_full) = ledger.flags();
        if flags.is_empty() {
            return;
        }
        let more = if is_full { " (and for more hosts than are listed)" } else { "" };
        tracing::info!("pounce serve needs this for what the guest called{more}: {}", flags.join(" "));
    }

    /// Nothing is lost in silence: a line for each kind of loss that there was.
    fn say_losses(&self, totals: &Totals) {
        let handler = &self.app.handler;
        let losses = self.app.lines.losses();
        for (count, what) in [
            (
                handler.admission.shed() - handler.admission.shed_by_share(),
                "requests shed for want of room (http.max-in-flight, guest.max-total-memory)",
            ),
            (
                handler.admission.shed_by_share(),
                "requests shed beyond the share of one client address (http.max-in-flight-per-peer)",
            ),
            (
                handler.rates.refused(),
                "requests refused beyond the rate of one client address (http.rate-limit)",
            ),
            (
                losses.retries[2],
                "requests failed by another's trap that did not run once more, since too many did at once \
                 (guest.retry-neighbours: a quarter of http.max-in-flight)",
            ),
            (losses.output_lines, "lines of guest output dropped"),
            (losses.outgoing_requests, "outgoing requests refused (guest.allow-outbound)"),
            (losses.telemetry_unattributed, "telemetry calls of guests without a current request"),
            (losses.telemetry_invalid, "telemetry calls of guests that were invalid or over a limit"),
            (
                losses.telemetry_foreign,
                "spans of guests in other traces than their requests' (otel.guest-parents)",
            ),
        ]
        .into_iter()
        .chain(totals.left_out.counts_of(Extent::Part))
        {
            if count > 0 {
                tracing::warn!(count, "{what}");
            }
        }
    }
}
