//! A timer for one request after another.
//!
//! Taking a timer out of the runtime's wheel, and putting the next one in, takes a lock each. So this one stays where it
//! is when its request is over in time, and where it strikes before the next one's deadline it is set anew.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;

use tokio::task::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};

/// A timer that is made when it is first needed.
#[derive(Debug, Default)]
pub(crate) struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// What `work` comes to; none where it has not ended at `deadline`.
    pub(crate) async fn until<F: Future>(&mut self, deadline: Instant, work: F) -> Option<F::Output> {
        let mut work = pin!(work);
        poll_fn(|cx| {
            if let Poll::Ready(output) = work.as_mut().poll(cx) {
                return Poll::Ready(Some(output));
            }
            let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
            if sleep.deadline() > deadline {
                sleep.as_mut().reset(deadline);
            }
            // Work that has used up the task's budget must not keep its own end from coming.
            while pin!(unconstrained(sleep.as_mut())).poll(cx).is_ready() {
                if Instant::now() >= deadline {
                    return Poll::Ready(None);
                }
                sleep.as_mut().reset(deadline);
            }
            Poll::Pending
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::time::Duration;

    use super::*;

    const SHORT: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn each_work_has_its_own_deadline() {
        let mut alarm = Alarm::default();
        let start = Instant::now();
        assert_eq!(alarm.until(start, ready(1)).await, Some(1), "what is done at once is done in time");
        assert!(alarm.0.is_none(), "and needs no timer");
        // A slow machine may find it too late: it is there for the timer that it leaves behind.
        _ = alarm.until(start + SHORT, tokio::time::sleep(SHORT / 2)).await;
        assert_eq!(alarm.until(start + 3 * SHORT, pending::<()>()).await, None);
        assert!(Instant::now() >= start + 3 * SHORT, "the timer struck for the work before, and went on");
        let hour = Instant::now() + Duration::from_secs(3600);
        assert_eq!(alarm.until(hour, tokio::time::sleep(SHORT)).await, Some(()));
        let next = Instant::now() + SHORT;
        assert_eq!(alarm.until(next, pending::<()>()).await, None, "an earlier deadline than the one before");
        assert!(Instant::now() >= next);
        assert_eq!(alarm.until(start, pending::<()>()).await, None, "one that has passed");
    }

    #[tokio::test]
    async fn work_that_never_lets_others_run_ends_all_the_same() {
        let spins = async {
            loop {
                tokio::task::consume_budget().await;
            }
        };
        assert_eq!(Alarm::default().until(Instant::now() + SHORT, spins).await, None::<()>);
    }
}
