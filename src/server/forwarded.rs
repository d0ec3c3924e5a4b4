//! Who sent a request, and what for, where it came through the operator's reverse proxies (`http.trusted-proxies`).
//!
//! Only such a proxy is believed, and only in the headers of one family (`http.forwarded-header`). Each hop adds what it
//! knows at the right end, so a list is read from there: the first hop that is no proxy of the operator's is the client,
//! and what stands to its left is its own word, which counts for nothing. Guests see what was made of it here, in the
//! headers of the same family, and no other header that claims to know better.

mod node;
mod written;

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use http::header::{FORWARDED, HOST};
use http::uri::{Authority, Scheme};
use http::{HeaderMap, HeaderName, Version, request};

use super::proxy_protocol::Ends;
use crate::config::{self, ForwardedHeader, TrustedProxy};
use pounce_telemetry::{Peer, Told};

pub(crate) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(crate) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub(crate) const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");

/// Bytes of a host with its port: a name of the DNS has 253 at most.
const MAX_AUTHORITY: usize = 261;

/// Whom the operator believes, and in which headers.
#[derive(Clone, Debug)]
pub(crate) struct Forwarding {
    proxies: Vec<TrustedProxy>,
    family: ForwardedHeader,
}

/// The other end of a connection, and whether it is believed.
#[derive(Debug)]
pub(crate) struct Hop {
    pub(crate) peer: Peer,
    pub(crate) is_trusted: bool,
}

/// Who sent a request, and through whom.
#[derive(Debug)]
pub(crate) struct Origin<'a> {
    peer: Cow<'a, Peer>,
    /// The addresses that proxies told, from the client's on; the peer's own is not among them.
    hops: Vec<IpAddr>,
    is_trusted: bool,
    family: ForwardedHeader,
}

/// What headers say of a request.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    /// The nearest hop first, the client last.
    hops: Vec<IpAddr>,
    is_https: Option<bool>,
    host: Option<String>,
    port: Option<u16>,
}

impl Forwarding {
    pub(crate) fn new(http: &config::Http) -> Self {
        Self { proxies: http.trusted_proxies.clone(), family: http.forwarded_header }
    }

    /// What there is to know of a new connection's peer.
    pub(crate) fn hop(&self, peer: Peer) -> Hop {
        let is_trusted = self.believes(peer.remote.map(|remote| remote.ip()));
        Hop { peer, is_trusted }
    }

    /// The hop of a connection whose proxy has said whose it is. Where it has not, nobody is believed: what comes is
    /// perhaps its client's.
    pub(super) fn behind(&self, proxy: Hop, ends: Option<Ends>) -> Hop {
        match ends {
            Some(Ends { client, server }) => {
                self.hop(Peer { remote: Some(client), local: Some(server), ..proxy.peer })
            }
            None => Hop { is_trusted: false, ..proxy },
        }
    }

    fn believes(&self, address: Option<IpAddr>) -> bool {
        self.proxies.iter().any(|proxy| proxy.is(address))
    }

