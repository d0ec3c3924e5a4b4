//! A body that a guest writes, on its way to whoever sends it: that of a response, or of a request of the guest's own.
//!
//! A receiver takes a body for whole once it has its end, or as many bytes as its head promises. So neither is passed on
//! before it is known that the guest means it: the last of the promised bytes wait until no more come, and an end counts
//! only if it came from the guest. wasi-http cannot tell it from the end that comes when the guest has gone and left the
//! body open; whoever lets go of an instance therefore [settles](Written::settle) its bodies first.
//!
//! ```text
//!           the guest ends it
//!  Open ───────────────────────────▶ Whole ───┐
//!   ├──────────────────────────────▶ Failed ──┼──▶ Told
//!   │       the guest gives an error          │    the reader has had the end, or why there is none
//!   └──────────────────────────────▶ Left ────┘
//!           settled, or dropped (0.2)
//! ```

use std::cell::Cell;
use std::collections::VecDeque;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body::{Body as _, Frame, SizeHint};
use wasmtime_wasi_http::{Error, WasiBody};

use super::frames::poll_frame;

thread_local! {
    /// A body of the host's was asked for a frame.
    static ASKED: Cell<bool> = const { Cell::new(false) };
}

/// To be called by each body that guests are given whenever it is asked for a frame: one that a guest passes on as its
/// own needs no guest any more, and is known by that.
pub(crate) fn asked_for_frame() {
    ASKED.set(true);
}

/// Why a body that a guest writes broke off.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The bytes written are not as many as the head promises.
    Length { written: u64, promised: u64 },
    /// The guest has gone, or has dropped the body, without having finished it.
    Unfinished { written: u64 },
    /// An error of the guest's choice, or that of the body which it passes on.
    Code(Error),
}

impl Broken {
    /// The reason in a sentence; `body` is what the body belongs to: `response` or `request`.
    pub(crate) fn message(&self, body: &str) -> String {
        match self {
            Self::Length { written, promised } => {
                format!("the guest wrote {written} bytes where its Content-Length promises {promised}")
            }
            Self::Unfinished { written } => {
                format!("the guest left its {body} body unfinished after {written} bytes")
            }
            Self::Code(error) => error.to_string(),
        }
    }
}

/// What becomes of a guest's body when its guest breaks it off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Abi {
    /// The body ends with the error `http-protocol-error`.
    P2,
    /// The body ends with an error that the guest chooses.
    P3,
}

/// A body that a guest writes. Clones are the same body: one is read, the others settle it.
#[derive(Clone)]
pub(crate) struct Written(Arc<Mutex<State>>);

struct State {
    abi: Abi,
    stage: Stage,
    /// Taken from the guest before anybody asked for them.
    drawn: VecDeque<Frame<Bytes>>,
    /// Bytes that the head promises.
    promised: Option<u64>,
    /// Bytes that have come.
    written: u64,
    /// The last bytes of the promised ones.
    held: Option<Bytes>,
    /// The guest has passed on a body of the host's.
    relayed: bool,
}

/// How far the guest has come.
enum Stage {
    /// The guest writes.
    Open { body: WasiBody, reader: Option<Waker> },
    /// The guest has ended it.
    Whole,
    /// The guest has gone or has dropped it.
    Left,
    /// The guest has ended it with an error.
    Failed(Error),
    /// Nothing is left to tell; why it broke off, if it did.
    Told(Option<String>),
}

impl Written {
    /// The body of a response or request with these headers.
    pub(crate) fn new(inner: WasiBody, headers: &HeaderMap, abi: Abi) -> Self {
        let promised = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let is_over = inner.is_end_stream() && promised.unwrap_or(0) == 0;
        let stage = if is_over { Stage::Whole } else { Stage::Open { body: inner, reader: None } };
        let (drawn, held, relayed) = (VecDeque::new(), None, false);
        Self(Arc::new(Mutex::new(State { abi, stage, drawn, promised, written: 0, held, relayed })))
    }

    /// Decides how the body ends, before its guest goes: what has been written is kept for its reader, and if the guest
    /// has not ended it by now it never will. Whether that is so. A body that the guest has passed on goes on without it.
    pub(crate) fn settle(&self) -> bool {
        self.settle_with(|_| ())
    }

