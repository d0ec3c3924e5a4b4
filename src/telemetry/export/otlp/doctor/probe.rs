//! The way to an endpoint, step by step: its name, TCP, a proxy, TLS. Nothing is sent here but what opens a connection.

use super::super::Route;
use super::super::connect::{self, Connections};
use super::certificate::Certificate;
use super::{Outcome, Step};
use crate::config::{Protocol, Transport};
use http::{HeaderValue, Uri};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Time that a port has to show what it speaks: it is asked only when something failed.
const LISTEN: Duration = Duration::from_secs(1);
/// More than this of an answer to CONNECT is not read.
const MAX_HEAD: usize = 8 * 1024;

/// What leads to an endpoint; the same for signals that go to one place.
#[derive(Clone)]
pub(super) struct Way {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) encrypted: bool,
    pub(super) transport: Transport,
    pub(super) proxy: Option<Proxy>,
    limit: Duration,
}

/// A proxy in front of the endpoint.
#[derive(Clone)]
pub(super) struct Proxy {
    pub(super) uri: Uri,
    /// It passes on bytes; else requests.
    tunnel: bool,
    auth: Option<HeaderValue>,
}

/// What was found on the way.
pub(super) struct Probe {
    pub(super) steps: Vec<Step>,
    pub(super) trouble: Option<Trouble>,
}

/// Where the way ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    NoSuchName,
    LookupTooLong,
    Refused,
    /// Packets are swallowed.
    ConnectTooLong,
    Unreachable,
    /// The proxy answered CONNECT with this status, or with nothing that is one.
    Tunnel(Option<u16>),
    /// The port does not speak TLS.
    NoTls,
    /// The name on the certificate is another.
    Name,
    UnknownAuthority,
    /// None is known at all.
    NoAuthorities,
    Expired,
    NotYetValid,
    TlsTooLong,
    /// TLS, but not the HTTP of the protocol.
    NoCommonHttp,
    OtherTls,
}

/// What answers at a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaks {
    /// TLS, with anything inside.
    Tls,
    Http1,
    /// HTTP/2 from the first byte, as gRPC does.
    Http2,
    /// It accepts connections, and says nothing that is known.
    Nothing,
    /// Nobody is there, or not to be asked.
    Nobody,
}

impl Way {
    pub(super) fn new(route: &Route, connections: &Connections, limit: Duration) -> Self {
        let encrypted = route.url.scheme_str() == Some("https");
        let host = route.url.host().unwrap_or_default();
        let proxy = connections.proxy_to(&route.url).map(|(proxy, tunnel)| Proxy {
            uri: proxy.uri().clone(),
            tunnel,
            auth: proxy.basic_auth().cloned(),
        });
        Way {
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: route.url.port_u16().unwrap_or(if encrypted { 443 } else { 80 }),
            encrypted,
            transport: route.transport.clone(),
            proxy,
            limit,
        }
    }

    /// Whether both lead to the same place in the same way.
    pub(super) fn is_same(&self, other: &Way) -> bool {
        let proxy = |way: &Way| way.proxy.as_ref().map(|proxy| proxy.uri.clone());
        (&self.host, self.port, self.encrypted, &self.transport, proxy(self))
            == (&other.host, other.port, other.encrypted, &other.transport, proxy(other))
    }

    /// Whom a connection is opened to.
    fn first(&self) -> (String, u16) {
        match &self.proxy {
            None => (self.host.clone(), self.port),
            Some(proxy) => {
                let host = proxy.uri.host().unwrap_or_default();
                let default = if proxy.uri.scheme_str() == Some("https") { 443 } else { 80 };
                let port = proxy.uri.port_u16().unwrap_or(default);
                (host.trim_start_matches('[').trim_end_matches(']').to_owned(), port)
            }
        }
    }
}

impl Proxy {
    /// Without a password.
    pub(super) fn for_people(&self) -> String {
        super::super::client::for_people(&self.uri).trim_end_matches('/').to_owned()
    }
}

/// Goes as far as it can.
pub(super) async fn walk(way: &Way) -> Probe {
    let mut steps = Vec::new();
    let trouble = go(way, &mut steps).await.err();
    Probe { steps, trouble }
}

