//! The files of a spool: which there are, within which bounds, and who may use them. Knows nothing of endpoints.
//!
//! What is on the disk is remembered, so that nobody has to look. Calls that touch the disk say so; the lock is not
//! held meanwhile, since a disk can take for ever.

use super::file::{self, Name};
use crate::settings::Names;
use crate::signal::Signal;
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// Says who uses the directory.
const LOCK: &str = "lock";
/// The end of the name of a file that is being written.
const UNFINISHED: &str = ".new";
/// Neither through a link nor waiting for a pipe, should somebody else have put one there.
const AS_A_FILE: i32 = libc::O_NOFOLLOW | libc::O_NONBLOCK;
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// Error of a directory that cannot be a spool.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpoolError {
    /// Another process has locked the directory.
    #[error(
        "another process uses the directory `{path}` of {setting}; give each its own, or stop the other one"
    )]
    InUse {
        /// The directory.
        path: String,
        /// The setting that names it.
        setting: &'static str,
    },
    /// The directory can't be made, read or written.
    #[error("cannot {verb} the directory `{path}` of {setting}")]
    Io {
        /// What failed: `make`, `read` or `write to`.
        verb: &'static str,
        /// The directory.
        path: String,
        /// The setting that names it.
        setting: &'static str,
        /// What the system says.
        source: io::Error,
    },
}

/// A directory of batches, oldest first. One process uses it at a time.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    /// Bytes of the disk that all files may take.
    max: u64,
    files: Mutex<Files>,
    /// Held as long as this is.
    lock: Mutex<File>,
}

#[derive(Debug, Default)]
struct Files {
    /// Files that may be sent or removed, with their sizes, by signal.
    waiting: [BTreeMap<Name, u64>; 3],
    /// Files that are being written or sent, with their sizes.
    busy: HashMap<Name, u64>,
    /// Bytes of the disk that all files take.
    used: u64,
    /// Bytes of the disk that busy files take.
    busy_bytes: u64,
    /// Items of each signal in the files that an earlier process has left.
    found: [u64; 3],
    /// The latest time in a name.
    latest: u64,
}

/// Room for a batch that is about to be written.
pub(crate) struct Place {
    pub(crate) name: Name,
    /// Older files that must go for it; they are forgotten already.
    pub(crate) evicted: Vec<Name>,
}

impl Directory {
    /// Opens `path`, makes it where there is none, and finds what an earlier process has left in it. Touches the disk.
    ///
    /// # Errors
    /// It can't be made, read or written, or another process uses it.
    pub(crate) fn open(path: &Path, max: u64, names: &Names) -> Result<Self, SpoolError> {
        let (shown, setting) = (path.display().to_string(), names.spool);
        let cannot = |verb, source| SpoolError::Io { verb, path: shown.clone(), setting, source };
        make(path).map_err(|error| cannot("make", error))?;
        let lock = lock(path).map_err(|error| match error {
            TryLockError::WouldBlock => SpoolError::InUse { path: shown.clone(), setting },
            TryLockError::Error(error) => cannot("write to", error),
        })?;
        if fs::metadata(path).is_ok_and(|of| of.mode() & WRITABLE_BY_OTHERS != 0) {
            tracing::warn!(
                spool = %shown,
                "others may write to the spool, and what they put there is sent in this server's name"
            );
        }
        let directory = Directory { path: path.into(), max, files: Mutex::default(), lock: Mutex::new(lock) };
        directory.find().map_err(|error| cannot("read", error))?;
        Ok(directory)
    }

