//! Receivers of gRPC that end streams and connections as HTTP/2 lets them, which no server of HTTP/1.1 can.

use super::receiver::Took;
use crate::support::forms::Form;
use crate::support::server::Arrived;
use bytes::{Bytes, BytesMut};
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{HeaderMap, HeaderValue, Request, Response, header};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// How it ends what was begun.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ends {
    /// Two of three streams by RST_STREAM, for one reason or another; the third gets its answer.
    Streams,
    /// Each connection at once, by GOAWAY with an error.
    Connections,
    /// Each connection after some calls, by GOAWAY without one, as servers do whose connections may get only so old. What
    /// was begun gets its answer.
    OldConnections,
    /// Each call by a status in the trailers, behind an answer without a message.
    CallsInTrailers,
    /// Each call by the end of the stream in the middle of the message.
    Messages,
}

/// Calls that a connection gets before it is old.
const OLD: usize = 5;

/// The reasons for which streams are reset, in turns.
const REASONS: [Reason; 4] =
    [Reason::REFUSED_STREAM, Reason::INTERNAL_ERROR, Reason::ENHANCE_YOUR_CALM, Reason::CANCEL];

/// Serves until it is dropped.
pub(super) async fn serve(listener: TcpListener, ends: Ends, took: Arc<Took>) {
    let number = Arc::<AtomicUsize>::default();
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (took, number) = (Arc::clone(&took), Arc::clone(&number));
        // An error is a client that went away.
        connections.spawn(async move { connection(stream, ends, took, number).await.is_ok() });
    }
}

async fn connection(
    stream: TcpStream,
    ends: Ends,
    took: Arc<Took>,
    number: Arc<AtomicUsize>,
) -> Result<(), h2::Error> {
    let mut connection = h2::server::handshake(stream).await?;
    let mut calls = JoinSet::new();
    let mut begun = 0;
    while let Some(call) = connection.accept().await {
        let (request, respond) = call?;
        begun += 1;
        match ends {
            Ends::Connections => {
                connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                continue;
            }
            Ends::OldConnections if begun == OLD => connection.graceful_shutdown(),
            _ => {}
        }
        let (took, number) = (Arc::clone(&took), number.fetch_add(1, Relaxed));
        calls.spawn(async move { call_of(request, respond, ends, number, &took).await.is_ok() });
    }
    Ok(())
}

async fn call_of(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    ends: Ends,
    number: usize,
    took: &Took,
) -> Result<(), h2::Error> {
    if matches!(ends, Ends::Streams) && number % 3 < 2 {
        respond.send_reset(REASONS[number / 3 % REASONS.len()]);
        return Ok(());
    }
    let (head, mut body) = request.into_parts();
    let mut whole = BytesMut::new();
    while let Some(part) = body.data().await {
        let part = part?;
        body.flow_control().release_capacity(part.len())?;
        whole.extend_from_slice(&part);
    }
    let target = head.uri.path().to_owned();
    let arrived = Arrived { method: head.method, target, headers: head.headers, body: whole.freeze() };
    let mut answer = Response::new(());
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    let mut stream = respond.send_response(answer, false)?;
    let mut trailers = HeaderMap::new();
    match ends {
        Ends::Messages => {
            took.note(Form::Grpc, &arrived, false);
            // Of a message of seven bytes, two.
            return stream.send_data(Bytes::from_static(&[0, 0, 0, 0, 7, 1, 2]), true);
        }
        Ends::CallsInTrailers => {
            took.note(Form::Grpc, &arrived, false);
            trailers.insert("grpc-status", HeaderValue::from_static("14"));
            trailers.insert("grpc-message", HeaderValue::from_static("not%20today"));
        }
        Ends::Streams | Ends::OldConnections | Ends::Connections => {
            took.note(Form::Grpc, &arrived, true);
            // A message without a field.
            stream.send_data(Bytes::from_static(&[0; 5]), false)?;
            trailers.insert("grpc-status", HeaderValue::from_static("0"));
        }
    }
    stream.send_trailers(trailers)
}
