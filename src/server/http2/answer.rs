//! The task of an HTTP/2 stream, from its request to the end of its response.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, SendStream};
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body::Body as _;

use super::upload::Watched;
use crate::server::response::Body;

/// Headers that belong to an HTTP/1.1 connection (RFC 9113 §8.2.2); peers reset streams for them.
const OF_A_CONNECTION: [HeaderName; 6] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Sends the response to a request, or drops it when the peer resets the stream.
pub(super) async fn answer(
    mut respond: SendResponse<Bytes>,
    mut upload: Watched,
    response: impl Future<Output = Response<Body>>,
) {
    let mut response = pin!(response);
    let response = poll_fn(|cx| {
        if upload.poll_wanted(cx) {
            go_on(&mut respond);
        }
        match response.as_mut().poll(cx) {
            Poll::Ready(response) => Poll::Ready(Some(response)),
            Poll::Pending => respond.poll_reset(cx).map(|_| None),
        }
    })
    .await;
    let Some(response) = response else {
        upload.fetch();
        return;
    };
    let (mut head, body) = response.into_parts();
    OF_A_CONNECTION.iter().for_each(|name| drop(head.headers.remove(name)));
    head.headers.entry(DATE).or_insert_with(date);
    let is_over = body.is_end_stream();
    if !is_over {
        say_length(&mut head.headers, &body);
    }
    match respond.send_response(Response::from_parts(head, ()), is_over) {
        Ok(stream) if !is_over => {
            let mut body = pin!(body);
            if let Err(error) = send(body.as_mut(), stream).await {
                upload.fetch();
                tracing::debug!(error = &error as &dyn std::error::Error, "a response broke off");
            }
        }
        Ok(_) => {}
        Err(error) => {
            upload.fetch();
            tracing::debug!(error = &error as &dyn std::error::Error, "no response could be sent");
            respond.send_reset(Reason::INTERNAL_ERROR);
        }
    }
}

/// Tells a client that waits for it to send its body.
fn go_on(respond: &mut SendResponse<Bytes>) {
    let mut informational = Response::new(());
    *informational.status_mut() = StatusCode::CONTINUE;
    if let Err(error) = respond.send_informational(informational) {
        tracing::debug!(error = &error as &dyn std::error::Error, "100 Continue could not be sent");
    }
}

fn say_length(headers: &mut HeaderMap, body: &Body) {
    if let Some(length) = body.size_hint().exact() {
        headers.entry(CONTENT_LENGTH).or_insert_with(|| length.into());
    }
}

/// Sends a body to its end. A peer that resets the stream is an error, one that makes no room is waited for.
async fn send(mut body: Pin<&mut Body>, mut stream: SendStream<Bytes>) -> Result<(), h2::Error> {
    loop {
        let frame = poll_fn(|cx| match body.as_mut().poll_frame(cx) {
            Poll::Ready(frame) => Poll::Ready(Ok(frame)),
            Poll::Pending => poll_reset(&mut stream, cx).map(Err),
        })
        .await?;
        let frame = match frame {
            Some(Ok(frame)) => frame,
            Some(Err(_)) => {
                // The request's span and the log have the reason.
                stream.send_reset(Reason::INTERNAL_ERROR);
                return Ok(());
            }
            None => return stream.send_data(Bytes::new(), true),
        };
        match frame.into_data() {
            Ok(data) => {
                let is_last = body.is_end_stream();
                if !data.is_empty() {
                    room(&mut stream).await?;
                }
                stream.send_data(data, is_last)?;
                if is_last {
                    return Ok(());
                }
            }
            Err(frame) => return stream.send_trailers(frame.into_trailers().unwrap_or_default()),
        }
    }
}

/// Waits until the peer takes more. A single byte is asked for: what is reserved for one stream, the others of the
/// connection cannot have, and h2 raises it to what there is to send.
async fn room(stream: &mut SendStream<Bytes>) -> Result<(), h2::Error> {
    stream.reserve_capacity(1);
    poll_fn(|cx| {
        while stream.capacity() == 0 {
            match stream.poll_capacity(cx) {
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                Poll::Ready(None) => return Poll::Ready(Err(Reason::STREAM_CLOSED.into())),
                Poll::Pending => return poll_reset(stream, cx).map(Err),
            }
        }
        Poll::Ready(Ok(()))
    })
    .await
}

/// That the peer has reset the stream, or why the connection is gone.
fn poll_reset(stream: &mut SendStream<Bytes>, cx: &mut Context<'_>) -> Poll<h2::Error> {
    stream.poll_reset(cx).map(|reason| reason.map_or_else(|error| error, h2::Error::from))
}

/// The time, as responses tell it: written once a second by each thread.
fn date() -> HeaderValue {
    thread_local! {
        static LAST: RefCell<(u64, HeaderValue)> = const { RefCell::new((0, HeaderValue::from_static(""))) };
    }
    let now = SystemTime::now();
    let second = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    LAST.with_borrow_mut(|(written, date)| {
        if *written != second
            && let Ok(text) = HeaderValue::try_from(httpdate::fmt_http_date(now))
        {
            (*written, *date) = (second, text);
        }
        date.clone()
    })
}
