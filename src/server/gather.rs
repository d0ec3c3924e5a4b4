//! Responses to pipelined requests of HTTP/1.1, written together.
//!
//! hyper flushes after each response, which costs a system call and the peer a wake-up for each of a thousand small ones.
//! Here a small response waits until hyper wants to read: by then it has answered all requests that it had. (hyper's own
//! `pipeline_flush` would hold back what a guest streams, too.)

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::idle::Activity;

/// Bytes that wait at most.
const ROOM: usize = 16 * 1024;
/// Bytes of it that a connection keeps while nothing waits.
const KEPT: usize = 1024;

/// A socket whose small writes may wait.
pub(crate) struct Gather<T: AsyncWrite + Unpin> {
    inner: T,
    activity: Arc<Activity>,
    waiting: Vec<u8>,
    /// How many bytes of `waiting` are written.
    written: usize,
}

impl<T: AsyncWrite + Unpin> Gather<T> {
    pub(crate) fn new(inner: T, activity: Arc<Activity>) -> Self {
        Self { inner, activity, waiting: Vec::new(), written: 0 }
    }

    /// Whether so many bytes more may wait: only behind the end of a response, after which hyper reads or closes.
    fn may_wait(&self, more: usize) -> bool {
        self.activity.is_between_requests() && self.waiting.len() + more <= ROOM
    }

    /// Writes what waits.
    fn poll_waiting(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.waiting.len() {
            let rest = &self.waiting[self.written..];
            match ready!(Pin::new(&mut self.inner).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.written += written,
            }
        }
        self.waiting.clear();
        self.waiting.shrink_to(KEPT);
        self.written = 0;
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for Gather<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_waiting(cx))?;
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Gather<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.may_wait(buf.len()) {
            self.waiting.extend_from_slice(buf);
            return Poll::Ready(Ok(buf.len()));
        }
        ready!(self.poll_waiting(cx))?;
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let len = bufs.iter().map(|buf| buf.len()).sum();
        if self.may_wait(len) {
            bufs.iter().for_each(|buf| self.waiting.extend_from_slice(buf));
            return Poll::Ready(Ok(len));
        }
        ready!(self.poll_waiting(cx))?;
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.may_wait(0) && !self.waiting.is_empty() {
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_waiting(cx))?;
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_waiting(cx))?;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// hyper does not shut down a connection that ends in an error, which may come behind a good response.
impl<T: AsyncWrite + Unpin> Drop for Gather<T> {
    fn drop(&mut self) {
        // What the socket has no room for would not be written any more either way.
        _ = self.poll_waiting(&mut Context::from_waker(Waker::noop()));
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// Counts writes.
    #[derive(Default)]
    struct Peer(Vec<Vec<u8>>);

    impl AsyncRead for Peer {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Peer {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            self.0.push(buf.to_vec());
            Poll::Ready(Ok(buf.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn gather() -> (Gather<Peer>, Arc<Activity>) {
        let activity = Arc::new(Activity::default());
        (Gather::new(Peer::default(), activity.clone()), activity)
    }

    async fn respond(gather: &mut Gather<Peer>, bytes: usize) {
        gather.write_all(&vec![7; bytes]).await.unwrap();
        gather.flush().await.unwrap();
    }

    #[tokio::test]
    async fn small_responses_leave_together_when_more_is_read() {
        let (mut gather, _activity) = gather();
        for _ in 0..10 {
            respond(&mut gather, 100).await;
        }
        assert!(gather.inner.0.is_empty());
        assert_eq!(gather.read(&mut [0; 10]).await.unwrap(), 0);
        assert_eq!(gather.inner.0, [vec![7; 1000]]);
        respond(&mut gather, 100).await;
        gather.shutdown().await.unwrap();
        assert_eq!(gather.inner.0.len(), 2);
    }

    #[tokio::test]
    async fn what_waits_is_bounded() {
        let (mut gather, _activity) = gather();
        for _ in 0..100 {
            respond(&mut gather, 1000).await;
        }
        respond(&mut gather, 100_000).await;
        assert!((8..20).contains(&gather.inner.0.len()), "{}", gather.inner.0.len());
        assert_eq!(gather.inner.0.concat().len(), 200_000, "all of it, in order");
        assert!(gather.waiting.capacity() <= ROOM);
    }

    #[tokio::test]
    async fn nothing_waits_while_a_request_is_under_way() {
        let (mut gather, activity) = gather();
        respond(&mut gather, 100).await;
        let request = activity.begin();
        gather.flush().await.unwrap();
        respond(&mut gather, 50).await;
        drop(request);
        let upload = activity.upload();
        respond(&mut gather, 20).await;
        assert_eq!(gather.inner.0, [vec![7; 100], vec![7; 50], vec![7; 20]]);
        drop(upload);
    }
}
