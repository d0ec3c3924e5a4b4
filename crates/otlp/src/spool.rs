//! Batches that an endpoint does not take now, on the disk until it does.
//!
//! Everything that touches the disk happens on threads of the exporter's runtime, and is waited for a few seconds only:
//! a disk that fails or hangs leaves the exporter as if there were no spool. A batch is on the disk or in memory, never
//! counted twice; one that was sent, and whose file could not be removed, is sent again after a restart.

mod directory;
mod file;

use crate::batch::Batch;
use crate::losses::{Counts, Loss};
use crate::once_a_minute::is_due;
use crate::settings::Names;
use crate::signal::Signal;
pub use directory::SpoolError;
use directory::{Directory, Place};
use file::Name;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

/// How long the disk may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a disk that fails is left alone.
const PAUSE: Duration = Duration::from_secs(10);
/// Failures of a batch, and arrivals of others, after which it is to blame and not the endpoint.
const ENOUGH: u32 = 3;
/// Calls to the disk that may hang at once.
const MAX_HANGING: usize = 8;

/// Directory in which the batches of all signals wait, one file each. One process uses it at a time.
#[derive(Debug)]
pub struct Spool {
    names: &'static Names,
    directory: Arc<Directory>,
    /// How long the disk may take.
    patience: Duration,
    /// Calls that took longer and are not over.
    hanging: Arc<AtomicUsize>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Counts of the signals that are exported.
    counters: [Option<Arc<Counts>>; 3],
    broken_until: Option<Instant>,
    /// Nothing can be read. That is no reason not to write: a directory that is gone is made again for it.
    unreadable_until: Option<Instant>,
    /// No room for a batch of that signal.
    full_until: [Option<Instant>; 3],
    failure_told: Option<Instant>,
    full_told: Option<Instant>,
    unreadable_told: [Option<Instant>; 3],
    /// Items dropped to make room whose signal is not exported now.
    unclaimed_dropped: u64,
}

/// The part of one signal.
pub(crate) struct Lane {
    spool: Arc<Spool>,
    signal: Signal,
    counts: Arc<Counts>,
    suspect: Mutex<Suspect>,
}

/// A batch that fails time and again, while others may not: it must not stand in their way for ever.
#[derive(Default)]
struct Suspect {
    name: Option<Name>,
    failures: u32,
    /// Others that arrived meanwhile.
    passed: u32,
    /// It is its turn, and not that of the one behind it.
    is_next: bool,
}

/// A batch out of the spool; its file stays until it is done.
pub(crate) struct Stored {
    name: Name,
    pub(crate) batch: Batch,
}

impl Spool {
    /// Opens the directory at `path`, made where there is none, whose files may take `max` bytes of the disk together;
    /// messages name its settings by `names`. Touches the disk.
    ///
    /// # Errors
    /// The directory can't be used, or another process uses it.
    pub fn open(path: &Path, max: u64, names: &'static Names) -> Result<Arc<Self>, SpoolError> {
        let directory = Arc::new(Directory::open(path, max, names)?);
        let (hanging, state) = (Arc::default(), Mutex::default());
        Ok(Arc::new(Spool { names, directory, patience: PATIENCE, hanging, state }))
    }

    /// The part of one signal, whose items are counted in `counts`. Called once for each.
    pub(crate) fn lane(self: &Arc<Self>, signal: Signal, counts: &Arc<Counts>) -> Lane {
        let found = self.directory.found(signal);
        counts.found(found);
        if found > 0 {
            let (items, spool) = (signal.counted(), self.path().display());
            tracing::info!(%spool, "{found} {items} of an earlier run wait in the spool and are sent now");
        }
        self.state().counters[signal as usize] = Some(Arc::clone(counts));
        Lane { spool: Arc::clone(self), signal, counts: Arc::clone(counts), suspect: Mutex::default() }
    }

    /// The signal is not exported now: what an earlier process has left of it stays, as long as there is room.
    pub(crate) fn unclaimed(&self, signal: Signal) {
        let found = self.directory.found(signal);
        if found > 0 {
            let (items, spool) = (signal.counted(), self.path().display());
            tracing::warn!(
                %spool,
                "{found} {items} of an earlier run stay in the spool, since no {} are exported now: export them, or \
                 remove their files",
                signal.items()
            );
        }
    }

