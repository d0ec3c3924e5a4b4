//! A TCP connection that counts as open until it is dropped.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper_util::client::legacy::connect::Connected;
use hyper_util::rt::TokioIo;
use pounce_otlp::net;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;

/// The connection, how it came about, and its permit.
pub(super) type Stream = net::Stream<TokioIo<TcpStream>, (Arc<Opened>, OwnedSemaphorePermit)>;

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
    pub(super) fn tell(&self) -> pounce_telemetry::Connected {
        let reused = self.used.swap(true, Ordering::Relaxed);
        pounce_telemetry::Connected {
            peer: Some(self.peer),
            reused,
            resolve: self.resolve.filter(|_| !reused),
            connect: Some(self.connect).filter(|_| !reused),
        }
    }
}

/// A connection of which each response tells how it came about.
pub(super) fn new(tcp: TokioIo<TcpStream>, opened: Opened, permit: OwnedSemaphorePermit) -> Stream {
    net::Stream::new(tcp, (Arc::new(opened), permit), |(opened, _)| {
        Connected::new().extra(Arc::clone(opened))
    })
}
