//! The system's certificate authorities, read at the first `https` request.
//!
//! Reading them takes milliseconds that a server which calls nobody should not
//! spend at its start.

use std::sync::Arc;

pub(super) use pounce_otlp::net::roots::NoRoots;
use pounce_otlp::net::{roots, tls};
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::OnceCell;

/// Shared by all clients of the process; cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Roots(Arc<OnceCell<Result<Arc<RootCertStore>, NoRoots>>>);

impl Roots {
    /// The system's, honouring `SSL_CERT_FILE` and `SSL_CERT_DIR`.
    pub(crate) fn system() -> Self {
        Self::default()
    }

    /// These and no others.
    #[cfg(test)]
    pub(super) fn only(store: RootCertStore) -> Self {
        Self(Arc::new(OnceCell::new_with(Some(Ok(Arc::new(store))))))
    }

    /// As on a machine without certificates.
    #[cfg(test)]
    pub(super) fn missing() -> Self {
        let none = NoRoots("none installed".to_owned());
        Self(Arc::new(OnceCell::new_with(Some(Err(none)))))
    }

    /// TLS settings for one client. The authorities are shared; the sessions to
    /// resume are not, they would tell one component what another one called.
    pub(super) async fn client_config(&self) -> Result<Arc<ClientConfig>, NoRoots> {
        let store = self.0.get_or_init(load_and_tell).await.clone()?;
        let mut config = tls::client(store, None);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

/// Once per process, whatever comes of it: a guest that retries must not fill the log.
async fn load_and_tell() -> Result<Arc<RootCertStore>, NoRoots> {
    load().await.inspect_err(|error| tracing::error!("outgoing https requests will fail: {error}"))
}

async fn load() -> Result<Arc<RootCertStore>, NoRoots> {
    let read = tokio::task::spawn_blocking(roots::system).await;
    read.unwrap_or_else(|error| Err(NoRoots(error.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_systems_are_found_or_the_message_says_what_to_install() {
        match Roots::system().client_config().await {
            Ok(config) => assert_eq!(config.alpn_protocols, [&b"h2"[..], b"http/1.1"]),
            Err(error) => assert!(error.to_string().contains("ca-certificates")),
        }
    }
}
