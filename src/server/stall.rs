//! HTTP/2 streams whose peer does not read on.
//!
//! The socket of such a peer may well be writable, so that `idle` sees nothing of it: what has run out is a window.
//! `http2` asks a body for the next frame only once there was room for the one before. So a body that has given a frame
//! and is not asked for another is stalled by its peer, where one that was asked and has none waits for its guest. That
//! a body tells the task that sends it; the task has the clock, and makes it only when there is a stall. Meanwhile it
//! reads on for the client (`ahead`), so that the guest need not wait, too.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::Executor;
use pin_project_lite::pin_project;
use tokio::time::Instant;

use super::ahead::{Ahead, ReadAhead};
use super::wait::Wait;
use crate::guest;

/// Bytes of one frame at most. A peer must make room for as many in each `http.idle-timeout`; guests may write pieces
/// that a slow network takes longer for.
pub(crate) const PIECE: usize = 16 * 1024;

tokio::task_local! {
    /// The stream that this task serves, which is one from its request to the end of its response.
    static STREAM: Arc<Flow>;
}

/// What the body of a response tells the task that sends it, and the other way round.
#[derive(Default)]
pub(crate) struct Flow {
    /// Frames given, and frames that there was room for: odd while the last one waits.
    turns: AtomicUsize,
    cut: AtomicBool,
    /// When the response must be over.
    deadline: OnceLock<Instant>,
    /// The response says that there was no place: it may not take one up for long either.
    is_refusal: AtomicBool,
    ahead: Ahead,
    /// The guest's body: its response asks for frames, and the task reads on when nobody asks.
    kept: Mutex<Option<ReadAhead>>,
}

impl Flow {
    /// The flow of the HTTP/2 stream that this task serves; none in the task of a connection of HTTP/1.1.
    pub(crate) fn current() -> Option<Arc<Self>> {
        STREAM.try_with(Arc::clone).ok()
    }

    // One task calls all of these, so no order is needed.

    /// The body is asked for a frame.
    pub(crate) fn asked(&self) {
        let turns = self.turns.load(Ordering::Relaxed);
        self.turns.store(turns.wrapping_add(turns & 1), Ordering::Relaxed);
    }

    /// The body gives one.
    pub(crate) fn gave(&self) {
        self.asked();
        self.turns.fetch_add(1, Ordering::Relaxed);
    }

    /// The response must be over by then, whether the peer makes room or not.
    pub(crate) fn until(&self, deadline: Instant) {
        // A stream carries one response.
        _ = self.deadline.set(deadline);
    }

    /// Keeps a guest's body for both who read it.
    pub(super) fn keep(&self, body: guest::Body) {
        *self.kept() = Some(ReadAhead::new(body, self.ahead.clone()));
    }

    pub(super) fn kept(&self) -> MutexGuard<'_, Option<ReadAhead>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The response says that there was no place.
    pub(crate) fn refuse(&self) {
        self.is_refusal.store(true, Ordering::Relaxed);
    }

    fn is_stalled(&self) -> bool {
        self.turns.load(Ordering::Relaxed) & 1 == 1
    }

    /// Others are refused for want of what the stream takes up.
    fn is_pressed(&self) -> bool {
        self.is_refusal.load(Ordering::Relaxed) || self.kept().as_ref().is_some_and(ReadAhead::is_pressed)
    }

    /// The peer has had its time: what was given last never went out.
    pub(crate) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Relaxed)
    }
}

/// Runs the streams of HTTP/2 connections, each in a task of its own.
#[derive(Clone, Debug)]
pub(crate) struct Streams {
    /// How long a peer may take to make room (`http.idle-timeout`).
    pub(crate) patience: Option<Duration>,
    /// What is read ahead of all peers.
    pub(crate) ahead: Ahead,
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let flow = Arc::new(Flow { ahead: self.ahead.clone(), ..Flow::default() });
        let watched =
            Watched { stream, flow: flow.clone(), patience: self.patience, seen: 0, wait: Wait::default() };
        drop(tokio::spawn(STREAM.scope(flow, watched)));
    }
}

pin_project! {
    /// A stream that ends when its peer stalls it for too long: dropped, h2 resets it and forgets what it still holds.
    struct Watched<F> {
        #[pin]
        stream: F,
        flow: Arc<Flow>,
        patience: Option<Duration>,
        // The stall that was seen last.
        seen: usize,
        wait: Wait,
    }
}

impl<F: Future<Output = ()>> Future for Watched<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        if this.stream.poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if !this.flow.is_stalled() {
            return Poll::Pending;
        }
        let turns = this.flow.turns.load(Ordering::Relaxed);
        if std::mem::replace(this.seen, turns) != turns {
            this.wait.end();
        }
        if let Some(kept) = &mut *this.flow.kept() {
            kept.fill(cx);
        }
        if this
            .wait
            .poll(cx, *this.patience, this.flow.deadline.get().copied(), || this.flow.is_pressed())
            .is_pending()
        {
            return Poll::Pending;
        }
        tracing::debug!("a peer does not read its response: the stream is reset");
        this.flow.cut.store(true, Ordering::Relaxed);
        Poll::Ready(())
    }
}
