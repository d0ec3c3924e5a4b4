//! The directory of compiled components: each file whole and sealed, the least recently used go first.
//!
//! The directory is opened once and belongs to this user alone; files are opened relative to it, never through a symbolic
//! link. A file is written under a draft's name and gets its own only when it is complete, so a reader sees all of it or
//! nothing, whoever is killed whenever. What is damaged all the same (a power cut) does not pass its seal.

use std::fs::{DirBuilder, File};
use std::hash::{Hash as _, Hasher};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, bail};
use rustix::fs::{self, AtFlags, FileType, MemfdFlags, Mode, OFlags, SealFlags, Timestamps};
use rustix::io::Errno;
use wasmtime::Engine;

use super::digest::Digest;
use super::seal::End;
use super::target;
use crate::guest::content::Content;
use crate::guest::engine::{self, Tuning};
use crate::guest::inspect::Version;

/// Ending of a file that is complete.
const ENDING: &str = ".cwasm";
/// Beginning of a file that is being written.
const DRAFT: &str = "draft-";
/// Drafts of this age were left by processes that were killed.
const ABANDONED: Duration = Duration::from_secs(60 * 60);

/// A cache directory that may be trusted.
pub(super) struct Cache {
    path: PathBuf,
    directory: OwnedFd,
    max: u64,
}

/// A file that is being written; removed when it is dropped before it was kept.
pub(super) struct Draft<'a> {
    cache: &'a Cache,
    name: Option<String>,
    file: File,
}

impl Draft<'_> {
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Another descriptor of the file, which stays whether the draft is kept or not.
    pub(super) fn reopened(&self) -> io::Result<File> {
        self.file.try_clone()
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if let Some(name) = &self.name
            && let Err(error) = fs::unlinkat(&self.cache.directory, name, AtFlags::empty())
        {
            tracing::debug!("the draft `{name}` in the cache stays: {error}");
        }
    }
}

impl Cache {
    /// Opens the directory, or makes it, for files of `max` bytes in all.
    ///
    /// # Errors
    /// It cannot be made or opened, or others may write in it.
    pub(super) fn open(path: &Path, max: u64) -> anyhow::Result<Self> {
        let context = || format!("the cache directory `{}` cannot be used", path.display());
        DirBuilder::new().recursive(true).mode(0o700).create(path).with_context(context)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = fs::open(path, flags, Mode::empty())
            .map_err(|error| match error {
                Errno::LOOP | Errno::NOTDIR => {
                    anyhow::anyhow!("it is a symbolic link; name the directory itself")
                }
                error => error.into(),
            })
            .with_context(context)?;
        let stat = fs::fstat(&directory).with_context(context)?;
        if stat.st_uid != rustix::process::geteuid().as_raw() {
            return Err(anyhow::anyhow!("it belongs to another user; name one of your own (--cache)"))
                .with_context(context);
        }
        if stat.st_mode & 0o077 != 0 {
            let mode = stat.st_mode & 0o777;
            return Err(anyhow::anyhow!(
                "others have access (mode {mode:o}); `chmod 700` it, or name another (--cache)"
            ))
            .with_context(context);
        }
        Ok(Self { path: path.to_owned(), directory, max })
    }

