//! From a host name to addresses: once per connection, never per request.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use tokio::sync::Semaphore;

/// Lookups of one component that may run at once. Each holds a blocking thread for
/// as long as the system's resolver takes, also when nobody waits for it any more;
/// without a bound a guest with slow names would take all of the process's.
const MOST_LOOKUPS: usize = 32;

/// Where addresses come from.
#[derive(Clone)]
pub(super) enum Resolver {
    /// `getaddrinfo`: `/etc/hosts`, search domains, whatever the machine is set to.
    System(Arc<Semaphore>),
    /// A test's answers; called for every lookup.
    #[cfg(test)]
    Scripted(Arc<Script>),
}

/// Addresses for a host's name.
#[cfg(test)]
type Script = dyn Fn(&str) -> io::Result<Vec<std::net::IpAddr>> + Send + Sync;

impl Resolver {
    pub(super) fn system() -> Self {
        Self::System(Arc::new(Semaphore::new(MOST_LOOKUPS)))
    }

    /// Every address of `host`, in the order in which the resolver prefers them.
    pub(super) async fn lookup(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        match self {
            Self::System(permits) => {
                let permit = Arc::clone(permits).acquire_owned().await.map_err(io::Error::other)?;
                let host = host.to_owned();
                tokio::task::spawn_blocking(move || {
                    let _held_until_the_resolver_returns = permit;
                    Ok((host.as_str(), port).to_socket_addrs()?.collect())
                })
                .await
                .map_err(io::Error::other)?
            }
            #[cfg(test)]
            Self::Scripted(answer) => {
                let (answer, host) = (Arc::clone(answer), host.to_owned());
                let addresses =
                    tokio::task::spawn_blocking(move || answer(&host)).await.map_err(io::Error::other)??;
                Ok(addresses.into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
            }
        }
    }
}
