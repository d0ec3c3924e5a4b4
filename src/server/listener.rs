//! Listeners: accepting until the server drains.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use super::connection::Protocol;
use super::drain::{Drain, Phase};
use super::entrance::Entrance;
use super::handler::Handler;
use super::head::HeadLimits;
use super::idle::Patience;
use super::inherited::Inherited;
use super::tls::Tls;
use super::turn::Accepting;
use crate::config;
use pounce_telemetry::metrics::host as host_metrics;

/// Pause after an accept that failed for want of something (file descriptors, memory): trying at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

enum Open {
    Tcp(TcpListener, SocketAddr),
    /// The file is ours to remove, unless somebody else made it.
    Unix(UnixListener, Option<SocketFile>),
}

/// The file of a unix socket, removed with its listener: also when the server never gets to serve.
pub(crate) struct SocketFile(PathBuf);

impl SocketFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            tracing::warn!(path = %self.0.display(), "the socket file stays behind: {error}");
        }
    }
}

/// Place where a server listens, as its clients reach it; its text is a URL: `http://127.0.0.1:8080`,
/// `https://[::1]:8443` or `unix:/run/pounce.sock`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Listening {
    /// TCP without encryption.
    Http(SocketAddr),
    /// TCP with TLS.
    Https(SocketAddr),
    /// Unix socket.
    Unix {
        /// Path of its file; none where it has an abstract name.
        path: Option<PathBuf>,
    },
}

impl Listening {
    /// TCP address, with the port that was picked where port 0 was asked for; none of a Unix socket.
    #[must_use]
    pub fn tcp_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Http(address) | Self::Https(address) => Some(*address),
            Self::Unix { .. } => None,
        }
    }
}

impl fmt::Display for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(address) => write!(f, "http://{address}"),
            Self::Https(address) => write!(f, "https://{address}"),
            Self::Unix { path } => write!(f, "unix:{}", path.as_deref().unwrap_or(Path::new("")).display()),
        }
    }
}

/// A socket that clients come in on.
pub(crate) struct Listener(Open);

impl Listener {
    /// A TCP socket that listens, without blocking, on `local`.
    pub(super) fn tcp(socket: std::net::TcpListener, local: SocketAddr) -> std::io::Result<Self> {
        Ok(Self(Open::Tcp(TcpListener::from_std(socket)?, local)))
    }

    /// A unix socket that listens, without blocking; with its file, if that is ours to remove.
    pub(super) fn unix(
        socket: std::os::unix::net::UnixListener,
        file: Option<SocketFile>,
    ) -> std::io::Result<Self> {
        Ok(Self(Open::Unix(UnixListener::from_std(socket)?, file)))
    }

    /// Gives the socket away, to be served by somebody else, with the file that has to go when it is closed.
    ///
    /// # Errors
    /// The runtime does not let go of it, which it has no reason to.
    pub(crate) fn detach(self) -> std::io::Result<(Inherited, Option<SocketFile>)> {
        Ok(match self.0 {
            Open::Tcp(listener, _) => (Inherited::Tcp(listener.into_std()?), None),
            Open::Unix(listener, file) => (Inherited::Unix(listener.into_std()?), file),
        })
    }

    /// What a client connects to; `is_tls` says whether TCP is encrypted.
    pub(crate) fn listening(&self, is_tls: bool) -> Listening {
        match &self.0 {
            Open::Tcp(_, local) if is_tls => Listening::Https(*local),
            Open::Tcp(_, local) => Listening::Http(*local),
            Open::Unix(_, Some(file)) => Listening::Unix { path: Some(file.path().to_owned()) },
            Open::Unix(socket, None) => {
                // None has one of Linux's abstract names, which no client can be told in a URL.
                let address = socket.local_addr().ok();
                let path = address.as_ref().and_then(|address| address.as_pathname());
                Listening::Unix { path: path.map(Path::to_owned) }
            }
        }
    }
}