    /// [`settle`](Self::settle), and calls `then` with its result before the body's reader sees the end.
    pub(crate) fn settle_with(&self, then: impl FnOnce(bool)) -> bool {
        let mut state = self.lock();
        let is_left = state.settle();
        then(is_left);
        is_left
    }

    /// That there are bytes although the head promises none, if that shows already.
    pub(crate) fn excess(&self) -> Option<Broken> {
        let mut state = self.lock();
        if state.promised != Some(0) {
            return None;
        }
        if state.drawn.is_empty()
            && let Poll::Ready(Some(frame)) = state.look()
        {
            state.drawn.push_back(frame);
        }
        let written = state.drawn.front()?.data_ref()?.len() as u64;
        (written > 0).then_some(Broken::Length { written, promised: 0 })
    }

    /// Everything has been read, and it was whole.
    pub(crate) fn is_end_stream(&self) -> bool {
        self.lock().is_end_stream()
    }

    /// Why it broke off, or will; `body` is as for [`poll`](Self::poll).
    pub(crate) fn reason(&self, body: &str) -> Option<String> {
        let state = self.lock();
        match &state.stage {
            Stage::Told(reason) => reason.clone(),
            Stage::Left => Some(state.left().message(body)),
            Stage::Open { .. } | Stage::Whole | Stage::Failed(_) => None,
        }
    }

    /// The next frame; `body` is what the body belongs to: `response` or `request`.
    pub(crate) fn poll(
        &self,
        cx: &mut Context<'_>,
        body: &str,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let mut state = self.lock();
        let next = ready!(state.poll(cx));
        if let Some(Err(broken)) = &next {
            state.stage = Stage::Told(Some(broken.message(body)));
        }
        Poll::Ready(next)
    }

    /// Bytes that are still to come, as far as that is known.
    pub(crate) fn size_hint(&self) -> SizeHint {
        let state = self.lock();
        match (state.promised, &state.stage) {
            (Some(promised), _) => {
                let held = state.held.as_ref().map_or(0, Bytes::len) as u64;
                SizeHint::with_exact((promised + held).saturating_sub(state.written))
            }
            (None, _) if !state.drawn.is_empty() => SizeHint::default(),
            (None, Stage::Open { body, .. }) => body.size_hint(),
            (None, Stage::Whole | Stage::Told(_)) => SizeHint::with_exact(0),
            // A body of no bytes would pass for whole.
            (None, Stage::Left | Stage::Failed(_)) => SizeHint::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        loop {
            let frame = match self.drawn.pop_front() {
                Some(frame) => frame,
                None => match ready!(self.poll_end(cx)) {
                    Some(frame) => frame,
                    None => return Poll::Ready(self.tell_end()),
                },
            };
            match frame.into_data() {
                Ok(data) => {
                    self.written += data.len() as u64;
                    match self.promised {
                        Some(promised) if self.written > promised => {
                            return Poll::Ready(Some(Err(self.wrong_length(promised))));
                        }
                        Some(promised) if self.written == promised => self.held = Some(data),
                        _ => return Poll::Ready(Some(Ok(Frame::data(data)))),
                    }
                }
                Err(trailers) => {
                    if let Some(promised) = self.promised.filter(|promised| self.written < *promised) {
                        return Poll::Ready(Some(Err(self.wrong_length(promised))));
                    }
                    let Some(held) = self.held.take() else {
                        self.stage = Stage::Told(None);
                        return Poll::Ready(Some(Ok(trailers)));
                    };
                    self.drawn.push_front(trailers);
                    return Poll::Ready(Some(Ok(Frame::data(held))));
                }
            }
        }
    }

    /// The next frame of the guest's; none at its end, which is then known.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Option<Frame<Bytes>>> {
        let Stage::Open { body, reader } = &mut self.stage else {
            return Poll::Ready(None);
        };
        ASKED.set(false);
        let next = poll_frame(body, cx);
        self.relayed |= ASKED.take();
        self.stage = match next {
            Poll::Ready(Some(Ok(frame))) => return Poll::Ready(Some(frame)),
            Poll::Ready(Some(Err(Error::HttpProtocolError))) if self.abi == Abi::P2 => Stage::Left,
            Poll::Ready(Some(Err(error))) => Stage::Failed(error),
            Poll::Ready(None) => Stage::Whole,
            Poll::Pending => {
                // Whoever settles the body must not keep its reader from being woken.
                if reader.as_ref().is_none_or(|reader| !reader.will_wake(cx.waker())) {
                    *reader = Some(cx.waker().clone());
                }
                return Poll::Pending;
            }
        };
        Poll::Ready(None)
    }

