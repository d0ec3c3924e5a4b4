//! What a server span keeps of a request, and what it says about it: its name and attributes in each profile.
//!
//! Nothing is copied at the start: URI and headers share the memory that the request was read into.

use super::encode::SpanWriter;
use super::limits::Attributes;
use super::methods::Methods;
use super::value::Length;
use super::{Peer, redact, semconv};
use crate::config::Semconv;
use http::{HeaderMap, HeaderValue, Method, Uri, Version, header, request::Parts};
use std::borrow::Cow;
use std::fmt::Write;
use std::net::IpAddr;

/// The facts of one request.
pub(super) struct Request {
    method: Method,
    uri: Uri,
    version: Version,
    host: Option<HeaderValue>,
    user_agent: Option<HeaderValue>,
    body_size: Option<u64>,
    peer: Peer,
}

impl Request {
    pub(super) fn new(peer: &Peer, head: &Parts) -> Self {
        let headers = &head.headers;
        // The authority of HTTP/2 and of an absolute URI is the host; only without it does the header count.
        let host = if head.uri.authority().is_some() { None } else { headers.get(header::HOST) };
        Request {
            method: head.method.clone(),
            uri: head.uri.clone(),
            version: head.version,
            host: host.cloned(),
            user_agent: headers.get(header::USER_AGENT).cloned(),
            body_size: content_length(headers),
            peer: peer.clone(),
        }
    }

    /// The method as it may stand in a span's name: `HTTP` for one that nobody knows.
    pub(super) fn method_name(&self, methods: &Methods) -> &str {
        methods.name(&self.method)
    }

    /// The path, for names of spans without a route.
    pub(super) fn path(&self) -> &str {
        self.uri.path()
    }

    /// Writes the attributes that are known from the start, without those that the guest has set itself.
    pub(super) fn write(
        &self,
        profile: Semconv,
        guest: &Attributes,
        length: Length,
        methods: &Methods,
        span: &mut SpanWriter<'_>,
    ) {
        let mut put = Put { span, guest, length };
        let is_https = self.peer.is_https();
        let (scheme, default_port) = if is_https { ("https", 443) } else { ("http", 80) };
        let method = self.method.as_str();
        let query = self.uri.query().map(redact::query);
        let authority = self.authority();
        let server = authority.and_then(split_authority);
        let server_port = server.map(|(_, port)| port.unwrap_or(default_port));

        if methods.knows(&self.method) {
            put.text(semconv::HTTP_REQUEST_METHOD, method);
        } else {
            put.text(semconv::HTTP_REQUEST_METHOD, semconv::OTHER_METHOD);
            put.text(semconv::HTTP_REQUEST_METHOD_ORIGINAL, method);
        }
        put.text(semconv::URL_PATH, self.uri.path());
        if let Some(query) = &query {
            put.text(semconv::URL_QUERY, query);
        }
        put.text(semconv::URL_SCHEME, scheme);
        if let Some((host, _)) = server {
            put.text(semconv::SERVER_ADDRESS, host);
        }
        if let Some(port) = server_port {
            put.int(semconv::SERVER_PORT, port.into());
        }
        if let Some(version) = protocol_version(self.version) {
            put.text(semconv::NETWORK_PROTOCOL_VERSION, version);
        }
        if let Some(remote) = self.peer.remote {
            let address = AddressText::new(remote.ip());
            put.text(semconv::NETWORK_PEER_ADDRESS, address.as_str());
            put.int(semconv::NETWORK_PEER_PORT, remote.port().into());
            if self.peer.told.is_none() {
                put.text(semconv::CLIENT_ADDRESS, address.as_str());
            }
        }
        if let Some(client) = self.peer.told.as_ref().and_then(|_| self.peer.client()) {
            put.text(semconv::CLIENT_ADDRESS, AddressText::new(client).as_str());
        }
        if let Some(agent) = &self.user_agent {
            put.text(semconv::USER_AGENT_ORIGINAL, &header_text(agent));
        }
        if let Some(size) = self.body_size {
            put.int(semconv::HTTP_REQUEST_BODY_SIZE, size);
        }
        if profile == Semconv::Http {
            return;
        }

        put.text(semconv::HTTP_METHOD, method);
        let path = self.uri.path();
        match &query {
            Some(Cow::Owned(redacted)) => {
                put.text(semconv::HTTP_TARGET, &[path, "?", redacted].concat());
            }
            _ => put.text(semconv::HTTP_TARGET, self.uri.path_and_query().map_or(path, |p| p.as_str())),
        }
        put.text(semconv::HTTP_SCHEME, scheme);
        if let Some(authority) = authority {
            put.text(semconv::HTTP_HOST, authority);
        }
        if let Some(port) = server_port.or(self.peer.local.map(|local| local.port())) {
            put.int(semconv::NET_HOST_PORT, port.into());
        }
    }

    /// Host and port as the client named them, or as a trusted proxy told them, without credentials.
    fn authority(&self) -> Option<&str> {
        let text = match self.peer.told_authority().or(self.uri.authority()) {
            Some(authority) => authority.as_str(),
            None => self.host.as_ref()?.to_str().ok()?,
        };
        // Bytes, here and below: a search for a `char` takes longer than the rest of what is done with so short a text.
        let credentials = text.bytes().rposition(|byte| byte == b'@').map_or(0, |at| at + 1);
        let text = &text[credentials..];
        (!text.is_empty()).then_some(text)
    }
}

