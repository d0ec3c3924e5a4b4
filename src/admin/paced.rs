//! A client has to take its answer within a time: one that reads a byte now and then would keep pages in memory.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// A stream that fails when what is written to it has not gone out whole within a time.
pub(super) struct Paced<T> {
    stream: T,
    limit: Duration,
    /// Runs since the peer first made us wait, until all is out.
    late: Option<Pin<Box<Sleep>>>,
}

impl<T> Paced<T> {
    pub(super) fn new(stream: T, limit: Duration) -> Self {
        Self { stream, limit, late: None }
    }

    /// Counts from the first wait; ready when time is up.
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let end = Instant::now() + self.limit;
        self.late.get_or_insert_with(|| Box::pin(sleep_until(end))).as_mut().poll(cx)
    }
}

impl<T: AsyncWrite + Unpin> Paced<T> {
    fn in_time(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut T>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        // Asked first: a peer that reads a little each time would otherwise never be late.
        if self.late.is_some() && self.wait(cx).is_ready() {
            return Poll::Ready(Err(too_slow()));
        }
        match write(Pin::new(&mut self.stream), cx) {
            Poll::Pending => {
                ready!(self.wait(cx));
                Poll::Ready(Err(too_slow()))
            }
            done => done,
        }
    }
}

fn too_slow() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the client does not read its answer")
}

impl<T: AsyncRead + Unpin> AsyncRead for Paced<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Paced<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.in_time(cx, |stream, cx| stream.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.in_time(cx, |stream, cx| stream.poll_write_vectored(cx, bufs))
    }

    /// Else hyper copies a page into a buffer of its own, where nobody counts it.
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// hyper flushes once it has written all that it has.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        if flushed.is_ready() {
            self.late = None;
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