async fn go(way: &Way, steps: &mut Vec<Step>) -> Result<(), Trouble> {
    if let Some(proxy) = &way.proxy {
        let how = if proxy.tunnel { "by a tunnel" } else { "which sends requests on" };
        let text = format!("{}, {how}", proxy.for_people());
        steps.push(Step::new("proxy", Outcome::Worked, text, None));
    }
    let addresses = resolve(way, steps).await?;
    let mut stream = open(way, &addresses, steps).await?;
    if let Some(proxy) = &way.proxy {
        if proxy.uri.scheme_str() == Some("https") || !proxy.tunnel {
            // What is beyond it, only requests find out.
            return Ok(());
        }
        let since = Instant::now();
        let told = match timeout(way.limit, connect_through(&mut stream, way, proxy)).await {
            Ok(Ok(Some(status @ 200..300))) => (Outcome::Worked, format!("opened ({status})"), None),
            Ok(Ok(Some(status))) => {
                (Outcome::Failed, format!("the proxy answered {status}"), Some(Trouble::Tunnel(Some(status))))
            }
            Ok(Ok(None)) => {
                (Outcome::Failed, "the answer is none of a proxy".to_owned(), Some(Trouble::Tunnel(None)))
            }
            Ok(Err(error)) => (Outcome::Failed, error.to_string(), Some(Trouble::Tunnel(None))),
            Err(_) => (
                Outcome::Failed,
                format!("no answer of the proxy within {:?}", way.limit),
                Some(Trouble::Tunnel(None)),
            ),
        };
        steps.push(Step::new("tunnel", told.0, told.1, Some(since)));
        if let Some(trouble) = told.2 {
            return Err(trouble);
        }
    }
    if way.encrypted { tls(way, stream, steps).await } else { Ok(()) }
}

async fn resolve(way: &Way, steps: &mut Vec<Step>) -> Result<Vec<SocketAddr>, Trouble> {
    let (host, port) = way.first();
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let since = Instant::now();
    let found = timeout(way.limit, tokio::net::lookup_host((host.as_str(), port))).await;
    let (text, result) = match found {
        Ok(Ok(addresses)) => {
            let mut addresses: Vec<SocketAddr> = addresses.collect();
            addresses.dedup();
            let all = addresses.iter().take(4).map(|address| address.ip().to_string()).collect::<Vec<_>>();
            if addresses.is_empty() {
                (format!("{host} has no address"), Err(Trouble::NoSuchName))
            } else {
                (format!("{host} is {}", all.join(", ")), Ok(addresses))
            }
        }
        Ok(Err(error)) => (format!("{host} cannot be resolved: {error}"), Err(Trouble::NoSuchName)),
        Err(_) => (format!("no answer about {host} within {:?}", way.limit), Err(Trouble::LookupTooLong)),
    };
    let outcome = if result.is_ok() { Outcome::Worked } else { Outcome::Failed };
    steps.push(Step::new("name", outcome, text, Some(since)));
    result
}

async fn open(way: &Way, addresses: &[SocketAddr], steps: &mut Vec<Step>) -> Result<TcpStream, Trouble> {
    let since = Instant::now();
    let deadline = tokio::time::Instant::now() + way.limit;
    let mut failed = Vec::new();
    let mut trouble = Trouble::Unreachable;
    for (index, address) in addresses.iter().enumerate() {
        // An address that swallows packets must leave time for those behind it.
        let left = deadline.saturating_duration_since(tokio::time::Instant::now());
        let share = left / u32::try_from(addresses.len() - index).unwrap_or(1);
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                steps.push(Step::new("connect", Outcome::Worked, address.to_string(), Some(since)));
                return Ok(stream);
            }
            Ok(Err(error)) => {
                trouble = match error.kind() {
                    io::ErrorKind::ConnectionRefused => Trouble::Refused,
                    io::ErrorKind::TimedOut => Trouble::ConnectTooLong,
                    _ => Trouble::Unreachable,
                };
                failed.push(format!("{address}: {error}"));
            }
            Err(_) => {
                trouble = Trouble::ConnectTooLong;
                failed.push(format!("{address}: no answer within {share:?}"));
            }
        }
    }
    failed.truncate(3);
    steps.push(Step::new("connect", Outcome::Failed, failed.join("; "), Some(since)));
    Err(trouble)
}

