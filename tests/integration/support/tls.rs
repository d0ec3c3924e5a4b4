//! Certificates, and clients that speak TLS.

use super::client::Connection;
use super::{Protocol, within};
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Both versions.
pub(crate) const VERSIONS: [&SupportedProtocolVersion; 2] =
    [&rustls::version::TLS12, &rustls::version::TLS13];

/// An authority that makes certificates.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
}

/// A certificate with its key.
pub(crate) struct Pair {
    /// The certificate as PEM.
    pub(crate) certificate: String,
    /// Its key as PEM.
    pub(crate) key: String,
    der: CertificateDer<'static>,
    key_der: PrivateKeyDer<'static>,
}

/// The files of a [`Pair`].
#[derive(Clone)]
pub(crate) struct Files {
    /// The certificate's.
    pub(crate) certificate: PathBuf,
    /// The key's.
    pub(crate) key: PathBuf,
}

impl Authority {
    /// One of this name.
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        Self { issuer: Issuer::new(params, key), certificate }
    }

    /// Its own certificate as PEM.
    pub(crate) fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// Makes a certificate for these hosts.
    pub(crate) fn server(&self, names: &[&str]) -> Pair {
        self.make(names, |_| ())
    }

    /// Makes a certificate for a client of this name.
    pub(crate) fn client(&self, name: &str) -> Pair {
        self.make(&[], |params| {
            params.distinguished_name.push(DnType::CommonName, name);
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        })
    }

    /// Makes a certificate as `change` wants it.
    pub(crate) fn make(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Pair {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("valid names");
        params.distinguished_name = rcgen::DistinguishedName::new();
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let made = params.signed_by(&key, &self.issuer).expect("a certificate");
        Pair {
            certificate: made.pem(),
            key: key.serialize_pem(),
            der: made.der().clone(),
            key_der: PrivateKeyDer::try_from(key.serialize_der()).expect("a key"),
        }
    }

    /// A client that trusts this authority, and speaks these versions.
    pub(crate) fn trusting(&self, versions: &[&'static SupportedProtocolVersion]) -> Client {
        Client { roots: self.certificate.der().clone(), versions: versions.to_vec(), identity: None }
    }
}

impl Pair {
    /// The certificate in DER form.
    pub(crate) fn der(&self) -> &[u8] {
        &self.der
    }

    /// Writes both into `folder`, as `name.pem` and `name.key`; the key for nobody else.
    pub(crate) fn write(&self, folder: &Path, name: &str) -> Files {
        let files = Files {
            certificate: folder.join(format!("{name}.pem")),
            key: folder.join(format!("{name}.key")),
        };
        write_key(&files.key, &self.key);
        std::fs::write(&files.certificate, &self.certificate).expect("a writable folder");
        files
    }
}

/// Writes a file that only its owner may read.
pub(crate) fn write_key(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, text).expect("a writable folder");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("our file");
}

/// How a client speaks TLS.
#[derive(Clone)]
pub(crate) struct Client {
    roots: CertificateDer<'static>,
    versions: Vec<&'static SupportedProtocolVersion>,
    identity: Option<(CertificateDer<'static>, Arc<PrivateKeyDer<'static>>)>,
}

impl Client {
    /// Shows this certificate when it is asked for one.
    pub(crate) fn showing(mut self, pair: &Pair) -> Self {
        self.identity = Some((pair.der.clone(), Arc::new(pair.key_der.clone_key())));
        self
    }

    /// The settings, which remember sessions for as long as they are used.
    pub(crate) fn config(&self, protocols: &[&str]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.roots.clone()).expect("a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&self.versions)
            .expect("versions of the provider")
            .with_root_certificates(roots);
        let mut config = match &self.identity {
            None => config.with_no_client_auth(),
            Some((certificate, key)) => config
                .with_client_auth_cert(vec![certificate.clone()], key.clone_key())
                .expect("they belong together"),
        };
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }

    /// Shakes hands with the server at `addr`, which should be `name`.
    pub(crate) async fn shake_hands(
        &self,
        addr: SocketAddr,
        name: &str,
        protocols: &[&str],
    ) -> io::Result<TlsStream<TcpStream>> {
        shake_hands(self.config(protocols), addr, name).await
    }

    /// Connects, and speaks the version of HTTP that both agree to.
    pub(crate) async fn open(&self, addr: SocketAddr, name: &str, protocol: Protocol) -> Connection {
        let agreed = match protocol {
            Protocol::H1 => "http/1.1",
            Protocol::H2 => "h2",
        };
        let stream = self.shake_hands(addr, name, &[agreed]).await.expect("a handshake");
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(agreed.as_bytes()));
        Connection::encrypted(stream, addr, protocol).await
    }

    /// The certificate, in DER form, that the server shows for `name`; whether the client trusts it or not.
    pub(crate) async fn shown(&self, addr: SocketAddr, name: &str) -> Vec<u8> {
        let stream = self.shake_hands(addr, name, &[]).await.expect("a handshake");
        let chain = stream.get_ref().1.peer_certificates().expect("a server has one");
        chain[0].to_vec()
    }
}

/// Shakes hands with these settings.
pub(crate) async fn shake_hands(
    config: Arc<ClientConfig>,
    addr: SocketAddr,
    name: &str,
) -> io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let stream = TcpStream::connect(addr).await.expect("it listens");
    within("the TLS handshake", TlsConnector::from(config).connect(name, stream)).await
}
