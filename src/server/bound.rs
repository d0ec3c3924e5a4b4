//! Sockets of our own: bound before anything slow is done, so that an address which is taken is told at once and `:0`
//! has its port; listened on when there is something to serve, so that no client waits for a compiler.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, TcpKeepalive, Type};

use super::inherited::Inherited;
use super::listener::{Listener, SocketFile};
use crate::config::{self, ListenAddr};

/// Connections that the kernel holds for us while `http.max-connections` are open.
const BACKLOG: i32 = 4096;
/// Silence after which the kernel asks whether the peer is still there: one that lost power never says so.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);

/// Error of an address on which a server cannot listen; its text says why, and what to do about it.
#[derive(Debug)]
pub struct ListenError {
    /// None for a socket that was inherited.
    address: Option<ListenAddr>,
    kind: io::ErrorKind,
    what: String,
}

impl ListenError {
    fn new(address: &ListenAddr, kind: io::ErrorKind, what: impl Into<String>) -> Self {
        Self { address: Some(address.clone()), kind, what: what.into() }
    }

    fn of(address: &ListenAddr, error: &io::Error) -> Self {
        Self::new(address, error.kind(), error.to_string())
    }

    /// Address that was to be listened on; none for a socket that the process inherited.
    #[must_use]
    pub fn address(&self) -> Option<&ListenAddr> {
        self.address.as_ref()
    }

    /// Kind of the error by which the system refused the address, such as
    /// [`AddrInUse`](io::ErrorKind::AddrInUse).
    #[must_use]
    pub fn kind(&self) -> io::ErrorKind {
        self.kind
    }
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            Some(address) => write!(f, "cannot listen on `{address}`: {}", self.what),
            None => write!(f, "cannot listen on an inherited socket: {}", self.what),
        }
    }
}

impl std::error::Error for ListenError {}

/// A socket that has its address. Unless it was inherited, clients that connect are refused until it listens.
pub(crate) struct BoundSocket(Kind);

enum Kind {
    /// With the address that was asked for, for messages, and the one it got.
    Tcp(Socket, ListenAddr, SocketAddr),
    Unix(Socket, SocketFile),
    /// Listens already: who opened it wants clients to wait rather than be refused.
    Inherited(Inherited),
}

impl BoundSocket {
    /// Binds an address, which `flag` sets; `taken` is what this server has bound already, and by which setting.
    ///
    /// # Errors
    /// Which address, why not, and what to do about it.
    pub(crate) async fn bind(
        addr: &ListenAddr,
        flag: &str,
        taken: &[(&str, SocketAddr)],
    ) -> Result<Self, ListenError> {
        match addr {
            ListenAddr::Tcp(local) => bind_first(addr, [*local], flag, taken),
            ListenAddr::Host { name, port } => {
                let unknown = |error: io::Error| {
                    ListenError::new(addr, error.kind(), format!("the host is not known: {error}"))
                };
                let found = tokio::net::lookup_host(format!("{name}:{port}")).await.map_err(unknown)?;
                bind_first(addr, found, flag, taken)
            }
            ListenAddr::Unix(path) => bind_unix(path.clone()),
        }
        .map(Self)
    }

    /// A socket that whoever started the process has opened.
    pub(crate) fn inherited(socket: Inherited) -> Self {
        Self(Kind::Inherited(socket))
    }

    /// The TCP address.
    pub(crate) fn tcp_addr(&self) -> Option<SocketAddr> {
        match &self.0 {
            Kind::Tcp(_, _, local) => Some(*local),
            Kind::Inherited(Inherited::Tcp(socket)) => socket.local_addr().ok(),
            Kind::Unix(..) | Kind::Inherited(Inherited::Unix(_)) => None,
        }
    }

    /// Has clients come in.
    ///
    /// # Errors
    /// Another process has bound the same address meanwhile and listens there (possible while connections of an earlier
    /// server linger), or the kernel refuses, which it has no other reason to.
    pub(crate) fn listen(self) -> Result<Listener, ListenError> {
        match self.0 {
            Kind::Tcp(socket, addr, local) => {
                // Connections that are accepted have it from here: those that linger when this server has ended must not
                // stop the next one from binding. Not earlier, as then two could bind the same address.
                let listening = socket.set_reuse_address(true).and_then(|()| socket.listen(BACKLOG));
                listening
                    .and_then(|()| Listener::tcp(socket.into(), local))
                    .map_err(|error| ListenError::of(&addr, &error))
            }
            Kind::Unix(socket, file) => {
                let address = ListenAddr::Unix(file.path().to_owned());
                let listening = socket.listen(BACKLOG);
                listening
                    .and_then(|()| Listener::unix(socket.into(), Some(file)))
                    .map_err(|error| ListenError::of(&address, &error))
            }
            Kind::Inherited(socket) => inherit(socket).map_err(|error| {
                let (kind, what) = (error.kind(), error.to_string());
                ListenError { address: None, kind, what }
            }),
        }
    }
}

fn inherit(socket: Inherited) -> io::Result<Listener> {
    match socket {
        Inherited::Tcp(socket) => {
            socket.set_nonblocking(true)?;
            SockRef::from(&socket).set_tcp_keepalive(&keepalive())?;
            let local = socket.local_addr()?;
            Listener::tcp(socket, local)
        }
        Inherited::Unix(socket) => {
            socket.set_nonblocking(true)?;
            Listener::unix(socket, None)
        }
    }
}

