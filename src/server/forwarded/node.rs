//! The words of `X-Forwarded-*` and `Forwarded` (RFC 7239 §4): lists that are read from their right end, nodes, and
//! elements of name and value.
//!
//! A proxy adds to what its client sent, which may be anything: half a quoted string must not swallow the proxy's own
//! words. So nothing is read to the left of what is asked for.

use std::net::IpAddr;

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName};

/// The members of a list, the last first; it may be in several fields.
pub(super) fn members(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &[u8]> {
    let fields = headers.get_all(name).iter().rev();
    let members = fields.flat_map(|field| field.as_bytes().rsplit(|byte| *byte == b','));
    members.map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
}

/// The member that is so far from the right end. Of a shorter list the first one: a proxy near the client said it, and
/// those after it had nothing to add.
pub(super) fn member_at(headers: &HeaderMap, name: HeaderName, at: usize) -> Option<&[u8]> {
    members(headers, name).take(at + 1).last()
}

/// The address of a node: bare, or with a port, for which an address of IPv6 stands in brackets. None of `unknown`,
/// of an obfuscated name, or of what is no node.
pub(super) fn address(node: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(node).ok()?;
    let address = if let Some(rest) = text.strip_prefix('[') {
        let (address, rest) = rest.split_once(']')?;
        if !rest.is_empty() && !is_node_port(rest.strip_prefix(':')?) {
            return None;
        }
        IpAddr::V6(address.parse().ok()?)
    } else if let Some((address, rest)) = text.split_once(':').filter(|(_, rest)| is_node_port(rest)) {
        match address.parse() {
            Ok(address) if !rest.is_empty() => IpAddr::V4(address),
            // Such as ::1, whose colons are its own.
            _ => text.parse().ok()?,
        }
    } else {
        text.parse().ok()?
    };
    Some(address.to_canonical())
}

/// A port, or one that hides behind a name of its own (RFC 7239 §6).
fn is_node_port(text: &str) -> bool {
    let hidden = text.strip_prefix('_').is_some_and(|name| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    });
    hidden || port(text).is_some()
}

/// A port in digits.
pub(super) fn port(text: &str) -> Option<u16> {
    let is_number = (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| is_number && *port > 0)
}

/// Whether a scheme is `https`; none of another than the two.
pub(super) fn is_https(scheme: &str) -> Option<bool> {
    match scheme {
        _ if scheme.eq_ignore_ascii_case("https") => Some(true),
        _ if scheme.eq_ignore_ascii_case("http") => Some(false),
        _ => None,
    }
}

/// What one hop says in `Forwarded`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) client: Option<IpAddr>,
    pub(super) is_https: Option<bool>,
    pub(super) host: Option<String>,
}

/// The elements of `Forwarded`, the last first; none in place of one that is malformed.
pub(super) fn elements(headers: &HeaderMap) -> impl Iterator<Item = Option<Element>> {
    let fields = headers.get_all(FORWARDED).iter().rev();
    fields.flat_map(|field| FromTheRight(Some(field.as_bytes()))).map(Element::read)
}

/// The elements of one field, which commas part that are not within quotes.
struct FromTheRight<'a>(Option<&'a [u8]>);

impl<'a> Iterator for FromTheRight<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            let rest = self.0?;
            let mut is_quoted = false;
            let comma = (0..rest.len()).rev().find(|at| {
                let is_escaped =
                    || rest[..*at].iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1;
                is_quoted ^= rest[*at] == b'"' && !is_escaped();
                rest[*at] == b',' && !is_quoted
            });
            let element = comma.map_or(rest, |at| &rest[at + 1..]).trim_ascii();
            self.0 = comma.map(|at| &rest[..at]);
            if !element.is_empty() {
                return Some(element);
            }
        }
    }
}

impl Element {
    fn read(text: &[u8]) -> Option<Self> {
        let mut rest = std::str::from_utf8(text).ok()?;
        let (mut read, mut seen) = (Self::default(), Vec::new());
        loop {
            // Empty pairs are allowed.
            rest = rest.trim_ascii_start();
            if !rest.is_empty() && !rest.starts_with(';') {
                let (name, after) = rest.split_once('=')?;
                let (value, after) = value(after)?;
                let name = name.to_ascii_lowercase();
                if !is_token(&name) || seen.contains(&name) {
                    return None;
                }
                match name.as_str() {
                    "for" => read.client = address(value.as_bytes()),
                    "proto" => read.is_https = is_https(&value),
                    "host" => read.host = Some(value),
                    _ => {}
                }
                seen.push(name);
                rest = after.trim_ascii_start();
            }
            match rest.strip_prefix(';') {
                Some(after) => rest = after,
                None => return rest.is_empty().then_some(read),
            }
        }
    }
}

/// A token or a quoted string, and what follows it.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(|char: char| !is_token_char(char)).unwrap_or(text.len());
        let (token, rest) = text.split_at(end);
        return (!token.is_empty()).then(|| (token.to_owned(), rest));
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(chars.next()?.1),
            char => value.push(char),
        }
    }
    None
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_token_char)
}

fn is_token_char(char: char) -> bool {
    char.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(char)
}
