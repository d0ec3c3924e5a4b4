//! A socket that gives up on peers that are slow or idle.
//!
//! hyper's own header timer starts when it waits for a head, so it would close an idle keep-alive connection as if it
//! were slow. Here `header-timeout` runs from a head's first byte to the request, and `idle-timeout` while there is
//! neither byte nor request.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// What every HTTP/2 connection begins with.
const H2_PREFACE: &[u8] = b"PRI * HTTP/2";

/// How long a peer may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// From the first byte of a head to its last.
    pub(crate) header: Option<Duration>,
    /// Without any request.
    pub(crate) idle: Option<Duration>,
}

/// What a connection's requests and its socket know of each other.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    requests: AtomicUsize,
    /// Requests begun so far: the socket sees by it that a head was complete.
    begun: AtomicUsize,
    is_h2: AtomicBool,
}

impl Activity {
    /// A request on the connection, until the guard is dropped.
    pub(crate) fn begin(self: &Arc<Self>) -> Busy {
        self.requests.fetch_add(1, Ordering::AcqRel);
        self.begun.fetch_add(1, Ordering::AcqRel);
        Busy(self.clone())
    }

    /// Whether the peer began with HTTP/2's preface.
    pub(crate) fn is_h2(&self) -> bool {
        self.is_h2.load(Ordering::Acquire)
    }
}

/// A request under way on a connection.
#[derive(Debug)]
pub(crate) struct Busy(Arc<Activity>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.requests.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Which clock runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    /// For the first byte of a head.
    Idle,
    /// For the rest of it.
    Head,
}

/// The socket.
pub(crate) struct TimedIo<T> {
    inner: T,
    activity: Arc<Activity>,
    patience: Patience,
    waiting: Waiting,
    since: Instant,
    seen: usize,
    first_bytes: usize,
    sleep: Pin<Box<Sleep>>,
}

impl<T> TimedIo<T> {
    pub(crate) fn new(inner: T, activity: Arc<Activity>, patience: Patience) -> Self {
        let now = Instant::now();
        Self {
            inner,
            activity,
            patience,
            waiting: Waiting::Idle,
            since: now,
            seen: 0,
            first_bytes: 0,
            sleep: Box::pin(tokio::time::sleep_until(now)),
        }
    }

    /// Notes what was read: bytes while no request is under way belong to a head.
    fn saw(&mut self, bytes: &[u8]) {
        if self.first_bytes < H2_PREFACE.len() {
            let rest = &H2_PREFACE[self.first_bytes..];
            let n = rest.len().min(bytes.len());
            if rest[..n] == bytes[..n] {
                self.first_bytes += n;
                if self.first_bytes == H2_PREFACE.len() {
                    self.activity.is_h2.store(true, Ordering::Release);
                }
            } else {
                self.first_bytes = usize::MAX;
            }
        }
        if self.waiting == Waiting::Idle && self.activity.requests.load(Ordering::Acquire) == 0 {
            self.waiting = Waiting::Head;
            self.since = Instant::now();
        }
    }

    /// Whether the peer has used up its time; if not, when to look again is registered with `cx`.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let begun = self.activity.begun.load(Ordering::Acquire);
        let busy = self.activity.requests.load(Ordering::Acquire) > 0;
        if busy || begun != self.seen {
            // A head was complete since, or a request is under way: the next wait begins afresh.
            self.seen = begun;
            self.waiting = Waiting::Idle;
            self.since = Instant::now();
        }
        // HTTP/2 keeps to itself when a head begins; its frames are bounded by hyper.
        let head = self.waiting == Waiting::Head && !self.activity.is_h2();
        let limit = if head { self.patience.header } else { self.patience.idle };
        let Some(limit) = limit else {
            return Poll::Pending;
        };
        let deadline = self.since + limit;
        if self.sleep.deadline() != deadline {
            self.sleep.as_mut().reset(deadline);
        }
        match self.sleep.as_mut().poll(cx) {
            Poll::Ready(()) if busy => {
                self.since = Instant::now();
                let next = self.since + limit;
                self.sleep.as_mut().reset(next);
                self.sleep.as_mut().poll(cx).map(|()| ())
            }
            poll => poll,
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for TimedIo<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        match Pin::new(&mut self.inner).poll_read(cx, buf) {
            Poll::Ready(Ok(())) => {
                let read = &buf.filled()[before..];
                if !read.is_empty() {
                    self.saw(read);
                }
                Poll::Ready(Ok(()))
            }
            Poll::Pending => match self.poll_patience(cx) {
                Poll::Ready(()) => {
                    Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer is idle or slow")))
                }
                Poll::Pending => Poll::Pending,
            },
            poll => poll,
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for TimedIo<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}