/// Writes what the guest has not set itself; texts may be as long as a client makes them, and are cut.
struct Put<'a, 'b> {
    span: &'a mut SpanWriter<'b>,
    guest: &'a Attributes,
    length: Length,
}

impl Put<'_, '_> {
    #[inline(always)]
    fn text(&mut self, key: &'static str, text: &str) {
        if self.is_free(key) {
            self.span.text(key, self.length.shortened(text));
        }
    }

    #[inline(always)]
    fn int(&mut self, key: &'static str, int: u64) {
        if self.is_free(key) {
            self.span.int(key, int);
        }
    }

    #[inline(always)]
    fn is_free(&self, key: &str) -> bool {
        self.guest.list.is_empty() || !self.guest.has(key)
    }
}

/// The bytes of a body that its head announces.
pub(super) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH).and_then(digits)
}

/// Splits `host[:port]`; the brackets of an IPv6 address are taken off. `None` when it is neither.
pub(super) fn split_authority(text: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            (host, if rest.is_empty() { "" } else { rest.strip_prefix(':')? })
        }
        None => match text.bytes().position(|byte| byte == b':') {
            Some(at) => (&text[..at], &text[at + 1..]),
            None => (text, ""),
        },
    };
    let port = match port {
        "" => None,
        digits => Some(digits.parse().ok()?),
    };
    (!host.is_empty()).then_some((host, port))
}

/// A decimal number and nothing else.
fn digits(value: &HeaderValue) -> Option<u64> {
    let text = value.to_str().ok()?;
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

pub(super) fn protocol_version(version: Version) -> Option<&'static str> {
    match version {
        Version::HTTP_10 => Some("1.0"),
        Version::HTTP_11 => Some("1.1"),
        Version::HTTP_2 => Some("2"),
        Version::HTTP_3 => Some("3"),
        _ => None,
    }
}

/// A header's text; bytes that are not UTF-8 are replaced, because OTLP strings must be.
pub(super) fn header_text(value: &HeaderValue) -> Cow<'_, str> {
    match value.to_str() {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(value.as_bytes()),
    }
}

/// An IP address as text, without an allocation.
pub(crate) struct AddressText {
    text: [u8; 48],
    len: usize,
}

impl AddressText {
    pub(crate) fn new(address: IpAddr) -> Self {
        let mut text = AddressText { text: [0; 48], len: 0 };
        // A dual-stack socket shows IPv4 peers as mapped IPv6 ones.
        match address.to_canonical() {
            // The formatter takes longer than the rest of the span's addresses and ports.
            IpAddr::V4(address) => {
                for (at, octet) in address.octets().into_iter().enumerate() {
                    if at > 0 {
                        text.digit(b'.');
                    }
                    if octet >= 100 {
                        text.digit(b'0' + octet / 100);
                    }
                    if octet >= 10 {
                        text.digit(b'0' + octet / 10 % 10);
                    }
                    text.digit(b'0' + octet % 10);
                }
            }
            IpAddr::V6(address) => {
                write!(text, "{address}").expect("the longest address has 45 bytes");
            }
        }
        text
    }

    fn digit(&mut self, digit: u8) {
        self.text[self.len] = digit;
        self.len += 1;
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text[..self.len]).unwrap_or_default()
    }
}

impl Write for AddressText {
    fn write_str(&mut self, part: &str) -> std::fmt::Result {
        let room = self.text.get_mut(self.len..self.len + part.len()).ok_or(std::fmt::Error)?;
        room.copy_from_slice(part.as_bytes());
        self.len += part.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_are_split() {
        for (text, expected) in [
            ("example.com", Some(("example.com", None))),
            ("example.com:8080", Some(("example.com", Some(8080)))),
            ("example.com:", Some(("example.com", None))),
            ("127.0.0.1:1", Some(("127.0.0.1", Some(1)))),
            ("[::1]:443", Some(("::1", Some(443)))),
            ("[::1]", Some(("::1", None))),
            ("[::1", None),
            ("[::1]x", None),
            ("::1", None),
            (":80", None),
            ("", None),
            ("example.com:http", None),
            ("example.com:70000", None),
        ] {
            assert_eq!(split_authority(text), expected, "{text:?}");
        }
    }

    #[test]
    fn addresses_are_written_in_their_short_form() {
        for (given, text) in [
            ("127.0.0.1", "127.0.0.1"),
            ("255.100.99.10", "255.100.99.10"),
            ("0.9.109.200", "0.9.109.200"),
            ("::ffff:10.0.0.1", "10.0.0.1"),
            ("2001:db8::1", "2001:db8::1"),
        ] {
            assert_eq!(AddressText::new(given.parse().unwrap()).as_str(), text);
        }
        let longest = "1111:2222:3333:4444:5555:6666:7777:8888";
        assert_eq!(AddressText::new(longest.parse().unwrap()).as_str(), longest);
    }
}
