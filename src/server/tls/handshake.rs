//! A handshake: in the task of its connection, within its time, counted, and told of where it fails.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ring::digest::{SHA256, digest};
use rustls::pki_types::CertificateDer;
use rustls::{ProtocolVersion, ServerConnection};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::stream::{Encrypted, Metered};
use super::{Tls, plain};
use crate::config::Described;
use pounce_telemetry::TlsClient;
use pounce_telemetry::logs::printable;
use pounce_telemetry::metrics::host as host_metrics;

/// First byte of a client that speaks TLS: the type of record that a handshake is.
const HANDSHAKE: u8 = 0x16;
/// Bytes that wait within TLS for a socket which takes no more: two records.
const BUFFER: usize = 32 * 1024;

/// Why a handshake failed, as metric and log name it.
#[derive(Clone, Copy, Debug)]
enum Cause {
    Timeout,
    Disconnected,
    PlainHttp,
    /// The client's certificate is missing, or nobody vouches for it.
    ClientCertificate,
    /// The client gave up, because it does not trust our certificate, say.
    Alert,
    /// No version, cipher or protocol in common.
    Incompatible,
    Malformed,
}

impl Cause {
    const ALL: [(Self, &str); 7] = [
        (Self::Timeout, "timeout"),
        (Self::Disconnected, "client_disconnected"),
        (Self::PlainHttp, "plain_http"),
        (Self::ClientCertificate, "client_certificate"),
        (Self::Alert, "alert"),
        (Self::Incompatible, "incompatible"),
        (Self::Malformed, "malformed"),
    ];

    fn error_type(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    fn of(error: &io::Error) -> Self {
        use rustls::Error as Tls;
        match error.get_ref().and_then(|inner| inner.downcast_ref::<Tls>()) {
            None => Self::Disconnected,
            Some(Tls::NoCertificatesPresented | Tls::InvalidCertificate(_)) => Self::ClientCertificate,
            Some(Tls::AlertReceived(_)) => Self::Alert,
            Some(Tls::PeerIncompatible(_) | Tls::NoApplicationProtocol) => Self::Incompatible,
            Some(_) => Self::Malformed,
        }
    }
}

/// Versions of TLS, as they are told.
const VERSIONS: [&str; 2] = ["1.2", "1.3"];

/// Handshakes so far.
#[derive(Debug, Default)]
pub(super) struct Handshakes(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// Handshakes that led to a connection, by version.
    done: [AtomicU64; VERSIONS.len()],
    failed: [AtomicU64; Cause::ALL.len()],
}

impl Handshakes {
    fn count_done(&self, version: &str) {
        if let Some(at) = VERSIONS.iter().position(|known| *known == version) {
            self.0.done[at].fetch_add(1, Ordering::Relaxed);
        }
    }

    fn count_failed(&self, cause: Cause) {
        self.0.failed[cause as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn observe(&self, metrics: &host_metrics::Host) {
        let observe = |attribute: (&'static str, &str), read: fn(&Counts, usize) -> u64, at: usize| {
            let counts = Arc::clone(&self.0);
            metrics.observe(&host_metrics::TLS_HANDSHAKES, &[attribute], move || Some(read(&counts, at)));
        };
        for (at, version) in VERSIONS.into_iter().enumerate() {
            let read = |counts: &Counts, at: usize| counts.done[at].load(Ordering::Relaxed);
            observe(("tls.protocol.version", version), read, at);
        }
        for (cause, error_type) in Cause::ALL {
            let read = |counts: &Counts, at: usize| counts.failed[at].load(Ordering::Relaxed);
            observe(("error.type", error_type), read, cause as usize);
        }
    }
}

impl Tls {
    /// Encrypts a connection that has come in from `remote`; with what there is to know of it. None where that failed,
    /// which is counted and told here.
    pub(crate) async fn accept(
        &self,
        stream: TcpStream,
        remote: SocketAddr,
    ) -> Option<(Encrypted, pounce_telemetry::Tls)> {
        let handshake = self.shake_hands(stream);
        let ended = match self.timeout {
            None => handshake.await,
            Some(timeout) => tokio::time::timeout(timeout, handshake).await.unwrap_or_else(|_| {
                Err((Cause::Timeout, format!("it was not over after {timeout:?} (http.handshake-timeout)")))
            }),
        };
        match ended {
            Ok((stream, facts)) => {
                self.handshakes.count_done(facts.version);
                Some((stream, facts))
            }
            Err((cause, message)) => {
                self.handshakes.count_failed(cause);
                let (error_type, message) = (cause.error_type(), printable(&message));
                match cause {
                    // Such as health checks that connect and hang up, and whoever looks for open ports.
                    Cause::Disconnected => {
                        tracing::debug!(error.type = error_type, peer = %remote, "TLS handshake failed: {message}");
                    }
                    _ => {
                        tracing::info!(error.type = error_type, peer = %remote, "TLS handshake failed: {message}");
                    }
                }
                None
            }
        }
    }

    async fn shake_hands(
        &self,
        stream: TcpStream,
    ) -> Result<(Encrypted, pounce_telemetry::Tls), (Cause, String)> {
        let failed = |error: io::Error| (Cause::of(&error), error.to_string());
        let mut first = [0];
        let read = stream.peek(&mut first).await.map_err(failed)?;
        if read > 0 && first[0] != HANDSHAKE && first[0].is_ascii_uppercase() {
            plain::refuse(stream).await;
            return Err((Cause::PlainHttp, "the client speaks plain HTTP: it is told so".to_owned()));
        }
        let acceptor = TlsAcceptor::from(self.config());
        let accepting = acceptor.accept_with(Metered::new(stream), |tls| tls.set_buffer_limit(Some(BUFFER)));
        let stream = accepting.await.map_err(failed)?;
        let facts = describe(stream.get_ref().1);
        Ok((Encrypted::new(stream), facts))
    }
}

/// What spans tell of a connection.
fn describe(connection: &ServerConnection) -> pounce_telemetry::Tls {
    let cipher = connection.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str());
    let client = connection.peer_certificates().and_then(|chain| chain.first());
    pounce_telemetry::Tls {
        version: match connection.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => VERSIONS[0],
            _ => VERSIONS[1],
        },
        cipher: cipher.unwrap_or_default().replacen("TLS13_", "TLS_", 1).into(),
        client: client.map(client_of),
    }
}

fn client_of(certificate: &CertificateDer<'_>) -> TlsClient {
    let subject = Described::read(certificate).map(|described| described.subject).unwrap_or_default();
    let hash = digest(&SHA256, certificate);
    let sha256: String = hash.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
    TlsClient { subject: subject.into(), sha256: sha256.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_stand_where_they_are_counted() {
        for (at, (cause, _)) in Cause::ALL.into_iter().enumerate() {
            assert_eq!(cause as usize, at);
        }
    }
}
