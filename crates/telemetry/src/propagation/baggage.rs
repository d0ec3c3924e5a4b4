//! W3C Baggage: entries that a caller hands on along the whole trace.
//!
//! Kept in its wire form and passed on as it came: order, escapes and properties stay. Members that are malformed or
//! over a limit are dropped one by one, and counted. Escapes are decoded only for a guest that reads.

use crate::http_facts::trim;
use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode, utf8_percent_encode};
use std::fmt;

/// Members that are carried; the specification asks for as many.
pub const MAX_MEMBERS: usize = 64;
/// Bytes of all members with the commas between; the specification asks for as many.
pub const MAX_BAGGAGE: usize = 8192;
/// Bytes of one member with its properties.
const MAX_MEMBER: usize = 4096;

static BAGGAGE: HeaderName = HeaderName::from_static("baggage");

/// The header.
pub(super) static FIELDS: [&HeaderName; 1] = [&BAGGAGE];

/// What a value may not have as it is; the percent sign, too, or it would be read as an escape.
const ESCAPED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%').add(b',').add(b';').add(b'\\');

/// The baggage of a request, checked; having none costs nothing.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Baggage(
    /// The wire form; never empty.
    Option<HeaderValue>,
);

/// Without what is in it: that is the users', and Pounce's log is no place for it.
impl fmt::Debug for Baggage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Baggage({} bytes)", self.wire().len())
    }
}

/// Reads all fields as one list; with it the number of members that were dropped.
pub(super) fn extract(headers: &HeaderMap) -> (Baggage, u32) {
    let fields = headers.get_all(&BAGGAGE);
    let Some(first) = fields.iter().next() else {
        return Default::default();
    };
    let (mut members, mut dropped) = (List::default(), 0);
    for member in fields.iter().flat_map(|field| field.as_bytes().split(|byte| *byte == b',')) {
        let member = trim(member);
        // Empty ones are no members, as in all lists of HTTP.
        if member.is_empty() {
            continue;
        }
        if !is_member(member) || !members.push(member) {
            dropped += 1;
        }
    }
    // Members are parts of the first field, so one as long as all of them is what it has to be already.
    let whole = members.length == first.len() && !first.is_empty() && fields.iter().nth(1).is_none();
    (if whole { Baggage(Some(first.clone())) } else { members.join() }, dropped)
}

/// Makes `baggage` the only one in `headers`.
pub(super) fn inject(baggage: &Baggage, headers: &mut HeaderMap) {
    match &baggage.0 {
        Some(value) => drop(headers.insert(&BAGGAGE, value.clone())),
        None => drop(headers.remove(&BAGGAGE)),
    }
}

impl Baggage {
    fn wire(&self) -> &[u8] {
        self.0.as_ref().map_or(b"", HeaderValue::as_bytes)
    }

    fn members(&self) -> impl Iterator<Item = &[u8]> {
        self.wire().split(|byte| *byte == b',').filter(|member| !member.is_empty())
    }

    /// Names and decoded values, in order; properties are left out.
    pub fn entries(&self) -> Vec<(String, String)> {
        let entry = |member| {
            let (name, value) = split(member)?;
            let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
            Some((text(name), percent_decode(value).decode_utf8_lossy().into_owned()))
        };
        self.members().filter_map(entry).collect()
    }

    /// Sets the entry of this name, in place of all that have it. False, and nothing changed, when the name is not a
    /// token of HTTP or a limit would be exceeded.
    pub fn set(&mut self, name: &str, value: &str) -> bool {
        // Escapes only make it longer.
        if !is_token(name.as_bytes()) || name.len().saturating_add(value.len()) >= MAX_MEMBER {
            return false;
        }
        let new = format!("{name}={}", utf8_percent_encode(value, ESCAPED));
        let mut list = List::default();
        let mut is_set = false;
        for member in self.members() {
            let replaced = split(member).is_some_and(|(other, _)| other == name.as_bytes());
            match (replaced, is_set) {
                (true, true) => {}
                (true, false) => {
                    is_set = true;
                    if !list.push(new.as_bytes()) {
                        return false;
                    }
                }
                (false, _) if !list.push(member) => return false,
                (false, _) => {}
            }
        }
        if !is_set && !list.push(new.as_bytes()) {
            return false;
        }
        *self = list.join();
        true
    }
}

/// Members within the limits.
#[derive(Default)]
struct List<'a> {
    members: Vec<&'a [u8]>,
    /// Bytes with the commas between.
    length: usize,
}

impl<'a> List<'a> {
    /// False when there is no room.
    fn push(&mut self, member: &'a [u8]) -> bool {
        let length = self.length + usize::from(!self.members.is_empty()) + member.len();
        let fits = member.len() <= MAX_MEMBER && self.members.len() < MAX_MEMBERS && length <= MAX_BAGGAGE;
        if fits {
            self.length = length;
            self.members.push(member);
        }
        fits
    }

    fn join(self) -> Baggage {
        let wire = self.members.join(&b","[..]);
        let value = HeaderValue::from_maybe_shared(bytes::Bytes::from(wire));
        Baggage(value.ok().filter(|value| !value.is_empty()))
    }
}

/// Name and value of a member, escapes as they are.
fn split(member: &[u8]) -> Option<(&[u8], &[u8])> {
    let entry = member.split(|byte| *byte == b';').next()?;
    let equals = entry.iter().position(|byte| *byte == b'=')?;
    Some((trim(&entry[..equals]), trim(&entry[equals + 1..])))
}

/// `name=value`, and perhaps properties after semicolons: `;name` or `;name=value`.
fn is_member(member: &[u8]) -> bool {
    let is_property = |property: &[u8]| match property.iter().position(|byte| *byte == b'=') {
        Some(equals) => is_token(trim(&property[..equals])) && is_value(trim(&property[equals + 1..])),
        None => is_token(trim(property)),
    };
    split(member).is_some_and(|(name, value)| is_token(name) && is_value(value))
        && member.split(|byte| *byte == b';').skip(1).all(is_property)
}

/// A token of RFC 9110 §5.6.2.
fn is_token(text: &[u8]) -> bool {
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !text.is_empty() && text.iter().all(is_token)
}

fn is_value(text: &[u8]) -> bool {
    text.iter().all(|byte| matches!(byte, 0x21 | 0x23..=0x2b | 0x2d..=0x3a | 0x3c..=0x5b | 0x5d..=0x7e))
}

#[cfg(test)]
mod tests;
