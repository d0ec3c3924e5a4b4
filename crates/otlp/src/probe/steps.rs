//! The way to an endpoint, step by step: its name, TCP, a proxy, TLS. Nothing is sent here but what opens a connection.

use super::step::{Outcome, Step};
use super::tls;
use crate::send::{Connections, Target, for_people};
use crate::settings::{Names, Transport};
use http::{HeaderValue, Uri};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

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
    pub(super) names: &'static Names,
    /// Longest time for one step.
    pub(super) limit: Duration,
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

impl Way {
    pub(super) fn new(to: &Target, connections: &Connections, limit: Duration) -> Self {
        let encrypted = to.url().scheme_str() == Some("https");
        let host = to.url().host().unwrap_or_default();
        let proxy = connections.proxy_to(to.url()).map(|(proxy, tunnel)| Proxy {
            uri: proxy.uri().clone(),
            tunnel,
            auth: proxy.basic_auth().cloned(),
        });
        Way {
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: to.url().port_u16().unwrap_or(if encrypted { 443 } else { 80 }),
            encrypted,
            transport: to.endpoint.transport.clone(),
            proxy,
            names: to.endpoint.names,
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
    /// Whether it is told who we are.
    pub(super) fn has_password(&self) -> bool {
        self.auth.is_some()
    }

    /// Without a password.
    pub(super) fn for_people(&self) -> String {
        for_people(&self.uri).trim_end_matches('/').to_owned()
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
    if way.encrypted { tls::shake_hands(way, stream, steps).await } else { Ok(()) }
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
                failed.push(format!("{address}: no answer within {:?}", rounded(share)));
            }
        }
    }
    failed.truncate(3);
    steps.push(Step::new("connect", Outcome::Failed, failed.join("; "), Some(since)));
    Err(trouble)
}

/// In whole milliseconds: a share of a time has digits that nobody wants to read.
fn rounded(time: Duration) -> Duration {
    Duration::from_millis(u64::try_from((time + Duration::from_micros(500)).as_millis()).unwrap_or(u64::MAX))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_a_time_is_told_in_whole_milliseconds() {
        let told = |nanos| format!("{:?}", rounded(Duration::from_nanos(nanos)));
        assert_eq!(told(1_999_997_707), "2s");
        assert_eq!(told(133_333_333), "133ms");
    }
}
