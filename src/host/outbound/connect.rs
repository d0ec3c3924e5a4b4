//! Opens connections: resolve once, drop the addresses that aren't allowed, connect
//! to exactly those that are left, then TLS.
//!
//! Address literals take the same way as names, and so do their disguises
//! (`2130706433`, `0x7f.1`), which the resolver turns into addresses.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::rt::TokioIo;
use pounce_otlp::net::dial;
use rustls::ClientConfig;
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::{Instant, timeout_at};
use tower_service::Service;

use super::address;
use super::ledger::Ledger;
use super::own::OwnListeners;
use super::policy::{Allowance, Policy, Reason, Refused};
use super::refusals::RefusalLog;
use super::resolve::Resolver;
use super::roots::{NoRoots, Roots};
use super::stream::{self, Opened, Stream};
use super::target::{Host, Scheme, Target};

/// Why no connection came about.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error(transparent)]
    Refused(Refused),
    #[error("the name can't be resolved: {0}")]
    Dns(io::Error),
    #[error("the name has no address")]
    NoAddress,
    #[error("the name was not resolved in time")]
    DnsTimeout,
    #[error("the connection was not established in time")]
    Timeout,
    #[error("too many connections are open")]
    TooMany,
    #[error("no connection: {0}")]
    Tcp(io::Error),
    #[error("no TLS session: {0}")]
    Tls(io::Error),
    #[error("the host can't be in a certificate: {0}")]
    ServerName(Box<dyn std::error::Error + Send + Sync>),
    #[error(transparent)]
    Roots(#[from] NoRoots),
}

/// What the pool calls when it has no connection; cheap to clone.
#[derive(Clone)]
pub(super) struct Connector(Arc<Shared>);

/// What all connections of a client share.
pub(super) struct Shared {
    pub(super) policy: Arc<Policy>,
    /// Gets what may be connected to.
    pub(super) ledger: Option<Arc<Ledger>>,
    pub(super) refusals: Arc<RefusalLog>,
    pub(super) resolver: Resolver,
    pub(super) own: OwnListeners,
    pub(super) roots: Roots,
    pub(super) tls: OnceCell<Arc<ClientConfig>>,
    pub(super) connections: Arc<Semaphore>,
    /// From the start to the end of the TLS handshake.
    pub(super) timeout: Duration,
}

type Connecting<T> = Pin<Box<dyn Future<Output = Result<T, ConnectError>> + Send>>;

impl Connector {
    pub(super) fn new(shared: Shared) -> Self {
        Self(Arc::new(shared))
    }
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<Stream>;
    type Error = ConnectError;
    type Future = Connecting<Self::Response>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let shared = Arc::clone(&self.0);
        Box::pin(async move {
            let deadline = Instant::now() + shared.timeout;
            match Target::of(&uri).map(|target| target.scheme) {
                Ok(Scheme::Https) => timeout_at(deadline, https(shared, uri, deadline))
                    .await
                    .map_err(|_| ConnectError::Timeout)?,
                _ => shared.connect(&uri, deadline).await.map(MaybeHttpsStream::Http),
            }
        })
    }
}

async fn https(
    shared: Arc<Shared>,
    uri: Uri,
    deadline: Instant,
) -> Result<MaybeHttpsStream<Stream>, ConnectError> {
    let config = shared.tls.get_or_try_init(|| shared.roots.client_config()).await?;
    let config = Arc::clone(config);
    HttpsConnector::from((Tcp { shared, deadline }, config)).call(uri).await.map_err(|error| {
        // hyper-rustls boxes three kinds of errors: ours, io's and the name's.
        match error.downcast::<ConnectError>() {
            Ok(ours) => *ours,
            Err(error) => match error.downcast::<io::Error>() {
                Ok(io) => ConnectError::Tls(*io),
                Err(name) => ConnectError::ServerName(name),
            },
        }
    })
}

/// The connection below TLS, as hyper-rustls wants it.
struct Tcp {
    shared: Arc<Shared>,
    deadline: Instant,
}

