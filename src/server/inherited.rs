//! Sockets that whoever started the process opened for it: systemd's socket activation, by which a service can be
//! restarted without refusing a connection, and listen on a privileged port without the privilege.

use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;

use anyhow::{anyhow, bail};
use listenfd::ListenFd;
use socket2::SockRef;

/// The first file descriptor that is handed over, by the protocol.
const FIRST: usize = 3;

/// A socket that listens already.
#[derive(Debug)]
pub(crate) enum Inherited {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Inherited {
    /// Takes over the `count` sockets that the variables of this process announce. Once, and before there are threads:
    /// it removes those variables, so that no child takes the sockets for its own.
    ///
    /// # Errors
    /// Which of them is not a socket that can be listened on.
    pub(crate) fn take(count: usize) -> anyhow::Result<Vec<Self>> {
        if count == 0 {
            return Ok(Vec::new());
        }
        let mut sockets = ListenFd::from_env();
        (0..count).map(|index| Self::take_one(&mut sockets, index)).collect()
    }

    fn take_one(sockets: &mut ListenFd, index: usize) -> anyhow::Result<Self> {
        let name = format!("file descriptor {} (LISTEN_FDS)", FIRST + index);
        let socket = match (sockets.take_tcp_listener(index), sockets.take_unix_listener(index)) {
            (Ok(Some(tcp)), _) => Self::Tcp(tcp),
            (_, Ok(Some(unix))) => Self::Unix(unix),
            _ => bail!(
                "cannot listen on {name}: it is neither a TCP nor a unix stream socket; start Pounce with \
                 `ListenStream=` sockets only"
            ),
        };
        if !listens(&socket).map_err(|error| anyhow!("cannot listen on {name}: {error}"))? {
            bail!(
                "cannot listen on {name}: it does not accept connections; where systemd starts Pounce, leave out \
                 `Accept=yes`"
            );
        }
        Ok(socket)
    }
}

/// Whether connections come in on a socket, as far as the system tells.
fn listens(socket: &Inherited) -> std::io::Result<bool> {
    #[cfg(target_os = "linux")]
    return SockRef::from(socket).is_listener();
    #[cfg(not(target_os = "linux"))]
    return SockRef::from(socket).local_addr().map(|_| true);
}

impl AsFd for Inherited {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        match self {
            Self::Tcp(socket) => socket.as_fd(),
            Self::Unix(socket) => socket.as_fd(),
        }
    }
}
