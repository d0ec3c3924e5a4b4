//! Addresses to listen on.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use super::{Invalid, Place, Value};

/// Address to listen on: in texts `HOST:PORT` (port 0 picks a free one) or `unix:PATH`.
///
/// ```
/// use pounce::config::ListenAddr;
/// use std::net::Ipv4Addr;
///
/// assert_eq!(ListenAddr::from((Ipv4Addr::LOCALHOST, 8080)), "127.0.0.1:8080".parse()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ListenAddr {
    /// IP address and port.
    Tcp(SocketAddr),
    /// Name whose first address that can be had is listened on.
    Host {
        /// Name as the resolver takes it, or an IPv6 address with its zone, in brackets.
        name: String,
        /// TCP port.
        port: u16,
    },
    /// Path of a Unix socket; the file is made, and removed with the listener.
    Unix(PathBuf),
}

impl From<SocketAddr> for ListenAddr {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

impl<I: Into<IpAddr>> From<(I, u16)> for ListenAddr {
    fn from(address: (I, u16)) -> Self {
        Self::Tcp(address.into())
    }
}

impl ListenAddr {
    /// The host as it stands in the authority of a URL; none of a Unix socket.
    pub(crate) fn host(&self) -> Option<String> {
        match self {
            Self::Tcp(SocketAddr::V4(address)) => Some(address.ip().to_string()),
            Self::Tcp(SocketAddr::V6(address)) => Some(format!("[{}]", address.ip())),
            Self::Host { name, .. } => Some(name.clone()),
            Self::Unix(_) => None,
        }
    }

    /// Whether only one socket can be at both, as far as it can be told without asking for names.
    pub(crate) fn collides(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Unix(one), Self::Unix(other)) => one == other,
            (Self::Tcp(one), Self::Tcp(other)) => overlap(*one, *other),
            (Self::Host { name, port }, Self::Host { name: other, port: others }) => {
                port == others && *port != 0 && name.eq_ignore_ascii_case(other)
            }
            _ => false,
        }
    }
}

/// Whether only one socket can listen at both addresses. All of IPv6 is all of IPv4, too, unless the machine is set up
/// otherwise.
pub(crate) fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let covers = |all: IpAddr, ip: IpAddr| all.is_unspecified() && (all.is_ipv6() || ip.is_ipv4());
    let (a, b) = (one.ip().to_canonical(), other.ip().to_canonical());
    one.port() == other.port() && one.port() != 0 && (a == b || covers(a, b) || covers(b, a))
}

const HINT: &str = "write HOST:PORT, such as 127.0.0.1:8080 or [::]:8080, or unix:PATH";

impl FromStr for ListenAddr {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match path {
                "" => Err(Invalid::new("names no socket", "write unix:PATH, such as unix:/run/pounce.sock")),
                path => Ok(Self::Unix(path.into())),
            };
        }
        let text = text.trim();
        if let Some((scheme, _)) = text.split_once("://") {
            let hint = format!("leave out `{scheme}://`: write HOST:PORT, such as 127.0.0.1:8080");
            return Err(Invalid::new("is a URL, not an address", hint));
        }
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            let hint = format!("write 127.0.0.1:{text}, or 0.0.0.0:{text} for all networks");
            return Err(Invalid::new("is only a port", hint));
        }
        let Some((host, port)) = text.rsplit_once(':') else {
            return Err(Invalid::new("has no port", HINT));
        };
        let number = port.parse().ok().filter(|_| port.bytes().all(|byte| byte.is_ascii_digit()));
        let Some(number) = number else {
            return Err(Invalid::new(
                "has no valid port",
                "write a port from 0 (pick one) to 65535 after the colon",
            ));
        };
        if host.is_empty() {
            let hint = format!("write 127.0.0.1:{port}, or 0.0.0.0:{port} for all networks");
            return Err(Invalid::new("names no host", hint));
        }
        if !is_host(host) {
            return Err(Invalid::new("has no valid host", HINT));
        }
        Ok(text.parse().map_or_else(|_| Self::Host { name: host.to_owned(), port: number }, Self::Tcp))
    }
}

fn is_host(host: &str) -> bool {
    match host.strip_prefix('[') {
        // A zone (`%eth0`) is for the resolver to judge.
        Some(rest) => rest.strip_suffix(']').is_some_and(|inner| {
            inner.split('%').next().is_some_and(|address| address.parse::<Ipv6Addr>().is_ok())
        }),
        None => host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_')),
    }
}

impl fmt::Display for ListenAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Host { name, port } => write!(f, "{name}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Value for ListenAddr {
    fn read(text: &str, place: &Place<'_>) -> Result<Self, Invalid> {
        Ok(match text.parse()? {
            Self::Unix(path) => Self::Unix(place.path(&path)),
            tcp => tcp,
        })
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_sockets_are_read() {
        for text in ["127.0.0.1:8080", "[::1]:80", "[fe80::1%2]:80"] {
            assert_eq!(text.parse(), Ok(ListenAddr::Tcp(text.parse().unwrap())));
        }
        for (host, port) in [("localhost", 0), ("a-b.example", 65535), ("[fe80::1%eth0]", 80)] {
            let text = format!("{host}:{port}");
            let address = ListenAddr::Host { name: host.to_owned(), port };
            assert_eq!((address.to_string(), text.parse()), (text, Ok(address.clone())));
            assert_eq!(address.host().as_deref(), Some(host));
        }
        let host = |text: &str| text.parse::<ListenAddr>().unwrap().host();
        assert_eq!(host("[::1]:80").as_deref(), Some("[::1]"));
        assert_eq!(host("unix:/run/x.sock"), None);
        assert_eq!("unix:/run/x.sock".parse(), Ok(ListenAddr::Unix("/run/x.sock".into())));
    }

    #[test]
    fn one_socket_for_two_addresses_is_found() {
        let collide = |one: &str, other: &str| {
            let (one, other): (ListenAddr, ListenAddr) = (one.parse().unwrap(), other.parse().unwrap());
            assert_eq!(one.collides(&other), other.collides(&one));
            one.collides(&other)
        };
        for (one, other) in [
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("0.0.0.0:80", "127.0.0.1:80"),
            ("[::]:80", "[::1]:80"),
            ("[::]:80", "10.0.0.1:80"),
            ("[::]:80", "0.0.0.0:80"),
            ("localhost:80", "LOCALHOST:80"),
            ("unix:/a", "unix:/a"),
        ] {
            assert!(collide(one, other), "{one} {other}");
        }
        for (one, other) in [
            ("127.0.0.1:80", "127.0.0.1:81"),
            ("127.0.0.1:0", "127.0.0.1:0"),
            ("localhost:0", "localhost:0"),
            ("127.0.0.1:80", "127.0.0.2:80"),
            ("0.0.0.0:80", "[::1]:80"),
            ("unix:/a", "unix:/b"),
            ("unix:/a", "127.0.0.1:80"),
        ] {
            assert!(!collide(one, other), "{one} {other}");
        }
    }

    #[test]
    fn a_mistake_says_what_to_write() {
        let hint = |text: &str| text.parse::<ListenAddr>().unwrap_err().hint;
        assert!(hint("8080").contains("127.0.0.1:8080"));
        assert!(hint(":8080").contains("0.0.0.0:8080"));
        assert!(hint("http://localhost:80").contains("leave out `http://`"));
        for text in
            ["", "localhost", "localhost:", "localhost:+1", "a:65536", "::1:80", "[::1:80", "a b:80", "unix:"]
        {
            assert!(!hint(text).is_empty(), "{text}");
        }
    }
}