/// All listeners and the connections that came in through them.
pub(crate) struct Server {
    entrance: Arc<Entrance>,
    connections: Arc<Semaphore>,
    drain: Drain,
}

impl Server {
    pub(crate) fn new(http: &config::Http, handler: Arc<Handler>, tls: Option<Arc<Tls>>) -> Self {
        let patience = Patience { header: http.header_timeout.0, idle: http.idle_timeout.0 };
        let (per_peer, ahead) = (handler.admission.per_peer(), handler.admission.ahead().clone());
        let protocol = Protocol::new(HeadLimits::new(http), patience, per_peer, ahead);
        let drain = handler.drain.clone();
        Self {
            entrance: Arc::new(Entrance::new(http, protocol, handler, tls)),
            connections: Arc::new(Semaphore::new(http.max_connections.min(Semaphore::MAX_PERMITS))),
            drain,
        }
    }

    /// How connections over TCP are encrypted, if they are.
    pub(crate) fn tls(&self) -> Option<&Arc<Tls>> {
        self.entrance.tls()
    }

    /// Has the metrics tell what is counted of connections.
    pub(crate) fn observe(&self, metrics: &host_metrics::Host) {
        self.entrance.observe(metrics);
    }

    /// Accepts until the server drains, then waits for the connections to end.
    pub(crate) async fn run(&self, listener: Listener) {
        let mut phase = self.drain.watch();
        let mut open = JoinSet::new();
        let mut turns = Accepting::default();
        loop {
            let accepted = tokio::select! {
                // Accepting comes last: a peer may connect as fast as we accept.
                biased;
                _ = phase.wait_for(|phase| *phase != Phase::Serving) => break,
                // What is kept of a connection goes when it has ended.
                Some(_) = open.join_next() => continue,
                accepted = self.accept(&listener) => accepted,
            };
            match accepted {
                Ok((permit, accepted)) => {
                    self.spawn(&mut open, permit, accepted);
                    turns.accepted().await;
                }
                Err(error) => accept_failed(&error).await,
            }
        }
        // Closed now, so that clients that come later are refused at once instead of waiting in the backlog.
        drop(listener);
        let all = async { while open.join_next().await.is_some() {} };
        tokio::select! {
            () = all => {}
            _ = phase.wait_for(|phase| *phase == Phase::Cut) => {}
        }
        open.shutdown().await;
    }

    /// May be dropped and called again without losing a connection.
    async fn accept(&self, listener: &Listener) -> std::io::Result<(OwnedSemaphorePermit, Accepted)> {
        // Before accepting: a connection beyond the limit waits in the backlog, where it costs nothing.
        let permit = self.connections.clone().acquire_owned().await.map_err(std::io::Error::other)?;
        let accepted = match &listener.0 {
            Open::Tcp(listener, _) => {
                let (stream, remote) = listener.accept().await?;
                Accepted::Tcp(stream, remote)
            }
            Open::Unix(listener, _) => Accepted::Unix(listener.accept().await?.0),
        };
        Ok((permit, accepted))
    }

    fn spawn(&self, open: &mut JoinSet<()>, permit: OwnedSemaphorePermit, accepted: Accepted) {
        let entrance = self.entrance.clone();
        match accepted {
            Accepted::Tcp(stream, remote) => {
                // Small writes of a streaming guest go out as they come. Not vital, so no reason to refuse the peer.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!("TCP_NODELAY: {error}");
                }
                open.spawn(async move {
                    entrance.tcp(stream, remote).await;
                    drop(permit);
                });
            }
            Accepted::Unix(stream) => {
                open.spawn(async move {
                    entrance.unix(stream).await;
                    drop(permit);
                });
            }
        }
    }
}

/// A connection that came in.
enum Accepted {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
}

async fn accept_failed(error: &std::io::Error) {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    // The peer went away before we got to it.
    if matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted) {
        return;
    }
    tracing::warn!("cannot accept a connection, trying again in {ACCEPT_PAUSE:?}: {error}");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}