impl Service<Uri> for Tcp {
    type Response = Stream;
    type Error = ConnectError;
    type Future = Connecting<Stream>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (shared, deadline) = (Arc::clone(&self.shared), self.deadline);
        Box::pin(async move { shared.connect(&uri, deadline).await })
    }
}

impl Shared {
    async fn connect(&self, uri: &Uri, deadline: Instant) -> Result<Stream, ConnectError> {
        let target = Target::of(uri).map_err(|why| {
            ConnectError::Refused(Refused { target: "?".to_owned(), reason: Reason::Uri(why) })
        })?;
        let result = self.connect_to(&target, uri, deadline).await;
        if let Err(ConnectError::Refused(refused)) = &result {
            self.refusals.note(&refused.target, refused);
        }
        result
    }

    async fn connect_to(
        &self,
        target: &Target<'_>,
        uri: &Uri,
        deadline: Instant,
    ) -> Result<Stream, ConnectError> {
        // Asked again so that there is no way to a socket around the rules.
        let allowance = self.policy.allows_target(target).map_err(ConnectError::Refused)?;
        let permit = Arc::clone(&self.connections).try_acquire_owned().map_err(|_| ConnectError::TooMany)?;
        let mut resolve = None;
        let addresses = match target.host {
            Host::Address(ip) => vec![SocketAddr::new(ip, target.port)],
            Host::Name(_) => {
                // The name as written: a final dot keeps search domains out of it.
                let name = uri.host().unwrap_or_default();
                let since = Instant::now();
                let addresses = timeout_at(deadline, self.resolver.lookup(name, target.port))
                    .await
                    .map_err(|_| ConnectError::DnsTimeout)?
                    .map_err(ConnectError::Dns)?;
                resolve = Some(since.elapsed());
                addresses
            }
        };
        let addresses = self.permitted(target, allowance, addresses)?;
        if let Some(ledger) = &self.ledger {
            ledger.call(target);
        }
        let since = Instant::now();
        let tcp = timeout_at(deadline, dial(addresses))
            .await
            .map_err(|_| ConnectError::Timeout)?
            .map_err(ConnectError::Tcp)?;
        let connect = since.elapsed();
        let peer = tcp.peer_addr().map_err(ConnectError::Tcp)?;
        let local = tcp.local_addr().map_err(ConnectError::Tcp)?;
        // To one of its own addresses a machine connects from that same address.
        let to_self = peer.ip().to_canonical() == local.ip().to_canonical();
        if to_self && let Some(own) = self.own.closed(peer, true, allowance.named) {
            return Err(refused(target, self.why_closed(own)));
        }
        Ok(stream::new(TokioIo::new(tcp), Opened::new(peer, resolve, connect), permit))
    }

    /// The addresses that may be connected to; an error if none may.
    fn permitted(
        &self,
        target: &Target<'_>,
        allowance: Allowance,
        addresses: Vec<SocketAddr>,
    ) -> Result<Vec<SocketAddr>, ConnectError> {
        let mut why = None;
        let mut left = Vec::with_capacity(addresses.len());
        for address in addresses {
            let ip = address.ip();
            let here = ip.to_canonical().is_loopback();
            if let Some(own) = self.own.closed(address, here, allowance.named) {
                why = Some(self.why_closed(own));
            } else if let Some(special) = address::special(ip).filter(|special| !allowance.covers(*special)) {
                why.get_or_insert(Reason::NotPublic(ip, special));
            } else {
                left.push(address);
            }
        }
        match why {
            Some(reason) if left.is_empty() => Err(refused(target, reason)),
            None if left.is_empty() => Err(ConnectError::NoAddress),
            _ => Ok(left),
        }
    }

    fn why_closed(&self, own: SocketAddr) -> Reason {
        if self.own.is_admin(own) { Reason::Admin(own) } else { Reason::Loop(own) }
    }
}

fn refused(target: &Target<'_>, reason: Reason) -> ConnectError {
    ConnectError::Refused(Refused { target: target.to_string(), reason })
}

#[cfg(test)]
mod tests;
