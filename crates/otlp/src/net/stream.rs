//! A connection that a pool of hyper's can hold, with something to know about it.

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

/// A connection, and what is known `about` it, which lives as long.
#[derive(Debug)]
pub struct Stream<T, A> {
    io: T,
    about: A,
    describe: fn(&A) -> Connected,
}

impl<T, A> Stream<T, A> {
    /// A connection that `describe` describes to hyper's pool.
    pub fn new(io: T, about: A, describe: fn(&A) -> Connected) -> Self {
        Stream { io, about, describe }
    }
}

impl<T, A> Connection for Stream<T, A> {
    fn connected(&self) -> Connected {
        (self.describe)(&self.about)
    }
}

impl<T: Read + Unpin, A: Unpin> Read for Stream<T, A> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<T: Write + Unpin, A: Unpin> Write for Stream<T, A> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }
}
