//! Peers of HTTP/1.1 that are gone while their request is under way.
//!
//! One that has only closed its sending half still waits for its response, so the end of what it sends means nothing, and
//! hyper does not look for it. That a peer is gone altogether shows in a reset (which a kernel sends for a closed socket,
//! at the latest in answer to the next byte or, after a while, to a keep-alive probe) and on a Unix socket at once.

use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, Sleep};

/// Time between two looks at a peer of which something waits to be read, the end of what it sends for one: the runtime
/// would tell of nothing else.
const LOOK: Duration = Duration::from_millis(250);

/// What connections come in on.
pub(crate) trait Socket: AsyncRead + AsyncWrite + AsFd + Unpin + Send + 'static {
    /// Ready when there is something to read, or an end, or a failure.
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Bytes that the kernel has taken so far, where a write may be done although it has taken nothing.
    fn sent(&self) -> Option<u64> {
        None
    }

    /// Whether both ends have agreed to speak HTTP/2, or not to, before the first byte of it.
    fn agreed_on_h2(&self) -> Option<bool> {
        None
    }
}

impl Socket for TcpStream {
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_read_ready(cx)
    }
}

impl Socket for UnixStream {
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_read_ready(cx)
    }
}

/// Watches for the peer to be gone.
#[derive(Debug, Default)]
pub(crate) struct Hangup {
    /// When to look again.
    look: Option<Pin<Box<Sleep>>>,
}

impl Hangup {
    /// Fails once the peer is gone; until then the task is woken when it may be.
    ///
    /// # Errors
    /// `ConnectionReset`.
    pub(crate) fn check(&mut self, socket: &impl Socket, cx: &mut Context<'_>) -> io::Result<()> {
        if socket.poll_readable(cx).is_pending() {
            self.look = None;
            return Ok(());
        }
        loop {
            if is_gone(socket)? {
                return Err(io::Error::new(io::ErrorKind::ConnectionReset, "the peer is gone"));
            }
            let look = self.look.get_or_insert_with(|| Box::pin(tokio::time::sleep(LOOK)));
            if look.as_mut().poll(cx).is_pending() {
                return Ok(());
            }
            look.as_mut().reset(Instant::now() + LOOK);
        }
    }
}

fn is_gone(socket: &impl Socket) -> io::Result<bool> {
    // Whatever one asks for, these two are told.
    let gone = PollFlags::HUP | PollFlags::ERR;
    let mut fds = [PollFd::new(socket, PollFlags::empty())];
    poll(&mut fds, Some(&Timespec::default()))?;
    Ok(fds[0].revents().intersects(gone))
}
