//! The facts of a request's head, kept once for the readers of its record: span, metrics and access log.
//!
//! Nothing is copied at the start: URI and headers share the memory that the request was read into.

use crate::http_facts::content_length;
use crate::methods::Methods;
use crate::peer::Peer;
use http::{HeaderValue, Method, Uri, Version, header, request::Parts};

/// Facts of a request's head and of its connection.
pub(crate) struct Facts {
    pub(crate) method: Method,
    /// Place of the method among those that are named, or their number ([`Methods::place`]).
    pub(crate) method_place: u16,
    pub(crate) version: Version,
    pub(crate) uri: Uri,
    /// The `Host` header of a request whose URI names no authority.
    host: Option<HeaderValue>,
    pub(crate) user_agent: Option<HeaderValue>,
    /// Bytes of the body that the head announces.
    pub(crate) announced_body: Option<u64>,
    pub(crate) peer: Peer,
}

impl Facts {
    /// Facts of `head`, which came from `peer`; `methods` are those that may be named.
    #[inline(always)]
    pub(crate) fn new(peer: &Peer, head: &Parts, methods: &Methods) -> Self {
        let headers = &head.headers;
        // The authority of HTTP/2 and of an absolute URI is the host; only without it does the header count.
        let host = if head.uri.authority().is_some() { None } else { headers.get(header::HOST) };
        Facts {
            method: head.method.clone(),
            method_place: methods.place(&head.method),
            version: head.version,
            uri: head.uri.clone(),
            host: host.cloned(),
            user_agent: headers.get(header::USER_AGENT).cloned(),
            announced_body: content_length(headers),
            peer: peer.clone(),
        }
    }

    /// Host and port as the client named them, or as a trusted proxy told them, without credentials.
    pub(crate) fn authority(&self) -> Option<&str> {
        let text = match self.peer.told_authority().or(self.uri.authority()) {
            Some(authority) => authority.as_str(),
            None => self.host.as_ref()?.to_str().ok()?,
        };
        // Bytes: a search for a `char` takes longer than the rest of what is done with so short a text.
        let credentials = text.bytes().rposition(|byte| byte == b'@').map_or(0, |at| at + 1);
        let text = &text[credentials..];
        (!text.is_empty()).then_some(text)
    }
}
