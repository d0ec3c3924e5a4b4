//! Listeners: bound before anything slow is done, and accepting until the server drains.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use socket2::{Domain, Protocol as Transport, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use super::connection::Protocol;
use super::drain::Phase;
use super::handler::Handler;
use super::hangup;
use super::head::HeadLimits;
use super::idle::Patience;
use super::inherited::Inherited;
use crate::config::{self, ListenAddr};
use crate::telemetry::Peer;

/// Connections that the kernel holds for us while `http.max-connections` are open.
const BACKLOG: i32 = 4096;
/// Silence after which the kernel asks whether the peer is still there: one that lost power never says so.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);
/// Connections that are accepted before those that are open have their turn.
const ACCEPTED_IN_A_ROW: usize = 8;
/// Pause after an accept that failed for want of something (file descriptors, memory): trying at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

enum Bound {
    Tcp(TcpListener, SocketAddr),
    /// The file is ours to remove, unless somebody else made it.
    Unix(UnixListener, Option<SocketFile>),
}

/// The file of a unix socket, removed with its listener: also when the server never gets to serve.
pub(crate) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            tracing::warn!(path = %self.0.display(), "the socket file stays behind: {error}");
        }
    }
}

/// A socket that is bound.
pub(crate) struct Listener(Bound);

impl Listener {
    /// Binds an address, which `flag` sets; `taken` is where this server listens already, and by which setting.
    ///
    /// # Errors
    /// Which address, why not, and what to do about it.
    pub(crate) async fn bind(
        addr: &ListenAddr,
        flag: &str,
        taken: &[(&str, SocketAddr)],
    ) -> anyhow::Result<Self> {
        match addr {
            ListenAddr::Tcp(addr) => bind_tcp(addr, flag, taken).await,
            ListenAddr::Unix(path) => bind_unix(path.clone()),
        }
    }

    /// Listens on a socket that is bound already.
    ///
    /// # Errors
    /// The kernel refuses, which it has no reason to.
    pub(crate) fn inherit(socket: Inherited) -> anyhow::Result<Self> {
        let listen = || match socket {
            Inherited::Tcp(socket) => {
                socket.set_nonblocking(true)?;
                SockRef::from(&socket).set_tcp_keepalive(&keepalive())?;
                let local = socket.local_addr()?;
                Ok(Bound::Tcp(TcpListener::from_std(socket)?, local))
            }
            Inherited::Unix(socket) => {
                socket.set_nonblocking(true)?;
                Ok(Bound::Unix(UnixListener::from_std(socket)?, None))
            }
        };
        listen()
            .map(Self)
            .map_err(|error: std::io::Error| anyhow!("cannot listen on an inherited socket: {error}"))
    }

    /// Gives the socket away, to be served by somebody else, with the file that has to go when it is closed.
    ///
    /// # Errors
    /// The runtime does not let go of it, which it has no reason to.
    pub(crate) fn detach(self) -> std::io::Result<(Inherited, Option<SocketFile>)> {
        Ok(match self.0 {
            Bound::Tcp(listener, _) => (Inherited::Tcp(listener.into_std()?), None),
            Bound::Unix(listener, file) => (Inherited::Unix(listener.into_std()?), file),
        })
    }

    /// The TCP address.
    pub(crate) fn tcp_addr(&self) -> Option<SocketAddr> {
        match &self.0 {
            Bound::Tcp(_, local) => Some(*local),
            Bound::Unix(..) => None,
        }
    }

    /// What a client connects to.
    pub(crate) fn url(&self) -> String {
        match &self.0 {
            Bound::Tcp(_, local) => format!("http://{local}"),
            Bound::Unix(_, Some(file)) => format!("unix:{}", file.0.display()),
            Bound::Unix(socket, None) => unix_url(socket),
        }
    }
}

/// What a client of a unix socket connects to.
fn unix_url(socket: &UnixListener) -> String {
    match socket.local_addr().ok().as_ref().and_then(|addr| addr.as_pathname()) {
        Some(path) => format!("unix:{}", path.display()),
        // One of Linux's abstract names, which no client can be told in a URL.
        None => "unix:".to_owned(),
    }
}

async fn bind_tcp(addr: &str, flag: &str, taken: &[(&str, SocketAddr)]) -> anyhow::Result<Listener> {
    let addrs: Vec<SocketAddr> = tokio::net::lookup_host(addr)
        .await
        .with_context(|| format!("cannot listen on `{addr}`: the host is not known"))?
        .collect();
    let mut last = anyhow!("cannot listen on `{addr}`: the host has no address");
    for local in addrs {
        match bind_one(local) {
            Ok(listener) => {
                let local = listener.local_addr().context("a bound socket has an address")?;
                return Ok(Listener(Bound::Tcp(listener, local)));
            }
            Err(error) => {
                let ours = taken.iter().find(|(_, taken)| config::overlap(*taken, local));
                let advice = advice(&error, flag, ours.copied());
                last = anyhow!("cannot listen on `{addr}`: {error}{advice}");
            }
        }
    }
    Err(last)
}

