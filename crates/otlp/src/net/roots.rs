//! The certificate authorities that vouch for whom we speak to.

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use std::sync::{Arc, Once};

/// Error of a system that trusts no certificate authority, so that no certificate can be checked.
#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "no trusted certificate authorities found ({0}); install the system's package (ca-certificates) or set SSL_CERT_FILE"
)]
pub struct NoRoots(pub String);

/// The authorities that this machine trusts; `SSL_CERT_FILE` and `SSL_CERT_DIR` name others. Reads files, for some
/// milliseconds.
///
/// # Errors
/// There are none.
pub fn system() -> Result<Arc<RootCertStore>, NoRoots> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // One certificate of a hundred that rustls does not take is no reason to trust none.
    let (taken, ignored) = roots.add_parsable_certificates(found.certs);
    tracing::debug!(taken, ignored, "read the system's certificate authorities");
    if taken == 0 {
        let why = found.errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        return Err(NoRoots(if why.is_empty() { "none installed".to_owned() } else { why }));
    }
    Ok(Arc::new(roots))
}

/// The authorities that vouch for an endpoint: `own`, or those of the system, which only `encrypted` endpoints need.
/// None at all is told once, with `certificate` as the setting that names others.
pub(crate) fn of(
    own: Option<&[CertificateDer<'static>]>,
    encrypted: bool,
    certificate: &str,
) -> Arc<RootCertStore> {
    match own {
        Some(own) => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(own.iter().cloned());
            Arc::new(roots)
        }
        None if encrypted => system().unwrap_or_else(|NoRoots(errors)| {
            // Of the machine, not of an endpoint.
            static TOLD: Once = Once::new();
            TOLD.call_once(|| {
                tracing::warn!(
                    errors,
                    "found no certificate authorities, so no https endpoint can be trusted: install \
                     `ca-certificates`, or name a bundle in {certificate} or SSL_CERT_FILE"
                );
            });
            Arc::new(RootCertStore::empty())
        }),
        None => Arc::new(RootCertStore::empty()),
    }
}
