//! What the service manager is told that started the server: systemd's notification protocol (`sd_notify(3)`), which
//! `Type=notify-reload`, `WatchdogSec=` and the status line of `systemctl status` rest on.

use std::time::Duration;

use sd_notify::NotifyState;

/// The service manager, if there is one that wants to be told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Supervisor {
    wants_to_know: bool,
    /// Without a sign of life for so long, the server is taken to hang.
    watchdog: Option<Duration>,
}

impl Supervisor {
    /// Nobody is told anything: a program that has a server inside speaks for itself.
    pub(crate) const NONE: Self = Self { wants_to_know: false, watchdog: None };

    /// Who the variables of this process (`NOTIFY_SOCKET`, `WATCHDOG_USEC`) say has started it.
    pub(crate) fn of_process() -> Self {
        let wants_to_know = std::env::var_os("NOTIFY_SOCKET").is_some();
        Self { wants_to_know, watchdog: sd_notify::watchdog_enabled() }
    }

    /// Requests are served; `status` is for people.
    pub(super) fn ready(self, status: &str) {
        self.tell(&[NotifyState::Ready, NotifyState::Status(line(status))]);
    }

    /// Settings and components are being read again, until [`ready`](Self::ready).
    pub(super) fn reloading(self) {
        // Without the time systemd takes the reload to have failed.
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.tell(&[NotifyState::Reloading, now, NotifyState::Status("reloading")]),
            Err(error) => tracing::warn!("cannot tell the service manager of a reload: {error}"),
        }
    }

    /// The server ends when its requests have.
    pub(super) fn stopping(self, status: &str) {
        self.tell(&[NotifyState::Stopping, NotifyState::Status(line(status))]);
    }

    /// Gives signs of life twice as often as they are waited for, if they are. To be spawned as a task among those that
    /// serve: a server whose tasks do not get on is restarted.
    pub(super) async fn keep_alive(self) {
        let Some(pause) = self.watchdog.map(|watchdog| watchdog / 2) else { return };
        loop {
            self.tell(&[NotifyState::Watchdog]);
            tokio::time::sleep(pause).await;
        }
    }

    fn tell(self, state: &[NotifyState<'_>]) {
        if self.wants_to_know
            && let Err(error) = sd_notify::notify(state)
        {
            tracing::warn!("cannot tell the service manager (NOTIFY_SOCKET) how the server does: {error}");
        }
    }
}

/// A status is one line: the next would be taken for something else that is told.
fn line(status: &str) -> &str {
    status.lines().next().unwrap_or_default()
}