    /// Says what of that there was no room for.
    pub(crate) fn tell_unclaimed_dropped(&self) {
        let dropped = self.state().unclaimed_dropped;
        if dropped > 0 {
            let spool = self.path().display();
            tracing::warn!(
                %spool,
                "{dropped} items of an earlier run, whose signals are not exported now, were dropped from the full spool"
            );
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Calls `touch` where it may block. None if it takes too long; then `undo` follows whenever it is over.
    async fn touch<T: Send + 'static>(
        &self,
        touch: impl FnOnce(&Directory) -> T + Send + 'static,
        undo: impl FnOnce(&Directory, T) + Send + 'static,
    ) -> Option<T> {
        let (sender, mut receiver) = oneshot::channel();
        let (directory, hanging) = (Arc::clone(&self.directory), Arc::clone(&self.hanging));
        drop(spawn_blocking(move || {
            if let Err(result) = sender.send(touch(&directory)) {
                undo(&directory, result);
                // Counted by whoever gave up, or not at all if that was dropped.
                _ = hanging.try_update(Relaxed, Relaxed, |hanging| hanging.checked_sub(1));
            }
        }));
        match tokio::time::timeout(self.patience, &mut receiver).await {
            Ok(result) => result.ok(),
            Err(_elapsed) => {
                self.hanging.fetch_add(1, Relaxed);
                receiver.close();
                let result = receiver.try_recv().ok();
                if result.is_some() {
                    self.hanging.fetch_sub(1, Relaxed);
                }
                result
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
            match &state.counters[name.signal as usize] {
                Some(counts) => {
                    counts.lose(Loss::SpoolFull, name.items);
                    counts.unspooled(name.items);
                }
                None => state.unclaimed_dropped += u64::from(name.items),
            }
        }
        if is_due(&mut state.full_told, Instant::now()) {
            let (spool, setting) = (self.path().display(), self.names.spool_max);
            tracing::warn!(
                %spool,
                "the spool is full, and what is oldest in it is dropped: raise {setting}; this is told once a minute"
            );
        }
    }

    /// It cannot be written to.
    fn failed(&self, error: &dyn std::fmt::Display) {
        let mut state = self.state();
        state.broken_until = Some(Instant::now() + PAUSE);
        self.tell(&mut state, error);
    }

    fn cannot_read(&self, error: &dyn std::fmt::Display) {
        let mut state = self.state();
        state.unreadable_until = Some(Instant::now() + PAUSE);
        self.tell(&mut state, error);
    }

    fn tell(&self, state: &mut State, error: &dyn std::fmt::Display) {
        if is_due(&mut state.failure_told, Instant::now()) {
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
    /// Whether a batch may be put there: the disk works, and there was room lately.
    pub(crate) fn takes(&self) -> bool {
        let full = self.spool.state().full_until[self.signal as usize];
        full.is_none_or(|until| until <= Instant::now()) && self.works()
    }

    /// Whether the disk did its work lately.
    fn works(&self) -> bool {
        let broken = self.spool.state().broken_until;
        let broken = broken.is_some_and(|until| until > Instant::now());
        !broken && self.spool.hanging.load(Relaxed) < MAX_HANGING
    }

    /// Whether a batch waits to be sent.
    pub(crate) fn waits(&self) -> bool {
        let unreadable = self.spool.state().unreadable_until;
        let unreadable = unreadable.is_some_and(|until| until > Instant::now());
        !unreadable && self.works() && self.spool.directory.waits(self.signal)
    }

    /// Puts a batch there. If it is not there in the end, false: it is still for the caller to send.
    pub(crate) async fn put(&self, batch: &Batch) -> bool {
        let directory = &self.spool.directory;
        if !self.takes() {
            return false;
        }
        let Some(place) = directory.place(self.signal, batch.items, &batch.body) else {
            self.no_room(batch.body.len());
            return false;
        };
        self.spool.count_evicted(&place);
        let (body, items) = (batch.body.clone(), batch.items);
        let [counted, uncounted] = [&self.counts; 2].map(Arc::clone);
        let written = self.spool.touch(
            move |directory| {
                let written = directory.write(&place, &body);
                if written.is_ok() {
                    // At once: whoever waits for it may be dropped before it looks.
                    counted.spooled(items);
                }
                (place, written)
            },
            // Nobody waits for it any more, so that it is counted elsewhere.
            move |directory, (place, written)| match written {
                Ok(()) => {
                    uncounted.unspooled(items);
                    directory.remove(place.name);
                }
                Err(_) => directory.pass_over(place.name),
            },
        );
        match written.await {
            Some((place, Ok(()))) => {
                directory.leave(place.name);
                self.spool.state().unreadable_until = None;
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

    fn no_room(&self, size: usize) {
        let mut state = self.spool.state();
        state.full_until[self.signal as usize] = Some(Instant::now() + PAUSE);
        if is_due(&mut state.full_told, Instant::now()) {
            let (spool, setting) = (self.spool.path().display(), self.spool.names.spool_max);
            tracing::warn!(
                %spool,
                "the spool has no room for a batch of {size} bytes: raise {setting}; this is told once a minute"
            );
        }
    }

    /// Takes the oldest batch, or the one behind it where that fails time and again; none if there is none, or the disk
    /// fails. A file that cannot be read is passed over and counted.
    pub(crate) async fn take(&self) -> Option<Stored> {
        loop {
            let but = self.suspect().turn();
            let name = self.waits().then(|| self.spool.directory.take(self.signal, but)).flatten()?;
            let read = self.spool.touch(
                move |directory| {
                    let read = directory.read(name);
                    // A file that is gone is one thing, a disk that is gone another.
                    let is_ours = read.as_ref().err().is_some_and(|error| is_of_the_file(error, directory));
                    (read, is_ours)
                },
                |_, _| (),
            );
            let failure = match read.await {
                Some((Ok(body), _)) => {
                    return Some(Stored { name, batch: Batch { body, items: name.items } });
                }
                Some((Err(error), true)) => {
                    self.unreadable(name, &error).await;
                    continue;
                }
                Some((Err(error), false)) => error.to_string(),
                None => "the disk does not answer".to_owned(),
            };
            self.spool.directory.leave(name);
            self.spool.cannot_read(&failure);
            return None;
        }
    }

    async fn unreadable(&self, name: Name, error: &io::Error) {
        self.counts.lose(Loss::SpoolUnreadable, name.items);
        self.counts.unspooled(name.items);
        if is_due(&mut self.spool.state().unreadable_told[self.signal as usize], Instant::now()) {
            let (items, what) = (name.items, self.signal.counted());
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

    /// Counts `items` of a batch that have arrived, or that no receiver will ever take.
    pub(crate) fn is_over(&self, items: u32) {
        self.counts.unspooled(items);
    }

    /// All items of the batch are over.
    pub(crate) async fn done(&self, stored: Stored) {
        self.suspect().done(stored.name);
        self.remove(stored.name).await;
    }

    /// The batch stays, but for its first items that are `over`. What is left is the caller's to send if the disk fails to
    /// take it in place of the whole.
    pub(crate) async fn put_back(&self, stored: Stored, over: u32) -> Option<Batch> {
        let Stored { name, batch } = stored;
        if over == 0 {
            self.suspect().failed(name);
            self.spool.directory.leave(name);
            return None;
        }
        self.suspect().done(name);
        let Some(rest) = batch.without_first(self.signal, over) else {
            self.remove(name).await;
            return None;
        };
        let (body, items) = (rest.body.clone(), rest.items);
        let replaced = self.spool.touch(
            move |directory| directory.replace(name, items, &body),
            // It is in the spool all the same, as it is counted: in this process, or as a whole for the next.
            move |directory, replaced| match replaced {
                Ok(name) => directory.leave(name),
                Err(_) => directory.pass_over(name),
            },
        );
        match replaced.await {
            Some(Ok(name)) => {
                self.spool.directory.leave(name);
                None
            }
            Some(Err(error)) => {
                self.spool.failed(&error);
                self.is_over(items);
                self.remove(name).await;
                Some(rest)
            }
            None => {
                self.spool.failed(&"the disk does not answer");
                None
            }
        }
    }

    /// Whether the endpoint takes others and not this batch.
    pub(crate) fn is_hopeless(&self, stored: &Stored) -> bool {
        let suspect = self.suspect();
        suspect.name == Some(stored.name) && suspect.failures >= ENOUGH && suspect.passed >= ENOUGH
    }

    fn suspect(&self) -> MutexGuard<'_, Suspect> {
        self.suspect.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn remove(&self, name: Name) {
        let removed = self.spool.touch(move |directory| directory.remove(name), |_, ()| ());
        if removed.await.is_none() {
            self.spool.failed(&"the disk does not answer");
        }
    }
}

impl Suspect {
    /// Which one not to take now; from its third failure on every other time.
    fn turn(&mut self) -> Option<Name> {
        self.is_next = !self.is_next;
        self.name.filter(|_| self.failures >= ENOUGH && !self.is_next)
    }

    fn failed(&mut self, name: Name) {
        if self.name.is_none() {
            *self = Suspect { name: Some(name), ..Suspect::default() };
        }
        if self.name == Some(name) {
            self.failures = self.failures.saturating_add(1);
        }
    }

    fn done(&mut self, name: Name) {
        if self.name == Some(name) {
            *self = Suspect::default();
        } else {
            self.passed = self.passed.saturating_add(1);
        }
    }
}

/// Whether a file cannot be read because of what it is, and not because of its disk.
fn is_of_the_file(error: &io::Error, directory: &Directory) -> bool {
    match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::PermissionDenied => true,
        io::ErrorKind::NotFound => directory.exists(),
        // A link in its place.
        _ => error.raw_os_error() == Some(libc::ELOOP),
    }
}

#[cfg(test)]
mod tests;
