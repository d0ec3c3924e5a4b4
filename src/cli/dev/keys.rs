//! Keys that a developer presses on the terminal of `pounce dev`.
//!
//! Single keys come only if the terminal does not wait for whole lines, so its mode is changed, and put back however the
//! program ends that can still do anything: by return, by panic, by a signal that drains. Nothing is changed where
//! standard input is no terminal, or where another job has it.

use std::io;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::Signal;
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetpgrp, tcsetattr,
};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::viewer;
use crate::app::Reloader;

/// How often it is looked whether the terminal is ours again.
const PACE: Duration = Duration::from_millis(250);
/// Keys that wait; of more a developer would not know what they are for.
const MAX_KEYS: usize = 8;

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Rebuild,
    Open,
}

/// The keys of the terminal, which has its own mode again when this is dropped.
pub(super) struct Keys {
    mode: Option<Arc<Mode>>,
    pressed: mpsc::Receiver<Key>,
}

/// The mode that the terminal had.
struct Mode(Termios);

impl Mode {
    /// Has the terminal give single keys, and not show them. Its signals stay (Ctrl-C), and so does its output.
    fn enter(&self) -> io::Result<()> {
        let mut mode = self.0.clone();
        mode.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        mode.special_codes[SpecialCodeIndex::VMIN] = 1;
        mode.special_codes[SpecialCodeIndex::VTIME] = 0;
        Ok(tcsetattr(io::stdin().as_fd(), OptionalActions::Now, &mode)?)
    }
}

impl Drop for Mode {
    fn drop(&mut self) {
        if is_ours() {
            // The terminal may be gone.
            _ = tcsetattr(io::stdin().as_fd(), OptionalActions::Now, &self.0);
        }
    }
}

/// Whether standard input is the terminal of this job: who changes the mode of another's is stopped.
fn is_ours() -> bool {
    tcgetpgrp(io::stdin().as_fd()).is_ok_and(|group| group == rustix::process::getpgrp())
}

impl Keys {
    /// Takes the keys of the terminal, if there is one.
    pub(super) fn take() -> Self {
        let (sender, pressed) = mpsc::channel(MAX_KEYS);
        let none = |pressed| Self { mode: None, pressed };
        if !is_ours() {
            return none(pressed);
        }
        let Ok(before) = tcgetattr(io::stdin().as_fd()) else { return none(pressed) };
        let mode = Arc::new(Mode(before));
        let reader = std::thread::Builder::new().name("keys".to_owned());
        if mode.enter().is_err() || reader.spawn(move || read(&sender)).is_err() {
            return none(pressed);
        }
        // A job that was stopped (Ctrl-Z) finds the shell's mode when it goes on. Weak: the mode ends with `Keys`.
        let again = Arc::downgrade(&mode);
        if let Ok(mut continued) = signal(SignalKind::from_raw(Signal::CONT.as_raw())) {
            tokio::spawn(async move {
                while continued.recv().await.is_some() {
                    let Some(mode) = again.upgrade() else { return };
                    if is_ours()
                        && let Err(error) = mode.enter()
                    {
                        tracing::debug!("the terminal gives no keys any more: {error}");
                    }
                }
            });
        }
        Self { mode: Some(mode), pressed }
    }

    /// Whether the terminal gives keys.
    pub(super) fn are_taken(&self) -> bool {
        self.mode.is_some()
    }

    /// The next key; never where no keys come.
    pub(super) async fn next(&mut self) -> Key {
        match self.pressed.recv().await {
            Some(key) => key,
            None => std::future::pending().await,
        }
    }

    /// Waits for the key that builds again, while there is nothing to serve.
    pub(super) async fn rebuild(&mut self) {
        while self.next().await == Key::Open {
            tracing::info!("there are no traces to open yet: nothing is served until a build succeeds");
        }
    }

    /// Does what keys ask for, where there is nothing to build.
    pub(super) async fn reload(&mut self, reloader: &Reloader, viewer: Option<&str>) {
        loop {
            match self.next().await {
                Key::Rebuild => reloader.ask(),
                Key::Open => viewer::open(viewer),
            }
        }
    }
}

/// Reads keys until the terminal or the program is gone.
fn read(sender: &mpsc::Sender<Key>) {
    let stdin = io::stdin();
    let mut key = [0];
    while !sender.is_closed() {
        let mut fds = [PollFd::new(&stdin, PollFlags::IN)];
        match poll(&mut fds, None) {
            Err(rustix::io::Errno::INTR) => continue,
            Err(_) => return,
            Ok(_) => {}
        }
        if fds[0].revents().contains(PollFlags::IN) && !is_ours() {
            // What is typed is for the job that has the terminal now; who reads it here is stopped.
            std::thread::sleep(PACE);
            continue;
        }
        match rustix::io::read(&stdin, &mut key) {
            Err(rustix::io::Errno::INTR) => {}
            // The terminal is gone, and with it who would look at anything.
            Ok(0) | Err(_) => return stop(),
            Ok(_) => match key[0].to_ascii_lowercase() {
                // A full queue has the same key in it, most likely.
                b'r' => drop(sender.try_send(Key::Rebuild)),
                b'o' => drop(sender.try_send(Key::Open)),
                b'q' => stop(),
                _ => {}
            },
        }
    }
}

/// Stops the server as a supervisor does.
fn stop() {
    let own = rustix::process::getpid();
    if let Err(error) = rustix::process::kill_process(own, Signal::TERM) {
        tracing::error!("cannot stop: {error}; press Ctrl-C");
    }
}
