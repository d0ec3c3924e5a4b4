//! A socket that gives up on peers that are slow or idle.
//!
//! hyper's own header timer starts when it waits for a head, so it would close an idle keep-alive connection as if it
//! were slow. Here `header-timeout` runs from a head's first byte to the request, and `idle-timeout` while there is
//! neither byte nor request, and while a peer does not take what is written to it; that wait is cut short while
//! others are refused for want of the place (`wait`). (One that leaves an HTTP/2 stream no room is `stall`'s.)

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::embedding::Embedding;
use super::flushes::Flushes;
use super::hangup::{Hangup, Socket};
use super::turn::Reading;
use super::wait::Wait;
use crate::guest::{Alarm, Share};
use pounce_telemetry::ServerSpan;

/// What every HTTP/2 connection begins with.
const H2_PREFACE: &[u8; 12] = b"PRI * HTTP/2";
/// How long a peer may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// From the first byte of a head to its last.
    pub(crate) header: Option<Duration>,
    /// Without any request, and without reading on.
    pub(crate) idle: Option<Duration>,
}

/// What a connection's requests and its socket know of each other.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    requests: AtomicUsize,
    /// Request bodies that are still coming, some of them after the response.
    uploads: AtomicUsize,
    /// Beginnings and ends of both so far: the socket sees by it that its clocks start afresh.
    changes: AtomicUsize,
    is_h2: AtomicBool,
    /// When the response of HTTP/1.1 that is under way must be over.
    deadline: Mutex<Option<Instant>>,
    /// For the deadline of a request: of HTTP/1.1, which has one at a time; over HTTP/2 others make their own.
    alarm: Mutex<Alarm>,
    /// Where its requests get their places, unless a proxy says whose they are.
    share: Option<Share>,
    /// What HTTP/2 reads before others have their turn.
    pub(crate) reading: Reading,
    /// What has gone to the socket.
    pub(super) flushes: Flushes,
    /// Where its request comes from, if it is this process.
    embedding: Option<Arc<Embedding>>,
}

impl Activity {
    /// The activity of a connection whose requests get their places from `share`.
    pub(crate) fn new(share: Share) -> Self {
        Self { share: Some(share), ..Self::default() }
    }

    /// The activity of a request that came over no connection, but from `embedding`, with its place from `share`.
    pub(super) fn local(share: Share, embedding: Arc<Embedding>) -> Self {
        Self { share: Some(share), flushes: Flushes::local(), embedding: Some(embedding), ..Self::default() }
    }

    /// The context of a caller in this process.
    pub(super) fn caller(&self) -> Option<&opentelemetry::Context> {
        self.embedding.as_ref().map(|embedding| embedding.caller())
    }

    /// A request has got its span, which a caller in this process may want for spans of its own.
    pub(super) fn starts(&self, span: &ServerSpan) {
        if let Some(embedding) = &self.embedding {
            embedding.starts(span);
        }
    }

    /// Where its requests get their places, unless a proxy says whose they are.
    pub(crate) fn share(&self) -> Option<&Share> {
        self.share.as_ref()
    }

    /// A request on the connection may hold a place that others are refused. One that a proxy shares among its clients
    /// is never in a hurry: they are many, and it may be slow for one of them.
    fn is_pressed(&self) -> bool {
        let own = self.share.as_ref().filter(|share| share.own.is_some());
        own.is_some_and(|share| self.requests.load(Ordering::Acquire) > 0 && share.is_pressed())
    }

    /// A request on the connection, until the guard is dropped.
    pub(crate) fn begin(self: &Arc<Self>) -> Busy {
        self.requests.fetch_add(1, Ordering::AcqRel);
        self.changes.fetch_add(1, Ordering::AcqRel);
        Busy { activity: self.clone(), is_timed: false }
    }

    /// A request's body on its way in, until the guard is dropped.
    pub(crate) fn upload(self: &Arc<Self>) -> Upload {
        self.uploads.fetch_add(1, Ordering::AcqRel);
        Upload(self.clone())
    }

