//! A component's machine code: taken from the cache or from an artifact, else compiled in a process of its own.
//!
//! Machine code is run as it stands, so nothing is mapped that has not been authenticated, and only files that no other
//! user can write: those of our own cache directory, or anonymous ones.
//!
//! ```text
//! app.wasm  ── hash ──► in the cache? ── yes: its seal holds ─────────────► map
//!                          │ no
//!                          └► compile (child process, into memory) ► seal ► into the cache ► map
//! app.cwasm ── the same as its copy in the cache, whose seal holds ───────► map
//!                          │ no
//!                          └► copy ► the seal of the copy holds ► into the cache ► map
//! ```

mod artifact;
mod cache;
mod digest;
mod keys;
mod map;
mod seal;
mod target;
mod worker;

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use wasmtime::component::Component as WasmComponent;

pub(crate) use artifact::{Artifact, Sign};
pub(super) use seal::ELF;
pub(crate) use target::Target;
pub(crate) use worker::{COMMAND, Worker, serve};

use self::artifact::Facts;
use self::cache::Cache;
use self::keys::MachineKey;
use self::seal::{End, Keys};
use self::worker::{Limits, Task};
use super::content::Content;
use super::engine::{Slots, Tuning};
use super::inspect::Inspection;
use crate::config::{self, ArtifactKey, CacheDir};

/// Components from this size on take long enough to compile that somebody may wonder.
const LONG: usize = 2 << 20;

/// What a compilation has come to, for those who wait for it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Progress<'a> {
    /// It has begun, for a component of so many bytes.
    Begun {
        /// The component's file.
        path: &'a Path,
        /// Bytes of its WebAssembly.
        bytes: usize,
    },
    /// It has ended, well or not.
    Ended,
}

/// How to compile, and whom to tell.
#[derive(Clone)]
pub(crate) struct Compiling {
    /// Where the compiler runs.
    worker: Worker,
    /// Called when a compilation begins and ends; not where the cache has it.
    tell: Arc<dyn Fn(Progress<'_>) + Send + Sync>,
}

impl Compiling {
    /// Compiling by `worker`, of which nobody is told.
    pub(crate) fn by(worker: Worker) -> Self {
        Self { worker, tell: Arc::new(|_| {}) }
    }

    /// This compiler, which tells `also` what it told others before.
    pub(crate) fn telling(self, also: impl Fn(Progress<'_>) + Send + Sync + 'static) -> Self {
        let before = self.tell;
        let tell = Arc::new(move |progress: Progress<'_>| {
            before(progress);
            also(progress);
        });
        Self { worker: self.worker, tell }
    }
}

/// Makes what compiled components are kept with, the cache directory and the key of this machine's user, if they are not there
/// yet: a process that may write to little has no other time for it. What cannot be made is told when it is needed.
pub(crate) fn prepare_cache(guest: &config::Guest) {
    drop(Compiler::new(guest, Compiling::by(Worker::Inline)));
}

/// The way from a component to its machine code, as the settings have it.
pub(crate) struct Compiler {
    compiling: Compiling,
    limits: Limits,
    cache: Option<Cache>,
    /// Read or made when it is needed: not where nothing is cached and artifacts are signed.
    machine: OnceLock<Result<MachineKey, String>>,
    artifact_key: Option<ArtifactKey>,
}

impl Compiler {
    /// Opens the cache. One that cannot be used is said in the log, and done without.
    pub(crate) fn new(guest: &config::Guest, compiling: Compiling) -> Self {
        let mut compiler = Self {
            compiling,
            limits: Limits { time: guest.compile_timeout.0, memory: guest.compile_memory.0 },
            cache: None,
            machine: OnceLock::new(),
            artifact_key: guest.artifact_key.clone(),
        };
        if let CacheDir::Dir(dir) = &guest.cache {
            let opened = compiler.machine().map_err(|error| anyhow::anyhow!("{error}"));
            match opened.map(drop).and_then(|()| Cache::open(dir, guest.cache_max.0)) {
                Ok(cache) => compiler.cache = Some(cache),
                Err(error) => tracing::warn!("compiled components are not kept: {error:#}"),
            }
        }
        compiler
    }

    /// The key of this machine's user, or why there is none.
    fn machine(&self) -> Result<&MachineKey, &str> {
        let key = || MachineKey::of_user().map_err(|error| format!("{error:#}"));
        self.machine.get_or_init(key).as_ref().map_err(String::as_str)
    }

    /// Who may vouch for an artifact.
    fn keys(&self) -> Keys<'_> {
        self.artifact_key.as_ref().map_or_else(|| Keys::Machine(self.machine()), Keys::Artifact)
    }

