//! What a server span keeps of a request, and what it says about it: its name and attributes in each profile.
//!
//! Nothing is copied at the start: URI and headers share the memory that the request was read into.

use super::encode::{Borrowed, SpanWriter};
use super::limits::{Attributes, MAX_VALUE};
use super::value::shortened;
use super::{Peer, redact, semconv};
use crate::config::Semconv;
use http::{HeaderValue, Method, Uri, Version, header, request::Parts};
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
        let host = if head.uri.authority().is_some() {
            None
        } else {
            headers.get(header::HOST)
        };
        Request {
            method: head.method.clone(),
            uri: head.uri.clone(),
            version: head.version,
            host: host.cloned(),
            user_agent: headers.get(header::USER_AGENT).cloned(),
            body_size: headers.get(header::CONTENT_LENGTH).and_then(digits),
            peer: *peer,
        }
    }

    /// The method as it may stand in a span's name: `HTTP` for one that nobody knows.
    pub(super) fn method_name(&self) -> &str {
        if self.method_is_known() {
            self.method.as_str()
        } else {
            "HTTP"
        }
    }

    /// The path, for names of spans without a route.
    pub(super) fn path(&self) -> &str {
        self.uri.path()
    }

    fn method_is_known(&self) -> bool {
        semconv::KNOWN_METHODS.contains(&self.method.as_str())
    }

    /// Writes the attributes that are known from the start, without those that the guest has set itself.
    pub(super) fn write(&self, profile: Semconv, guest: &Attributes, span: &mut SpanWriter<'_>) {
        let mut put = |key: &str, value: Borrowed<'_>| {
            if guest.list.is_empty() || !guest.has(key) {
                span.attribute(key, value);
            }
        };
        let legacy = profile != Semconv::Http;
        let scheme = if self.peer.tls { "https" } else { "http" };
        let method = self.method.as_str();

        if self.method_is_known() {
            put(semconv::HTTP_REQUEST_METHOD, Borrowed::Text(method));
        } else {
            put(
                semconv::HTTP_REQUEST_METHOD,
                Borrowed::Text(semconv::OTHER_METHOD),
            );
            put(semconv::HTTP_REQUEST_METHOD_ORIGINAL, text(method));
        }
        put(semconv::URL_PATH, text(self.uri.path()));
        let query = self.uri.query().map(redact::query);
        if let Some(query) = &query {
            put(semconv::URL_QUERY, text(query));
        }
        put(semconv::URL_SCHEME, Borrowed::Text(scheme));
        let authority = self.authority();
        let server = authority.and_then(split_authority);
        let default_port = if self.peer.tls { 443 } else { 80 };
        let server_port = server.map(|(_, port)| port.unwrap_or(default_port));
        if let Some((host, _)) = server {
            put(semconv::SERVER_ADDRESS, text(host));
        }
        if let Some(port) = server_port {
            put(semconv::SERVER_PORT, Borrowed::Int(port.into()));
        }
        if let Some(version) = protocol_version(self.version) {
            put(semconv::NETWORK_PROTOCOL_VERSION, Borrowed::Text(version));
        }
        if let Some(remote) = self.peer.remote {
            let address = AddressText::new(remote.ip());
            put(
                semconv::NETWORK_PEER_ADDRESS,
                Borrowed::Text(address.as_str()),
            );
            put(
                semconv::NETWORK_PEER_PORT,
                Borrowed::Int(remote.port().into()),
            );
            put(semconv::CLIENT_ADDRESS, Borrowed::Text(address.as_str()));
        }
        if let Some(agent) = &self.user_agent {
            put(semconv::USER_AGENT_ORIGINAL, text(&header_text(agent)));
        }
        if let Some(size) = self.body_size {
            put(semconv::HTTP_REQUEST_BODY_SIZE, Borrowed::Int(size as i64));
        }

        if legacy {
            put(semconv::HTTP_METHOD, text(method));
            let target = match &query {
                Some(Cow::Owned(redacted)) => Cow::Owned([self.uri.path(), "?", redacted].concat()),
                _ => Cow::Borrowed(
                    self.uri
                        .path_and_query()
                        .map_or(self.uri.path(), |both| both.as_str()),
                ),
            };
            put(semconv::HTTP_TARGET, text(&target));
            put(semconv::HTTP_SCHEME, Borrowed::Text(scheme));
            if let Some(authority) = authority {
                put(semconv::HTTP_HOST, text(authority));
            }
            if let Some(port) = server_port.or(self.peer.local.map(|local| local.port())) {
                put(semconv::NET_HOST_PORT, Borrowed::Int(port.into()));
            }
        }
    }

    /// Host and port as the client named them, without credentials.
    fn authority(&self) -> Option<&str> {
        let text = match self.uri.authority() {
            Some(authority) => authority.as_str(),
            None => self.host.as_ref()?.to_str().ok()?,
        };
        let text = text.rsplit_once('@').map_or(text, |(_, host)| host);
        (!text.is_empty()).then_some(text)
    }
}

/// A text that a client may make long.
fn text(text: &str) -> Borrowed<'_> {
    Borrowed::Text(shortened(text, MAX_VALUE))
}

/// Splits `host[:port]`; the brackets of an IPv6 address are taken off. `None` when it is neither.
fn split_authority(text: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            (
                host,
                if rest.is_empty() {
                    ""
                } else {
                    rest.strip_prefix(':')?
                },
            )
        }
        None => text.split_once(':').unwrap_or((text, "")),
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
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())?
}

fn protocol_version(version: Version) -> Option<&'static str> {
    match version {
        Version::HTTP_10 => Some("1.0"),
        Version::HTTP_11 => Some("1.1"),
        Version::HTTP_2 => Some("2"),
        Version::HTTP_3 => Some("3"),
        _ => None,
    }
}

/// A header's text; bytes that are not UTF-8 are replaced, because OTLP strings must be.
fn header_text(value: &HeaderValue) -> Cow<'_, str> {
    String::from_utf8_lossy(value.as_bytes())
}

/// An IP address as text, without an allocation.
struct AddressText {
    text: [u8; 48],
    len: usize,
}

impl AddressText {
    fn new(address: IpAddr) -> Self {
        let mut text = AddressText {
            text: [0; 48],
            len: 0,
        };
        // A dual-stack socket shows IPv4 peers as mapped IPv6 ones.
        write!(text, "{}", address.to_canonical()).expect("the longest address has 45 bytes");
        text
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text[..self.len]).unwrap_or_default()
    }
}

impl Write for AddressText {
    fn write_str(&mut self, part: &str) -> std::fmt::Result {
        let room = self
            .text
            .get_mut(self.len..self.len + part.len())
            .ok_or(std::fmt::Error)?;
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
            ("::ffff:10.0.0.1", "10.0.0.1"),
            ("2001:db8::1", "2001:db8::1"),
        ] {
            assert_eq!(AddressText::new(given.parse().unwrap()).as_str(), text);
        }
        let longest = "1111:2222:3333:4444:5555:6666:7777:8888";
        assert_eq!(AddressText::new(longest.parse().unwrap()).as_str(), longest);
    }
}
