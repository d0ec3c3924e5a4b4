//! A TCP connection that counts as open until it is dropped.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;

use crate::telemetry;

/// The connection and its permit.
pub(super) struct Stream {
    tcp: TokioIo<TcpStream>,
    opened: Arc<Opened>,
    _permit: OwnedSemaphorePermit,
}

/// How a connection came about; the pool hands it on with each response that the connection carries.
pub(super) struct Opened {
    pub(super) peer: SocketAddr,
    /// Time the name took to resolve; none for an address.
    pub(super) resolve: Option<Duration>,
    /// Time TCP took to connect.
    pub(super) connect: Duration,
    /// It has carried a response.
    used: AtomicBool,
}

impl Opened {
    pub(super) fn new(peer: SocketAddr, resolve: Option<Duration>, connect: Duration) -> Self {
        Self { peer, resolve, connect, used: AtomicBool::new(false) }
    }

    /// What a request's span says of its connection; times only for the first.
    pub(super) fn tell(&self) -> telemetry::Connected {
        let reused = self.used.swap(true, Ordering::Relaxed);
        telemetry::Connected {
            peer: Some(self.peer),
            reused,
            resolve: self.resolve.filter(|_| !reused),
            connect: Some(self.connect).filter(|_| !reused),
        }
    }
}

impl Stream {
    pub(super) fn new(tcp: TokioIo<TcpStream>, opened: Opened, permit: OwnedSemaphorePermit) -> Self {
        Self { tcp, opened: Arc::new(opened), _permit: permit }
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new().extra(Arc::clone(&self.opened))
    }
}

impl Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_read(cx, buf)
    }
}

impl Write for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write_vectored(cx, bufs)
    }
}