    /// What the cache has of a component that was compiled for `tuning`, if it is sound; else it is removed.
    ///
    /// # Errors
    /// The component cannot be read.
    pub(crate) fn find(&self, content: &Content, tuning: Tuning) -> anyhow::Result<Option<Artifact>> {
        let Some(cache) = &self.cache else { return Ok(None) };
        let begun = Instant::now();
        let name = cache::name_of(content, tuning)?;
        let Some(file) = cache.find(&name) else { return Ok(None) };
        Ok(match Artifact::of(file, Keys::Machine(self.machine())) {
            Ok(artifact) => {
                tracing::debug!(name, took = ?begun.elapsed(), "the component is compiled already");
                Some(artifact)
            }
            Err(error) => {
                tracing::warn!("a compiled component in the cache is not used, and compiled anew: {error:#}");
                cache.remove(&name);
                None
            }
        })
    }

    /// Compiles `wasm`, the content of the file `path`, for `slots`, and keeps it in the cache.
    ///
    /// # Errors
    /// The component does not compile, or not with the time and memory that it may have.
    pub(crate) fn make(
        &self,
        path: &Path,
        wasm: Vec<u8>,
        inspection: &Inspection,
        slots: &Slots,
    ) -> anyhow::Result<WasmComponent> {
        let task = Task { wasm: &wasm, tuning: slots.tuning, target: Target::Native };
        // In memory first: whatever the disk has to say, there is something to serve.
        let file = cache::anonymous()?;
        self.compile(path, &task, &file)?;
        // The key is made only where there is a cache to seal with it.
        let kept = match self.cache.as_ref().and_then(|cache| Some((cache, self.machine().ok()?))) {
            Some((cache, machine)) => {
                let facts = Facts::new(&wasm, task.target, inspection);
                // Of what was compiled, whatever has become of the file meanwhile.
                let name = cache::name_of(&Content::Bytes(wasm), slots.tuning)?;
                let kept = keep(cache, &file, &facts, machine, &name);
                kept.inspect_err(|error| tracing::warn!("the compiled component is not kept: {error:#}")).ok()
            }
            // That there is no cache has been said.
            None => None,
        };
        if let Some(kept) = kept {
            return map::component(&slots.engine, &kept);
        }
        cache::freeze(&file)?;
        map::component(&slots.engine, &file)
    }

    fn compile(&self, path: &Path, task: &Task<'_>, file: &File) -> anyhow::Result<()> {
        let begun = Instant::now();
        let bytes = task.wasm.len();
        if bytes >= LONG {
            tracing::info!(bytes, "compiling the component `{}`", path.display());
        } else {
            tracing::debug!(bytes, "compiling the component `{}`", path.display());
        }
        (self.compiling.tell)(Progress::Begun { path, bytes });
        let compiled = self.compiling.worker.compile(task, self.limits, file);
        (self.compiling.tell)(Progress::Ended);
        compiled?;
        if bytes >= LONG {
            let seconds = begun.elapsed().as_secs_f64();
            tracing::info!(seconds, "compiled the component `{}` in {seconds:.1} s", path.display());
        }
        Ok(())
    }

    /// The artifact in a user's file: where it is mapped from, and what it says of itself.
    ///
    /// # Errors
    /// Nobody whose word counts vouches for it, or it was made for another version of Pounce.
    pub(crate) fn artifact(&self, content: &Content) -> anyhow::Result<Artifact> {
        let keys = self.keys();
        let end = End::of(content)?;
        // Before it is copied.
        end.is_by(keys)?;
        if let Some(cache) = &self.cache {
            let name = cache::name_of_copy(&end);
            let copy = cache.find(&name).and_then(|copy| Artifact::of_copy(copy, content, keys).ok());
            if let Some(artifact) = copy {
                return Ok(artifact);
            }
            // There is none, or one of the two was changed: which of them, the seal of a new copy tells.
            let copied = cache.draft().and_then(|draft| {
                content.copy_to(draft.file())?;
                Ok((draft.reopened()?, draft))
            });
            match copied {
                Ok((file, mut draft)) => {
                    let artifact = Artifact::of(file, keys)?;
                    if let Err(error) = cache.keep(&mut draft, &name) {
                        tracing::warn!("the copy of the artifact is not kept: {error:#}");
                    }
                    return Ok(artifact);
                }
                Err(error) => {
                    tracing::warn!("the artifact is not kept in the cache, but in memory: {error}")
                }
            }
        }
        let file = cache::anonymous()?;
        content.copy_to(&file)?;
        cache::freeze(&file)?;
        Artifact::of(file, keys)
    }
}

/// Seals the machine code in `file`, and writes it into the cache: the file there.
fn keep(cache: &Cache, file: &File, facts: &Facts, machine: &MachineKey, name: &str) -> anyhow::Result<File> {
    seal::append_machine(file, &facts.to_bytes()?, machine)?;
    let mut draft = cache.draft()?;
    map::content(file)?.copy_to(draft.file())?;
    cache.keep(&mut draft, name)?;
    Ok(draft.reopened()?)
}