fn bind_one(local: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(local), Type::STREAM, Some(Transport::TCP))?;
    // A restart must not wait for the old connections' last minutes.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_keepalive(&keepalive())?;
    socket.bind(&local.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// For a listening socket: those that it accepts take it over.
fn keepalive() -> TcpKeepalive {
    TcpKeepalive::new().with_time(KEEPALIVE_AFTER)
}

fn advice(error: &std::io::Error, flag: &str, ours: Option<(&str, SocketAddr)>) -> String {
    match (error.kind(), ours) {
        (std::io::ErrorKind::AddrInUse, Some((setting, addr))) => format!(
            "; this server listens there itself, on `{addr}` by `{setting}`: choose another with `{flag}` (`:0` picks \
             a free port)"
        ),
        (std::io::ErrorKind::AddrInUse, None) => format!(
            "; another process listens there: stop it, or choose another with `{flag}` (`:0` picks a free port)"
        ),
        (std::io::ErrorKind::PermissionDenied, _) => {
            format!("; ports below 1024 need a privilege: choose another with `{flag}`")
        }
        (std::io::ErrorKind::AddrNotAvailable, _) => "; this machine does not have that address".to_owned(),
        _ => String::new(),
    }
}

fn bind_unix(path: PathBuf) -> anyhow::Result<Listener> {
    let context = || format!("cannot listen on `unix:{}`", path.display());
    if path.exists() {
        // A socket that nobody answers is what a killed server leaves behind.
        if std::os::unix::net::UnixStream::connect(&path).is_ok() {
            return Err(anyhow!("another process listens there")).with_context(context);
        }
        let is_socket = std::fs::symlink_metadata(&path)
            .map(|metadata| std::os::unix::fs::FileTypeExt::is_socket(&metadata.file_type()))
            .unwrap_or(false);
        if !is_socket {
            return Err(anyhow!("there is a file of that name, which is not a socket")).with_context(context);
        }
        std::fs::remove_file(&path).with_context(context)?;
    }
    let listener = UnixListener::bind(&path).with_context(context)?;
    Ok(Listener(Bound::Unix(listener, Some(SocketFile(path)))))
}

/// All listeners and the connections that came in through them.
pub(crate) struct Server {
    protocol: Arc<Protocol>,
    connections: Arc<Semaphore>,
    handler: Arc<Handler>,
}

impl Server {
    pub(crate) fn new(http: &config::Http, handler: Arc<Handler>) -> Self {
        let patience = Patience { header: http.header_timeout.0, idle: http.idle_timeout.0 };
        Self {
            protocol: Arc::new(Protocol::new(
                HeadLimits::new(http),
                patience,
                handler.admission.per_peer(),
                handler.admission.ahead().clone(),
            )),
            connections: Arc::new(Semaphore::new(http.max_connections.min(Semaphore::MAX_PERMITS))),
            handler,
        }
    }

    /// Accepts until the server drains, then waits for the connections to end.
    pub(crate) async fn run(&self, listener: Listener) {
        let mut phase = self.handler.drain.watch();
        let mut open = JoinSet::new();
        let mut in_a_row = 0;
        loop {
            if in_a_row == ACCEPTED_IN_A_ROW {
                in_a_row = 0;
                // The sockets of connections that are open come first: a peer may connect as fast as we accept.
                tokio::task::yield_now().await;
            }
            let accepted = tokio::select! {
                accepted = self.accept(&listener) => accepted,
                // What is kept of a connection goes when it has ended, not when the next one comes.
                Some(_) = open.join_next() => continue,
                _ = phase.wait_for(|phase| *phase != Phase::Serving) => break,
            };
            match accepted {
                Ok((permit, accepted)) => {
                    in_a_row += 1;
                    self.spawn(&mut open, permit, accepted);
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
            Bound::Tcp(listener, _) => {
                let (stream, remote) = listener.accept().await?;
                Accepted::Tcp(stream, remote)
            }
            Bound::Unix(listener, _) => Accepted::Unix(listener.accept().await?.0),
        };
        Ok((permit, accepted))
    }

    fn spawn(&self, open: &mut JoinSet<()>, permit: OwnedSemaphorePermit, accepted: Accepted) {
        match accepted {
            Accepted::Tcp(stream, remote) => {
                // Small writes of a streaming guest go out as they come. Not vital, so no reason to refuse the peer.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!("TCP_NODELAY: {error}");
                }
                let peer = Peer { remote: Some(remote), local: stream.local_addr().ok(), ..Peer::default() };
                self.serve(open, permit, stream, peer);
            }
            Accepted::Unix(stream) => {
                self.serve(open, permit, stream, Peer::default());
            }
        }
    }

    fn serve<T>(&self, open: &mut JoinSet<()>, permit: OwnedSemaphorePermit, stream: T, peer: Peer)
    where
        T: hangup::Socket,
    {
        let (protocol, handler) = (self.protocol.clone(), self.handler.clone());
        open.spawn(async move {
            protocol.serve(stream, peer, handler).await;
            drop(permit);
        });
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
