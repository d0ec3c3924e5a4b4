//! A peer that is slow, and a guest that is.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody};

use super::super::error::error_type;
use super::super::limits::Bounded;
use super::super::limits::Limits;
use super::super::resolve::Resolver;
use super::super::{Client, Setup};
use super::support::*;

const SHORT: Duration = Duration::from_millis(500);
const LONG: Duration = Duration::from_secs(20);

/// As the host: all times short.
fn impatient() -> Limits {
    let short = Bounded { default: SHORT, longest: SHORT };
    Limits { connect: short, first_byte: short, between_bytes: short, ..Limits::default() }
}

async fn error_within_reason(
    client: &Client,
    request: Request<WasiBody>,
    options: Option<RequestOptions>,
) -> &'static str {
    let start = Instant::now();
    let error = client.send(request, options).await.unwrap_err();
    let took = start.elapsed();
    assert!((SHORT..LONG).contains(&took), "{error} after {took:?}");
    error_type(&error)
}

#[tokio::test]
async fn no_tls_handshake() {
    let server = Server::raw(|stream| async move {
        sleep(LONG).await;
        drop(stream);
    })
    .await;
    let url = format!("https://{}/", server.address);
    let host = Client::new(Setup { limits: impatient(), ..setup(&[local()]) });
    assert_eq!(error_within_reason(&host, get(&url), None).await, "connection_timeout");
    let options = RequestOptions { connect_timeout: Some(SHORT), ..Default::default() };
    let guest = client(&[local()]);
    assert_eq!(error_within_reason(&guest, get(&url), Some(options)).await, "connection_timeout");
}

#[tokio::test]
async fn no_answer_from_dns() {
    let resolver = Resolver::Scripted(Arc::new(|_| {
        std::thread::sleep(SHORT * 3);
        Ok(Vec::new())
    }));
    let client = Client::new(Setup { limits: impatient(), resolver, ..setup(&[anywhere()]) });
    let error = client.send(get("http://slow.test/"), None).await.unwrap_err();
    // The request's own timer runs as long; either may fire first.
    assert!(matches!(error, Error::DnsTimeout | Error::ConnectionTimeout), "{error}");
}

#[tokio::test]
async fn no_response_head() {
    let server = Server::raw(|mut stream: TcpStream| async move {
        read_head(&mut stream).await;
        sleep(LONG).await;
    })
    .await;
    let host = Client::new(Setup { limits: impatient(), ..setup(&[local()]) });
    let url = server.url("/");
    assert_eq!(error_within_reason(&host, get(&url), None).await, "http_response_timeout");
    let options = RequestOptions { first_byte_timeout: Some(SHORT), ..Default::default() };
    let guest = client(&[local()]);
    assert_eq!(error_within_reason(&guest, get(&url), Some(options)).await, "http_response_timeout");
}

#[tokio::test]
async fn a_guest_can_not_ask_for_more_than_the_host_allows() {
    let server = Server::raw(|mut stream: TcpStream| async move {
        read_head(&mut stream).await;
        sleep(LONG).await;
    })
    .await;
    let host = Client::new(Setup { limits: impatient(), ..setup(&[local()]) });
    let options = RequestOptions { first_byte_timeout: Some(LONG), ..Default::default() };
    let error = error_within_reason(&host, get(&server.url("/")), Some(options)).await;
    assert_eq!(error, "http_response_timeout");
}

#[tokio::test]
async fn a_slow_upload_is_no_slow_server() {
    let server = Server::http(|request| async move {
        let received = request.into_body().collect().await.unwrap().to_bytes();
        http::Response::new(full(received))
    })
    .await;
    let chunks = futures_util::stream::unfold(0, |n| async move {
        sleep(SHORT / 2).await;
        (n < 5).then(|| (Ok(Frame::data(Bytes::from_static(b"x"))), n + 1))
    });
    let body = StreamBody::new(chunks).boxed_unsync();
    let request = Request::post(server.url("/")).body(body).unwrap();
    let client = Client::new(Setup { limits: impatient(), ..setup(&[local()]) });
    assert_eq!(text(client.send(request, None).await.unwrap()).await, "xxxxx");
}

async fn half_a_body(mut stream: TcpStream) {
    read_head(&mut stream).await;
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf").await.unwrap();
    sleep(LONG).await;
}

#[tokio::test]
async fn a_body_that_stalls() {
    let server = Server::raw(half_a_body).await;
    let options = RequestOptions { between_bytes_timeout: Some(SHORT), ..Default::default() };
    let response = client(&[local()]).send(get(&server.url("/")), Some(options)).await.unwrap();
    let mut body = response.into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "half");
    let start = Instant::now();
    let error = body.frame().await.unwrap().unwrap_err();
    assert_eq!(error_type(&error), "connection_read_timeout");
    assert!(start.elapsed() >= SHORT);
    assert!(body.frame().await.is_none(), "nothing after the error");
}

#[tokio::test]
async fn a_guest_may_read_slowly() {
    let server = Server::hello().await;
    let client = Client::new(Setup { limits: impatient(), ..setup(&[local()]) });
    let response = client.send(get(&server.url("/")), None).await.unwrap();
    sleep(SHORT * 2).await;
    assert_eq!(text(response).await, "hello");
}

#[tokio::test]
async fn times_of_nothing_do_not_panic() {
    let server = Server::raw(half_a_body).await;
    let options = RequestOptions {
        connect_timeout: Some(Duration::ZERO),
        first_byte_timeout: Some(Duration::ZERO),
        between_bytes_timeout: Some(Duration::ZERO),
    };
    // Timers count in milliseconds, so a fast enough peer may yet answer; half of
    // a body it is at the most.
    let sent = client(&[local()]).send(get(&server.url("/")), Some(options));
    if let Ok(response) = sent.await {
        assert!(response.into_body().collect().await.is_err());
    }
}
