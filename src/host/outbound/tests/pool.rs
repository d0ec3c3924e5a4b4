//! Connections that are used again, and the bounds on how much is open at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{Request, Response};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::super::error::error_type;
use super::super::limits::Bounded;
use super::super::limits::Limits;
use super::super::{Client, Setup};
use super::support::*;

#[tokio::test]
async fn the_second_request_reuses_the_connection() {
    let server = Server::hello().await;
    let (resolver, lookups) = scripted(&[&["127.0.0.1"]]);
    let client = Client::new(Setup { resolver, ..setup(&[exact("a.test")]) });
    let url = format!("http://a.test:{}/", server.address.port());
    for _ in 0..5 {
        assert_eq!(text(client.send(get(&url), None).await.unwrap()).await, "hello");
    }
    assert_eq!(server.connections(), 1);
    assert_eq!(lookups.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn components_share_no_connection() {
    let server = Server::hello().await;
    for _ in 0..2 {
        let client = client(&[local()]);
        text(client.send(get(&server.url("/")), None).await.unwrap()).await;
    }
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_connection_that_the_server_closed_is_replaced() {
    let server = Server::answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    let client = client(&[local()]);
    for _ in 0..20 {
        let request = Request::post(server.url("/")).body(full("x")).unwrap();
        assert_eq!(text(client.send(request, None).await.unwrap()).await, "ok");
        tokio::task::yield_now().await;
        sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(server.connections(), 20);
}

#[tokio::test]
async fn a_request_that_was_sent_is_not_sent_again() {
    let server = Server::raw(|mut stream: TcpStream| async move {
        // One good answer, so that the next request takes a connection from the pool;
        // that one is read and never answered.
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
        read_head(&mut stream).await;
    })
    .await;
    let client = client(&[local()]);
    text(client.send(get(&server.url("/")), None).await.unwrap()).await;
    let error = client.send(get(&server.url("/")), None).await.unwrap_err();
    assert_eq!(error_type(&error), "connection_terminated");
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn requests_beyond_the_limit_wait_and_then_fail() {
    let server = Server::hello().await;
    let short = Duration::from_secs(2);
    let limits =
        Limits { in_flight: 1, connect: Bounded { default: short, longest: short }, ..Limits::default() };
    let client = Client::new(Setup { limits, ..setup(&[local()]) });
    let held = client.send(get(&server.url("/")), None).await.unwrap();
    let error = client.send(get(&server.url("/")), None).await.unwrap_err();
    assert_eq!(error_type(&error), "connection_limit_reached");
    let waiting = tokio::spawn(client.send(get(&server.url("/")), None));
    sleep(short / 16).await;
    // Not the response's drop frees the permit but its end.
    let mut held = held.into_body();
    while http_body_util::BodyExt::frame(&mut held).await.is_some() {}
    assert_eq!(text(waiting.await.unwrap().unwrap()).await, "hello");
}

#[tokio::test]
async fn connections_are_limited_whatever_their_hosts() {
    let server = Server::hello().await;
    let limits = Limits { connections: 2, ..Limits::default() };
    let (resolver, _) = scripted(&[&["127.0.0.1"]]);
    let rules = ["a.test", "b.test", "c.test"].map(exact);
    let client = Client::new(Setup { limits, resolver, ..setup(&rules) });
    let url = |host| format!("http://{host}:{}/", server.address.port());
    for host in ["a.test", "b.test", "a.test"] {
        text(client.send(get(&url(host)), None).await.unwrap()).await;
    }
    let error = client.send(get(&url("c.test")), None).await.unwrap_err();
    assert_eq!(error_type(&error), "connection_limit_reached");
    text(client.send(get(&url("b.test")), None).await.unwrap()).await;
}

#[tokio::test]
async fn idle_connections_are_closed() {
    let closed = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&closed);
    let server = Server::raw(move |stream| {
        let count = Arc::clone(&count);
        async move {
            serve(stream, |_| async { Response::new(full("hello")) }).await;
            count.fetch_add(1, Ordering::SeqCst);
        }
    })
    .await;
    let limits = Limits { idle: Duration::from_millis(100), ..Limits::default() };
    let client = Client::new(Setup { limits, ..setup(&[local()]) });
    text(client.send(get(&server.url("/")), None).await.unwrap()).await;
    for _ in 0..50 {
        sleep(Duration::from_millis(50)).await;
        if closed.load(Ordering::SeqCst) == 1 {
            return;
        }
    }
    panic!("the connection is still open");
}

#[tokio::test]
async fn a_dropped_request_is_cancelled() {
    let (tx, mut rx) = tokio::sync::mpsc::channel(1);
    let server = Server::raw(move |mut stream: TcpStream| {
        let tx = tx.clone();
        async move {
            read_head(&mut stream).await;
            tx.send("read").await.unwrap();
            assert_eq!(stream.read(&mut [0]).await.unwrap_or(0), 0);
            tx.send("closed").await.unwrap();
        }
    })
    .await;
    let sending = tokio::spawn(client(&[local()]).send(get(&server.url("/")), None));
    assert_eq!(rx.recv().await, Some("read"));
    sending.abort();
    let closed = tokio::time::timeout(Duration::from_secs(10), rx.recv()).await;
    assert_eq!(closed.unwrap(), Some("closed"));
}
