//! Batches that an endpoint does not take now, on the disk until it does (`otel.spool`).
//!
//! Everything that touches the disk happens on threads of the exporter's runtime, and is waited for a few seconds only:
//! a disk that fails or hangs leaves the exporter as if there were no spool. A batch is on the disk or in memory, never
//! counted twice; one that was sent, and whose file could not be removed, is sent again after a restart.

mod directory;
mod file;

use super::batch::Batch;
use super::signal::Signal;
use crate::config;
use crate::telemetry::counters::Counters;
use directory::{Directory, Place};
use file::Name;
use std::io;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

/// How long the disk may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a disk that fails is left alone.
const PAUSE: Duration = Duration::from_secs(10);
/// Calls to the disk that may hang at once.
const MAX_HANGING: usize = 8;
/// Time between two lines of the log about the same.
const EVERY: Duration = Duration::from_secs(60);

/// The spool of a process, for all signals.
pub(super) struct Spool {
    directory: Arc<Directory>,
    /// How long the disk may take.
    patience: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Of the signals that are exported.
    counters: [Option<Arc<Counters>>; 3],
    broken_until: Option<Instant>,
    failure_told: Option<Instant>,
    full_told: Option<Instant>,
    unreadable_told: [Option<Instant>; 3],
}

/// The part of one signal.
pub(super) struct Lane {
    spool: Arc<Spool>,
    signal: Signal,
    counters: Arc<Counters>,
}

/// A batch out of the spool; its file stays until it is done.
pub(super) struct Stored {
    name: Name,
    pub(super) batch: Batch,
}

impl Spool {
    /// Opens the spool that the settings name. Touches the disk.
    ///
    /// # Errors
    /// The directory can't be used, or another process uses it.
    pub(super) fn open(otel: &config::Otel) -> anyhow::Result<Option<Arc<Self>>> {
        let Some(path) = &otel.spool else {
            return Ok(None);
        };
        let directory = Arc::new(Directory::open(path, otel.spool_max.0)?);
        Ok(Some(Arc::new(Spool { directory, patience: PATIENCE, state: Mutex::default() })))
    }

