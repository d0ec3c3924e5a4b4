//! Bodies on their way through the client: what a guest sends, and what it gets.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep};
use wasmtime_wasi_http::{Error, WasiBody};

use super::error;
use crate::host::frames::poll_frame;
use crate::host::written::asked_for_frame;

/// What the sender of a request sees of its body while hyper has it.
#[derive(Clone, Debug)]
pub(super) struct Progress(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    last_frame: Instant,
    failed: Option<Error>,
}

impl Progress {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(State { last_frame: Instant::now(), failed: None })))
    }

    /// When the guest's body last gave hyper something to send.
    pub(super) fn last_frame(&self) -> Instant {
        self.state().last_frame
    }

    /// The guest's own error, which hyper only knows as "user error".
    pub(super) fn take_failure(&self) -> Option<Error> {
        self.state().failed.take()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The body of a request; knows when it last moved and why it failed.
pub(super) struct Upload {
    body: WasiBody,
    progress: Progress,
}

/// Stands in for the error that [`Progress`] keeps.
#[derive(Debug, thiserror::Error)]
#[error("the guest's request body failed")]
pub(super) struct UploadFailed;

impl Upload {
    pub(super) fn new(body: WasiBody) -> (Self, Progress) {
        let progress = Progress::new();
        (Self { body, progress: progress.clone() }, progress)
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = UploadFailed;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadFailed>>> {
        // Pieces of no bytes are no progress: the time for a response runs on.
        let frame = ready!(poll_frame(&mut self.body, cx));
        let mut state = self.progress.state();
        state.last_frame = Instant::now();
        Poll::Ready(frame.map(|frame| {
            frame.map_err(|error| {
                state.failed = Some(error);
                UploadFailed
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of a response. Holds the request's permit until the last frame; once it
/// has failed the connection (or HTTP/2 stream) is closed, not read on for nobody.
pub(super) struct Download {
    /// `None` once it has ended.
    body: Option<(Incoming, OwnedSemaphorePermit)>,
    between_bytes: Duration,
    /// Made at the first wait, so that a body that is there at once costs no timer.
    timer: Option<Pin<Box<Sleep>>>,
    /// Whether `timer` runs for the present wait.
    waiting: bool,
}

impl Download {
    pub(super) fn new(body: Incoming, permit: OwnedSemaphorePermit, between_bytes: Duration) -> Self {
        Self { body: Some((body, permit)), between_bytes, timer: None, waiting: false }
    }

    /// Whether the peer has been silent for too long. Only the time that somebody
    /// waits counts: a guest may read as slowly as it likes.
    fn poll_timeout(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let limit = self.between_bytes;
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        if !self.waiting {
            self.waiting = true;
            timer.as_mut().reset(Instant::now() + limit);
        }
        timer.as_mut().poll(cx)
    }
}

impl Body for Download {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        asked_for_frame();
        let Some((body, _)) = &mut self.body else {
            return Poll::Ready(None);
        };
        let end = match Pin::new(body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                self.waiting = false;
                return Poll::Ready(Some(Ok(frame)));
            }
            Poll::Ready(Some(Err(hyper))) => Some(Err(error::of_response_body(&hyper))),
            Poll::Ready(None) => None,
            Poll::Pending => {
                ready!(self.poll_timeout(cx));
                Some(Err(Error::ConnectionReadTimeout))
            }
        };
        self.body = None;
        Poll::Ready(end)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(|(body, _)| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), |(body, _)| body.size_hint())
    }
}