    fn find(&self) -> io::Result<()> {
        let mut files = self.files();
        for entry in fs::read_dir(&self.path)? {
            // One that goes away meanwhile is no reason not to start.
            let Ok(entry) = entry else { continue };
            let Ok(of) = entry.metadata() else { continue };
            let Ok(text) = entry.file_name().into_string() else { continue };
            if !of.is_file() {
                continue;
            }
            if let Some(name) = Name::read(&text) {
                let size = file::on_disk(of.len());
                files.used = files.used.saturating_add(size);
                files.latest = files.latest.max(name.time);
                files.found[name.signal as usize] += u64::from(name.items);
                files.waiting[name.signal as usize].insert(name, size);
            } else if text.strip_suffix(UNFINISHED).is_some_and(|name| Name::read(name).is_some()) {
                // Its process died while it wrote, and nobody was told that it is here.
                _ = fs::remove_file(entry.path());
            }
        }
        Ok(())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Items of the signal that an earlier process has left.
    pub(crate) fn found(&self, signal: Signal) -> u64 {
        self.files().found[signal as usize]
    }

    /// Whether a file of the signal waits to be sent.
    pub(crate) fn waits(&self, signal: Signal) -> bool {
        !self.files().waiting[signal as usize].is_empty()
    }

    /// Makes room, within the bound, for a batch; none if it is larger than that, or what could go is being sent.
    pub(crate) fn place(&self, signal: Signal, items: u32, body: &[u8]) -> Option<Place> {
        let mut files = self.files();
        let size = file::size(body);
        let mut evicted = Vec::new();
        if size > self.max || files.busy_bytes > self.max - size {
            return None;
        }
        while files.used > self.max - size {
            let oldest = files.waiting.iter().filter_map(|of_signal| of_signal.keys().next()).min();
            let oldest = *oldest?;
            files.start(oldest);
            files.forget(oldest);
            evicted.push(oldest);
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        files.latest = u64::try_from(now.as_nanos()).unwrap_or(0).max(files.latest.saturating_add(1));
        let name = Name { time: files.latest, signal, items };
        files.busy.insert(name, size);
        files.busy_bytes += size;
        files.used += size;
        Some(Place { name, evicted })
    }

    /// Brings the disk to what [`Directory::place`] has said: removes those that must go, and writes the batch. Touches
    /// the disk.
    ///
    /// The file is not forced to the disk: after a power cut it may be cut off, which its reader sees.
    pub(crate) fn write(&self, place: &Place, body: &[u8]) -> io::Result<()> {
        place.evicted.iter().for_each(|name| self.delete(*name));
        let new = self.path.join(format!("{}{UNFINISHED}", place.name));
        let open = || OpenOptions::new().create_new(true).write(true).mode(0o600).open(&new);
        let written = open()
            .or_else(|error| match error.kind() {
                // The directory was removed while we ran: it is made again.
                io::ErrorKind::NotFound => self.make_again().and_then(|()| open()),
                _ => Err(error),
            })
            .and_then(|to| file::write(to, body))
            .and_then(|()| fs::rename(&new, self.file(place.name)));
        if written.is_err() {
            // What cannot be removed is in nobody's way, and is removed at the next start.
            _ = fs::remove_file(&new);
        }
        written
    }

    /// Writes what is left of a batch that was taken, `items` of fewer than it had, in its place: as old as it was. Touches
    /// the disk.
    pub(crate) fn replace(&self, whole: Name, items: u32, body: &[u8]) -> io::Result<Name> {
        let place = Place { name: Name { items, ..whole }, evicted: Vec::new() };
        {
            let size = file::size(body);
            let mut files = self.files();
            files.busy.insert(place.name, size);
            files.busy_bytes += size;
            // For a moment there are both, whatever the bound says.
            files.used += size;
        }
        if let Err(error) = self.write(&place, body) {
            self.pass_over(place.name);
            return Err(error);
        }
        self.remove(whole);
        Ok(place.name)
    }

    /// Takes the oldest batch of the signal that waits; another one than `but`, if there is another.
    pub(crate) fn take(&self, signal: Signal, but: Option<Name>) -> Option<Name> {
        let mut files = self.files();
        let mut names = files.waiting[signal as usize].keys();
        let first = *names.next()?;
        let name = if but == Some(first) { *names.next().unwrap_or(&first) } else { first };
        files.start(name);
        Some(name)
    }

    /// Reads a batch that was taken. Touches the disk.
    ///
    /// # Errors
    /// As [`file::read`].
    pub(crate) fn read(&self, name: Name) -> io::Result<Bytes> {
        let path = self.file(name);
        let from = OpenOptions::new().read(true).custom_flags(AS_A_FILE).open(path)?;
        let of = from.metadata()?;
        let len = of.len();
        if !of.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is not a file"));
        }
        if len > self.max {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is larger than the spool may be"));
        }
        file::read(from, len)
    }

    /// A batch that was taken, or is written now, may be sent.
    pub(crate) fn leave(&self, name: Name) {
        let mut files = self.files();
        if let Some(size) = files.busy.remove(&name) {
            files.busy_bytes -= size;
            files.waiting[name.signal as usize].insert(name, size);
        }
    }

    /// A batch that was taken is no more. Touches the disk.
    pub(crate) fn remove(&self, name: Name) {
        self.delete(name);
        self.files().forget(name);
    }

    /// A batch that was taken cannot be read, or one cannot be written: what there is of it stays for the next process.
    pub(crate) fn pass_over(&self, name: Name) {
        self.files().forget(name);
    }

    /// Removes a file; one that cannot be removed is sent again after a restart, which is better than its loss.
    fn delete(&self, name: Name) {
        if let Err(error) = fs::remove_file(self.file(name)) {
            tracing::debug!(%error, file = %self.file(name).display(), "cannot remove a file of the spool");
        }
    }

    /// Makes the directory again after somebody has removed it, lock and all.
    fn make_again(&self) -> io::Result<()> {
        make(&self.path)?;
        *self.lock.lock().unwrap_or_else(PoisonError::into_inner) = lock(&self.path)?;
        Ok(())
    }

    /// Whether the directory is there.
    pub(crate) fn exists(&self) -> bool {
        self.path.is_dir()
    }

    fn file(&self, name: Name) -> PathBuf {
        self.path.join(name.to_string())
    }

    fn files(&self) -> MutexGuard<'_, Files> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says who uses a directory.
fn lock(directory: &Path) -> Result<File, TryLockError> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true).mode(0o600).custom_flags(AS_A_FILE);
    let file = options.open(directory.join(LOCK)).map_err(TryLockError::Error)?;
    file.try_lock()?;
    Ok(file)
}

fn make(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

impl Files {
    fn start(&mut self, name: Name) {
        if let Some(size) = self.waiting[name.signal as usize].remove(&name) {
            self.busy.insert(name, size);
            self.busy_bytes += size;
        }
    }

    /// A busy file is no more.
    fn forget(&mut self, name: Name) {
        if let Some(size) = self.busy.remove(&name) {
            self.busy_bytes -= size;
            self.used -= size;
        }
    }
}
