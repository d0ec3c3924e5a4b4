//! The body of every response, which knows how the request ended.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use super::Exchange;
use crate::guest::{self, Failure};
use crate::server::ahead::Source;
use crate::server::stall;

/// Between the last bytes of a response that breaks off and its end, and how many of them are waited for at most until
/// the connection has sent what it was given.
const FLUSH_PAUSE: Duration = Duration::from_millis(20);
const FLUSH_PAUSES: usize = 50;

/// What hyper is told when a body breaks off: it resets the stream or closes the connection.
#[derive(Debug, thiserror::Error)]
#[error("the response broke off: {0}")]
pub(crate) struct BrokenOff(String);

/// The pause before a response that has failed breaks off: hyper and h2 drop what they have not sent yet.
struct Broken {
    error: BrokenOff,
    /// None where there is no connection that may have something to send.
    pause: Option<Pin<Box<Sleep>>>,
    pauses: usize,
}

impl Broken {
    /// Resolves after a pause in which the connection was flushed, or many; `is_flushed` says that it was.
    fn poll(&mut self, cx: &mut Context<'_>, is_flushed: impl Fn() -> bool) -> Poll<()> {
        let Some(pause) = &mut self.pause else { return Poll::Ready(()) };
        loop {
            ready!(pause.as_mut().poll(cx));
            self.pauses += 1;
            if is_flushed() || self.pauses >= FLUSH_PAUSES {
                return Poll::Ready(());
            }
            pause.as_mut().reset(Instant::now() + FLUSH_PAUSE);
        }
    }
}

/// Who wrote it.
pub(super) enum Content {
    Guest(Source),
    Ours(Option<Bytes>),
}

/// The body of every response.
pub(crate) struct Body {
    pub(super) content: Content,
    /// What is left of a frame of the guest's that is sent in pieces.
    rest: Option<Bytes>,
    /// Everything has been handed over.
    handed_over: bool,
    /// Bytes that the head promises.
    promised: Option<u64>,
    /// The response has no body, whatever the guest writes (HEAD, 204, 205, 304); over HTTP/2 hyper would send it.
    bodiless: bool,
    /// It has none, and hyper is to pass on what its head says of it, which over HTTP/1.1 it does with a body only, of
    /// which it then asks for nothing.
    pub(super) tells_length: bool,
    /// Strikes when the response must be over.
    deadline: Option<Pin<Box<Sleep>>>,
    /// The guest failed, and hyper is told after a pause.
    broken: Option<Broken>,
    /// The connection has been given something since `given`.
    gives: bool,
    /// When it had all that it was given.
    given: usize,
    pub(super) exchange: Exchange,
}

impl Body {
    pub(super) fn new(content: Content, promised: Option<u64>, bodiless: bool, exchange: Exchange) -> Self {
        let deadline = exchange.deadline.filter(|_| matches!(content, Content::Guest(_)));
        Self {
            content,
            rest: None,
            handed_over: false,
            promised,
            bodiless,
            tells_length: false,
            deadline: deadline.map(|deadline| Box::pin(tokio::time::sleep_until(deadline.at))),
            broken: None,
            gives: true,
            given: 0,
            exchange,
        }
    }