    /// What the reader gets at the end.
    fn tell_end(&mut self) -> Option<Result<Frame<Bytes>, Broken>> {
        let is_short = self.promised.is_some_and(|promised| self.written < promised);
        match std::mem::replace(&mut self.stage, Stage::Told(None)) {
            Stage::Failed(error) => Some(Err(self.failed(error))),
            Stage::Whole if !is_short => self.held.take().map(|held| Ok(Frame::data(held))),
            Stage::Whole | Stage::Left => Some(Err(self.left())),
            // The end is asked for once more.
            told @ (Stage::Told(_) | Stage::Open { .. }) => {
                self.stage = told;
                None
            }
        }
    }

    /// What is wrong with what the guest has written when no more comes.
    fn left(&self) -> Broken {
        let drawn = self.drawn.iter().filter_map(Frame::data_ref).map(Bytes::len).sum::<usize>();
        let written = self.written + drawn as u64;
        match self.promised {
            Some(promised) if written != promised => Broken::Length { written, promised },
            _ => Broken::Unfinished { written },
        }
    }

    fn wrong_length(&self, promised: u64) -> Broken {
        Broken::Length { written: self.written, promised }
    }

    /// wasi-http 0.3 compares lengths itself.
    fn failed(&self, error: Error) -> Broken {
        match (error, self.promised) {
            (
                Error::HttpResponseBodySize(Some(written)) | Error::HttpRequestBodySize(Some(written)),
                Some(promised),
            ) if written != promised => Broken::Length { written, promised },
            (error, _) => Broken::Code(error),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.drawn.is_empty() && self.held.is_none() && matches!(self.stage, Stage::Whole | Stage::Told(_))
    }

    /// The next frame, if it is there. Not subject to the budget of the task that asks: "not now" must mean that.
    fn look(&mut self) -> Poll<Option<Frame<Bytes>>> {
        let next = tokio::task::unconstrained(std::future::poll_fn(|cx| self.poll_end(cx)));
        pin!(next).poll(&mut Context::from_waker(Waker::noop()))
    }

    fn settle(&mut self) -> bool {
        if self.relayed {
            return false;
        }
        let reader = match &mut self.stage {
            Stage::Open { reader, .. } => reader.take(),
            _ => None,
        };
        while matches!(self.stage, Stage::Open { .. }) && !self.relayed {
            match self.look() {
                Poll::Ready(Some(frame)) => self.drawn.push_back(frame),
                // It has ended, which ends the loop, or is passed on, as has just shown.
                Poll::Ready(None) => {}
                Poll::Pending if self.relayed => {}
                Poll::Pending => self.stage = Stage::Left,
            }
        }
        if let Some(reader) = reader {
            reader.wake();
        }
        matches!(self.stage, Stage::Left)
    }
}

impl http_body::Body for Written {
    type Data = Bytes;
    type Error = Error;

    /// As the body of a request of the guest's.
    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let next = ready!(self.poll(cx, "request"));
        Poll::Ready(next.map(|next| {
            next.map_err(|broken| match broken {
                Broken::Length { written, .. } => Error::HttpRequestBodySize(Some(written)),
                Broken::Unfinished { .. } => Error::HttpProtocolError,
                Broken::Code(error) => error,
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.size_hint()
    }
}

impl std::fmt::Debug for Written {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.lock();
        f.debug_struct("Written")
            .field("promised", &state.promised)
            .field("written", &state.written)
            .finish_non_exhaustive()
    }
}

/// The bodies of the requests that one instance sends, as long as they are being sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Uploads(Arc<Mutex<Vec<Weak<Mutex<State>>>>>);

impl Uploads {
    /// Adds one.
    pub(crate) fn add(&self, body: &Written) {
        if body.is_end_stream() {
            return;
        }
        let mut bodies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if bodies.len() == bodies.capacity() {
            bodies.retain(|body| body.strong_count() > 0);
        }
        bodies.push(Arc::downgrade(&body.0));
    }

    /// [Settles](Written::settle) them all. Whether the guest has left one open.
    pub(crate) fn settle(&self) -> bool {
        let bodies = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        bodies.iter().filter_map(Weak::upgrade).fold(false, |left, body| Written(body).settle() | left)
    }
}

#[cfg(test)]
mod tests;
