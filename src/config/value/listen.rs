//! Addresses to listen on.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use super::{Invalid, Place, Value};

/// A socket that accepts connections: `HOST:PORT` (port 0 picks a free one) or `unix:PATH`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ListenAddr {
    /// `host:port`; an IPv6 address stands in brackets.
    Tcp(String),
    /// The path of a unix socket.
    Unix(PathBuf),
}

impl ListenAddr {
    /// Whether only one socket can be at both, as far as it can be told without asking for names.
    pub(crate) fn collides(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Unix(one), Self::Unix(other)) => one == other,
            (Self::Tcp(one), Self::Tcp(other)) => match (one.parse(), other.parse()) {
                (Ok(one), Ok(other)) => overlap(one, other),
                _ => one.eq_ignore_ascii_case(other) && !one.ends_with(":0"),
            },
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
        if port.parse::<u16>().is_err() || !port.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Invalid::new(
                "has no valid port",
                "write a port from 0 (pick one) to 65535 after the colon",
            ));
        }
        if host.is_empty() {
            let hint = format!("write 127.0.0.1:{port}, or 0.0.0.0:{port} for all networks");
            return Err(Invalid::new("names no host", hint));
        }
        if !is_host(host) {
            return Err(Invalid::new("has no valid host", HINT));
        }
        Ok(Self::Tcp(text.to_owned()))
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
            Self::Tcp(address) => f.write_str(address),
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
        for text in ["127.0.0.1:8080", "localhost:0", "[::1]:80", "[fe80::1%eth0]:80"] {
            assert_eq!(text.parse(), Ok(ListenAddr::Tcp(text.to_owned())));
        }
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