    /// The response is complete: the guest may work on, but not on this.
    fn complete(&mut self) {
        if let Content::Guest(body) = &self.content {
            body.with(guest::Body::complete);
        }
        self.exchange.end();
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let this = &mut *self;
        if std::mem::take(&mut this.gives) {
            // Asked for more, it has taken the head and the frame before.
            this.given = this.exchange.flushes().now();
        }
        if let Some(flow) = &this.exchange.flow {
            flow.asked();
        }
        if this.handed_over {
            this.complete();
        }
        if this.broken.is_some() {
            return this.poll_broken(cx);
        }
        if this.bodiless {
            return Poll::Ready(None);
        }
        if let Some(failure) = this.poll_deadline(cx) {
            return this.break_off(&failure, cx);
        }
        match ready!(this.poll_piece(cx)) {
            None => {
                this.complete();
                Poll::Ready(None)
            }
            Some(Ok(frame)) => {
                this.gives = true;
                this.exchange.sent += frame.data_ref().map_or(0, |data| data.len() as u64);
                // hyper may not ask again after any of these: then the body is complete when hyper lets go of it, which
                // over HTTP/2 is when the peer has made room for it.
                this.handed_over = frame.is_trailers() || this.is_whole();
                if let Some(flow) = &this.exchange.flow {
                    flow.gave();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(failure)) => this.break_off(&failure, cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        // One that ends before its promise is asked once more, and says so then.
        self.broken.is_none()
            && !self.tells_length
            && (self.bodiless || self.content_is_over() && self.is_whole())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            _ if self.tells_length => SizeHint::with_exact(self.promised.unwrap_or(0)),
            _ if self.bodiless => SizeHint::with_exact(0),
            Content::Ours(text) => SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64)),
            // What the head says, whatever the guest makes of it: hyper compares the two.
            Content::Guest(_) if self.promised.is_some() => {
                SizeHint::with_exact(self.promised.unwrap_or(0).saturating_sub(self.exchange.sent))
            }
            Content::Guest(body) => body.size_hint(),
        }
    }
}

impl Body {
    /// Why the response must be over now, if it must; stops the guest.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Option<Failure> {
        let is_over = self.deadline.as_mut()?.as_mut().poll(cx).is_ready();
        let deadline = self.exchange.deadline.filter(|_| is_over)?;
        self.deadline = None;
        let failure = Failure::response_timeout(deadline.after);
        if let Content::Guest(body) = &self.content {
            body.with(|body| body.abandon(failure.clone()));
        }
        Some(failure)
    }

    /// Ends the response visibly.
    fn break_off(
        &mut self,
        failure: &Failure,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        self.exchange.break_off(failure);
        let error = BrokenOff(failure.message.clone());
        let is_local = self.exchange.flushes().is_local();
        let pause = (!is_local).then(|| Box::pin(tokio::time::sleep(FLUSH_PAUSE)));
        self.broken = Some(Broken { error, pause, pauses: 0 });
        self.poll_broken(cx)
    }

    /// Tells that the response has broken off, as soon as the client can have the head and all that the guest did write.
    fn poll_broken(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        if let Some(broken) = &mut self.broken {
            ready!(broken.poll(cx, || self.exchange.flushes().since(self.given)));
        }
        Poll::Ready(self.broken.take().map(|broken| Err(broken.error)))
    }

    /// The next frame, or a piece of it where a slow peer must not take too long for one.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let frame = match (self.rest.take(), &mut self.content) {
            (Some(rest), _) => Some(Ok(Frame::data(rest))),
            (None, Content::Ours(text)) => text.take().map(|text| Ok(Frame::data(text))),
            (None, Content::Guest(body)) => ready!(body.poll_frame(cx)),
        };
        let is_long = |frame: &Frame<Bytes>| frame.data_ref().is_some_and(|data| data.len() > stall::PIECE);
        Poll::Ready(match frame {
            Some(Ok(frame)) if self.exchange.flow.is_some() && is_long(&frame) => {
                let mut data = frame.into_data().unwrap_or_default();
                self.rest = Some(data.split_off(stall::PIECE));
                Some(Ok(Frame::data(data)))
            }
            frame => frame,
        })
    }

    /// All that belongs to the response has been handed over.
    fn is_whole(&self) -> bool {
        self.bodiless
            || match self.promised {
                Some(promised) => self.exchange.sent >= promised,
                None => self.content_is_over(),
            }
    }

    fn content_is_over(&self) -> bool {
        match &self.content {
            _ if self.rest.is_some() => false,
            Content::Ours(text) => text.is_none(),
            Content::Guest(body) => body.is_end_stream(),
        }
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        // hyper does not ask for what follows the last byte that the head promises: of none, not even once.
        let is_cut = self.exchange.flow.as_ref().is_some_and(|flow| flow.is_cut());
        if !self.exchange.ended && !is_cut && (self.handed_over || self.is_whole()) {
            self.complete();
        }
    }
}
