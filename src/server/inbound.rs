//! A request's body on its way in: it ends with an error where it exceeds the limit.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, EXPECT};
use http::{Version, request};
use http_body::{Body as _, Frame, SizeHint};

use super::idle::{Activity, Upload};
use super::incoming::{Broken, Incoming, malformed_body};
use super::leftover::Leftover;
use super::wait::{HURRY, Wait};
use crate::guest::{Arrival, Failure, RequestBodyError, Share};
use pounce_telemetry::ServerSpan;

/// The body of a request.
#[derive(Debug)]
pub(crate) struct InboundBody {
    /// Taken once it has ended.
    inner: Option<Incoming>,
    /// Bytes that may still come, and that may come in all.
    left: Option<u64>,
    max: u64,
    arrival: Arrival,
    /// Bytes that have come.
    received: u64,
    /// Told of what comes.
    span: ServerSpan,
    /// The head does not say how many bytes come: the span is told at the end.
    is_uncounted: bool,
    /// Whose places it is about, and how long the guest has waited for the client.
    share: Option<Share>,
    patience: Option<Duration>,
    wait: Wait,
    /// Dropped when the body has ended.
    upload: Option<Upload>,
    /// The client sends nothing unless the guest reads.
    waits_to_continue: bool,
    is_h2: bool,
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
            span.no_request_body();
        }
        let announced = announced(head);
        let is_uncounted = inner.is_some() && announced.is_none();
        let arrival = inner.as_ref().map_or_else(Arrival::default, |inner| {
            let arrival = Arrival::of(announced);
            inner.tell(&arrival);
            arrival
        });
        Self {
            received: 0,
            share: None,
            patience: None,
            wait: Wait::default(),
            span: inner.as_ref().map_or_else(ServerSpan::off, |_| span.clone()),
            is_uncounted,
            left: max,
            max: max.unwrap_or(u64::MAX),
            arrival,
            upload: inner.as_ref().map(|_| activity.upload()),
            inner,
            waits_to_continue: head.headers.contains_key(EXPECT),
            is_h2: head.version >= Version::HTTP_2,
        }
    }

    /// Has it break off when the client sends nothing for as long as `patience` has it, or for a moment while others are
    /// refused a place of `share`.
    pub(crate) fn hurried_by(mut self, share: &Share, patience: Option<Duration>) -> Self {
        self.share = self.inner.as_ref().map(|_| share.clone());
        self.patience = patience;
        self
    }

    /// The client has sent nothing of what the guest waits for. Ready when it has had its time.
    fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(share) = &self.share else { return Poll::Pending };
        self.wait.poll(cx, self.patience, None, || share.is_pressed())
    }

    /// What tells later how it came.
    pub(crate) fn arrival(&self) -> Arrival {
        self.arrival.clone()
    }

    /// Refuses a body that says beforehand that it is too large.
    pub(crate) fn check_length(&self, head: &request::Parts) -> Result<(), Failure> {
        match announced(head) {
            Some(length) if length > self.max => Err(Failure::body_too_large(self.max)),
            _ => Ok(()),
        }
    }

    /// The body has come whole.
    fn complete(&mut self) {
        self.inner = None;
        self.upload = None;
        self.arrival.complete();
        if self.is_uncounted {
            self.span.request_body_size(self.received);
        }
    }
}

/// Bytes of the body, as its head has them.
fn announced(head: &request::Parts) -> Option<u64> {
    head.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Why a body came no further: its client broke the protocol, or is gone.
fn fault(error: &Broken) -> Failure {
    match error.malformed() {
        Some(what) => malformed_body(&what),
        None => Failure::client_disconnected(),
    }
}

/// Whether nothing follows `frame`, which `inner` gave. hyper forgets to end a body whose last bytes come after the
/// response has ended (HTTP/1.1): asked once more, it would say nothing until the next request.
pub(super) fn is_last(frame: &Frame<Bytes>, inner: &Incoming) -> bool {
    frame.is_trailers() || inner.is_end_stream()
}

impl http_body::Body for InboundBody {
    type Data = Bytes;
    type Error = RequestBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        let this = &mut *self;
        let Some(inner) = &mut this.inner else { return Poll::Ready(None) };
        let Poll::Ready(frame) = this.arrival.poll(cx, |cx| Pin::new(&mut *inner).poll_frame(cx)) else {
            ready!(this.poll_wait(cx));
            this.inner = None;
            this.upload = None;
            let is_pressed = this.share.as_ref().is_some_and(Share::is_pressed);
            this.arrival.break_off(match this.patience {
                Some(patience) if !is_pressed => Failure::client_idle(patience),
                _ => Failure::client_stalled(HURRY),
            });
            let reason = "the client sends nothing".to_owned();
            return Poll::Ready(Some(Err(RequestBodyError::Incomplete(reason))));
        };
        this.wait.end();
        let is_last = matches!(&frame, Some(Ok(frame)) if is_last(frame, inner));
        let frame = match frame {
            Some(Ok(frame)) => frame,
            None => {
                self.complete();
                return Poll::Ready(None);
            }
            Some(Err(error)) => {
                self.inner = None;
                self.upload = None;
                self.arrival.break_off(fault(&error));
                return Poll::Ready(Some(Err(RequestBodyError::Incomplete(error.to_string()))));
            }
        };
        let length = frame.data_ref().map_or(0, Bytes::len) as u64;
        if let Some(left) = self.left.as_mut() {
            match left.checked_sub(length) {
                Some(rest) => *left = rest,
                None => {
                    self.arrival.break_off(Failure::body_too_large(self.max));
                    return Poll::Ready(Some(Err(RequestBodyError::TooLarge(self.max))));
                }
            }
        }
        self.received += length;
        self.arrival.came(length);
        self.span.request_body_came(length);
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
        self.arrival.let_go();
        let swallowed = !self.waits_to_continue || self.arrival.has_begun();
        if let Some(body) = self.inner.take().filter(|inner| swallowed && !inner.is_end_stream()) {
            let (upload, arrival) = (self.upload.take(), self.arrival.clone());
            Leftover { body, upload, arrival, is_h2: self.is_h2 }.swallow();
        }
    }
}
