//! Futures that take turns, without a runtime of their own.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

/// Runs all of them in turns; their results, in their order.
pub async fn join_all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut futures: Vec<(Option<Pin<Box<F>>>, Option<F::Output>)> =
        futures.into_iter().map(|future| (Some(Box::pin(future)), None)).collect();
    std::future::poll_fn(move |context| {
        for (slot, result) in &mut futures {
            let Some(future) = slot else { continue };
            if let Poll::Ready(value) = future.as_mut().poll(context) {
                // Dropped at once: what it holds ends now, not with the last of them.
                (*slot, *result) = (None, Some(value));
            }
        }
        if futures.iter().any(|(future, _)| future.is_some()) {
            return Poll::Pending;
        }
        Poll::Ready(futures.iter_mut().filter_map(|(_, result)| result.take()).collect())
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