    /// The complete file `name`, if there is one; it counts as used now.
    pub(super) fn find(&self, name: &str) -> Option<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = File::from(fs::openat(&self.directory, name, flags, Mode::empty()).ok()?);
        let stat = fs::fstat(&file).ok()?;
        let is_ours = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
            && stat.st_uid == rustix::process::geteuid().as_raw()
            && stat.st_mode & 0o022 == 0;
        if !is_ours {
            tracing::warn!(
                "`{}` in the cache is not a file of this user alone, and is not used",
                self.path.join(name).display()
            );
            return None;
        }
        // Only the order in which files go rests on it.
        let used = Timestamps { last_access: now(), last_modification: now() };
        if let Err(error) = fs::futimens(&file, &used) {
            tracing::debug!("cannot say that `{name}` in the cache was used: {error}");
        }
        Some(file)
    }

    /// Removes a file that is of no use.
    pub(super) fn remove(&self, name: &str) {
        if let Err(error) = fs::unlinkat(&self.directory, name, AtFlags::empty()) {
            tracing::warn!("cannot remove `{}`: {error}", self.path.join(name).display());
        }
    }

    /// An empty file to be written.
    pub(super) fn draft(&self) -> io::Result<Draft<'_>> {
        let name = format!("{DRAFT}{:016x}", fastrand::u64(..));
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = fs::openat(&self.directory, &name, flags, Mode::RUSR | Mode::WUSR)?;
        Ok(Draft { cache: self, name: Some(name), file: File::from(file) })
    }

    /// Gives a draft that is complete its name, and makes room for it. What had the name before is replaced.
    ///
    /// # Errors
    /// It cannot be kept: too large, or the directory has become read-only. The content is still good.
    pub(super) fn keep(&self, draft: &mut Draft<'_>, name: &str) -> anyhow::Result<()> {
        let size = draft.file.metadata()?.len();
        if size > self.max {
            bail!("it has {} MiB, more than --cache-max (guest.cache-max)", size >> 20);
        }
        // Read-only from now on, by mistake too.
        fs::fchmod(&draft.file, Mode::RUSR)?;
        if let Some(written) = draft.name.take()
            && let Err(error) = fs::renameat(&self.directory, &written, &self.directory, name)
        {
            draft.name = Some(written);
            return Err(error.into());
        }
        self.make_room(name).context("the cache cannot be tidied")
    }

    /// Removes the least recently used files until all have `max` bytes at most, `name` last; and drafts that nobody
    /// will finish.
    fn make_room(&self, name: &str) -> anyhow::Result<()> {
        let mut files = Vec::new();
        for entry in fs::Dir::read_from(&self.directory)? {
            let entry = entry?;
            let Ok(found) = entry.file_name().to_str() else { continue };
            // Another process may have removed it meanwhile.
            let Ok(stat) = fs::statat(&self.directory, found, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            let used = SystemTime::UNIX_EPOCH
                + Duration::from_secs(u64::try_from(stat.st_mtime).unwrap_or_default());
            if found.starts_with(DRAFT) && used.elapsed().is_ok_and(|age| age > ABANDONED) {
                self.remove(found);
            }
            if found.ends_with(ENDING) {
                let order = (found == name, stat.st_mtime, stat.st_mtime_nsec);
                files.push((order, found.to_owned(), u64::try_from(stat.st_size).unwrap_or_default()));
            }
        }
        files.sort_unstable();
        let mut total: u64 = files.iter().map(|(_, _, size)| size).sum();
        for (_, found, size) in files {
            if total <= self.max {
                break;
            }
            self.remove(&found);
            total -= size;
        }
        Ok(())
    }
}

/// Our settings that machine code depends on, as they stand in the source: another text gives other names.
const SETTINGS: [&str; 2] = [include_str!("../engine.rs"), include_str!("worker.rs")];

/// Name of the compiled form of a component: of its bytes, our settings, this processor's features, and the versions of
/// wasmtime and Pounce.
///
/// # Errors
/// The component cannot be read.
pub(super) fn name_of(content: &Content, tuning: Tuning) -> anyhow::Result<String> {
    let bytes = Digest::new("pounce 2026-11-30 bytes of a component", &[]).of_all(content)?;
    let mut all = Feed(blake3::Hasher::new_derive_key("pounce 2026-11-30 name of a compiled component"));
    (bytes.as_bytes(), env!("CARGO_PKG_VERSION"), SETTINGS).hash(&mut all);
    (tuning.to_string(), target::features_here()).hash(&mut all);
    // Which version of wasi:http it is, and so which engine, is in its bytes.
    let config = engine::without_compiler(engine::for_compiling(Version::V03, tuning));
    let engine = Engine::new(&config).map_err(anyhow::Error::from)?;
    engine.precompile_compatibility_hash().hash(&mut all);
    Ok(format!("{}{ENDING}", all.0.finalize().to_hex()))
}

/// Has what implements [`std::hash::Hash`] hashed so that its place in a directory tells it from everything else.
struct Feed(blake3::Hasher);

impl Hasher for Feed {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        unreachable!("all of the hash is wanted")
    }
}

/// Name of the copy of an artifact: of its seal, which is that of all its bytes.
pub(super) fn name_of_copy(end: &End) -> String {
    let hash = blake3::derive_key("pounce 2026-11-30 name of a copied artifact", end.seal());
    format!("{}{ENDING}", blake3::Hash::from_bytes(hash).to_hex())
}

/// A file without a name, in memory, for one process.
pub(super) fn anonymous() -> io::Result<File> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    Ok(File::from(fs::memfd_create("pounce component", flags)?))
}

/// Lets nothing of an anonymous file change any more.
pub(super) fn freeze(file: &File) -> io::Result<()> {
    let all = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    Ok(fs::fcntl_add_seals(file, all)?)
}

fn now() -> rustix::fs::Timespec {
    rustix::fs::Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW }
}
