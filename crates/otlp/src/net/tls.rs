//! TLS settings of a client: who is trusted, and who we are.

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use std::fmt;
use std::sync::Arc;

/// Certificate chain of a client, and its key, which `Debug` leaves out.
#[derive(Clone)]
pub struct Identity {
    /// The chain, the client's own certificate first.
    pub certificates: Vec<CertificateDer<'static>>,
    /// The key of the first certificate.
    pub key: Arc<PrivateKeyDer<'static>>,
}

/// TLS 1.2 and 1.3 with servers for which `roots` vouch, as `identity` or as nobody. ALPN is left to the caller.
#[must_use]
pub fn client(roots: Arc<RootCertStore>, identity: Option<&Identity>) -> ClientConfig {
    // The provider is named because a second one in the build would make the default ambiguous.
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring supports the default protocol versions")
        .with_root_certificates(roots);
    let Some(Identity { certificates, key }) = identity else {
        return builder.with_no_client_auth();
    };
    match builder.clone().with_client_auth_cert(certificates.clone(), key.clone_key()) {
        Ok(config) => config,
        // Who made the settings has checked them, so this is not to be expected; the endpoint will say no.
        Err(error) => {
            tracing::error!(%error, "the client certificate of telemetry can't be used");
            builder.with_no_client_auth()
        }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("certificates", &self.certificates.len()).finish_non_exhaustive()
    }
}

impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        self.certificates == other.certificates && self.key.secret_der() == other.key.secret_der()
    }
}

impl Eq for Identity {}