/// Binds the first of the addresses of `addr` that can be had.
fn bind_first(
    addr: &ListenAddr,
    locals: impl IntoIterator<Item = SocketAddr>,
    flag: &str,
    taken: &[(&str, SocketAddr)],
) -> Result<Kind, ListenError> {
    let mut last = ListenError::new(addr, io::ErrorKind::NotFound, "the host has no address");
    for local in locals {
        let ours = taken.iter().find(|(_, taken)| config::overlap(*taken, local)).copied();
        match bind_one(local, ours.is_some()) {
            Ok(socket) => {
                let local = socket.local_addr().ok().and_then(|local| local.as_socket());
                let nowhere = || ListenError::new(addr, io::ErrorKind::NotFound, "the socket has no address");
                return Ok(Kind::Tcp(socket, addr.clone(), local.ok_or_else(nowhere)?));
            }
            Err(error) => {
                let advice = advice(&error, flag, ours);
                last = ListenError::new(addr, error.kind(), format!("{error}{advice}"));
            }
        }
    }
    Err(last)
}

/// Binds an address; one that `is_ours` already only where the kernel tells both sockets apart.
///
/// With `SO_REUSEADDR` the kernel lets any number of sockets bind an address for as long as none of them listens, so a
/// second server would hear of the first one only when it is ready. Without it, connections of an earlier server that
/// linger (a minute, `TIME_WAIT`) are in the way. So first without, and with it where that fails.
fn bind_one(local: SocketAddr, is_ours: bool) -> io::Result<Socket> {
    let bind = |reuse_address| {
        let socket = Socket::new(Domain::for_address(local), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(reuse_address)?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_keepalive(&keepalive())?;
        socket.bind(&local.into())?;
        Ok(socket)
    };
    bind(false).or_else(|error: io::Error| {
        if error.kind() == io::ErrorKind::AddrInUse && !is_ours { bind(true) } else { Err(error) }
    })
}

/// For a listening socket: those that it accepts take it over.
fn keepalive() -> TcpKeepalive {
    TcpKeepalive::new().with_time(KEEPALIVE_AFTER)
}

fn advice(error: &io::Error, flag: &str, ours: Option<(&str, SocketAddr)>) -> String {
    match (error.kind(), ours) {
        (io::ErrorKind::AddrInUse, Some((setting, addr))) => format!(
            "; this server listens there itself, on `{addr}` by `{setting}`: choose another with `{flag}` (`:0` picks \
             a free port)"
        ),
        (io::ErrorKind::AddrInUse, None) => format!(
            "; another process listens there: stop it, or choose another with `{flag}` (`:0` picks a free port)"
        ),
        (io::ErrorKind::PermissionDenied, _) => {
            format!("; ports below 1024 need a privilege: choose another with `{flag}`")
        }
        (io::ErrorKind::AddrNotAvailable, _) => format!(
            "; this machine does not have that address: choose one of its own with `{flag}` (0.0.0.0 stands for all of \
             them)"
        ),
        _ => String::new(),
    }
}

fn bind_unix(path: PathBuf) -> Result<Kind, ListenError> {
    let address = ListenAddr::Unix(path.clone());
    let refused = |error: io::Error| ListenError::of(&address, &error);
    let in_the_way = |what| Err(ListenError::new(&address, io::ErrorKind::AddrInUse, what));
    match std::fs::symlink_metadata(&path) {
        Ok(metadata) => {
            if !std::os::unix::fs::FileTypeExt::is_socket(&metadata.file_type()) {
                return in_the_way("there is a file of that name, which is not a socket");
            }
            if has_owner(&path).map_err(refused)? {
                return in_the_way("another process listens there");
            }
            // What a killed server leaves behind.
            std::fs::remove_file(&path).map_err(refused)?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(refused(error)),
    }
    let bound = || {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.bind(&SockAddr::unix(&path)?)?;
        Ok::<_, io::Error>(socket)
    };
    let socket = bound().map_err(refused)?;
    Ok(Kind::Unix(socket, SocketFile::new(path)))
}

/// Whether the socket of a process that runs is bound to this file, be it listening or not.
///
/// A datagram socket cannot connect to a stream socket, and the kernel says whether that was the reason or that nobody is
/// there; no connection is made.
fn has_owner(path: &Path) -> io::Result<bool> {
    match UnixDatagram::unbound()?.connect(path) {
        Ok(()) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::EPROTOTYPE) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_bound_once_although_nobody_listens() {
        let one = bind_one("127.0.0.1:0".parse().unwrap(), false).unwrap();
        let local = one.local_addr().unwrap().as_socket().unwrap();
        assert!(std::net::TcpStream::connect(local).is_err(), "nobody listens");
        for is_ours in [false, true] {
            let error = bind_one(local, is_ours).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        }
        drop(one);
        bind_one(local, false).unwrap();
    }

    #[test]
    fn the_file_of_a_socket_has_an_owner_while_its_process_has_it_open() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("some.sock");
        let Kind::Unix(socket, file) = bind_unix(path.clone()).unwrap() else { panic!("a unix socket") };
        assert!(has_owner(&path).unwrap(), "bound");
        socket.listen(1).unwrap();
        assert!(has_owner(&path).unwrap(), "listening");
        assert!(bind_unix(path.clone()).is_err());
        drop(socket);
        assert!(!has_owner(&path).unwrap(), "left behind");
        std::mem::forget(file);
        bind_unix(path.clone()).unwrap();
        assert!(!path.exists(), "the file goes with the socket");
    }
}
