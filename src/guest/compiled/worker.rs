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
use crate::guest::engine::{self, Tuning};
use crate::guest::inspect;

/// The hidden command that makes a `pounce` process a compiler.
pub(crate) const COMMAND: &str = "compile-worker";
/// Most memory that the compiler may take.
const MAX_MEMORY: u64 = 4 << 30;
/// Bytes of an error that are read.
const MAX_ERROR: u64 = 64 * 1024;
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

impl Worker {
    /// Compiles `wasm` and appends the machine code to `file`, in no more than `timeout`.
    ///
    /// # Errors
    /// It does not compile, needs more time or memory than it may have, or there is no process for it.
    pub(super) fn compile(
        self,
        wasm: &[u8],
        tuning: Tuning,
        target: Target,
        file: &File,
        timeout: Option<Duration>,
    ) -> anyhow::Result<()> {
        match self {
            Self::Inline => {
                let code = precompile(wasm, tuning, target)?;
                let mut file = file;
                file.write_all(&code).context("the compiled component cannot be written")
            }
            Self::Child => in_child(wasm, tuning, target, file, timeout),
        }
    }
}

/// Machine code for `target`.
fn precompile(wasm: &[u8], tuning: Tuning, target: Target) -> anyhow::Result<Vec<u8>> {
    let version = inspect::inspect(wasm)?.version;
    let mut config = engine::for_compiling(version, tuning);
    target.configure(&mut config)?;
    let engine = wasmtime::Engine::new(&config).map_err(anyhow::Error::from)?;
    engine.precompile_component(wasm).map_err(anyhow::Error::from).context("it does not compile")
}

fn in_child(
    wasm: &[u8],
    tuning: Tuning,
    target: Target,
    file: &File,
    timeout: Option<Duration>,
) -> anyhow::Result<()> {
    let output = file.try_clone()?;
    let mut child = Command::new("/proc/self/exe")
        .arg(COMMAND)
        .args([&tuning.to_string(), &target.to_string(), &std::process::id().to_string()])
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
        scope.spawn(move || input.map(|mut input| input.write_all(wasm)));
        let said = scope.spawn(move || {
            let mut said = String::new();
            errors.map(|errors| errors.take(MAX_ERROR).read_to_string(&mut said));
            said
        });
        let ended = wait(&mut child, timeout);
        if ended.is_err() {
            // Else the threads would wait for it.
            child.kill().and_then(|()| child.wait()).context("the compiler cannot be stopped")?;
        }
        let said = said.join().unwrap_or_default();
        judge(ended?, said.trim())
    })
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

fn judge(status: ExitStatus, said: &str) -> anyhow::Result<()> {
    match (status.success(), status.signal(), said) {
        (true, ..) => Ok(()),
        (false, Some(signal), _) => Err(anyhow!(
            "the compiler was ended by signal {signal}{}: it takes {} GiB of memory at most, and less where the system has \
             less",
            if said.is_empty() { String::new() } else { format!(" ({said})") },
            MAX_MEMORY >> 30
        )),
        (false, None, "") => Err(anyhow!("the compiler failed ({status}) and did not say why")),
        (false, None, said) => Err(anyhow!("{said}")),
    }
}

/// What a compiler process does: reads a component from standard input, and writes machine code to standard output.
///
/// # Errors
/// As they are told to whoever started the process, on standard error.
pub(crate) fn serve(arguments: &[String]) -> anyhow::Result<()> {
    let [tuning, target, parent] = arguments else { bail!("`pounce {COMMAND}` is started by pounce alone") };
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // It may have ended before it was asked to take us along.
    if rustix::process::getppid().map(Pid::as_raw_pid) != parent.parse().ok() {
        bail!("the process that wanted something compiled is gone");
    }
    let limit = Rlimit { current: Some(MAX_MEMORY), maximum: Some(MAX_MEMORY) };
    rustix::process::setrlimit(Resource::Data, limit)?;
    let mut wasm = Vec::new();
    std::io::stdin().read_to_end(&mut wasm)?;
    let code = precompile(
        &wasm,
        tuning.parse().map_err(|error: String| anyhow!(error))?,
        target.parse().map_err(|error: String| anyhow!(error))?,
    )?;
    std::io::stdout().write_all(&code).context("the compiled component cannot be written")
}
