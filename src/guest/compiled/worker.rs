//! The compiler, in a process of its own: what it used goes back to the system with it, it can be stopped, and a component
//! that brings it down brings nothing else down.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use rustix::process::{Pid, Resource, Rlimit, Signal};

use super::target::Target;
use crate::config::ByteSize;
use crate::guest::engine::{self, Tuning};
use crate::guest::inspect;

/// The hidden command that makes a `pounce` process a compiler.
pub(crate) const COMMAND: &str = "compile-worker";
/// Bytes of an error that are read.
const MAX_ERROR: u64 = 64 * 1024;
/// Stands for no limit on the command line of a compiler.
const UNLIMITED: &str = "none";
/// How often the child is looked after.
const PACE: Duration = Duration::from_millis(5);

/// Where the compiler runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Worker {
    /// In this process: of a program that is not `pounce`. Nothing stops it, and its memory stays in the process.
    Inline,
    /// In a process of this very program.
    Child,
}

/// What is to be compiled, and for what.
pub(super) struct Task<'a> {
    pub(super) wasm: &'a [u8],
    pub(super) tuning: Tuning,
    pub(super) target: Target,
}

/// What a compiler of its own process may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// From its start to its end (`guest.compile-timeout`).
    pub(super) time: Option<Duration>,
    /// Bytes of memory that are its own (`guest.compile-memory`).
    pub(super) memory: Option<u64>,
}

impl Worker {
    /// Appends the machine code of `task` to `file`.
    ///
    /// # Errors
    /// It does not compile, needs more than it may take, or there is no process for it.
    pub(super) fn compile(self, task: &Task<'_>, limits: Limits, mut file: &File) -> anyhow::Result<()> {
        match self {
            Self::Inline => file.write_all(&task.compile()?).context(UNWRITTEN),
            Self::Child => task.compile_in_child(limits, file),
        }
    }
}

/// Machine code that there is no room for.
const UNWRITTEN: &str = "the compiled component cannot be written";

impl Task<'_> {
    /// The machine code.
    fn compile(&self) -> anyhow::Result<Vec<u8>> {
        let version = inspect::inspect(self.wasm)?.version;
        let mut config = engine::for_compiling(version, self.tuning);
        self.target.configure(&mut config)?;
        let engine = wasmtime::Engine::new(&config).map_err(anyhow::Error::from)?;
        engine.precompile_component(self.wasm).map_err(anyhow::Error::from).context("it does not compile")
    }

    fn compile_in_child(&self, limits: Limits, file: &File) -> anyhow::Result<()> {
        let output = file.try_clone()?;
        let memory = limits.memory.map_or_else(|| UNLIMITED.to_owned(), |bytes| bytes.to_string());
        let mut child = Command::new("/proc/self/exe")
            .arg(COMMAND)
            .args([self.tuning.to_string(), self.target.to_string(), memory])
            .arg(std::process::id().to_string())
            .env_clear()
            // Ctrl-C is for the server, which ends the compiler as it sees fit.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(output)
            .stderr(Stdio::piped())
            .spawn()
            .context("no process can be started to compile in")?;
        let (input, errors) = (child.stdin.take(), child.stderr.take());
        std::thread::scope(|scope| {
            // If it ends before it has read everything, its own words say more.
            scope.spawn(move || input.map(|mut input| input.write_all(self.wasm)));
            let said = scope.spawn(move || {
                let mut said = String::new();
                errors.map(|errors| errors.take(MAX_ERROR).read_to_string(&mut said));
                said
            });
            let ended = wait(&mut child, limits.time);
            if ended.is_err() {
                // Else the threads would wait for it.
                child.kill().and_then(|()| child.wait()).context("the compiler cannot be stopped")?;
            }
            let said = said.join().unwrap_or_default();
            judge(ended?, said.trim(), limits.memory)
        })
    }
}

fn wait(child: &mut std::process::Child, timeout: Option<Duration>) -> anyhow::Result<ExitStatus> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().context("the compiler cannot be waited for")? {
            return Ok(status);
        }
        if let Some(timeout) = timeout.filter(|timeout| begun.elapsed() > *timeout) {
            bail!(
                "it was not compiled within {timeout:?}; raise --compile-timeout (guest.compile-timeout), or compile it \
                 beforehand: pounce compile"
            );
        }
        std::thread::sleep(PACE);
    }
}

fn judge(status: ExitStatus, said: &str, memory: Option<u64>) -> anyhow::Result<()> {
    if status.success() {
        return Ok(());
    }
    let how = match (status.signal(), said) {
        (Some(signal), "") => format!("the compiler was ended by signal {signal}"),
        (Some(signal), said) => format!("the compiler was ended by signal {signal} ({said})"),
        (None, "") => format!("the compiler failed ({status}) and did not say why"),
        (None, said) => said.to_owned(),
    };
    if is_for_want_of_memory(status, said) {
        let most = memory.map_or_else(
            || "no more memory than the system has".to_owned(),
            |bytes| format!("{} of memory at most, and less where the system has less", ByteSize(bytes)),
        );
        bail!(
            "{how}: it may take {most}; raise --compile-memory (guest.compile-memory), or compile the component \
             where there is more (pounce compile)"
        );
    }
    bail!("{how}")
}

/// Whether a compiler that has failed had too little memory: Rust aborts, the system kills, and what asks nicely says so.
fn is_for_want_of_memory(status: ExitStatus, said: &str) -> bool {
    matches!(status.signal(), Some(libc::SIGABRT | libc::SIGKILL))
        || ["memory allocation", "out of memory", "os error 12)"].iter().any(|words| said.contains(words))
}

/// What a compiler process does: reads a component from standard input, and writes machine code to standard output.
///
/// # Errors
/// As they are told to whoever started the process, on standard error.
pub(crate) fn serve(arguments: &[String]) -> anyhow::Result<()> {
    let [tuning, target, memory, parent] = arguments else {
        bail!("`pounce {COMMAND}` is started by pounce alone")
    };
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // It may have ended before it was asked to take us along.
    if rustix::process::getppid().map(Pid::as_raw_pid) != parent.parse().ok() {
        bail!("the process that wanted something compiled is gone");
    }
    if memory != UNLIMITED {
        let limit = Some(memory.parse()?);
        rustix::process::setrlimit(Resource::Data, Rlimit { current: limit, maximum: limit })?;
    }
    let mut wasm = Vec::new();
    std::io::stdin().read_to_end(&mut wasm)?;
    let task = Task {
        wasm: &wasm,
        tuning: tuning.parse().map_err(|error: String| anyhow!(error))?,
        target: target.parse().map_err(|error: String| anyhow!(error))?,
    };
    std::io::stdout().write_all(&task.compile()?).context(UNWRITTEN)
}
