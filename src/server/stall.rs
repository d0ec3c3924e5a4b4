//! HTTP/2 streams whose peer does not read on.
//!
//! The socket of such a peer may well be writable, so that `idle` sees nothing of it: what has run out is a window, and
//! hyper keeps those to itself. But it asks a body for the next frame only once there was room for the one before. So a
//! body that has given a frame and is not asked for another is stalled by its peer, where one that was asked and has
//! none waits for its guest. That a body tells the task that sends it; the task has the clock, and makes it only when
//! there is a stall.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::Executor;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

/// Bytes of one frame at most. A peer must make room for as many in each `http.idle-timeout`; guests may write pieces
/// that a slow network takes longer for.
pub(crate) const PIECE: usize = 16 * 1024;

tokio::task_local! {
    /// Of the stream that this task serves, which is one from its request to the end of its response.
    static STREAM: Arc<Flow>;
}

/// What the body of a response tells the task that sends it, and the other way round.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    /// Frames given, and frames that there was room for: odd while the last one waits.
    turns: AtomicUsize,
    cut: AtomicBool,
    /// When the response must be over.
    deadline: OnceLock<Instant>,
}

impl Flow {
    /// That of the HTTP/2 stream that this task serves, if it does and somebody watches.
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

    /// The peer has had its time: what was given last never went out.
    pub(crate) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Relaxed)
    }
}

/// Runs the streams of HTTP/2 connections, each in a task of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Streams {
    /// How long a peer may take to make room (`http.idle-timeout`).
    pub(crate) patience: Option<Duration>,
    /// Responses have a time to be over in (`http.response-timeout`).
    pub(crate) is_timed: bool,
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        if self.patience.is_none() && !self.is_timed {
            drop(tokio::spawn(stream));
            return;
        }
        let (flow, patience) = (Arc::<Flow>::default(), self.patience);
        let watched = Watched { stream, flow: flow.clone(), patience, seen: 0, since: None, clock: None };
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
        since: Option<Instant>,
        // Left running when a stall is over, because the next one is near: it is cheaper to let it strike in vain.
        clock: Option<Pin<Box<Sleep>>>,
    }
}

impl<F: Future<Output = ()>> Future for Watched<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        if this.stream.poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let turns = this.flow.turns.load(Ordering::Relaxed);
        if turns & 1 == 0 {
            return Poll::Pending;
        }
        if *this.seen != turns {
            *this.seen = turns;
            *this.since = None;
        }
        let since = *this.since.get_or_insert_with(Instant::now);
        let deadlines = [this.patience.map(|patience| since + patience), this.flow.deadline.get().copied()];
        let Some(deadline) = deadlines.into_iter().flatten().min() else { return Poll::Pending };
        let clock = this.clock.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        while clock.as_mut().poll(cx).is_ready() {
            if clock.deadline() >= deadline {
                tracing::debug!("a peer does not read its response: the stream is reset");
                this.flow.cut.store(true, Ordering::Relaxed);
                return Poll::Ready(());
            }
            clock.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}
