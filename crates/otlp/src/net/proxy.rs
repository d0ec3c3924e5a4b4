//! Which proxy stands between here and an endpoint, and how it is passed.

use http::uri::{Authority, Uri};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use std::fmt;
use std::net::IpAddr;

/// Proxies on the way to endpoints.
///
/// `Debug` leaves out what they are, as they may hold passwords.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    /// For `http://` endpoints (`HTTP_PROXY`); empty for none.
    pub http: String,
    /// For `https://` endpoints (`HTTPS_PROXY`); empty for none.
    pub https: String,
    /// Hosts, domains and networks that are spoken to directly (`NO_PROXY`).
    pub no: String,
}

/// How servers are reached.
pub(crate) struct Ways {
    proxies: Matcher,
    /// HTTP/2 without TLS passes no proxy but through a tunnel.
    tunnel_only: bool,
}

/// How one server is reached.
pub(crate) enum Way {
    Direct,
    /// A proxy that reads the request and sends it on.
    Forward(Intercept),
    /// A proxy that passes on bytes.
    Tunnel(Intercept),
}

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Proxies");
        shown.field("http", &!self.http.is_empty()).field("https", &!self.https.is_empty());
        shown.field("no", &self.no).finish()
    }
}

impl Ways {
    pub(crate) fn new(proxies: &Proxies, tunnel_only: bool) -> Self {
        let proxies =
            Matcher::builder().http(proxies.http.clone()).https(proxies.https.clone()).no(proxies.no.clone());
        Ways { proxies: proxies.build(), tunnel_only }
    }

    pub(crate) fn to(&self, endpoint: &Uri) -> Way {
        // A proxy elsewhere can't reach what is on this machine.
        let host = endpoint.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let is_here = host.eq_ignore_ascii_case("localhost")
            || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        match self.proxies.intercept(endpoint) {
            None => Way::Direct,
            Some(_) if is_here => Way::Direct,
            Some(proxy) if self.tunnel_only || endpoint.scheme_str() == Some("https") => Way::Tunnel(proxy),
            Some(proxy) => Way::Forward(proxy),
        }
    }
}

/// A tunnel takes the port of `https` where none is said.
pub(crate) fn with_port(endpoint: Uri) -> Uri {
    if endpoint.port().is_some() || endpoint.scheme_str() == Some("https") {
        return endpoint;
    }
    let Ok(authority) = format!("{}:80", endpoint.host().unwrap_or_default()).parse::<Authority>() else {
        return endpoint;
    };
    let mut parts = endpoint.clone().into_parts();
    parts.authority = Some(authority);
    Uri::from_parts(parts).unwrap_or(endpoint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(proxies: &Proxies, http2: bool, endpoint: &str) -> String {
        match Ways::new(proxies, http2).to(&endpoint.parse().unwrap()) {
            Way::Direct => "direct".to_owned(),
            Way::Forward(proxy) => format!("forward {}", proxy.uri()),
            Way::Tunnel(proxy) => format!("tunnel {}", proxy.uri()),
        }
    }

    #[test]
    fn proxies_are_for_what_is_not_here_and_not_excepted() {
        let proxies = Proxies {
            http: "http://u:p@proxy:3128".to_owned(),
            https: "secure:8443".to_owned(),
            no: "in.example, 10.0.0.0/8".to_owned(),
        };
        for (endpoint, expected) in [
            ("http://c.example:4318/v1/traces", "forward http://proxy:3128/"),
            ("https://c.example/v1/traces", "tunnel http://secure:8443/"),
            ("http://a.in.example/", "direct"),
            ("https://10.1.2.3/", "direct"),
            ("http://localhost:4318/", "direct"),
            ("http://127.0.0.9:4318/", "direct"),
            ("http://[::1]:4318/", "direct"),
        ] {
            assert_eq!(way(&proxies, false, endpoint), expected, "{endpoint}");
        }
        assert_eq!(way(&proxies, true, "http://c.example:4317/"), "tunnel http://proxy:3128/");
        assert_eq!(way(&Proxies::default(), false, "http://c.example/"), "direct");
    }

    #[test]
    fn a_tunnel_to_an_endpoint_without_tls_has_its_port() {
        let port = |url: &str| with_port(url.parse().unwrap()).to_string();
        assert_eq!(port("http://a/x"), "http://a:80/x");
        assert_eq!(port("http://a:1/x"), "http://a:1/x");
        assert_eq!(port("https://a/x"), "https://a/x");
        assert_eq!(port("http://[::1]/x"), "http://[::1]:80/x");
    }

    #[test]
    fn secrets_are_not_shown() {
        let proxies = Proxies { http: "http://u:secret@p".to_owned(), ..Proxies::default() };
        assert!(!format!("{proxies:?}").contains("secret"));
    }
}
