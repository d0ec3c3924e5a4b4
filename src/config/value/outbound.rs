//! Which hosts a guest may call; `host/outbound` says what a rule means.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use super::Invalid;

/// One entry of `guest.allow-outbound`: `[scheme://]host[:port]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OutboundRule {
    /// `http` or `https`; both when absent.
    pub scheme: Option<String>,
    /// The hosts that match.
    pub host: HostPattern,
    /// The ports that match.
    pub port: PortPattern,
}

/// Hosts by name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// One host, in lower case; an IPv6 address stands without brackets.
    Exact(String),
    /// `*.example.com`, kept as `example.com`: every name below it, not itself.
    Suffix(String),
    /// `*`.
    Any,
}

impl HostPattern {
    /// Whether it is, or stands for, the host `name`, which is in lower case and has no dot at its end.
    pub(crate) fn covers(&self, name: &str) -> bool {
        match self {
            Self::Exact(own) => own == name,
            Self::Suffix(own) => name.strip_suffix(&**own).is_some_and(|rest| rest.ends_with('.')),
            Self::Any => true,
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) if host.contains(':') => write!(f, "[{host}]"),
            Self::Exact(host) => f.write_str(host),
            Self::Suffix(name) => write!(f, "*.{name}"),
            Self::Any => f.write_str("*"),
        }
    }
}

/// Ports by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PortPattern {
    /// None given: 80 for http, 443 for https.
    Default,
    /// This one.
    Exact(u16),
    /// `*`.
    Any,
}

const HINT: &str = "write [scheme://]host[:port], such as https://api.example.com, *.example.com:443, http://127.0.0.1:* or *";

impl FromStr for OutboundRule {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let text = text.trim().to_ascii_lowercase();
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme @ ("http" | "https"), rest)) => (Some(scheme.to_owned()), rest),
            Some(_) => {
                return Err(Invalid::new(
                    "has an unknown scheme",
                    "write http://, https:// or none for both",
                ));
            }
            None => (None, text.as_str()),
        };
        if rest.contains(['/', '?', '#']) {
            return Err(Invalid::new("has a path", "leave out what follows the host: rules are about hosts"));
        }
        if rest.contains('@') {
            return Err(Invalid::new("has a user name", "leave it out: rules are about hosts"));
        }
        let (host, port) = split_port(rest)?;
        let host = read_host(host)?;
        // Any public host is any service of it.
        let port =
            if host == HostPattern::Any && port == PortPattern::Default { PortPattern::Any } else { port };
        Ok(Self { scheme, host, port })
    }
}

/// Splits off the port; an IPv6 address keeps its brackets.
fn split_port(text: &str) -> Result<(&str, PortPattern), Invalid> {
    let after_brackets = text.rfind(']').map_or(0, |end| end + 1);
    let Some(colon) = text[after_brackets..].find(':') else {
        return Ok((text, PortPattern::Default));
    };
    let (host, port) = (&text[..after_brackets + colon], &text[after_brackets + colon + 1..]);
    if port == "*" {
        return Ok((host, PortPattern::Any));
    }
    if port.contains(':') {
        return Err(Invalid::new("has too many colons", "put brackets around an IPv6 address: [::1]:8080"));
    }
    match port.parse() {
        Ok(number) if number > 0 && !port.starts_with('+') => Ok((host, PortPattern::Exact(number))),
        _ => Err(Invalid::new("has no valid port", "write a port from 1 to 65535, or * for any")),
    }
}

pub(super) fn read_host(host: &str) -> Result<HostPattern, Invalid> {
    if host == "*" {
        return Ok(HostPattern::Any);
    }
    if let Some(inner) = host.strip_prefix('[') {
        let address = inner.strip_suffix(']').and_then(|inner| inner.parse::<Ipv6Addr>().ok());
        return address
            .map(|address| HostPattern::Exact(address.to_string()))
            .ok_or_else(|| Invalid::new("has no valid IPv6 address", "write it in brackets: [::1]:8080"));
    }
    let (name, pattern): (_, fn(String) -> HostPattern) = match host.strip_prefix("*.") {
        Some(name) => (name, HostPattern::Suffix),
        None => (host, HostPattern::Exact),
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.contains('*') {
        return Err(Invalid::new(
            "has a * inside a name",
            "a * stands for everything or, as *., for all names below",
        ));
    }
    if !name.is_ascii() {
        return Err(Invalid::new("has a host that is not ASCII", "write it as DNS does, with xn--"));
    }
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    if !name.split('.').all(is_label) {
        return Err(Invalid::new("names no valid host", HINT));
    }
    Ok(pattern(name.to_owned()))
}

impl fmt::Display for OutboundRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(scheme) = &self.scheme {
            write!(f, "{scheme}://")?;
        }
        write!(f, "{}", self.host)?;
        match self.port {
            PortPattern::Default => Ok(()),
            PortPattern::Exact(port) => write!(f, ":{port}"),
            PortPattern::Any => f.write_str(":*"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> OutboundRule {
        text.parse().unwrap()
    }

    #[test]
    fn rules_of_every_shape_are_read() {
        let https = rule("https://API.example.com");
        assert_eq!(https.scheme.as_deref(), Some("https"));
        assert_eq!(https.host, HostPattern::Exact("api.example.com".into()));
        assert_eq!(https.port, PortPattern::Default);
        assert_eq!(rule("*.example.com:443").host, HostPattern::Suffix("example.com".into()));
        assert_eq!(rule("http://127.0.0.1:*").port, PortPattern::Any);
        assert_eq!(rule("*").host, HostPattern::Any);
        assert_eq!(rule("[::1]:8080").host, HostPattern::Exact("::1".into()));
        assert_eq!(rule("[0:0::1]").to_string(), "[::1]");
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        for text in [
            "",
            "ftp://x",
            "https://x/y",
            "https://",
            "a@b",
            "x:",
            "x:0",
            "x:+1",
            "x:65536",
            "::1",
            "[::1",
            "[::1]x",
            "*x.com",
            "*.",
            "a..b",
            "a b",
            "bücher.de",
            "http://x?y",
            ":80",
            "*.*.com",
        ] {
            assert!(text.parse::<OutboundRule>().is_err(), "{text}");
        }
    }
}
