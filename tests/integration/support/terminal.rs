//! A terminal of its own for the server, and hands that type at it.

use super::pounce::Builder;
use super::{PATIENCE, within};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Stdio};
use tokio::sync::watch;

/// A server on a terminal; killed when dropped.
pub(crate) struct Terminal {
    child: Child,
    keyboard: File,
    /// The server's side, held open so that its mode can be looked at when the server is gone.
    line: OwnedFd,
    screen: watch::Receiver<String>,
}

impl Terminal {
    /// Starts what `builder` builds on a terminal.
    pub(crate) fn start(builder: Builder) -> Self {
        let hands =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
        grantpt(&hands).and_then(|()| unlockpt(&hands)).expect("ours");
        let name = ptsname(&hands, Vec::new()).expect("a name");
        let name = std::path::PathBuf::from(name.into_string().expect("text"));
        let line: OwnedFd =
            File::options().read(true).write(true).open(&name).expect("the other side").into();
        let side = || Stdio::from(line.try_clone().expect("one more"));
        let mut command = builder.into_command();
        // `setsid --ctty` makes it the terminal of the server, as that of a shell is of what it starts.
        let mut launcher = std::process::Command::new("setsid");
        launcher.args(["--ctty", "--wait"]).arg(command.get_program()).args(command.get_args());
        launcher.env_clear();
        for (name, value) in command.get_envs() {
            launcher.envs(value.map(|value| (name, value)));
        }
        if let Some(dir) = command.get_current_dir() {
            launcher.current_dir(dir);
        }
        command = launcher;
        let child =
            command.stdin(side()).stdout(side()).stderr(side()).spawn().expect("setsid of util-linux");
        let (sender, screen) = watch::channel(String::new());
        let mut eyes = File::from(hands.try_clone().expect("one more"));
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = eyes.read(&mut bytes) {
                sender.send_modify(|screen| screen.push_str(&String::from_utf8_lossy(&bytes[..read])));
            }
        });
        Self { child, keyboard: hands.into(), line, screen }
    }

    /// Types at it.
    pub(crate) fn types(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).expect("it is open");
    }

    /// Waits until the screen has shown `text`, which may be on it already.
    pub(crate) async fn shows(&mut self, text: &str) {
        let wait = self.screen.wait_for(|screen| screen.contains(text));
        let found = tokio::time::timeout(PATIENCE, wait).await.is_ok();
        assert!(found, "{text:?} is not on the screen:\n{}", self.screen());
    }

    /// Everything that it has shown.
    pub(crate) fn screen(&self) -> String {
        self.screen.borrow().clone()
    }

    /// Waits for the address on which it serves.
    pub(crate) async fn addr(&mut self) -> std::net::SocketAddr {
        self.address("listening on http://").await
    }

    /// Waits for the address of its admin listener.
    pub(crate) async fn admin(&mut self) -> std::net::SocketAddr {
        self.address("admin on http://").await
    }

    async fn address(&mut self, before: &str) -> std::net::SocketAddr {
        let find = |screen: &String| {
            let line = screen.lines().find_map(|line| line.strip_prefix(before))?;
            // The whole of it: what is behind the line is its end.
            screen.contains(&format!("{line}\r\n")).then(|| line.trim_end().parse().ok()).flatten()
        };
        let wait = within("an address", self.screen.wait_for(|screen| find(screen).is_some())).await;
        let screen = wait.expect("reader thread").clone();
        find(&screen).expect("an address")
    }

    /// Whether it waits for whole lines and shows what is typed, as a shell wants it.
    pub(crate) fn is_as_before(&self) -> bool {
        use rustix::termios::{LocalModes, tcgetattr};
        let modes = tcgetattr(self.line.as_fd()).expect("a terminal").local_modes;
        modes.contains(LocalModes::ICANON | LocalModes::ECHO)
    }

    /// The server's process, which the launcher has started.
    pub(crate) fn server(&self) -> rustix::process::Pid {
        let id = self.child.id();
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).expect("it runs");
        // A launcher that need not fork has become the server.
        let server = children.split_whitespace().next().and_then(|id| id.parse().ok());
        rustix::process::Pid::from_raw(server.unwrap_or(id.cast_signed())).expect("a process")
    }

    /// Waits until it has ended; its exit status.
    pub(crate) async fn ends(&mut self) -> Option<i32> {
        let mut status = None;
        super::eventually("the server to end", async || {
            status = self.child.try_wait().expect("our child");
            status.is_some()
        })
        .await;
        status.and_then(|status| status.code())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            _ = rustix::process::kill_process(self.server(), rustix::process::Signal::KILL);
            self.child.kill().and_then(|()| self.child.wait()).expect("our child");
        }
        if std::thread::panicking() {
            println!("--- screen\n{}\n---", self.screen());
        }
    }
}
