//! Which names this listener answers to.
//!
//! A browser on this machine reaches loopback. A web page of anybody's may send it there, but can read the answer only if
//! it comes from the page's own origin: for that its author gives its name the address 127.0.0.1 (DNS rebinding). The
//! `Host` is then that name. So on loopback only names count that nobody can give away: addresses, `localhost` and what
//! the settings call the listener. Elsewhere a browser may be in the listener's network, but probes and scrapers use
//! names that we do not know (a service's in a cluster): there the rule holds for pages with traces in them, and the
//! settings (`admin.hosts`) say by which names people look at those. On a unix socket there are no browsers.
//!
//! A request that a web page of another origin sends says so by its `Origin`. It could not read the answer, and nothing
//! here changes the server; it is refused all the same.

use std::net::{Ipv4Addr, Ipv6Addr};

use http::HeaderMap;
use http::header::{HOST, ORIGIN};

use crate::config::AdminHost;

/// The names that the settings give the listener.
pub(crate) struct Names {
    /// The host of `admin.listen`.
    own: Option<String>,
    others: Vec<AdminHost>,
}

impl Names {
    /// The host of `admin.listen`, and `admin.hosts`.
    pub(crate) fn new(own: Option<String>, others: Vec<AdminHost>) -> Self {
        Self { own, others }
    }

    /// Whether a request for `host`, the value of `Host`, asks for a name of this listener.
    pub(super) fn has(&self, host: &str) -> bool {
        let Some(name) = without_port(host) else {
            return false;
        };
        if let Some(address) = name.strip_prefix('[') {
            return address.strip_suffix(']').is_some_and(|address| address.parse::<Ipv6Addr>().is_ok());
        }
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        name.parse::<Ipv4Addr>().is_ok()
            || name == "localhost"
            || name.ends_with(".localhost")
            || self.own.as_ref().is_some_and(|own| own.eq_ignore_ascii_case(&name))
            || self.others.iter().any(|other| other.covers(&name))
    }
}

/// Whether a web page of another origin sends a request with these headers.
pub(super) fn is_of_another_origin(headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let is_own = |origin: &str| {
        let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
    };
    headers.get_all(ORIGIN).iter().any(|origin| !origin.to_str().is_ok_and(is_own))
}

fn without_port(host: &str) -> Option<&str> {
    match host.rfind(':') {
        // The colons of an address of IPv6 stand in brackets.
        Some(at) if !host[at..].contains(']') => {
            host[at + 1..].bytes().all(|byte| byte.is_ascii_digit()).then_some(&host[..at])
        }
        _ => Some(host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names::new(Some("ops.example".to_owned()), vec!["*.shop.svc".parse().unwrap()])
    }

    #[test]
    fn names_that_anybody_can_point_here_are_not_ours() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:8081",
            "[::1]:8081",
            "[::1]",
            "localhost",
            "LocalHost:1",
            "a.localhost:8081",
            "localhost.",
            "10.1.2.3:80",
            "ops.example:8081",
            "OPS.example",
            "pounce.Shop.svc.",
        ] {
            assert!(names().has(host), "{host}");
        }
        for host in [
            "",
            ":8081",
            "evil.example",
            "evil.example:8081",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "evillocalhost",
            "[evil]",
            "[::1",
            "::1",
            "localhost:x",
            "1",
            "0x7f.1",
            "127.0.0.1@evil.example",
        ] {
            assert!(!names().has(host), "{host}");
        }
        assert!(!Names::new(None, Vec::new()).has("ops.example"));
    }

    #[test]
    fn pages_of_other_origins_are_told_by_their_origin() {
        let is_other = |host: &str, origin: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, host.parse().unwrap());
            headers.insert(ORIGIN, origin.parse().unwrap());
            is_of_another_origin(&headers)
        };
        assert!(!is_other("127.0.0.1:8081", "http://127.0.0.1:8081"));
        assert!(!is_other("Ops.example", "https://ops.example"), "behind a proxy that speaks TLS");
        for origin in ["http://127.0.0.1:8080", "http://evil.example", "null", "", "127.0.0.1:8081"] {
            assert!(is_other("127.0.0.1:8081", origin), "{origin}");
        }
        assert!(!is_of_another_origin(&HeaderMap::new()));
    }
}
