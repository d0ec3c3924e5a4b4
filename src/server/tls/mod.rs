//! TLS on the listeners of clients: certificates that change without a restart, clients that show their own, and the
//! handshake, which belongs to the task of its connection.

mod handshake;
mod identities;
mod plain;
mod reload;
mod stream;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, anyhow};
use rustls::server::{ProducesTickets, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};

use crate::config::{self, Certificates, Certified, ClientAuth, Unusable};
use handshake::Handshakes;
use identities::Identities;
use pounce_telemetry::metrics::host as host_metrics;
use reload::Reloads;

/// What a server speaks within TLS, what it likes best first.
const ALPN: [&[u8]; 2] = [H2, b"http/1.1"];
const H2: &[u8] = b"h2";

/// How connections are encrypted. Whoever accepts one asks for what is in force then.
#[derive(Debug)]
pub(crate) struct Tls {
    in_force: RwLock<InForce>,
    client_auth: ClientAuth,
    /// For a handshake (`http.handshake-timeout`).
    timeout: Option<Duration>,
    handshakes: Handshakes,
    reloads: Reloads,
}

/// What a reload replaces.
#[derive(Clone, Debug)]
struct InForce {
    config: Arc<ServerConfig>,
    identities: Arc<Identities>,
    /// Who vouches for clients.
    client_ca: Option<Certificates>,
}

/// A certificate, as operators are told of it.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    pub(crate) file: String,
    pub(crate) names: Vec<String>,
    pub(crate) expires_in: Duration,
}

impl Tls {
    /// TLS as it is set; none where it is not.
    ///
    /// # Errors
    /// Certificates that cannot be used, which those of a checked configuration can; no random bytes.
    pub(crate) fn new(http: &config::Http) -> anyhow::Result<Option<Self>> {
        if http.tls_cert.is_empty() {
            return Ok(None);
        }
        let now = SystemTime::now();
        let pairs = http.tls_cert.iter().zip(&http.tls_key);
        let certified = pairs.map(|(certificates, key)| {
            Certified::new(certificates.clone(), key.clone(), now).map_err(|unusable| match unusable {
                Unusable::Certificate(flaw) => anyhow!("`{}` {flaw}", certificates.path().display()),
                Unusable::Key(flaw) => anyhow!("`{}` {flaw}", key.path().display()),
            })
        });
        let identities = Arc::new(Identities::new(certified.collect::<anyhow::Result<Vec<_>>>()?));
        let client_auth = http.tls_client_auth;
        let client_ca = http.tls_client_ca.clone().filter(|_| client_auth != ClientAuth::None);
        let in_force = InForce::new(identities, client_ca, client_auth, None)?;
        let reloads = Reloads::default();
        let (in_force, timeout) = (RwLock::new(in_force), http.handshake_timeout.0);
        Ok(Some(Self { in_force, client_auth, timeout, handshakes: Handshakes::default(), reloads }))
    }

    fn in_force(&self) -> InForce {
        self.in_force.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn config(&self) -> Arc<ServerConfig> {
        self.in_force.read().unwrap_or_else(PoisonError::into_inner).config.clone()
    }

    /// The certificates in force, in the order of the settings.
    pub(crate) fn certificates(&self) -> Vec<Shown> {
        let now = SystemTime::now();
        let shown = |one: &Certified| Shown {
            file: one.certificates.path().display().to_string(),
            names: one.described.names.clone(),
            expires_in: one.described.not_after.duration_since(now).unwrap_or_default(),
        };
        self.in_force().identities.all().iter().map(shown).collect()
    }

    /// Why files that have changed are not in force; empty where all are.
    pub(crate) fn reload_error(&self) -> Option<String> {
        self.reloads.error()
    }

    /// Has the metrics tell of handshakes, and of the time that certificates have left.
    pub(crate) fn observe(self: &Arc<Self>, metrics: &host_metrics::Host) {
        self.handshakes.observe(metrics);
        self.reloads.observe(metrics);
        for (at, shown) in self.certificates().into_iter().enumerate() {
            let tls = Arc::clone(self);
            let read = move || {
                let identities = tls.in_force().identities;
                let end = identities.all().get(at)?.described.not_after;
                Some(end.duration_since(SystemTime::now()).unwrap_or_default().as_secs())
            };
            metrics.observe(&host_metrics::TLS_CERTIFICATE_EXPIRY, &[("file", &shown.file)], read);
        }
    }
}

impl InForce {
    /// `tickets` are those that were given out before, which stay good.
    fn new(
        identities: Arc<Identities>,
        client_ca: Option<Certificates>,
        client_auth: ClientAuth,
        tickets: Option<Arc<dyn ProducesTickets>>,
    ) -> anyhow::Result<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .context("TLS has no version to speak")?;
        let builder = match &client_ca {
            None => builder.with_no_client_auth(),
            Some(authorities) => {
                let mut roots = RootCertStore::empty();
                for authority in authorities.certificates() {
                    roots.add(authority.clone()).context("http.tls-client-ca has a malformed certificate")?;
                }
                let mut verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
                if client_auth == ClientAuth::Optional {
                    verifier = verifier.allow_unauthenticated();
                }
                builder.with_client_cert_verifier(verifier.build().context("http.tls-client-ca")?)
            }
        };
        let mut config = builder.with_cert_resolver(identities.clone());
        config.alpn_protocols = ALPN.map(<[u8]>::to_vec).into();
        // Clients come back without a second key exchange, and nothing is kept for them here.
        config.ticketer = match tickets {
            Some(tickets) => tickets,
            None => rustls::crypto::ring::Ticketer::new().context("no keys for session tickets")?,
        };
        Ok(Self { config: Arc::new(config), identities, client_ca })
    }
}
