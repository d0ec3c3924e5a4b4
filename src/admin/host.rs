//! Which names this listener answers to, on loopback.
//!
//! A browser on this machine reaches loopback. A web page of anybody's may send it there, but can read the answer only if
//! it comes from the page's own origin: for that its author gives its name the address 127.0.0.1 (DNS rebinding). The
//! `Host` is then that name. So on loopback only names count that nobody can give away: addresses, `localhost` and what
//! the settings call the listener. Elsewhere clients use names that we do not know (a service's in a cluster), and on a
//! unix socket there are no browsers.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Whether a request for `host`, the value of `Host`, is meant for a listener on loopback that is called `own`.
pub(super) fn is_ours(host: &str, own: Option<&str>) -> bool {
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
        || own.is_some_and(|own| own.eq_ignore_ascii_case(&name))
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
        ] {
            assert!(is_ours(host, Some("ops.example")), "{host}");
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
            assert!(!is_ours(host, Some("ops.example")), "{host}");
        }
        assert!(!is_ours("ops.example", None));
    }
}
