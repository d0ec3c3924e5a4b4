//! Bodies at the border to a guest: a request's on its way in, and a response's on its way out, which never looks
//! complete when the guest failed half-way.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use wasmtime_wasi_http::{Error as HttpError, WasiBody};

use crate::host::{Broken, Failure, FailureKind, RequestScope, Written, asked_for_frame};
use pounce_telemetry::Phases;

/// Why a request body ended before its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestBodyError {
    /// More bytes than `http.max-request-body`.
    #[error("the request body is larger than {0} bytes")]
    TooLarge(u64),
    /// The client went away, or broke the protocol.
    #[error("the client did not send the whole request body: {0}")]
    Incomplete(String),
}

/// Makes a request body that a guest can read.
pub(super) fn inbound<B>(body: B) -> WasiBody
where
    B: http_body::Body<Data = Bytes, Error = RequestBodyError> + Send + Unpin + 'static,
{
    Inbound(body).boxed_unsync()
}

/// The body of a request as guests know it.
struct Inbound<B>(B);

impl<B> http_body::Body for Inbound<B>
where
    B: http_body::Body<Data = Bytes, Error = RequestBodyError> + Unpin,
{
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        asked_for_frame();
        let frame = ready!(Pin::new(&mut self.0).poll_frame(cx));
        Poll::Ready(frame.map(|frame| {
            frame.map_err(|error| match error {
                RequestBodyError::TooLarge(limit) => HttpError::HttpRequestBodySize(Some(limit)),
                RequestBodyError::Incomplete(_) => HttpError::ConnectionTerminated,
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

/// The body of a guest's response.
pub(crate) struct Body {
    inner: Written,
    scope: RequestScope,
    /// The guest has finished when its body has ended.
    finishes: bool,
}

impl Body {
    pub(super) fn new(inner: Written, scope: RequestScope, finishes: bool) -> Self {
        Self { inner, scope, finishes }
    }

    /// The times of the request's phases so far: in the queue, for an instance, and in the guest. One that is not known
    /// is left out.
    pub(crate) fn phases(&self) -> [(&'static str, Option<Duration>); 3] {
        let Phases { queue, instantiate, .. } = self.scope.taken();
        let guest = queue.map(|queue| {
            self.scope.admitted.elapsed().saturating_sub(queue + instantiate.unwrap_or_default())
        });
        [("queue", queue), ("instantiate", instantiate), ("guest", guest)]
    }

    /// Bytes that have come already of a body that should have none. No byte of it is asked for over HTTP/1.1.
    pub(crate) fn excess(&self) -> Option<Failure> {
        self.inner.excess().map(failed)
    }

    /// The response will not be complete, for this reason: stops the guest.
    pub(crate) fn abandon(&self, failure: Failure) {
        self.scope.abandon(failure);
    }

    /// The response is complete although the end of the stream was not read (its length was known, or it has no body):
    /// the guest may work on after it.
    pub(crate) fn complete(&self) {
        self.scope.tell_spent();
        self.scope.close();
    }

    /// Frees the place of a guest that has finished, where that was not possible at the time.
    pub(crate) fn finish_again(&self) {
        self.scope.finish_again();
    }

    /// Others are refused for want of what the response's request takes up.
    pub(crate) fn is_pressed(&self) -> bool {
        self.scope.is_pressed()
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let frame = ready!(self.inner.poll(cx, "response"));
        let is_over = !matches!(frame, Some(Ok(_))) || self.inner.is_end_stream();
        if is_over {
            self.scope.tell_spent();
            if self.finishes {
                self.scope.finish();
            }
        }
        // What the guest has failed of comes first, whatever that made of its body.
        let failure = if is_over { self.scope.failure() } else { None };
        Poll::Ready(match (failure, frame) {
            (Some(failure), _) => Some(Err(failure)),
            (None, frame) => frame.map(|frame| frame.map_err(failed)),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream() && !self.scope.has_failed()
    }

    fn size_hint(&self) -> SizeHint {
        // A body of no bytes would pass for whole, whatever its guest has failed of.
        if self.scope.has_failed() { SizeHint::default() } else { self.inner.size_hint() }
    }
}

/// What the server is told of a body that its guest broke off.
fn failed(broken: Broken) -> Failure {
    let kind = match broken {
        Broken::Code(code) => return Failure::error_code(code),
        Broken::Length { written, promised } if written > promised => FailureKind::BodyTooLong,
        Broken::Length { .. } | Broken::Unfinished { .. } => FailureKind::BodyUnfinished,
    };
    Failure::new(kind, broken.message("response"))
}

impl Drop for Body {
    fn drop(&mut self) {
        if self.inner.is_end_stream() {
            self.scope.close();
        } else if !self.scope.is_closed() {
            // Nobody reads what the guest still writes.
            self.scope.tell_spent();
            self.scope.cancel();
        }
    }
}
