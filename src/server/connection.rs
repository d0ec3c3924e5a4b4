//! One connection: HTTP/1.1 or HTTP/2 by what the peer begins with, and its end when the server drains.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;

use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;

use super::ahead::Ahead;
use super::drain::Phase;
use super::gather::Gather;
use super::handler::Handler;
use super::hangup::Socket;
use super::head::HeadLimits;
use super::idle::{Activity, Patience, TimedIo};
use super::stall::Streams;
use crate::telemetry::Peer;

/// Streams that one HTTP/2 peer may have open at once.
const MAX_STREAMS: u32 = 256;
/// hyper's own least size of a read buffer.
const MIN_HEADER_SIZE: usize = 8192;

/// How connections are spoken to.
#[derive(Clone, Debug)]
pub(crate) struct Protocol {
    builder: auto::Builder<Streams>,
    /// For peers with a share of the places: no more streams than that.
    shared: auto::Builder<Streams>,
    patience: Patience,
}

impl Protocol {
    /// `heads` is the most that a request head may have, `share` places the most that one peer may, and `ahead` counts
    /// what is read ahead of all of them.
    pub(crate) fn new(heads: HeadLimits, patience: Patience, share: usize, ahead: Ahead) -> Self {
        let size = heads.size_to_read();
        let mut builder = auto::Builder::new(Streams { patience: patience.idle, ahead });
        builder
            .http1()
            .timer(TokioTimer::new())
            // `TimedIo` has a better one.
            .header_read_timeout(None)
            .max_buf_size(size.max(MIN_HEADER_SIZE))
            .max_headers(heads.lines_to_read())
            // That the client sends no more does not mean that it takes no response: `TimedIo` tells who is gone.
            .half_close(true);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(u32::try_from(size).unwrap_or(u32::MAX))
            .adaptive_window(true);
        let mut shared = builder.clone();
        // What it would be refused it had better not send.
        let streams = u32::try_from(share).unwrap_or(u32::MAX).min(MAX_STREAMS);
        shared.http2().max_concurrent_streams(streams);
        Self { builder, shared, patience }
    }

    /// Serves a connection to its end.
    pub(crate) async fn serve<T>(&self, stream: T, peer: Peer, handler: Arc<Handler>)
    where
        T: Socket,
    {
        let hop = handler.forwarding.hop(peer);
        let share = handler.admission.share(hop.counted());
        let builder = if share.own.is_some() { &self.shared } else { &self.builder };
        let activity = Arc::new(Activity::new(share));
        let io = TimedIo::new(stream, activity.clone(), self.patience);
        let io = TokioIo::new(Gather::new(io, activity.clone()));
        let mut phase = handler.drain.watch();
        let service = {
            let activity = activity.clone();
            let hop = Arc::new(hop);
            service_fn(move |request| {
                let (handler, hop, activity) = (handler.clone(), hop.clone(), activity.clone());
                async move { Ok::<_, Infallible>(handler.handle(&hop, &activity, request).await) }
            })
        };
        let mut connection = pin!(builder.serve_connection(io, service));
        let mut told = false;
        loop {
            tokio::select! {
                result = connection.as_mut() => {
                    if let Err(error) = result {
                        // The peer's doing, nearly always; what it means for a request is on that request's span.
                        tracing::debug!(error = error.as_ref() as &dyn std::error::Error, "connection ended");
                    }
                    return;
                }
                _ = phase.wait_for(|phase| if told { *phase >= Phase::Cut } else { should_tell(*phase, &activity) }) => {
                    if told {
                        // Dropping the connection resets what is still open on it.
                        return;
                    }
                    told = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }
}

/// GOAWAY lets an HTTP/2 peer finish what it began. An idle HTTP/1 connection would be closed on the spot, with a
/// request perhaps on its way: it stays until nothing is in flight, and each response says that it is the last.
fn should_tell(phase: Phase, activity: &Activity) -> bool {
    phase >= Phase::Closing || (phase == Phase::Draining && activity.is_h2())
}
