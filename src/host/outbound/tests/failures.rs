//! What a guest is told when the peer, or the guest itself, breaks off.

use http::Request;
use http_body_util::{BodyExt as _, StreamBody};
use tokio::net::TcpListener;
use wasmtime_wasi_http::Error;

use super::super::error::error_type;
use super::support::*;

async fn error_of(answer: impl Into<Vec<u8>>) -> &'static str {
    let server = Server::answering(answer).await;
    let sent = client(&[local()]).send(get(&server.url("/")), None).await;
    // `unwrap_err` would print the response.
    error_type(&sent.map(drop).expect_err("an error"))
}

#[tokio::test]
async fn nobody_listens() {
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let sent = client(&[local()]).send(get(&format!("http://{address}/")), None).await;
    assert_eq!(error_type(&sent.unwrap_err()), "connection_refused");
}

#[tokio::test]
async fn a_peer_that_says_nothing_or_nonsense() {
    assert_eq!(error_of("").await, "connection_terminated");
    assert_eq!(error_of("HTTP/1.1 200").await, "connection_terminated");
    assert_eq!(error_of("SSH-2.0-OpenSSH_9.2\r\n\r\n").await, "http_protocol_error");
    let upgrade = "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n";
    assert_eq!(error_of(upgrade).await, "http_upgrade_failed");
}

#[tokio::test]
async fn a_head_that_is_too_large() {
    for size in [65 * 1024, 100 * 1024, 1 << 20] {
        let header = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "a".repeat(size));
        let error = error_of(header).await;
        assert_eq!(error, "http_response_header_section_size", "{size}");
    }
    let headers = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(1000));
    assert_eq!(error_of(headers).await, "http_response_header_section_size");
}

#[tokio::test]
async fn a_response_that_ends_too_early() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ] {
        let server = Server::answering(answer).await;
        let response = client(&[local()]).send(get(&server.url("/")), None).await.unwrap();
        let mut body = response.into_body();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "half");
        let error = body.frame().await.unwrap().unwrap_err();
        assert_eq!(error_type(&error), "http_response_incomplete");
        assert!(body.frame().await.is_none());
    }
}

#[tokio::test]
async fn a_guest_learns_its_own_error() {
    let server = Server::http(|request| async move {
        // Fails as soon as the client breaks off.
        let complete = request.into_body().collect().await.is_ok();
        assert!(!complete, "a broken request must not look whole");
        http::Response::new(empty())
    })
    .await;
    let frames = [Err(Error::HttpRequestBodySize(Some(7)))];
    let body = StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync();
    let request = Request::post(server.url("/")).body(body).unwrap();
    let error = client(&[local()]).send(request, None).await.unwrap_err();
    assert!(matches!(error, Error::HttpRequestBodySize(Some(7))), "{error}");
}
