//! Runs the developer's own build command, and shows what it says.

use std::os::fd::AsFd as _;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use pounce_telemetry::logs::{is_for_people, printable};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};

/// Bytes of a line of output that are shown as one.
const MAX_LINE: usize = 8 * 1024;
/// How long the last lines of a build that has ended are waited for: what it has left running holds its output open.
const LAST_LINES: Duration = Duration::from_millis(500);

/// How often it is looked whether a build waits for the terminal.
const LOOK: Duration = Duration::from_millis(250);

/// A command that builds the component.
pub(super) struct Build {
    command: String,
}

/// A build that runs, with all that it has started; stopped when this is dropped.
struct Running {
    child: Child,
    group: Option<Pid>,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(group) = self.group {
            // It may have ended by itself. One that is stopped hears nothing until it goes on.
            for signal in [Signal::TERM, Signal::CONT] {
                _ = rustix::process::kill_process_group(group, signal);
            }
        }
    }
}

impl Build {
    pub(super) fn new(command: &str) -> Self {
        Self { command: command.to_owned() }
    }

    /// Runs the command to its end.
    ///
    /// # Errors
    /// It failed, or could not be run: why, and what to do.
    pub(super) async fn run(&self) -> Result<(), String> {
        let begun = Instant::now();
        tracing::info!("building: {}", self.command);
        let status = self.wait().await.map_err(|error| {
            format!("the build command `{}` could not be run: {error} (dev.build)", self.command)
        })?;
        let seconds = begun.elapsed().as_secs_f64();
        let Some(status) = status else {
            return Err(format!(
                "the build was stopped after {seconds:.1} s: `{}` asks for something on the terminal, where Pounce \
                 reads its keys. Run it once by itself, or give it what it asks for (dev.build)",
                self.command
            ));
        };
        if status.success() {
            tracing::info!("built in {seconds:.1} s");
            return Ok(());
        }
        Err(format!(
            "the build failed after {seconds:.1} s: `{}` ended with {}",
            self.command,
            describe(status)
        ))
    }

    /// Runs the command; no status where it waits for the terminal and would wait for ever.
    async fn wait(&self) -> std::io::Result<Option<ExitStatus>> {
        let mut command = Command::new("sh");
        // A group of its own, so that all of it can be stopped. It does not read what is typed here.
        command.arg("-c").arg(&self.command).process_group(0).kill_on_drop(true).stdin(Stdio::null());
        if is_for_people() {
            // As it is, with its colours and its progress; standard output is for ready lines.
            let shown = || std::io::stderr().as_fd().try_clone_to_owned().map(Stdio::from);
            command.stdout(shown()?).stderr(shown()?);
        } else {
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
        }
        let child = command.spawn()?;
        let group = child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?));
        let mut running = Running { child, group };
        let (stdout, stderr) = (running.child.stdout.take(), running.child.stderr.take());
        // Tasks: what the build has left running may write for as long as it runs, and ends if nobody reads it.
        let (stdout, stderr) = (tokio::spawn(tell(stdout)), tokio::spawn(tell(stderr)));
        let status = tokio::select! {
            status = running.child.wait() => status,
            () = wants_terminal(group) => return Ok(None),
        };
        // What it has left running goes on: it may be a server that caches what compilers make.
        running.group = None;
        // Most builds leave nothing running, and have said all that they say.
        _ = tokio::time::timeout(LAST_LINES, async { tokio::join!(stdout, stderr) }).await;
        status.map(Some)
    }
}

/// Resolves once a build is stopped, as it wanted to read the terminal or to change its mode: its group is not the one
/// that the terminal belongs to.
async fn wants_terminal(group: Option<Pid>) {
    let Some(group) = group else { return std::future::pending().await };
    let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    loop {
        tokio::time::sleep(LOOK).await;
        let stopped = rustix::process::waitid(WaitId::Pid(group), options).ok().flatten();
        let signal = stopped.and_then(|stopped| stopped.stopping_signal());
        if [Signal::TTIN, Signal::TTOU].iter().any(|asking| signal == Some(asking.as_raw())) {
            return;
        }
    }
}

fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => status.to_string(),
    }
}

/// Has each line of a build's output in the log.
async fn tell(output: Option<impl AsyncRead + Unpin>) {
    let Some(mut output) = output else { return };
    let mut line = Vec::new();
    let mut read = vec![0; MAX_LINE];
    loop {
        // One that can't be read any more has ended as well.
        let bytes = output.read(&mut read).await.unwrap_or(0);
        for byte in &read[..bytes] {
            match byte {
                b'\n' => say(&mut line),
                _ => line.push(*byte),
            }
            if line.len() >= MAX_LINE {
                say(&mut line);
            }
        }
        if bytes == 0 {
            return say(&mut line);
        }
    }
}

fn say(line: &mut Vec<u8>) {
    let text = String::from_utf8_lossy(line);
    let text = text.trim_end();
    if !text.is_empty() {
        tracing::info!(stream = "build", "{}", printable(text));
    }
    line.clear();
}
