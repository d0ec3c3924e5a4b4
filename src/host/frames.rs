//! The frames of a body that a guest writes, without those that carry nothing.
//!
//! A guest may write pieces of no bytes without end. They take nothing of any peer's window, so a library that gets them
//! queues each for a peer that need not read, and a guest that writes only such pieces would never let its reader rest.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as _, Frame};
use wasmtime_wasi_http::{Error, WasiBody};

/// Frames of no bytes that are passed over before others get their turn.
const IN_A_ROW: usize = 32;

/// The next frame with something in it; wakes itself where there were only empty ones for a while.
pub(crate) fn poll_frame(
    body: &mut WasiBody,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
    for _ in 0..IN_A_ROW {
        match ready!(Pin::new(&mut *body).poll_frame(cx)) {
            Some(Ok(frame)) if frame.data_ref().is_some_and(Bytes::is_empty) => {}
            frame => return Poll::Ready(frame),
        }
    }
    // tokio's own yield lets sockets and timers have their turn first, before which waking at once would put this body some
    // sixty times over.
    ready!(pin!(tokio::task::yield_now()).poll(cx));
    Poll::Pending
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::FutureExt as _;
    use http_body_util::{BodyExt as _, StreamBody};

    use super::*;

    /// The frames that come of pieces of such lengths, and how often others got a turn meanwhile.
    async fn frames(lengths: Vec<usize>) -> (Vec<usize>, usize) {
        let pieces =
            lengths.into_iter().map(|length| Ok::<_, Infallible>(Frame::data(vec![0; length].into())));
        let mut body = StreamBody::new(futures_util::stream::iter(pieces))
            .map_err(|never| match never {})
            .boxed_unsync();
        let (mut got, mut turns) = (Vec::new(), 0);
        loop {
            let next = std::future::poll_fn(|cx| match poll_frame(&mut body, cx) {
                Poll::Pending => {
                    turns += 1;
                    Poll::Pending
                }
                frame => frame,
            });
            match next.await {
                Some(frame) => got.push(frame.unwrap().into_data().unwrap().len()),
                None => return (got, turns),
            }
        }
    }

    #[tokio::test]
    async fn pieces_of_no_bytes_are_left_out() {
        assert_eq!(frames(vec![0, 3, 0, 0, 2, 0]).await, (vec![3, 2], 0));
    }

    #[tokio::test]
    async fn many_in_a_row_give_others_a_turn() {
        let (got, turns) = frames([vec![0; 10 * IN_A_ROW], vec![1]].concat()).await;
        assert_eq!((got, turns), (vec![1], 10));
    }

    #[tokio::test]
    async fn a_body_that_only_waits_is_not_woken() {
        let mut body =
            StreamBody::new(futures_util::stream::pending::<Result<Frame<Bytes>, Error>>()).boxed_unsync();
        assert!(std::future::poll_fn(|cx| poll_frame(&mut body, cx)).now_or_never().is_none());
    }
}
