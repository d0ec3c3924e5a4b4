//! A request's body on its way in: it ends with an error where it exceeds the limit, and what nobody reads of it is
//! swallowed for a while, so that the client gets to see the response.

use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, EXPECT};
use http::{Version, request};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::idle::{Activity, Upload};
use crate::guest::{Failure, RequestBodyError};
use crate::telemetry::{Received, ServerSpan};

/// How long a client may go on sending what nobody reads. Closing the connection at once would reset it, and the
/// client's kernel might throw the response away unread.
const SWALLOW_FOR: Duration = Duration::from_secs(2);
/// How many bytes of it are read in that time. Small ones leave the connection fit for the next request; for the rest of
/// a large one, a new connection costs less than reading on would. (Go's server stops after 256 KiB, nginx has no limit
/// but time.)
const SWALLOW_MOST: usize = 1024 * 1024;

/// What broke off a request's body, if anything did: what a guest makes of that is then not what went wrong.
#[derive(Clone, Debug, Default)]
pub(crate) struct BodyFault(Option<Arc<OnceLock<Failure>>>);

impl BodyFault {
    pub(crate) fn failure(&self) -> Option<Failure> {
        self.0.as_ref()?.get().cloned()
    }

    fn set(&self, failure: Failure) {
        if let Some(fault) = &self.0 {
            // Set once at most: the body has ended for the guest.
            _ = fault.set(failure);
        }
    }
}

/// The body of a request.
#[derive(Debug)]
pub(crate) struct InboundBody {
    /// Taken once it has ended.
    inner: Option<Incoming>,
    /// Bytes that may still come, and that may come in all.
    left: Option<u64>,
    max: u64,
    fault: BodyFault,
    /// Bytes that have come, and who is told of them at the end: nobody where the head said it.
    received: u64,
    uncounted: Option<ServerSpan>,
    /// Who else looks at how many have come.
    watched: Option<Received>,
    /// Dropped when the body has ended.
    upload: Option<Upload>,
    /// Reading what is left over does no harm: the client sends it anyway, and on this connection only.
    swallow: bool,
}

impl InboundBody {
    /// `max` is in bytes; `span` is told how many came, if the head does not say it.
    pub(crate) fn new(
        inner: Incoming,
        head: &request::Parts,
        max: Option<u64>,
        activity: &Arc<Activity>,
        span: &ServerSpan,
    ) -> Self {
        let inner = Some(inner).filter(|inner| !inner.is_end_stream());
        if inner.is_none() {
            span.measured_body_size(0);
        }
        let is_uncounted = inner.is_some() && !head.headers.contains_key(CONTENT_LENGTH);
        Self {
            received: 0,
            watched: None,
            uncounted: is_uncounted.then(|| span.clone()),
            left: max,
            max: max.unwrap_or(u64::MAX),
            fault: BodyFault(inner.as_ref().map(|_| Arc::default())),
            upload: inner.as_ref().map(|_| activity.upload()),
            inner,
            // A client that waits for `100 Continue` sends nothing unless the guest reads. HTTP/2 resets the stream
            // alone, after the response.
            swallow: head.version < Version::HTTP_2 && !head.headers.contains_key(EXPECT),
        }
    }

    /// Has `watched` told of each piece.
    pub(crate) fn watched_by(mut self, watched: Option<Received>) -> Self {
        self.watched = watched;
        self
    }

    /// What tells later whether it broke off.
    pub(crate) fn fault(&self) -> BodyFault {
        self.fault.clone()
    }

    /// Refuses a body that says beforehand that it is too large.
    pub(crate) fn check_length(&self, head: &request::Parts) -> Result<(), Failure> {
        let announced =
            head.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        match announced {
            Some(length) if length > self.max => Err(Failure::body_too_large(self.max)),
            _ => Ok(()),
        }
    }

    /// The body has come whole.
    fn complete(&mut self) {
        self.inner = None;
        self.upload = None;
        if let Some(span) = self.uncounted.take() {
            span.request_body_size(self.received);
        }
    }
}

/// Whether nothing follows `frame`, which `inner` gave. hyper forgets to end a body whose last bytes come after the
/// response has ended (HTTP/1.1): asked once more, it would say nothing until the next request.
fn is_last(frame: &Frame<Bytes>, inner: &Incoming) -> bool {
    frame.is_trailers() || inner.is_end_stream()
}

impl http_body::Body for InboundBody {
    type Data = Bytes;
    type Error = RequestBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        let Some(inner) = &mut self.inner else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(&mut *inner).poll_frame(cx));
        let is_last = matches!(&frame, Some(Ok(frame)) if is_last(frame, inner));
        // The guest reads: whoever waited for `100 Continue` has it.
        self.swallow |= matches!(&frame, Some(Ok(_)));
        let frame = match frame {
            Some(Ok(frame)) => frame,
            None => {
                self.complete();
                return Poll::Ready(None);
            }
            Some(Err(error)) => {
                self.inner = None;
                self.upload = None;
                self.fault.set(if error.is_parse() {
                    Failure::bad_request(format!("the request body is malformed: {error}"))
                } else {
                    Failure::client_disconnected()
                });
                return Poll::Ready(Some(Err(RequestBodyError::Incomplete(error.to_string()))));
            }
        };
        let length = frame.data_ref().map_or(0, Bytes::len) as u64;
        if let Some(left) = self.left.as_mut() {
            match left.checked_sub(length) {
                Some(rest) => *left = rest,
                None => {
                    self.fault.set(Failure::body_too_large(self.max));
                    return Poll::Ready(Some(Err(RequestBodyError::TooLarge(self.max))));
                }
            }
        }
        self.received += length;
        if let Some(watched) = &self.watched {
            watched.fetch_add(length, Ordering::Relaxed);
        }
        if is_last {
            self.complete();
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or(SizeHint::with_exact(0), Incoming::size_hint)
    }
}

impl Drop for InboundBody {
    fn drop(&mut self) {
        let Some(mut rest) = self.inner.take().filter(|inner| self.swallow && !inner.is_end_stream()) else {
            return;
        };
        let upload = self.upload.take();
        // Outside a runtime only when the server is gone already.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(tokio::time::timeout(SWALLOW_FOR, async move {
                let _upload = upload;
                let mut room = SWALLOW_MOST;
                while let Some(Ok(frame)) = rest.frame().await {
                    if is_last(&frame, &rest) {
                        return;
                    }
                    let length = frame.data_ref().map_or(0, Bytes::len);
                    match room.checked_sub(length) {
                        Some(left) => room = left,
                        // Not read any further, but not closed yet either: the client gets the rest of the time to see
                        // its response.
                        None => std::future::pending().await,
                    }
                }
            }));
        }
    }
}
