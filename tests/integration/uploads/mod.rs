//! Request bodies: how many bytes came, who gets to read them when, and what becomes of those that nobody reads.

use crate::support::client::{self, Connection, Raw, streamed};
use crate::support::{Abi, Collector, Protocol, for_both_abis, pounce, within};
use bytes::Bytes;
use http::Method;
use hyper::body::Frame;
use std::time::Duration;
use tokio::io::AsyncReadExt;

/// Clients that break off, break the protocol, or take too long.
mod broken;
/// What guests leave of a body.
mod unread;

for_both_abis!(
    a_body_without_a_length_is_counted,
    a_guest_reads_on_after_its_response,
    of_a_body_that_nobody_reads_little_is_taken,
);

/// Only what came can be told of it.
async fn a_body_without_a_length_is_counted(abi: Abi) {
    let collector = Collector::start().await;
    let server = pounce().guest(abi, "echo").traced(&collector).start().await;
    for protocol in Protocol::BOTH {
        let (sender, body) = streamed();
        let parts = tokio::spawn(async move {
            for _ in 0..50 {
                sender.send(Ok(Frame::data(Bytes::from(vec![b' '; 1000])))).await.unwrap();
            }
        });
        let answer = client::fetch(server.addr(), protocol, client::request(Method::POST, "/", body)).await;
        assert_eq!(answer.text().len(), 50_000, "{protocol:?}");
        parts.await.unwrap();
    }
    for span in collector.spans(2).await {
        assert_eq!(span.int("http.request.body.size"), Some(50_000), "{span:?}");
    }
}

/// The client has seen the end of the response before it sends anything.
async fn a_guest_reads_on_after_its_response(abi: Abi) {
    for (chunked, head) in [(false, "content-length: 60"), (true, "transfer-encoding: chunked")] {
        let mut server = pounce().guest(abi, "leave").start().await;
        let mut raw = Raw::open(server.addr()).await;
        raw.write(format!("POST /?read&ms=0 HTTP/1.1\r\nhost: a\r\n{head}\r\n\r\n")).await.unwrap();
        raw.read_until("on my way out\n\r\n0\r\n\r\n").await;
        for _ in 0..6 {
            raw.write(if chunked { "a\r\n0123456789\r\n" } else { "0123456789" }).await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        if chunked {
            raw.write("0\r\n\r\n").await.unwrap();
        }
        server.logged(&["read Some(60) bytes after the response"]).await;
        // And the connection is fit for the next one.
        raw.write("GET /?ms=0 HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        assert!(raw.read_until("\r\n\r\n").await.starts_with("HTTP/1.1 200"), "{head}");
    }
    let mut server = pounce().guest(abi, "leave").start().await;
    let (sender, body) = streamed();
    let mut connection = Connection::open(server.addr(), Protocol::H2).await;
    assert_eq!(
        connection.fetch(client::request(Method::POST, "/?read&ms=0", body)).await.text(),
        "on my way out\n"
    );
    for _ in 0..6 {
        sender.send(Ok(Frame::data(Bytes::from_static(b"0123456789")))).await.unwrap();
    }
    drop(sender);
    server.logged(&["read Some(60) bytes after the response"]).await;
}

/// A client may send faster than anyone wants to throw away. It gets its response all the same.
async fn of_a_body_that_nobody_reads_little_is_taken(abi: Abi) {
    const LENGTH: usize = 1 << 40;
    let server = pounce().guest(abi, "hello").flag("--max-request-body", 0).start().await;
    let mut raw = Raw::open(server.addr()).await;
    raw.write(format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {LENGTH}\r\n\r\n")).await.unwrap();
    let (mut reads, mut writes) = raw.0.into_split();
    let answer = tokio::spawn(async move {
        let mut part = vec![0; 4096];
        let mut got = Vec::new();
        while let Ok(n @ 1..) = reads.read(&mut part).await {
            got.extend_from_slice(&part[..n]);
        }
        String::from_utf8_lossy(&got).into_owned()
    });
    let part = vec![b' '; 64 * 1024];
    let mut sent = 0;
    let sending = async {
        while let Ok(n) = tokio::io::AsyncWriteExt::write(&mut writes, &part).await {
            sent += n;
        }
    };
    within("the end of the connection", sending).await;
    // What both kernels hold of it counts, too.
    assert!(sent < 24 << 20, "{} MiB were taken", sent >> 20);
    let answer = within("the answer", answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("Hello"), "{answer:?}");
}
