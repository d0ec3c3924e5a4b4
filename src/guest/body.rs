//! Bodies at the border to a guest: a request's on its way in, and a response's on its way out, which never looks
//! complete when the guest failed half-way.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;
use wasmtime_wasi_http::{Error as HttpError, WasiBody};

use super::error;
use crate::host::{Failure, RequestScope, poll_frame};
use crate::telemetry::Phases;

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
    B: http_body::Body<Data = Bytes, Error = RequestBodyError> + Send + 'static,
{
    body.map_err(|error| match error {
        RequestBodyError::TooLarge(limit) => HttpError::HttpRequestBodySize(Some(limit)),
        RequestBodyError::Incomplete(_) => HttpError::ConnectionTerminated,
    })
    .boxed_unsync()
}

/// The body of a guest's response.
pub(crate) struct Body {
    inner: WasiBody,
    scope: Arc<RequestScope>,
}

impl Body {
    pub(super) fn new(inner: WasiBody, scope: Arc<RequestScope>) -> Self {
        Self { inner, scope }
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

    /// The response is complete although the end of the stream was not read (its length was known, or it has no body):
    /// the guest may work on after it.
    pub(crate) fn complete(&self) {
        self.scope.tell_spent();
        self.scope.close();
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let frame = ready!(poll_frame(&mut self.inner, cx));
        if !matches!(frame, Some(Ok(_))) {
            self.scope.tell_spent();
        }
        match frame {
            Some(Ok(frame)) => Poll::Ready(Some(Ok(frame))),
            // wasi-http ends the stream as if it were whole when its writer vanishes with a failed instance.
            None => Poll::Ready(self.scope.failure().cloned().map(Err)),
            Some(Err(error)) => {
                let failure = self.scope.failure().cloned().unwrap_or_else(|| error::error_code(&error));
                Poll::Ready(Some(Err(failure)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream() && self.scope.failure().is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        // Dropped before its end: nobody reads what the guest still writes.
        if !self.inner.is_end_stream() && !self.scope.is_closed() {
            self.scope.tell_spent();
            self.scope.cancel();
        }
        self.scope.close();
    }
}
