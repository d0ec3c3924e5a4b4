//! The body of a guest's response, and what is read of it ahead of a client that leaves no room.
//!
//! An HTTP/2 peer whose window is closed is not asked to take more, and so keeps a guest at work that has only a
//! few bytes left to write. So while a stream is stalled its task reads on for a bounded while (`stall`): short responses
//! are complete at once, and their guests free their places. A client that reads gets each frame as soon as ever, since
//! nothing is read ahead for it. HTTP/1.1 needs none of this: hyper and the kernel hold as much.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};

use super::stall::Flow;
use crate::guest::{self, Failure};

/// Bytes of one response that are read ahead.
const OF_ONE: usize = 64 * 1024;
/// Bytes of all responses together. Without room, a guest waits for its client as it writes.
const OF_ALL: usize = 16 * 1024 * 1024;
/// What a frame counts at least: it costs more than its bytes.
const FRAME: usize = 512;

/// What has been read ahead of all clients.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ahead(Arc<AtomicUsize>);

impl Ahead {
    /// Bytes that are held now.
    pub(crate) fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// A guest's body with what was read ahead of it.
pub(super) struct ReadAhead {
    body: guest::Body,
    frames: VecDeque<Result<Frame<Bytes>, Failure>>,
    held: usize,
    all: Ahead,
    /// Nothing follows `frames`.
    is_over: bool,
}

fn cost(frame: &Result<Frame<Bytes>, Failure>) -> usize {
    frame.as_ref().ok().and_then(Frame::data_ref).map_or(0, Bytes::len).max(FRAME)
}

impl ReadAhead {
    pub(super) fn new(body: guest::Body, all: Ahead) -> Self {
        Self { body, frames: VecDeque::new(), held: 0, all, is_over: false }
    }

    fn hold(&mut self, bytes: usize) {
        self.held += bytes;
        self.all.0.fetch_add(bytes, Ordering::Relaxed);
    }

    fn let_go(&mut self, bytes: usize) {
        self.held -= bytes;
        self.all.0.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        if let Some(frame) = self.frames.pop_front() {
            self.let_go(cost(&frame));
            return Poll::Ready(Some(frame));
        }
        if self.is_over {
            return Poll::Ready(None);
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }

    /// Reads what is there, as far as there is room for it; `cx` is woken when there is more.
    pub(super) fn fill(&mut self, cx: &mut Context<'_>) {
        while !self.is_over && self.held < OF_ONE && self.all.bytes() < OF_ALL {
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(frame)) => {
                    self.is_over = frame.is_err();
                    self.hold(cost(&frame));
                    self.frames.push_back(frame);
                }
                Poll::Ready(None) => self.is_over = true,
                Poll::Pending => break,
            }
        }
        // Its guest may have finished when there was no room for its response to wait.
        self.body.finish_again();
    }

    /// Others wait for what this response holds.
    pub(super) fn is_pressed(&self) -> bool {
        self.body.is_pressed()
    }
}

impl Drop for ReadAhead {
    fn drop(&mut self) {
        self.let_go(self.held);
    }
}

/// Where the body of a response comes from.
pub(super) enum Source {
    /// From the guest.
    Direct(guest::Body),
    /// From the stream's task, which may read ahead.
    Shared(Arc<Flow>),
}

impl Source {
    /// `flow` is that of an HTTP/2 stream.
    pub(super) fn new(body: guest::Body, flow: Option<&Arc<Flow>>) -> Self {
        match flow {
            None => Self::Direct(body),
            Some(flow) => {
                flow.keep(body);
                Self::Shared(flow.clone())
            }
        }
    }

    /// What `look` finds at the guest's body; nothing once that is dropped.
    pub(super) fn with<T: Default>(&self, look: impl FnOnce(&guest::Body) -> T) -> T {
        match self {
            Self::Direct(body) => look(body),
            Self::Shared(flow) => flow.kept().as_ref().map(|kept| look(&kept.body)).unwrap_or_default(),
        }
    }

    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        match self {
            Self::Direct(body) => Pin::new(body).poll_frame(cx),
            Self::Shared(flow) => {
                let frame = flow.kept().as_mut().map(|kept| kept.poll_frame(cx));
                frame.unwrap_or(Poll::Ready(None))
            }
        }
    }

    pub(super) fn is_end_stream(&self) -> bool {
        match self {
            Self::Direct(body) => body.is_end_stream(),
            Self::Shared(flow) => flow
                .kept()
                .as_ref()
                .is_none_or(|kept| kept.frames.is_empty() && (kept.is_over || kept.body.is_end_stream())),
        }
    }

    /// What is known of it before the first frame.
    pub(super) fn size_hint(&self) -> SizeHint {
        match self {
            Self::Direct(body) => body.size_hint(),
            Self::Shared(flow) => match &*flow.kept() {
                Some(kept) if kept.held == 0 => kept.body.size_hint(),
                _ => SizeHint::default(),
            },
        }
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        if let Self::Shared(flow) = self {
            // Nobody reads any more what the guest still writes.
            let kept = flow.kept().take();
            drop(kept);
        }
    }
}
