//! An HTTP/2 connection, by the h2 crate itself: hyper's server lets a peer's small frames lie in h2 until a guest reads
//! them, where 129 of them end the connection with all its streams, and it gives the peer room for more as soon as they
//! are taken out. Here they are taken out at once, and there is room when the guest has read.

mod answer;
mod pieces;
mod upload;

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use bytes::Bytes;
use http::{Request, Response};
use hyper::rt::Executor as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

pub(crate) use upload::Upload;

use self::upload::Uploads;
use super::drain::Phase;
use super::idle::Activity;
use super::incoming::Incoming;
use super::response::Body;
use super::stall::Streams;
use super::turn::Turns;
use crate::guest::let_others_go_on;

/// Streams that one peer may have open at once.
pub(super) const MAX_STREAMS: u32 = 256;
/// Bytes that the peer of a stream may send before the guest reads: all that is kept of an upload, and what one that
/// is read at once can carry in a round trip. Twice as much would let the requests of a full server
/// (`http.max-in-flight`) hold half a gigabyte.
const STREAM_WINDOW: u32 = 256 * 1024;
/// Bytes of a response that wait for the socket: a peer may open all windows, and then read nothing at all. Several frames of
/// the largest kind ([`PIECE`](super::stall::PIECE)), so that the socket need not wait for the guest. h2's default is 400 KiB.
const SEND_BUFFER: usize = 64 * 1024;
/// What h2 grants for frames below 256 bytes that it holds, each counting what it lacks of them. It holds them for a
/// [turn](super::turn) at most, so that this guards nothing here; and those that come for a stream that nobody
/// reads any more it counts for the life of the connection, which should not end by them: room for four million.
const SMALL_FRAMES: usize = 1 << 30;

/// What comes next on a connection.
enum Next<R> {
    /// A request; none where the connection has ended.
    Request(R),
    /// Everybody else: the connection has had its [turn](super::turn).
    Others,
}

/// How HTTP/2 is spoken.
#[derive(Clone, Debug)]
pub(super) struct Http2 {
    builder: h2::server::Builder,
    streams: Streams,
}

impl Http2 {
    /// `max_header_size` bytes are the most that a request head may have, `max_streams` the most that a peer may have open
    /// at once, [`MAX_STREAMS`] at most.
    pub(super) fn new(max_header_size: u32, max_streams: u32, streams: Streams) -> Self {
        let mut builder = h2::server::Builder::new();
        builder
            .max_concurrent_streams(max_streams)
            .max_header_list_size(max_header_size)
            .initial_window_size(STREAM_WINDOW)
            .max_send_buffer_size(SEND_BUFFER)
            // Uploads that nobody reads take no room from the other streams that are advertised.
            .initial_connection_window_size(max_streams * STREAM_WINDOW)
            .data_frame_budget(SMALL_FRAMES);
        Self { builder, streams }
    }

    /// Serves a connection to its end; `answer` answers its requests, each in a task of its own.
    pub(super) async fn serve<T, A, F>(
        &self,
        io: T,
        activity: &Activity,
        mut phase: watch::Receiver<Phase>,
        answer: A,
    ) -> Result<(), h2::Error>
    where
        T: AsyncRead + AsyncWrite + Unpin,
        A: Fn(Request<Incoming>) -> F,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        // Before the connection, so that they outlive it: they learn from h2 that it is gone.
        let mut uploads = Uploads::default();
        let mut connection = {
            let mut handshake = pin!(self.builder.handshake::<_, Bytes>(io));
            tokio::select! {
                connection = handshake.as_mut() => connection?,
                _ = phase.wait_for(|phase| *phase >= Phase::Closing) => return Ok(()),
            }
        };
        let (mut told, mut turns) = (false, Turns::new(&activity.reading));
        loop {
            let next = poll_fn(|cx| {
                let mut next = Poll::Pending;
                if turns.go_on() {
                    activity.flushes.begin();
                    next = connection.poll_accept(cx);
                    activity.flushes.end();
                }
                uploads.fetch();
                if next.is_pending() && turns.end() {
                    Poll::Ready(Next::Others)
                } else {
                    next.map(Next::Request)
                }
            });
            let next = tokio::select! {
                next = next => next,
                _ = phase.wait_for(|phase| *phase >= if told { Phase::Cut } else { Phase::Draining }) => {
                    if told {
                        // Dropping the connection resets what is still open on it.
                        return Ok(());
                    }
                    told = true;
                    // GOAWAY lets the peer finish what it began.
                    connection.graceful_shutdown();
                    continue;
                }
            };
            match next {
                Next::Request(Some(Ok((request, respond)))) => {
                    turns.request();
                    self.begin(request, respond, &mut uploads, &answer);
                }
                Next::Request(Some(Err(error))) => return Err(error),
                Next::Request(None) => return Ok(()),
                Next::Others => let_others_go_on().await,
            }
        }
    }

    /// Has a request answered.
    fn begin<A, F>(
        &self,
        request: Request<h2::RecvStream>,
        respond: h2::server::SendResponse<Bytes>,
        uploads: &mut Uploads,
        answer: &A,
    ) where
        A: Fn(Request<Incoming>) -> F,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let (head, stream) = request.into_parts();
        let (body, upload) = uploads.begin(&head, stream);
        let response = answer(Request::from_parts(head, body));
        self.streams.execute(answer::answer(respond, upload, response));
    }
}
