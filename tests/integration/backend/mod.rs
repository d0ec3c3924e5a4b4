//! Real receivers, of four makes: each gets our telemetry over every protocol that it takes and gives back what it made of
//! it, in its own words. Then receivers that fail, and the settings that vendors document.

/// A trace through services of ours and of others.
mod chain;
/// Receivers that fail in every way, beside one that is well.
mod failing;
/// Jaeger: traces, by its API.
mod jaeger;
/// The OpenTelemetry Collector: all signals, by the file that it writes and by its own metrics.
mod otelcol;
/// rotel: all signals, by what it prints.
mod rotel;
/// What is sent to each, and what each must have understood.
mod traffic;
/// The settings in `examples/backends`.
mod vendors;
/// VictoriaMetrics and VictoriaLogs: metrics and log records, by their APIs.
mod victoria;

use crate::support::eventually;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command};

/// What `otel.protocol` may be.
const PROTOCOLS: [&str; 3] = ["http/protobuf", "http/json", "grpc"];

/// Where `make setup` leaves a tool (scripts/tools.sh), unless the variable says otherwise.
pub(crate) fn tool(variable: &str, place: &str) -> PathBuf {
    let var = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let path = var(variable).unwrap_or_else(|| {
        let home = || var("HOME").expect("a home").join(".cache");
        let cache =
            var("POUNCE_CACHE").unwrap_or_else(|| var("XDG_CACHE_HOME").unwrap_or_else(home).join("pounce"));
        cache.join(place)
    });
    assert!(path.exists(), "{} is missing: run `make setup`", path.display());
    path
}

/// Addresses that were free a moment ago; all are held until all are known, so that they differ.
fn free_addrs<const N: usize>() -> [SocketAddr; N] {
    let held = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    held.map(|listener| listener.local_addr().expect("bound"))
}

/// A program of others; killed when dropped.
pub(crate) struct Daemon(Child);

impl Daemon {
    pub(crate) fn start(command: &mut Command) -> Self {
        Daemon(command.spawn().expect("it starts"))
    }

    pub(crate) fn is_alive(&mut self) -> bool {
        self.0.try_wait().expect("our child").is_none()
    }

    /// Waits until it, whose `name` it is, listens on all of `addrs`.
    async fn listens(&mut self, name: &str, addrs: &[SocketAddr]) {
        eventually(&format!("{name} to listen"), async || {
            assert!(self.is_alive(), "{name} has ended");
            for addr in addrs {
                if tokio::net::TcpStream::connect(addr).await.is_err() {
                    return false;
                }
            }
            true
        })
        .await;
    }

    /// Asks it to end and waits until it has: all that it was given is written then.
    fn finish(mut self) {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
        self.0.wait().expect("our child");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // One that has been asked to end is gone already.
        let _gone = self.0.kill();
        self.0.wait().expect("our child");
    }
}
