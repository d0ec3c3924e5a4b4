//! A wait for a peer that takes or sends nothing: it lasts as long as a peer may take, and shorter while others are
//! refused for want of what the peer holds.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// How long a peer may hold up others: time for several round trips to the other side of the world.
pub(crate) const HURRY: Duration = Duration::from_millis(1500);
/// How often somebody who waits looks whether others do.
const LOOK: Duration = Duration::from_millis(500);

/// One wait, or the next.
#[derive(Debug, Default)]
pub(crate) struct Wait {
    since: Option<Instant>,
    // Left running when a wait is over, because the next one is near: it is cheaper to let it strike in vain.
    clock: Option<Pin<Box<Sleep>>>,
}

impl Wait {
    /// The peer has done something: a wait that follows begins afresh.
    pub(crate) fn end(&mut self) {
        self.since = None;
    }

    /// Ready when the peer has had its time, which ends at `until` at the latest; before that `cx` is woken to look again.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        patience: Option<Duration>,
        until: Option<Instant>,
        is_pressed: impl Fn() -> bool,
    ) -> Poll<()> {
        loop {
            let now = Instant::now();
            let since = *self.since.get_or_insert(now);
            let end = patience.map(|patience| since + patience).into_iter().chain(until).min();
            let is_held_up = now.duration_since(since) >= HURRY && is_pressed();
            if is_held_up || end.is_some_and(|end| now >= end) {
                return Poll::Ready(());
            }
            let look = now + LOOK;
            let next = end.map_or(look, |end| look.min(end));
            let clock = self.clock.get_or_insert_with(|| Box::pin(sleep_until(next)));
            if clock.is_elapsed() || clock.deadline() > next {
                clock.as_mut().reset(next);
            }
            ready!(clock.as_mut().poll(cx));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Option<Duration> = Some(Duration::from_secs(3600));

    async fn lasted(patience: Option<Duration>, pressed_after: Option<Duration>) -> Duration {
        let (begun, mut wait) = (Instant::now(), Wait::default());
        let is_pressed = || pressed_after.is_some_and(|after| begun.elapsed() >= after);
        std::future::poll_fn(|cx| wait.poll(cx, patience, None, is_pressed)).await;
        begun.elapsed()
    }

    #[tokio::test]
    async fn a_wait_is_short_while_others_are_refused() {
        let short = Duration::from_millis(100);
        assert!(lasted(Some(short), None).await >= short);
        for patience in [LONG, None] {
            assert!(lasted(patience, Some(Duration::ZERO)).await >= HURRY);
            let late = HURRY + LOOK;
            assert!(lasted(patience, Some(late)).await >= late);
        }
    }

    #[tokio::test]
    async fn a_peer_that_does_something_has_its_time_again() {
        let (mut wait, patience) = (Wait::default(), Duration::from_millis(200));
        let did = tokio::time::sleep(patience / 2);
        let mut did = std::pin::pin!(did);
        let mut last = None;
        std::future::poll_fn(|cx| {
            if last.is_none() && did.as_mut().poll(cx).is_ready() {
                wait.end();
                last = Some(Instant::now());
            }
            wait.poll(cx, Some(patience), None, || false)
        })
        .await;
        // On a machine that stands still for a while its time may have been up before.
        assert!(last.is_none_or(|last| last.elapsed() >= patience));
    }
}