/// The status with which a proxy answers.
async fn connect_through(stream: &mut TcpStream, way: &Way, proxy: &Proxy) -> io::Result<Option<u16>> {
    let host = if way.host.contains(':') { format!("[{}]", way.host) } else { way.host.clone() };
    let to = format!("{host}:{}", way.port);
    let mut request = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n").into_bytes();
    if let Some(auth) = &proxy.auth {
        request.extend_from_slice(b"Proxy-Authorization: ");
        request.extend_from_slice(auth.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    stream.write_all(&request).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < MAX_HEAD {
        // By the byte, as what is behind the head belongs to the endpoint.
        let mut byte = [0];
        if stream.read(&mut byte).await? == 0 {
            break;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let status = head.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1)?.get(..3)?.parse().ok());
    Ok(status)
}

async fn tls(way: &Way, stream: TcpStream, steps: &mut Vec<Step>) -> Result<(), Trouble> {
    let since = Instant::now();
    let mut fail = |text: String, trouble| {
        steps.push(Step::new("TLS", Outcome::Failed, text, Some(since)));
        Err(trouble)
    };
    let roots = connect::roots(&way.transport, true);
    if roots.is_empty() {
        return fail("no certificate authority is known here".to_owned(), Trouble::NoAuthorities);
    }
    let Ok(name) = ServerName::try_from(way.host.clone()) else {
        return fail(format!("{} is no name for a certificate", way.host), Trouble::OtherTls);
    };
    let mut config = connect::tls(roots.clone(), Some(&way.transport));
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

fn witness(config: &mut ClientConfig, roots: rustls::RootCertStore) -> anyhow::Result<Arc<Witness>> {
    let judge =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), config.crypto_provider().clone());
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

/// What the endpoint of a way speaks; not asked through a proxy.
pub(super) async fn speaks(way: &Way) -> Speaks {
    if way.proxy.is_some() || way.encrypted {
        return Speaks::Nobody;
    }
    speaks_at(&way.host, way.port).await
}

/// What listens at a port of this machine.
pub(crate) async fn speaks_here(port: u16) -> Speaks {
    speaks_at("localhost", port).await
}

async fn speaks_at(host: &str, port: u16) -> Speaks {
    /// Begins HTTP/2, with settings that change nothing.
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    /// Asks for TLS 1.2, which every server of TLS answers, if only with an alert.
    const HELLO: &[u8] = &[
        22, 3, 1, 0, 47, 1, 0, 0, 43, 3, 3, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
        7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 0, 0, 4, 0xc0, 0x2f, 0xc0, 0x2b, 1, 0,
    ];
    let request = format!("OPTIONS / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let mut found = Speaks::Nobody;
    for opening in [PREFACE, HELLO, request.as_bytes()] {
        let Ok(answer) = timeout(LISTEN, ask(host, port, opening)).await.unwrap_or(Ok(Vec::new())) else {
            return found;
        };
        found = Speaks::Nothing;
        let text = String::from_utf8_lossy(&answer);
        match answer.as_slice() {
            // Frames of settings.
            [_, _, _, 4, ..] => return Speaks::Http2,
            // Alerts and handshakes.
            [21 | 22, 3, ..] => return Speaks::Tls,
            _ if text.starts_with("HTTP/1.") => {
                return if text.contains("HTTPS server") { Speaks::Tls } else { Speaks::Http1 };
            }
            _ => {}
        }
    }
    found
}

/// The first bytes that come for `opening`; the error is that nobody is there.
async fn ask(host: &str, port: u16, opening: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect((host, port)).await?;
    let mut answer = vec![0; 512];
    let read = async {
        stream.write_all(opening).await?;
        stream.read(&mut answer).await
    };
    let count = read.await.unwrap_or(0);
    answer.truncate(count);
    Ok(answer)
}
