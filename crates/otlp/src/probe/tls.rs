//! TLS with an endpoint: rustls judges, and what it was shown is told.

use super::certificate::Certificate;
use super::step::{Outcome, Step};
use super::steps::{Trouble, Way};
use crate::net::{self, roots};
use crate::settings::Protocol;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{VerifierBuilderError, WebPkiServerVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Shakes hands, as far as it goes.
pub(super) async fn shake_hands(way: &Way, stream: TcpStream, steps: &mut Vec<Step>) -> Result<(), Trouble> {
    let since = Instant::now();
    let mut fail = |text: String, trouble| {
        steps.push(Step::new("TLS", Outcome::Failed, text, Some(since)));
        Err(trouble)
    };
    let roots = roots::of(way.transport.authorities.as_deref(), true, way.names.certificate);
    if roots.is_empty() {
        return fail("no certificate authority is known here".to_owned(), Trouble::NoAuthorities);
    }
    let Ok(name) = ServerName::try_from(way.host.clone()) else {
        return fail(format!("{} is no name for a certificate", way.host), Trouble::OtherTls);
    };
    let mut config = net::tls::client(roots.clone(), way.transport.identity.as_ref());
    config.alpn_protocols = vec![match way.transport.protocol {
        Protocol::Grpc => b"h2".to_vec(),
        Protocol::HttpProtobuf | Protocol::HttpJson => b"http/1.1".to_vec(),
    }];
    let witness = match witness(&mut config, roots) {
        Ok(witness) => witness,
        Err(error) => return fail(error.to_string(), Trouble::OtherTls),
    };
    let handshake = timeout(way.limit, TlsConnector::from(Arc::new(config)).connect(name, stream)).await;
    let certificate = witness.seen();
    match handshake {
        Ok(Ok(stream)) => {
            let (_, session) = stream.get_ref();
            let version = match session.protocol_version() {
                Some(rustls::ProtocolVersion::TLSv1_3) => "1.3",
                _ => "1.2",
            };
            let text = format!("{version}, {}", certificate.unwrap_or_default());
            steps.push(Step::new("TLS", Outcome::Worked, text, Some(since)));
            Ok(())
        }
        Ok(Err(error)) => {
            let trouble = judge(&error);
            let seen = certificate.map(|certificate| format!(" ({certificate})")).unwrap_or_default();
            fail(format!("{error}{seen}"), trouble)
        }
        Err(_) => fail(format!("the handshake did not end within {:?}", way.limit), Trouble::TlsTooLong),
    }
}

fn judge(error: &io::Error) -> Trouble {
    use rustls::{AlertDescription, CertificateError, Error};
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(Error::InvalidMessage(_)) => Trouble::NoTls,
        Some(Error::InvalidCertificate(wrong)) => match wrong {
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Trouble::Name
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Trouble::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                Trouble::NotYetValid
            }
            _ => Trouble::UnknownAuthority,
        },
        Some(Error::AlertReceived(AlertDescription::NoApplicationProtocol)) => Trouble::NoCommonHttp,
        _ => Trouble::OtherTls,
    }
}

/// Lets rustls judge, and remembers what it was shown.
#[derive(Debug)]
struct Witness {
    judge: Arc<WebPkiServerVerifier>,
    shown: Mutex<Option<Vec<u8>>>,
}

fn witness(
    config: &mut ClientConfig,
    roots: Arc<rustls::RootCertStore>,
) -> Result<Arc<Witness>, VerifierBuilderError> {
    let judge = WebPkiServerVerifier::builder_with_provider(roots, config.crypto_provider().clone());
    let witness = Arc::new(Witness { judge: judge.build()?, shown: Mutex::default() });
    config.dangerous().set_certificate_verifier(witness.clone());
    Ok(witness)
}

impl Witness {
    fn seen(&self) -> Option<Certificate> {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.as_ref().map(|der| Certificate::read(der))
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Some(end_entity.to_vec());
        self.judge.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.judge.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.judge.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.judge.supported_verify_schemes()
    }
}
