//! What a guest sees: headers that Pounce has written, and none that claim the same in other words.

use std::fmt::Write as _;
use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO};
use pounce_telemetry::AddressText;

/// Begins the names of those in which proxies tell of a request.
const PREFIX: &str = "x-forwarded-";
/// Names after the prefix that tell of client, scheme or host. Others (`-User`, `-Prefix`, `-Client-Cert`, …) a trusted
/// proxy tells of its own accord.
const TOLD: [&str; 10] =
    ["for", "proto", "host", "port", "server", "by", "scheme", "protocol", "ssl", "for-original"];
/// Names of other fashions for the same. Nobody is believed in them, also no trusted proxy: one that does not know them
/// passes on what its client made up.
const OTHERS: [&str; 17] = [
    "forwarded",
    "forwarded-for",
    "x-forwarded",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-original-forwarded-for",
    "x-original-host",
    "x-scheme",
    "x-url-scheme",
    "x-envoy-external-address",
    "x-appengine-user-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "fastly-client-ip",
    "front-end-https",
];

/// Removes what claims to know client, scheme or host of the request; of peers that are not trusted, all that a proxy
/// would have to say.
pub(super) fn remove_claims(headers: &mut HeaderMap, is_trusted: bool) {
    let claims: Vec<HeaderName> =
        headers.keys().filter(|name| is_claim(name.as_str(), is_trusted)).cloned().collect();
    for name in claims {
        headers.remove(name);
    }
}

pub(super) fn is_claim(name: &str, is_trusted: bool) -> bool {
    if !matches!(name.as_bytes().first(), Some(b'x' | b'f' | b't' | b'c')) {
        return false;
    }
    if let Some((prefix, rest)) = name.split_at_checked(PREFIX.len())
        && is_same(prefix, PREFIX)
    {
        return !is_trusted || TOLD.iter().any(|told| is_same(rest, told));
    }
    OTHERS.iter().any(|other| is_same(name, other))
}

/// Whether a guest that takes `_` for `-`, as CGI and its heirs do, takes the one name for the other.
fn is_same(name: &str, known: &str) -> bool {
    name.len() == known.len()
        && name.bytes().zip(known.bytes()).all(|(one, other)| one == other || (one == b'_' && other == b'-'))
}

/// Writes the addresses from the client's on, the scheme, and the host with its port.
pub(super) fn x_forwarded(
    headers: &mut HeaderMap,
    mut hops: impl Iterator<Item = IpAddr>,
    scheme: &'static str,
    authority: &str,
) {
    if let Some(client) = hops.next() {
        let client = AddressText::new(client);
        let value = match hops.next() {
            None => HeaderValue::from_str(client.as_str()),
            Some(second) => {
                let mut list = client.as_str().to_owned();
                for hop in std::iter::once(second).chain(hops) {
                    list.push_str(", ");
                    list.push_str(AddressText::new(hop).as_str());
                }
                HeaderValue::try_from(list)
            }
        };
        insert(headers, X_FORWARDED_FOR, value);
    }
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(scheme));
    insert(headers, X_FORWARDED_HOST, HeaderValue::from_str(authority));
}

/// Addresses and hosts are valid values; nothing is written rather than something else.
fn insert(
    headers: &mut HeaderMap,
    name: HeaderName,
    value: Result<HeaderValue, http::header::InvalidHeaderValue>,
) {
    if let Ok(value) = value {
        headers.insert(name, value);
    }
}

/// Addresses, scheme and host as elements of RFC 7239; scheme and host go with the client's, which is `unknown` where it has no address.
pub(super) fn forwarded(
    mut hops: impl Iterator<Item = IpAddr>,
    scheme: &str,
    authority: &str,
) -> Option<HeaderValue> {
    let mut list = String::from("for=");
    match hops.next() {
        Some(client) => node(&mut list, client),
        None => list.push_str("unknown"),
    }
    // Neither has a quote or a backslash in it.
    write!(list, ";host=\"{authority}\";proto={scheme}").ok()?;
    for hop in hops {
        list.push_str(", for=");
        node(&mut list, hop);
    }
    HeaderValue::try_from(list).ok()
}

fn node(list: &mut String, address: IpAddr) {
    let text = AddressText::new(address);
    let is_v6 = address.to_canonical().is_ipv6();
    let (open, close) = if is_v6 { ("\"[", "]\"") } else { ("", "") };
    list.push_str(open);
    list.push_str(text.as_str());
    list.push_str(close);
}