    /// Who sent the request with this head, which came from `hop`.
    pub(crate) fn origin<'a>(&self, hop: &'a Hop, head: &request::Parts) -> Origin<'a> {
        let (mut peer, mut hops) = (Cow::Borrowed(&hop.peer), Vec::new());
        if hop.is_trusted {
            let mut said = match self.family {
                ForwardedHeader::XForwarded => self.x_forwarded(&head.headers),
                ForwardedHeader::Forwarded => self.forwarded(&head.headers),
            };
            if said.is_https.is_none() && head.version == Version::HTTP_2 {
                said.is_https = head.uri.scheme().and_then(is_https);
            }
            let told = Told {
                client: said.hops.last().copied(),
                is_https: said.is_https,
                authority: said.authority(head, hop.peer.tls.is_some()),
            };
            hops = said.hops;
            hops.reverse();
            if told != Told::default() {
                peer.to_mut().told = Some(Arc::new(told));
            }
        }
        Origin { peer, hops, is_trusted: hop.is_trusted, family: self.family }
    }

    fn x_forwarded(&self, headers: &HeaderMap) -> Said {
        let mut hops = Vec::new();
        let nodes = node::members(headers, X_FORWARDED_FOR).map(node::address);
        let at = self.walk(nodes, &mut hops);
        let text = |name| std::str::from_utf8(node::member_at(headers, name, at)?).ok();
        Said {
            hops,
            is_https: text(X_FORWARDED_PROTO).and_then(node::is_https),
            host: text(X_FORWARDED_HOST).map(str::to_owned),
            port: text(X_FORWARDED_PORT).and_then(node::port),
        }
    }

    fn forwarded(&self, headers: &HeaderMap) -> Said {
        let mut hops = Vec::new();
        let mut last = node::Element::default();
        let elements = node::elements(headers).map(|element| {
            // One that cannot be read says nothing, and who wrote it is not known.
            last = element.unwrap_or_default();
            last.client
        });
        self.walk(elements, &mut hops);
        Said { hops, is_https: last.is_https, host: last.host, port: None }
    }

    /// Goes from hop to hop, the nearest first, up to the client or to one that has no address; those that have one are
    /// put into `hops`. Returns how many lie between it and us.
    fn walk(&self, nodes: impl Iterator<Item = Option<IpAddr>>, hops: &mut Vec<IpAddr>) -> usize {
        let mut at = 0;
        for (place, address) in nodes.enumerate() {
            at = place;
            let Some(address) = address else { break };
            hops.push(address);
            if !self.believes(Some(address)) {
                break;
            }
        }
        at
    }
}

impl Hop {
    /// The address that has a share of the places; none of proxies, whose clients have theirs, and on Unix sockets.
    pub(crate) fn counted(&self) -> Option<IpAddr> {
        self.peer.remote.filter(|_| !self.is_trusted).map(|remote| remote.ip())
    }
}

impl Said {
    /// Host and port that the client asked for, where they are not what the head says.
    fn authority(&self, head: &request::Parts, tls: bool) -> Option<Authority> {
        let default_port = if self.is_https.unwrap_or(tls) { 443 } else { 80 };
        let told = self.host.as_deref().filter(|host| host.len() <= MAX_AUTHORITY).and_then(parse);
        let with_port = |host: &str, port: u16| match port == default_port {
            true => Authority::try_from(host).ok(),
            false => Authority::try_from(format!("{host}:{port}")).ok(),
        };
        match (told, self.port) {
            (Some(told), Some(port)) if told.port().is_none() => with_port(told.host(), port),
            (Some(told), _) => Some(told),
            (None, Some(port)) => {
                let own = head.uri.authority().map(Authority::as_str);
                let own = own.or_else(|| head.headers.get(HOST)?.to_str().ok()).and_then(parse)?;
                with_port(own.host(), port)
            }
            (None, None) => None,
        }
    }
}

/// A host, perhaps with a port, and nothing else.
fn parse(text: &str) -> Option<Authority> {
    let authority = Authority::try_from(text).ok()?;
    let rest = text.strip_prefix(authority.host())?;
    let has_port = rest.strip_prefix(':').is_some_and(|digits| node::port(digits).is_some());
    (!authority.host().is_empty() && (rest.is_empty() || has_port)).then_some(authority)
}

/// What `:scheme` of HTTP/2 says.
fn is_https(scheme: &Scheme) -> Option<bool> {
    node::is_https(scheme.as_str())
}

impl Origin<'_> {
    /// The peer, with what it told of this request where it is believed.
    pub(crate) fn peer(&self) -> &Peer {
        &self.peer
    }

    /// The client, where a proxy told it.
    pub(crate) fn told_client(&self) -> Option<IpAddr> {
        self.peer.told.as_ref()?.client
    }

    /// Puts what is known into the headers that a guest gets, in place of all that others claim; `head` is for the URI
    /// that the guest is told.
    pub(crate) fn write(&self, head: &mut request::Parts) {
        written::remove_claims(&mut head.headers, self.is_trusted);
        let remote = self.peer.remote.map(|remote| remote.ip());
        let hops = self.hops.iter().copied().chain(remote);
        let scheme = if self.peer.is_https() { "https" } else { "http" };
        let authority = head.uri.authority().map_or("", Authority::as_str);
        match self.family {
            ForwardedHeader::XForwarded => written::x_forwarded(&mut head.headers, hops, scheme, authority),
            ForwardedHeader::Forwarded => {
                if let Some(value) = written::forwarded(hops, scheme, authority) {
                    head.headers.insert(FORWARDED, value);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
