//! What must hold of the headers in which proxies tell of their clients, and of the PROXY protocol, for any bytes: driven
//! by the property tests and by `fuzz/`; built for those alone. Panics where it does not hold.

use futures_util::FutureExt as _;
use http::header::FORWARDED;
use http::{HeaderName, HeaderValue, Request, Version};

use super::forwarded::{Forwarding, Hop, X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO};
use super::proxy_protocol;
use crate::config::{ForwardedHeader, Http, ProxyProtocol};
use pounce_telemetry::Peer;

/// `X-Forwarded-*` and `Forwarded`: of a peer that is not trusted nothing is believed; what a trusted one says to the
/// right of all else is believed, whatever stands there; and what is written reads back the same.
///
/// Each line of the input is a field; the names take turns.
pub fn forwarded(input: &[u8]) {
    for family in [ForwardedHeader::XForwarded, ForwardedHeader::Forwarded] {
        let trusted_proxies = ["10.0.0.0/8", "fd00::/8"].map(|network| network.parse().expect("a network"));
        let forwarding = Forwarding::new(&Http {
            trusted_proxies: trusted_proxies.to_vec(),
            forwarded_header: family,
            ..Http::default()
        });
        let hop = |address: &str| {
            let remote = Some(address.parse().expect("an address"));
            forwarding.hop(Peer { remote, ..Peer::default() })
        };
        let (near, far) = (hop("10.0.0.1:1"), hop("192.0.2.1:1"));

        let head = head(input);
        let origin = forwarding.origin(&far, &head);
        assert!(origin.peer().told.is_none(), "a stranger is believed");
        passes_on(&forwarding, &far, head.clone(), "192.0.2.1");

        passes_on(&forwarding, &near, head.clone(), "10.0.0.1");

        // The proxy's own words stand at the right end, be it of the same field or in one of their own.
        let (name, own) = match family {
            ForwardedHeader::XForwarded => (X_FORWARDED_FOR, "198.51.100.7:443"),
            ForwardedHeader::Forwarded => (FORWARDED, r#"proto=https;for="198.51.100.7:443""#),
        };
        let last =
            head.headers.get_all(&name).iter().next_back().map(HeaderValue::as_bytes).unwrap_or_default();
        let joined = [last, b", ", own.as_bytes()].concat();
        for value in [own.as_bytes(), &joined] {
            let mut head = head.clone();
            head.headers.append(&name, HeaderValue::from_bytes(value).expect("as valid as its parts"));
            let client = forwarding.origin(&near, &head).peer().client();
            assert_eq!(client, "198.51.100.7".parse().ok(), "what stands to the left counts");
        }
    }
}

/// The PROXY protocol: nothing panics, what comes behind a header is left alone, and a header that names a client has a
/// form of its own that names the same.
pub fn proxy_protocol(input: &[u8]) {
    for version in [ProxyProtocol::V1, ProxyProtocol::V2] {
        let mut rest = input;
        let read = proxy_protocol::read(&mut rest, version).now_or_never().expect("all there is has come");
        let Ok(ends) = read else { continue };
        let header = &input[..input.len() - rest.len()];
        let mut alone = header;
        let again = proxy_protocol::read(&mut alone, version).now_or_never().expect("it is there");
        assert!(again.is_ok_and(|again| again == ends) && alone.is_empty(), "what follows counts");
        if let (Some(ends), ProxyProtocol::V1) = (ends, version) {
            let family = if ends.client.is_ipv4() { "TCP4" } else { "TCP6" };
            let (client, server) = (ends.client, ends.server);
            let written = format!(
                "PROXY {family} {} {} {} {}\r\n",
                client.ip(),
                server.ip(),
                client.port(),
                server.port()
            );
            let read = proxy_protocol::line_of(written.as_bytes()).expect("it is one");
            assert_eq!(read, Some(ends), "{written}");
        }
    }
}

fn head(input: &[u8]) -> http::request::Parts {
    const NAMES: [HeaderName; 5] = [
        X_FORWARDED_FOR,
        FORWARDED,
        X_FORWARDED_PROTO,
        X_FORWARDED_HOST,
        HeaderName::from_static("x-forwarded-port"),
    ];
    let (mut head, ()) = Request::new(()).into_parts();
    head.version = Version::HTTP_11;
    head.uri = "http://own.example:8080/".parse().expect("a URI");
    for (line, name) in input.split(|byte| *byte == b'\n').zip(NAMES.iter().cycle()) {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            head.headers.append(name, value);
        }
    }
    head
}

/// What a guest gets is what was believed, and no more: read by somebody who trusts us, it says the same again.
fn passes_on(forwarding: &Forwarding, hop: &Hop, mut head: http::request::Parts, last: &str) {
    let origin = forwarding.origin(hop, &head);
    let peer = origin.peer().clone();
    if let Some(authority) = peer.told_authority() {
        head.uri = format!("http://{authority}/").parse().expect("a host that is told is a host");
    }
    origin.write(&mut head);
    let values: Vec<_> = head.headers.values().map(|value| value.to_str().expect("text")).collect();
    assert!(values.len() <= 3 && values.iter().any(|value| value.contains(last)), "{values:?}");

    let us = forwarding.hop(Peer { remote: "10.255.0.1:1".parse().ok(), ..Peer::default() });
    let again = forwarding.origin(&us, &head).peer().clone();
    assert_eq!(again.client(), peer.client(), "another client: {values:?}");
    assert_eq!(again.is_https(), peer.is_https(), "another scheme: {values:?}");
    let host = head.uri.authority();
    assert_eq!(again.told_authority(), host, "another host: {values:?}");
}
