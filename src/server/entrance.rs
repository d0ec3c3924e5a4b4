//! What a connection goes through before HTTP is spoken on it: the PROXY protocol, where a trusted proxy has to say whose
//! it is, and the TLS handshake. Each waits for its own peer alone.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};

use super::connection::Protocol;
use super::drain::Phase;
use super::forwarded::Hop;
use super::handler::Handler;
use super::hangup::Socket;
use super::proxy_protocol;
use super::tls::Tls;
use crate::config::{self, ProxyProtocol};
use pounce_telemetry::Peer;
use pounce_telemetry::metrics::host as host_metrics;

/// The way in.
pub(super) struct Entrance {
    protocol: Protocol,
    handler: Arc<Handler>,
    /// TLS of connections over TCP; none where they are not encrypted.
    tls: Option<Arc<Tls>>,
    proxy_protocol: ProxyProtocol,
    /// For a proxy's word on its client, and for the handshake.
    timeout: Option<Duration>,
    unproxied: Arc<AtomicU64>,
}

impl Entrance {
    pub(super) fn new(
        http: &config::Http,
        protocol: Protocol,
        handler: Arc<Handler>,
        tls: Option<Arc<Tls>>,
    ) -> Self {
        Self {
            protocol,
            handler,
            tls,
            proxy_protocol: http.proxy_protocol,
            timeout: http.handshake_timeout.0,
            unproxied: Arc::default(),
        }
    }

    /// How connections over TCP are encrypted, if they are.
    pub(super) fn tls(&self) -> Option<&Arc<Tls>> {
        self.tls.as_ref()
    }

    /// Has the metrics tell what is counted here.
    pub(super) fn observe(&self, metrics: &host_metrics::Host) {
        if self.proxy_protocol != ProxyProtocol::Off {
            let unproxied = Arc::clone(&self.unproxied);
            let read = move || Some(unproxied.load(Ordering::Relaxed));
            metrics.observe(&host_metrics::PROXY_PROTOCOL_FAILED, &[], read);
        }
    }

    /// Serves a connection over TCP to its end.
    pub(super) async fn tcp(&self, mut stream: TcpStream, remote: SocketAddr) {
        let peer = Peer { remote: Some(remote), local: stream.local_addr().ok(), ..Peer::default() };
        let Some(mut hop) = self.before_closing(self.hop(&mut stream, peer)).await else { return };
        let Some(tls) = &self.tls else { return self.serve(stream, hop).await };
        let client = hop.peer.remote.unwrap_or(remote);
        if let Some((stream, facts)) = self.before_closing(tls.accept(stream, client)).await {
            hop.peer.tls = Some(Arc::new(facts));
            self.serve(stream, hop).await;
        }
    }

    /// Serves a connection over a Unix socket to its end.
    pub(super) async fn unix(&self, mut stream: UnixStream) {
        if let Some(hop) = self.before_closing(self.hop(&mut stream, Peer::default())).await {
            self.serve(stream, hop).await;
        }
    }

    async fn serve(&self, stream: impl Socket, hop: Hop) {
        self.protocol.serve(stream, hop, self.handler.clone()).await;
    }

    /// What comes of a peer's first steps; none where the server closes before that.
    async fn before_closing<T>(&self, steps: impl Future<Output = Option<T>>) -> Option<T> {
        let mut phase = self.handler.drain.watch();
        tokio::select! {
            done = steps => done,
            _ = phase.wait_for(|phase| *phase >= Phase::Closing) => None,
        }
    }

    /// Whose connection it is. None where its proxy should say so and does not, which is counted and told.
    async fn hop(&self, stream: &mut impl Socket, peer: Peer) -> Option<Hop> {
        let hop = self.handler.forwarding.hop(peer);
        if self.proxy_protocol == ProxyProtocol::Off || !hop.is_trusted {
            return Some(hop);
        }
        let address = hop.peer.remote;
        let reading = proxy_protocol::read(stream, self.proxy_protocol);
        let read = match self.timeout {
            None => reading.await.map_err(|error| error.to_string()),
            Some(timeout) => match tokio::time::timeout(timeout, reading).await {
                Ok(read) => read.map_err(|error| error.to_string()),
                Err(_) => Err(format!("the proxy said nothing within {timeout:?} (http.handshake-timeout)")),
            },
        };
        match read {
            Ok(ends) => Some(self.handler.forwarding.behind(hop, ends)),
            Err(message) => {
                self.unproxied.fetch_add(1, Ordering::Relaxed);
                let peer = address.map(|address| tracing::field::display(address.ip()));
                tracing::warn!(peer, "a connection without the PROXY protocol is closed: {message}");
                None
            }
        }
    }
}
