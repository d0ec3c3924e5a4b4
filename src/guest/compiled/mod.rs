//! A component's machine code: taken from the cache or from an artifact, else compiled in a process of its own.
//!
//! Machine code is run as it stands, so nothing is mapped that has not been authenticated, and only files that no other
//! user can write: those of our own cache directory, or anonymous ones.
//!
//! ```text
//! app.wasm  ── hash ──► in the cache? ── yes: its seal holds ─────────────► map
//!                          │ no
//!                          └► compile (child process) ► seal ► into the cache ► map
//! app.cwasm ── copied into the cache, unless it is there ► its seal holds ► map
//! ```

mod artifact;
mod cache;
mod keys;
mod map;
mod seal;
mod target;
mod worker;

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use wasmtime::Engine;
use wasmtime::component::Component as WasmComponent;

pub(crate) use artifact::{Artifact, Sign};
pub(crate) use target::Target;
pub(crate) use worker::{COMMAND, Worker, serve};

use self::cache::Cache;
use self::keys::MachineKey;
use self::seal::Keys;
use super::engine::Tuning;
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

    /// The same compiler, which tells `also` what it told others before.
    pub(crate) fn telling(self, also: impl Fn(Progress<'_>) + Send + Sync + 'static) -> Self {
        let before = self.tell;
        let tell = Arc::new(move |progress: Progress<'_>| {
            before(progress);
            also(progress);
        });
        Self { worker: self.worker, tell }
    }
}

/// The way from a component to its machine code, as the settings have it.
pub(crate) struct Compiler {
    compiling: Compiling,
    timeout: Option<Duration>,
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
            timeout: guest.compile_timeout.0,
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

    /// The machine code of `wasm`, the content of the file `path`, for `engine`, which was made with `tuning`.
    ///
    /// # Errors
    /// The component does not compile, or not with the time and memory that it may have.
    pub(crate) fn compiled(
        &self,
        engine: &Engine,
        tuning: Tuning,
        path: &Path,
        wasm: &[u8],
    ) -> anyhow::Result<WasmComponent> {
        let compile = |file: &File| self.compile(path, wasm, tuning, Target::Native, file);
        if let Some(cache) = &self.cache
            && let Ok(machine) = self.machine()
        {
            let name = cache::name_of(wasm, engine);
            if let Some(component) = self.cached(cache, &name, engine) {
                return Ok(component);
            }
            match cache.draft() {
                Ok(mut draft) => {
                    compile(draft.file())?;
                    let kept = seal::append_machine(draft.file(), &[], machine)
                        .map_err(anyhow::Error::from)
                        .and_then(|()| cache.keep(&mut draft, &name));
                    if let Err(error) = kept {
                        tracing::warn!("the compiled component is not kept: {error:#}");
                    }
                    return map::component(engine, draft.file());
                }
                Err(error) => tracing::warn!("the compiled component is not kept: {error}"),
            }
        }
        let file = cache::anonymous()?;
        compile(&file)?;
        cache::freeze(&file)?;
        map::component(engine, &file)
    }

    /// What the cache has under `name`, if it is sound; else it is removed.
    fn cached(&self, cache: &Cache, name: &str, engine: &Engine) -> Option<WasmComponent> {
        let begun = Instant::now();
        let file = cache.find(name)?;
        let keys = Keys::Machine(self.machine());
        let loaded = map::bytes(&file)
            .map_err(anyhow::Error::from)
            .and_then(|content| Ok(seal::check(&content, keys).map(drop)?))
            .and_then(|()| map::component(engine, &file));
        match loaded {
            Ok(component) => {
                tracing::debug!(name, took = ?begun.elapsed(), "the component is compiled already");
                Some(component)
            }
            Err(error) => {
                tracing::warn!("a compiled component in the cache is not used, and compiled anew: {error:#}");
                cache.remove(name);
                None
            }
        }
    }

    fn compile(
        &self,
        path: &Path,
        wasm: &[u8],
        tuning: Tuning,
        target: Target,
        file: &File,
    ) -> anyhow::Result<()> {
        let begun = Instant::now();
        let bytes = wasm.len();
        if bytes >= LONG {
            tracing::info!(bytes, "compiling the component `{}`", path.display());
        } else {
            tracing::debug!(bytes, "compiling the component `{}`", path.display());
        }
        (self.compiling.tell)(Progress::Begun { path, bytes });
        let compiled = self.compiling.worker.compile(wasm, tuning, target, file, self.timeout);
        (self.compiling.tell)(Progress::Ended);
        compiled?;
        if bytes >= LONG {
            let seconds = begun.elapsed().as_secs_f64();
            tracing::info!(seconds, "compiled the component `{}` in {seconds:.1} s", path.display());
        }
        Ok(())
    }

    /// The artifact `path`, whose content is `content`: where it is mapped from, and what it says of itself.
    ///
    /// # Errors
    /// Nobody whose word counts vouches for it, or it was made for another version of Pounce.
    pub(crate) fn artifact(&self, content: &[u8]) -> anyhow::Result<Artifact> {
        let keys = self.keys();
        if let Some(cache) = &self.cache {
            let name = cache::name_of_copy(content);
            if let Some(file) = cache.find(&name) {
                match Artifact::of(file, keys) {
                    Ok(artifact) => return Ok(artifact),
                    // The content may be at fault, and then it is told below.
                    Err(_) => cache.remove(&name),
                }
            }
            seal::check(content, keys)?;
            let copied = cache.draft().map_err(anyhow::Error::from).and_then(|mut draft| {
                draft.file().write_all(content)?;
                cache.keep(&mut draft, &name)?;
                Ok(draft.into_file()?)
            });
            match copied {
                Ok(file) => return Artifact::of(file, keys),
                Err(error) => {
                    tracing::warn!("the artifact is not kept in the cache, but in memory: {error:#}")
                }
            }
        }
        let file = cache::anonymous()?;
        (&file).write_all(content)?;
        cache::freeze(&file)?;
        Artifact::of(file, keys)
    }
}