    /// The part of one signal, whose items are counted in `counters`. Called once for each.
    pub(super) fn lane(self: &Arc<Self>, signal: Signal, counters: &Arc<Counters>) -> Lane {
        let found = self.directory.found(signal);
        counters.found.store(found, Relaxed);
        counters.spooled.store(found, Relaxed);
        if found > 0 {
            let (items, spool) = (signal.items(), self.path().display());
            tracing::info!(%spool, "{found} {items} of an earlier run wait in the spool and are sent now");
        }
        self.state().counters[signal as usize] = Some(Arc::clone(counters));
        Lane { spool: Arc::clone(self), signal, counters: Arc::clone(counters) }
    }

    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Calls `touch` where it may block. None if it takes too long; then `undo` follows whenever it is over.
    async fn touch<T: Send + 'static>(
        &self,
        touch: impl FnOnce(&Directory) -> T + Send + 'static,
        undo: impl FnOnce(&Directory, T) + Send + 'static,
    ) -> Option<T> {
        let (sender, mut receiver) = oneshot::channel();
        let directory = Arc::clone(&self.directory);
        drop(spawn_blocking(move || {
            if let Err(result) = sender.send(touch(&directory)) {
                undo(&directory, result);
            }
        }));
        match tokio::time::timeout(self.patience, &mut receiver).await {
            Ok(result) => result.ok(),
            Err(_elapsed) => {
                receiver.close();
                receiver.try_recv().ok()
            }
        }
    }

    /// What was dropped to make room is counted where it belongs.
    fn count_evicted(&self, place: &Place) {
        if place.evicted.is_empty() {
            return;
        }
        let mut state = self.state();
        for name in &place.evicted {
            if let Some(counters) = &state.counters[name.signal as usize] {
                Counters::add(&counters.spool_full, name.items);
                counters.spooled.fetch_sub(name.items.into(), Relaxed);
            }
        }
        if is_due(&mut state.full_told) {
            let spool = self.path().display();
            tracing::warn!(
                %spool,
                "the spool is full, and what is oldest in it is dropped: raise otel.spool-max; this is told once a minute"
            );
        }
    }

    fn failed(&self, error: &dyn std::fmt::Display) {
        let mut state = self.state();
        state.broken_until = Some(Instant::now() + PAUSE);
        if is_due(&mut state.failure_told) {
            let spool = self.path().display();
            tracing::warn!(
                %error,
                %spool,
                "cannot use the spool; what waits does so in memory meanwhile, and this is told once a minute"
            );
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lane {
    /// Whether the disk did its work lately.
    pub(super) fn works(&self) -> bool {
        let broken = self.spool.state().broken_until.is_some_and(|until| until > Instant::now());
        // The closures of calls that hang hold it.
        !broken && Arc::strong_count(&self.spool.directory) <= MAX_HANGING
    }

    /// Whether a batch waits to be sent.
    pub(super) fn waits(&self) -> bool {
        self.works() && self.spool.directory.waits(self.signal)
    }

    /// Puts a batch there. If it is not there in the end, false: it is still for the caller to send.
    pub(super) async fn put(&self, batch: &Batch) -> bool {
        let directory = &self.spool.directory;
        if !self.works() {
            return false;
        }
        let Some(place) = directory.place(self.signal, batch.items, &batch.body) else {
            let size = batch.body.len();
            self.spool
                .failed(&format_args!("there is no room for a batch of {size} bytes in otel.spool-max"));
            return false;
        };
        self.spool.count_evicted(&place);
        let body = batch.body.clone();
        let written = self.spool.touch(
            move |directory| {
                let written = directory.write(&place, &body);
                (place, written)
            },
            // Nobody waits for it any more, so that it is counted elsewhere.
            |directory, (place, written)| match written {
                Ok(()) => directory.remove(place.name),
                Err(_) => directory.pass_over(place.name),
            },
        );
        match written.await {
            Some((place, Ok(()))) => {
                Counters::add(&self.counters.spooled, batch.items);
                directory.leave(place.name);
                true
            }
            Some((place, Err(error))) => {
                directory.pass_over(place.name);
                self.spool.failed(&error);
                false
            }
            None => {
                self.spool.failed(&"the disk does not answer");
                false
            }
        }
    }

    /// Takes the oldest batch; none if there is none, or the disk fails. What cannot be read is passed over and counted.
    pub(super) async fn take(&self) -> Option<Stored> {
        loop {
            let name = self.waits().then(|| self.spool.directory.take(self.signal)).flatten()?;
            let read = self.spool.touch(move |directory| directory.read(name), |_, _| ());
            match read.await {
                Some(Ok(body)) => return Some(Stored { name, batch: Batch { body, items: name.items } }),
                Some(Err(error)) => self.unreadable(name, &error).await,
                None => {
                    self.spool.directory.leave(name);
                    self.spool.failed(&"the disk does not answer");
                    return None;
                }
            }
        }
    }

    async fn unreadable(&self, name: Name, error: &io::Error) {
        Counters::add(&self.counters.spool_unreadable, name.items);
        self.counters.spooled.fetch_sub(name.items.into(), Relaxed);
        if is_due(&mut self.spool.state().unreadable_told[self.signal as usize]) {
            let (items, what) = (name.items, self.signal.items());
            let file = self.spool.path().join(name.to_string());
            tracing::warn!(%error, file = %file.display(), "{items} {what} in the spool are lost: their file cannot be read");
        }
        let damaged = [io::ErrorKind::InvalidData, io::ErrorKind::NotFound].contains(&error.kind());
        if damaged {
            self.remove(name).await;
        } else {
            self.spool.directory.pass_over(name);
        }
    }

    /// The batch arrived, or nobody will ever take it.
    pub(super) async fn done(&self, stored: Stored) {
        self.counters.spooled.fetch_sub(stored.name.items.into(), Relaxed);
        self.remove(stored.name).await;
    }

    /// The batch did not arrive, and stays.
    pub(super) fn put_back(&self, stored: &Stored) {
        self.spool.directory.leave(stored.name);
    }

    async fn remove(&self, name: Name) {
        let removed = self.spool.touch(move |directory| directory.remove(name), |_, ()| ());
        if removed.await.is_none() {
            self.spool.failed(&"the disk does not answer");
        }
    }
}

fn is_due(last: &mut Option<Instant>) -> bool {
    let now = Instant::now();
    let due = last.is_none_or(|last| now.duration_since(last) >= EVERY);
    if due {
        *last = Some(now);
    }
    due
}

#[cfg(test)]
mod tests;
