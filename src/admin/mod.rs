//! The admin listener: health, metrics, recent traces and status for operators, on a socket of its own.
//!
//! It has its own thread and runtime, so that neither load nor a guest that takes every processor of the server stops
//! `/livez`. It starts before the component is loaded and stops last. It only reads: nothing here changes the server.
//!
//! Traces are shown to people by a viewer (`viewer`), whose sources are in the folder of that name.

mod board;
mod format;
mod host;
mod paced;
mod page;
mod query;
mod script;
mod serve;
mod status;
mod viewer;

#[cfg(test)]
mod reference;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::sync::{oneshot, watch};

pub(crate) use board::Phase;
pub(crate) use host::Names;
pub(crate) use serve::Socket;
pub(crate) use status::{Certificate, Component, Facts, Hardening, Limits, Reload, Tls, Totals, Use};

use board::Board;
use page::Site;
use pounce_telemetry::Telemetry;

/// Time that answers under way get at the end.
const LAST_MOMENT: Duration = Duration::from_millis(500);

/// Handle on the listener; it stops when this is dropped.
pub(crate) struct Admin {
    board: Arc<Board>,
    url: String,
    stop: watch::Sender<bool>,
    stopped: Option<oneshot::Receiver<()>>,
}

impl Admin {
    /// Answers on `socket`, which clients reach at `url` and by `names`.
    ///
    /// # Errors
    /// There is no thread to be had, or no runtime.
    pub(crate) fn start(
        socket: Socket,
        url: String,
        names: Names,
        telemetry: Telemetry,
    ) -> anyhow::Result<Self> {
        let board = Arc::new(Board::new());
        let site = Arc::new(Site::new(board.clone(), telemetry, names, url.clone(), Instant::now()));
        let (stop, stopping) = watch::channel(false);
        let (gone, stopped) = oneshot::channel();
        let (started, is_started) = std::sync::mpsc::sync_channel(1);
        std::thread::Builder::new()
            .name("pounce-admin".to_owned())
            .spawn(move || {
                // One page is made at a time or two: reading metrics should not take the processors from guests.
                let built = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .max_blocking_threads(2)
                    .thread_name("pounce-admin")
                    .build();
                let runtime = match built {
                    Ok(runtime) => runtime,
                    Err(error) => return drop(started.send(Err(error))),
                };
                runtime.block_on(async {
                    match socket.listen() {
                        Ok(listener) => {
                            // Who started us waits for it.
                            drop(started.send(Ok(())));
                            serve::run(listener, site, stopping).await;
                        }
                        Err(error) => drop(started.send(Err(error))),
                    }
                });
                runtime.shutdown_background();
                _ = gone.send(());
            })
            .context("cannot start the thread of the admin listener")?;
        is_started
            .recv()
            .context("the thread of the admin listener died")?
            .context("cannot start the admin listener")?;
        Ok(Self { board, url, stop, stopped: Some(stopped) })
    }

    /// What a client connects to.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// From now on the server is ready; `facts` says what is true of it whenever somebody asks.
    pub(crate) fn ready(&self, facts: impl Fn() -> Facts + Send + Sync + 'static) {
        self.board.ready(Box::new(facts));
    }

    /// From now on no new requests should come.
    pub(crate) fn draining(&self) {
        self.board.enter(Phase::Draining);
    }

    /// Says whether the component is being compiled, until the server is ready.
    pub(crate) fn compiling(&self) -> impl Fn(bool) + Send + Sync + 'static {
        let board = self.board.clone();
        move |compiling| board.enter(if compiling { Phase::Compiling } else { Phase::Starting })
    }

    /// Says at any time whether the server is ready.
    pub(crate) fn readiness(&self) -> impl Fn() -> bool + Send + Sync + 'static {
        let board = self.board.clone();
        move || board.phase() == Phase::Ready
    }

    /// Stops answering.
    pub(crate) async fn stop(mut self) {
        self.stop.send_replace(true);
        if let Some(stopped) = self.stopped.take() {
            // A thread that does not end is left behind: the process is about to.
            drop(tokio::time::timeout(LAST_MOMENT * 2, stopped).await);
        }
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}
