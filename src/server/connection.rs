//! One connection: HTTP/1.1 or HTTP/2 by what the peer begins with, and its end when the server drains.

use std::convert::Infallible;
use std::error::Error;
use std::pin::pin;
use std::sync::Arc;

use http::{Request, Response};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::watch;

use super::ahead::Ahead;
use super::drain::Phase;
use super::forwarded::Hop;
use super::gather::Gather;
use super::handler::Handler;
use super::hangup::Socket;
use super::head::HeadLimits;
use super::http2::{self, Http2};
use super::idle::{Activity, Patience, TimedIo};
use super::incoming::Incoming;
use super::response::Body;
use super::stall::Streams;

/// hyper's own least size of a read buffer.
const MIN_HEADER_SIZE: usize = 8192;

/// How connections are spoken to.
#[derive(Clone, Debug)]
pub(crate) struct Protocol {
    http1: http1::Builder,
    http2: Http2,
    /// For peers with a share of the places: no more streams than that.
    shared: Http2,
    patience: Patience,
}

impl Protocol {
    /// `heads` is the most that a request head may have, `share` places the most that one peer may, and `ahead` counts
    /// what is read ahead of all of them.
    pub(crate) fn new(heads: HeadLimits, patience: Patience, share: usize, ahead: Ahead) -> Self {
        let size = heads.size_to_read();
        let mut http1 = http1::Builder::new();
        http1
            .timer(TokioTimer::new())
            // `TimedIo` has a better one.
            .header_read_timeout(None)
            .max_buf_size(size.max(MIN_HEADER_SIZE))
            .max_headers(heads.lines_to_read())
            // That the client sends no more does not mean that it takes no response: `TimedIo` tells who is gone.
            .half_close(true);
        let streams = Streams { patience: patience.idle, ahead };
        let size = u32::try_from(size).unwrap_or(u32::MAX);
        let http2 = Http2::new(size, http2::MAX_STREAMS, streams.clone());
        // What it would be refused it had better not send.
        let share = u32::try_from(share).unwrap_or(u32::MAX).min(http2::MAX_STREAMS);
        let shared = Http2::new(size, share, streams);
        Self { http1, http2, shared, patience }
    }

    /// Serves a connection to its end.
    pub(crate) async fn serve<T>(&self, stream: T, hop: Hop, handler: Arc<Handler>)
    where
        T: Socket,
    {
        let share = handler.admission.share(hop.counted());
        let http2 = if share.own.is_some() { &self.shared } else { &self.http2 };
        let activity = Arc::new(Activity::new(share));
        let mut io = TimedIo::new(stream, activity.clone(), self.patience);
        let mut phase = handler.drain.watch();
        let answer = {
            let activity = activity.clone();
            let hop = Arc::new(hop);
            move |request: Request<Incoming>| {
                let (handler, hop, activity) = (handler.clone(), hop.clone(), activity.clone());
                async move { handler.handle(&hop, &activity, request).await }
            }
        };
        let is_h2 = tokio::select! {
            is_h2 = io.speaks_h2() => Some(is_h2),
            _ = phase.wait_for(|phase| *phase >= Phase::Closing) => None,
        };
        let Some(is_h2) = is_h2 else { return io.close().await };
        let ended: Result<(), Box<dyn Error + Send + Sync>> = match is_h2 {
            Ok(true) => http2.serve(io, &activity, phase, answer).await.map_err(Into::into),
            Ok(false) => self.serve_http1(Gather::new(io, activity), phase, answer).await.map_err(Into::into),
            Err(error) => Err(error.into()),
        };
        if let Err(error) = ended {
            // The peer's doing, nearly always; what it means for a request is on that request's span.
            tracing::debug!(error = &*error as &dyn Error, "connection ended");
        }
    }

    async fn serve_http1<T, A, F>(
        &self,
        io: Gather<TimedIo<T>>,
        mut phase: watch::Receiver<Phase>,
        answer: A,
    ) -> hyper::Result<()>
    where
        T: Socket,
        A: Fn(Request<Incoming>) -> F,
        F: Future<Output = Response<Body>>,
    {
        let service = service_fn(|request: Request<hyper::body::Incoming>| {
            let response = answer(request.map(Incoming::Http1));
            async { Ok::<_, Infallible>(response.await) }
        });
        let mut connection = pin!(self.http1.serve_connection(TokioIo::new(io), service));
        let mut told = false;
        loop {
            tokio::select! {
                ended = connection.as_mut() => return ended,
                // An idle connection would be closed on the spot, with a request perhaps on its way: it stays until
                // nothing is in flight, and each response says that it is the last.
                _ = phase.wait_for(|phase| *phase >= if told { Phase::Cut } else { Phase::Closing }) => {
                    if told {
                        // Dropping the connection breaks off what is still under way on it.
                        return Ok(());
                    }
                    told = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }
}
