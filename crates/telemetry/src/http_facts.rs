//! Facts of HTTP as the semantic conventions want them: sizes, versions, hosts and ports, addresses.

use http::{HeaderMap, HeaderValue, Version, header};
use std::borrow::Cow;
use std::fmt::Write;
use std::net::IpAddr;

/// Bytes of a body that its head announces.
pub(crate) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH).and_then(digits)
}

/// Splits `host[:port]`; the brackets of an IPv6 address are taken off. `None` when it is neither.
pub(crate) fn split_authority(text: &str) -> Option<(&str, Option<u16>)> {
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

/// `network.protocol.version` of an HTTP version.
pub(crate) fn protocol_version(version: Version) -> Option<&'static str> {
    match version {
        Version::HTTP_10 => Some("1.0"),
        Version::HTTP_11 => Some("1.1"),
        Version::HTTP_2 => Some("2"),
        Version::HTTP_3 => Some("3"),
        _ => None,
    }
}

/// A header's text; bytes that are not UTF-8 are replaced, because OTLP strings must be.
pub(crate) fn header_text(value: &HeaderValue) -> Cow<'_, str> {
    match value.to_str() {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(value.as_bytes()),
    }
}

/// An IP address as text, without an allocation.
pub struct AddressText {
    text: [u8; 48],
    len: usize,
}

impl AddressText {
    /// The text of this address.
    pub fn new(address: IpAddr) -> Self {
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

    /// The address as it is written.
    pub fn as_str(&self) -> &str {
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

/// A header's value without the optional white space that HTTP allows around it: spaces and tabs.
pub(crate) fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
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
