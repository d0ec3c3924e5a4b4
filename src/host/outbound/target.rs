//! Where a request goes, read from its URI once and strictly.
//!
//! Policy, resolver and connector all use this reading, so that nothing can be
//! allowed as one host and dialled as another.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use http::Uri;

/// Longest host name that DNS can carry.
const LONGEST_NAME: usize = 253;

/// Scheme, host and port of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target<'a> {
    pub(super) scheme: Scheme,
    pub(super) host: Host<'a>,
    pub(super) port: u16,
}

/// The schemes that a guest may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    Http,
    Https,
}

/// A host, in the one form that rules are compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Host<'a> {
    /// An address literal.
    Address(IpAddr),
    /// A name in lower case without the root's dot. Also what `getaddrinfo` may
    /// yet read as an address (`2130706433`, `0x7f.1`).
    Name(Cow<'a, str>),
}

impl Scheme {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    pub(super) fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl<'a> Target<'a> {
    /// Reads scheme, host and port; the error says what is wrong with the URI.
    pub(super) fn of(uri: &'a Uri) -> Result<Self, &'static str> {
        let scheme = match uri.scheme_str() {
            Some("http") => Scheme::Http,
            Some("https") => Scheme::Https,
            Some(_) => return Err("its scheme is neither http nor https"),
            None => return Err("its URI has no scheme"),
        };
        let authority = uri.authority().ok_or("its URI has no host")?.as_str();
        if authority.contains('@') {
            return Err("its URI carries a user name or password");
        }
        let (host, port) = match authority.find(']') {
            Some(end) => authority.split_at(end + 1),
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        // `Authority::port_u16` says "none" to a port beyond 65535; that must not
        // come to mean the default one.
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => scheme.default_port(),
            Some("") => scheme.default_port(),
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => match digits.parse() {
                Ok(port) if port != 0 => port,
                _ => return Err("its port is out of range"),
            },
            _ => return Err("its port is not a number"),
        };
        Ok(Self { scheme, host: Host::parse(host)?, port })
    }
}

impl<'a> Host<'a> {
    /// Reads the host of a URI or of a rule.
    pub(super) fn parse(text: &'a str) -> Result<Self, &'static str> {
        if let Some(inner) = text.strip_prefix('[') {
            let address = inner.strip_suffix(']').and_then(|ip| ip.parse::<Ipv6Addr>().ok());
            return address.map(|ip| Self::Address(ip.into())).ok_or("its host is not an IPv6 address");
        }
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(address));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        if name.is_empty() || name.len() > LONGEST_NAME {
            return Err("its host is empty or too long");
        }
        // `127.0.0.1.` is nobody's name.
        if name.parse::<IpAddr>().is_ok() {
            return Err("its host is neither a name nor an address");
        }
        Ok(Self::Name(if name.bytes().any(|b| b.is_ascii_uppercase()) {
            Cow::Owned(name.to_ascii_lowercase())
        } else {
            Cow::Borrowed(name)
        }))
    }

    /// Frees the host from the text it was read from.
    pub(super) fn into_owned(self) -> Host<'static> {
        match self {
            Self::Address(ip) => Host::Address(ip),
            Self::Name(name) => Host::Name(Cow::Owned(name.into_owned())),
        }
    }
}

impl fmt::Display for Host<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Self::Address(ip) => ip.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// As a rule of `guest.allow-outbound` that names exactly this target.
impl fmt::Display for Target<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.as_str(), self.host)?;
        if self.port != self.scheme.default_port() {
            write!(f, ":{}", self.port)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(uri: &str) -> Result<String, &'static str> {
        let uri: Uri = uri.parse().unwrap();
        Target::of(&uri).map(|t| t.to_string())
    }

    #[test]
    fn one_form_for_each_target() {
        for (uri, expected) in [
            ("http://example.com/a?b", "http://example.com"),
            ("http://EXAMPLE.com.:80/", "http://example.com"),
            ("https://example.com:443", "https://example.com"),
            ("https://example.com:80", "https://example.com:80"),
            ("https://example.com:", "https://example.com"),
            ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
            ("http://[0:0::1]/", "http://[::1]"),
            ("http://[::1]:8080/", "http://[::1]:8080"),
            ("http://2130706433/", "http://2130706433"),
        ] {
            assert_eq!(text(uri).as_deref(), Ok(expected), "{uri}");
        }
    }

    #[test]
    fn refuses_what_could_be_read_in_two_ways() {
        for uri in [
            "/relative",
            "ftp://example.com/",
            "http://user@example.com/",
            "http://allowed.example@127.0.0.1/",
            "http://user:pass@example.com/",
            "http://example.com:99999/",
            "http://example.com:0/",
            "http://[::1]x:80/",
            "http://[v1.fe80]/",
            "http://127.0.0.1./",
            "http://./",
        ] {
            // What `Uri` itself refuses never gets here.
            if let Ok(parsed) = uri.parse::<Uri>() {
                assert!(Target::of(&parsed).is_err(), "{uri}");
            }
        }
    }

    #[test]
    fn a_name_longer_than_dns_allows_is_refused() {
        assert!(text(&format!("http://{}/", "a".repeat(254))).is_err());
        assert!(text(&format!("http://{}/", "a".repeat(253))).is_ok());
    }
}
