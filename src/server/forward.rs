//! From the request that came to the one that a guest gets: an absolute URI, no header that belongs to the connection,
//! and a body with an end.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderName, Method, Request, Uri, request};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;

use crate::guest::{Failure, RequestBodyError};
use crate::telemetry::Peer;

/// Prepares a request for a guest. `max_body` is in bytes; `too_large` is set once the body exceeds it.
pub(crate) fn prepare(
    peer: &Peer,
    mut head: request::Parts,
    body: Incoming,
    max_body: Option<u64>,
    too_large: TooLarge,
) -> Result<Request<LimitedBody>, Failure> {
    if head.method == Method::CONNECT {
        return Err(Failure::not_implemented("CONNECT cannot be expressed in wasi:http"));
    }
    let announced =
        head.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if let (Some(length), Some(max)) = (announced, max_body)
        && length > max
    {
        return Err(Failure::body_too_large(max));
    }
    head.uri = absolute(peer, &head)?;
    drop_connection_headers(&mut head);
    let body = LimitedBody { inner: body, left: max_body, max: max_body.unwrap_or(u64::MAX), too_large };
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
    let authority = match (head.uri.authority(), host) {
        (Some(authority), Some(host)) if *authority != host => {
            return Err(Failure::bad_request("the Host header names another host than the request target"));
        }
        (Some(authority), _) => authority.clone(),
        (None, Some(host)) => host,
        // HTTP/1.0 may leave it out; 1.1 may not.
        (None, None) if head.version <= http::Version::HTTP_10 => local_authority(peer),
        (None, None) => return Err(Failure::bad_request("no Host header")),
    };
    if authority.as_str().contains('@') {
        return Err(Failure::bad_request("the host has user information"));
    }
    let mut parts = head.uri.clone().into_parts();
    parts.scheme = Some(if peer.tls { Scheme::HTTPS } else { Scheme::HTTP });
    parts.authority = Some(authority);
    parts.path_and_query = Some(parts.path_and_query.unwrap_or(PathAndQuery::from_static("/")));
    Uri::from_parts(parts).map_err(|_| Failure::bad_request("the request target is not a URI"))
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

/// Whether a request's body turned out to be larger than the limit: what a guest makes of the broken body is then not
/// what went wrong.
#[derive(Clone, Debug, Default)]
pub(crate) struct TooLarge(Arc<OnceLock<u64>>);

impl TooLarge {
    /// The failure that it is, if it is.
    pub(crate) fn failure(&self) -> Option<Failure> {
        self.0.get().copied().map(Failure::body_too_large)
    }
}

/// A request body that ends with an error where it exceeds the limit.
#[derive(Debug)]
pub(crate) struct LimitedBody {
    inner: Incoming,
    left: Option<u64>,
    max: u64,
    too_large: TooLarge,
}

impl http_body::Body for LimitedBody {
    type Data = Bytes;
    type Error = RequestBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        let frame = match ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
            None => return Poll::Ready(None),
            Some(Err(error)) => {
                return Poll::Ready(Some(Err(RequestBodyError::Incomplete(error.to_string()))));
            }
            Some(Ok(frame)) => frame,
        };
        if let (Some(left), Some(data)) = (self.left.as_mut(), frame.data_ref()) {
            match left.checked_sub(data.len() as u64) {
                Some(rest) => *left = rest,
                None => {
                    _ = self.too_large.0.set(self.max);
                    return Poll::Ready(Some(Err(RequestBodyError::TooLarge(self.max))));
                }
            }
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
