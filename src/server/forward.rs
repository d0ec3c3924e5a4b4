//! From the request that came to the one that a guest gets: an absolute URI, and no header that belongs to the
//! connection.

use http::header::{CONNECTION, CONTENT_LENGTH, HOST};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderName, Method, Request, Uri, Version, request};

use super::forwarded::Origin;
use super::inbound::InboundBody;
use crate::guest::{Failure, FailureKind};
use pounce_telemetry::Peer;

/// Prepares a request for a guest.
pub(crate) fn prepare(
    origin: &Origin<'_>,
    mut head: request::Parts,
    body: InboundBody,
) -> Result<Request<InboundBody>, Failure> {
    if head.method == Method::CONNECT {
        return Err(Failure::new(FailureKind::NotImplemented, "CONNECT cannot be expressed in wasi:http"));
    }
    body.check_length(&head)?;
    head.uri = absolute(origin.peer(), &head)?;
    drop_connection_headers(&mut head);
    // Last, so that nobody has it dropped.
    origin.write(&mut head);
    Ok(Request::from_parts(head, body))
}

/// Scheme and authority, which wasi:http tells the guest, from where this version of HTTP has them.
fn absolute(peer: &Peer, head: &request::Parts) -> Result<Uri, Failure> {
    let mut hosts = head.headers.get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(Failure::bad_request("more than one Host header"));
    }
    let host = match host {
        Some(host) if host.is_empty() => None,
        Some(host) => Some(
            Authority::try_from(host.as_bytes())
                .map_err(|_| Failure::bad_request("the Host header is not a host"))?,
        ),
        None => None,
    };
    if let Some(authority) = head.uri.authority()
        && head.version >= Version::HTTP_2
        && head.headers.contains_key(HOST)
        && !host.as_ref().is_some_and(|host| is_same(authority, host, &head.uri))
    {
        // HTTP/2 names the host once; a second name must be the same one (RFC 9113 §8.3.1).
        return Err(Failure::bad_request("Host and :authority contradict each other"));
    }
    let authority = match (head.uri.authority(), host) {
        // The target's own host counts, whatever Host says (RFC 9112 §3.2.2).
        (Some(authority), _) => authority.clone(),
        (None, Some(host)) => host,
        // HTTP/1.0 may leave it out; 1.1 may not.
        (None, None) if head.version <= Version::HTTP_10 => local_authority(peer),
        (None, None) => return Err(Failure::bad_request("no Host header")),
    };
    if authority.host().is_empty() {
        // No http URI does without (RFC 9110 §4.2.1).
        return Err(Failure::bad_request("the host is empty"));
    }
    if !has_sound_port(&authority) {
        return Err(Failure::bad_request("the port of the host is no number up to 65535"));
    }
    if authority.as_str().contains('@') {
        return Err(Failure::bad_request("the host has user information"));
    }
    if head.uri.scheme().is_none() && head.uri.authority().is_some() {
        // `example.com:80` is for CONNECT alone.
        return Err(Failure::bad_request("the request target is neither a path nor an absolute URI"));
    }
    let authority = peer.told_authority().cloned().unwrap_or(authority);
    let mut parts = head.uri.clone().into_parts();
    parts.scheme = Some(if peer.is_https() { Scheme::HTTPS } else { Scheme::HTTP });
    parts.authority = Some(authority);
    parts.path_and_query = Some(rooted(parts.path_and_query)?);
    Uri::from_parts(parts).map_err(|_| Failure::bad_request("the request target is not a URI"))
}

/// Whether the port, if there is one, is a number that a port can have. It may be empty (RFC 3986 §3.2.3).
fn has_sound_port(authority: &Authority) -> bool {
    let (_, name) = authority.as_str().rsplit_once('@').unwrap_or(("", authority.as_str()));
    match name.strip_prefix(authority.host()).and_then(|rest| rest.strip_prefix(':')) {
        None | Some("") => true,
        Some(port) => port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok(),
    }
}

/// Whether both name the same host and port of what `uri` names.
fn is_same(one: &Authority, other: &Authority, uri: &Uri) -> bool {
    let default = if uri.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 };
    let port = |authority: &Authority| authority.port_u16().unwrap_or(default);
    one.host().eq_ignore_ascii_case(other.host()) && port(one) == port(other)
}

/// An absolute URI may leave out its path, in front of a query, too (RFC 9110 §4.2.3).
fn rooted(target: Option<PathAndQuery>) -> Result<PathAndQuery, Failure> {
    match target {
        None => Ok(PathAndQuery::from_static("/")),
        Some(target) if target.as_str().starts_with('?') => {
            PathAndQuery::try_from(format!("/{}", target.as_str()))
                .map_err(|_| Failure::bad_request("the request target is not a URI"))
        }
        Some(target) => Ok(target),
    }
}

fn local_authority(peer: &Peer) -> Authority {
    peer.local
        .and_then(|local| Authority::try_from(local.to_string()).ok())
        .unwrap_or_else(|| Authority::from_static("localhost"))
}

/// Removes the headers that `Connection` names (RFC 9110 §7.6.1); wasi-http removes the well-known ones itself.
fn drop_connection_headers(head: &mut request::Parts) {
    if !head.headers.contains_key(CONNECTION) {
        return;
    }
    let named: Vec<HeaderName> = head
        .headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::try_from(name.trim()).ok())
        // A client may not take away what the request is made of.
        .filter(|name| *name != HOST && *name != CONTENT_LENGTH && *name != http::header::TE)
        .collect();
    for name in named {
        head.headers.remove(name);
    }
}