    /// Whether no request is under way, nor the rest of one's body, on a connection that is not HTTP/2's.
    pub(crate) fn is_between_requests(&self) -> bool {
        let is_idle = |count: &AtomicUsize| count.load(Ordering::Acquire) == 0;
        is_idle(&self.requests) && is_idle(&self.uploads) && !self.is_h2()
    }

    /// A timer for the deadline of a request.
    pub(crate) fn take_alarm(&self) -> Alarm {
        std::mem::take(&mut self.alarm.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keeps the timer for the next request.
    pub(crate) fn keep_alarm(&self, alarm: Alarm) {
        *self.alarm.lock().unwrap_or_else(PoisonError::into_inner) = alarm;
    }

    fn set_deadline(&self, deadline: Option<Instant>) {
        *self.deadline.lock().unwrap_or_else(PoisonError::into_inner) = deadline;
    }

    fn deadline(&self) -> Option<Instant> {
        *self.deadline.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the peer began with HTTP/2's preface.
    pub(crate) fn is_h2(&self) -> bool {
        self.is_h2.load(Ordering::Acquire)
    }
}

/// A request under way on a connection.
#[derive(Debug)]
pub(crate) struct Busy {
    activity: Arc<Activity>,
    is_timed: bool,
}

impl Busy {
    /// The response must be over by then: of HTTP/1.1, which has one at a time.
    pub(crate) fn until(&mut self, deadline: Instant) {
        self.is_timed = true;
        self.activity.set_deadline(Some(deadline));
    }

    /// What has gone to the connection's socket.
    pub(super) fn flushes(&self) -> &Flushes {
        &self.activity.flushes
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if self.is_timed {
            self.activity.set_deadline(None);
        }
        self.activity.changes.fetch_add(1, Ordering::AcqRel);
        self.activity.requests.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A request body under way on a connection: what comes then is no head.
#[derive(Debug)]
pub(crate) struct Upload(Arc<Activity>);

impl Drop for Upload {
    fn drop(&mut self) {
        self.0.changes.fetch_add(1, Ordering::AcqRel);
        self.0.uploads.fetch_sub(1, Ordering::AcqRel);
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

/// The first bytes of a connection.
#[derive(Debug, Default)]
struct Early {
    bytes: [u8; H2_PREFACE.len()],
    len: usize,
    given: usize,
}

impl Early {
    fn rest(&self) -> &[u8] {
        &self.bytes[self.given..self.len]
    }

    fn give(&mut self, buf: &mut ReadBuf<'_>) {
        let n = self.rest().len().min(buf.remaining());
        buf.put_slice(&self.rest()[..n]);
        self.given += n;
    }
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
    /// Read to know the version, and yet to be read by who speaks it.
    early: Early,
    sleep: Pin<Box<Sleep>>,
    /// For a peer that does not take what is written.
    stall: Wait,
    /// What [`Socket::sent`] said last.
    sent: Option<u64>,
    hangup: Hangup,
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
            early: Early::default(),
            sleep: Box::pin(tokio::time::sleep_until(now)),
            stall: Wait::default(),
            sent: None,
            hangup: Hangup::default(),
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
        if self.activity.requests.load(Ordering::Acquire) > 0 {
            return;
        }
        if self.activity.uploads.load(Ordering::Acquire) > 0 {
            // The body of a request that has its response: the peer is not idle.
            self.since = Instant::now();
        } else if self.waiting == Waiting::Idle {
            self.waiting = Waiting::Head;
            self.since = Instant::now();
        }
    }

    /// Whether the peer has used up its time; if not, when to look again is registered with `cx`.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let busy = self.activity.requests.load(Ordering::Acquire) > 0;
        let changes = self.activity.changes.load(Ordering::Acquire);
        if busy || changes != self.seen {
            // A head was complete since, or a request has ended or is under way: the next wait begins afresh.
            self.seen = changes;
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

impl<T: Socket> TimedIo<T> {
    /// Runs the clock of a peer that does not read on: from the first write that has to wait to the next that does not.
    fn watched<R>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        let sent = self.inner.sent();
        let has_moved = if sent.is_none() { written.is_ready() } else { sent != self.sent };
        self.sent = sent;
        if has_moved {
            self.stall.end();
        }
        if written.is_ready() {
            return written;
        }
        let (idle, activity) = (self.patience.idle, &self.activity);
        self.stall
            .poll(cx, idle, activity.deadline(), || activity.is_pressed())
            .map(|()| Err(io::Error::new(io::ErrorKind::TimedOut, "the peer does not read its response")))
    }

    /// Whether the peer speaks HTTP/2, as soon as its first bytes tell.
    ///
    /// # Errors
    /// Errors of the socket, and a peer that speaks something else than it has agreed to.
    pub(crate) async fn speaks_h2(&mut self) -> io::Result<bool> {
        let is_h2 = self.begins_with_h2().await?;
        match self.inner.agreed_on_h2() {
            Some(agreed) if agreed != is_h2 && self.first_bytes_came() => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the peer speaks another version of HTTP than it has agreed to (ALPN)",
            )),
            _ => Ok(is_h2),
        }
    }

    fn first_bytes_came(&self) -> bool {
        self.early.len > 0
    }

    /// Ends what is written in order, for a peer that has not begun to speak.
    pub(crate) async fn close(mut self) {
        // It is gone either way.
        _ = poll_fn(|cx| Pin::new(&mut self).poll_shutdown(cx)).await;
    }
}

impl<T: Socket> TimedIo<T> {
    /// Whether the peer begins with HTTP/2's preface, as soon as its first bytes tell. What was read for it is read once
    /// more.
    async fn begins_with_h2(&mut self) -> io::Result<bool> {
        poll_fn(|cx| {
            while self.first_bytes < H2_PREFACE.len() {
                let mut bytes = [0; H2_PREFACE.len()];
                let mut buf = ReadBuf::new(&mut bytes[self.early.len..]);
                ready!(self.poll_socket(cx, &mut buf))?;
                let read = buf.filled();
                if read.is_empty() {
                    break;
                }
                let end = self.early.len + read.len();
                self.early.bytes[self.early.len..end].copy_from_slice(read);
                self.early.len = end;
            }
            Poll::Ready(Ok(self.activity.is_h2()))
        })
        .await
    }

    fn poll_socket(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
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
                    // In order, which TLS tells from a connection that somebody has cut. It is gone either way.
                    _ = Pin::new(&mut self.inner).poll_shutdown(cx);
                    Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer is idle or slow")))
                }
                Poll::Pending => Poll::Pending,
            },
            poll => poll,
        }
    }
}

impl<T: Socket> AsyncRead for TimedIo<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.early.rest().is_empty() {
            self.early.give(buf);
            return Poll::Ready(Ok(()));
        }
        if !self.activity.is_h2() {
            return self.poll_socket(cx, buf);
        }
        let room = self.activity.reading.room();
        if room == 0 {
            // The connection's task begins another turn.
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let read = if room < buf.remaining() {
            let mut part = ReadBuf::new(buf.initialize_unfilled_to(room));
            let read = self.poll_socket(cx, &mut part);
            let came = part.filled().len();
            buf.advance(came);
            read
        } else {
            self.poll_socket(cx, buf)
        };
        self.activity.reading.came(buf.filled().len() - before);
        read
    }
}

impl<T: Socket> AsyncWrite for TimedIo<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.activity.flushes.write();
        let written = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.watched(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper flushes whenever it has looked at a connection. An HTTP/2 connection it also reads.
        if self.activity.requests.load(Ordering::Acquire) > 0 && !self.activity.is_h2() {
            let this = &mut *self;
            this.hangup.check(&this.inner, cx)?;
        }
        let written = Pin::new(&mut self.inner).poll_flush(cx);
        if written.is_ready() {
            let flushes = &self.activity.flushes;
            flushes.flush();
            if !self.activity.is_h2() {
                // One task gives and sends: all that there is has been sent.
                flushes.begin();
                flushes.end();
            }
        }
        self.watched(cx, written)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Over TLS there are last words, which the peer may not take.
        let shut = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.watched(cx, shut)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.activity.flushes.write();
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.watched(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}
