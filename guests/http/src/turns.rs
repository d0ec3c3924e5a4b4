//! Futures that take turns, without a runtime of their own.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

/// One of several that take turns.
enum Turn<F: Future> {
    Running(Pin<Box<F>>),
    Done(Option<F::Output>),
}

/// Runs all of them in turns; their results, in their order.
pub async fn join_all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut turns: Vec<Turn<F>> = futures.into_iter().map(|future| Turn::Running(Box::pin(future))).collect();
    std::future::poll_fn(move |context| {
        for turn in &mut turns {
            if let Turn::Running(future) = turn
                && let Poll::Ready(result) = future.as_mut().poll(context)
            {
                // The future is dropped at once: what it holds ends now, not with the last of them.
                *turn = Turn::Done(Some(result));
            }
        }
        if turns.iter().any(|turn| matches!(turn, Turn::Running(_))) {
            return Poll::Pending;
        }
        let result = |turn: &mut Turn<F>| match turn {
            Turn::Done(result) => result.take(),
            Turn::Running(_) => None,
        };
        Poll::Ready(turns.iter_mut().filter_map(result).collect())
    })
    .await
}

/// Begins a future and gives it up: it is polled once, then dropped. Its result if it was done by then.
pub async fn abandon<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    std::future::poll_fn(move |context| match future.as_mut().poll(context) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// The result of a future that never has to wait: in 0.2 waiting blocks.
pub fn now<T>(future: impl Future<Output = T>) -> T {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(result) => result,
        Poll::Pending => unreachable!("nothing here waits but by blocking"),
    }
}
