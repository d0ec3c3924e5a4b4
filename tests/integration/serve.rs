//! A component answers HTTP: both ABIs, both protocols, streaming, trailers, HEAD, 100-continue.

use crate::support::client::{self, Answer, Connection, Raw, streamed};
use crate::support::{Abi, Protocol, eventually, for_both_abis, pounce, within};
use bytes::Bytes;
use http::{HeaderMap, Method};
use http_body_util::BodyExt;
use hyper::body::Frame;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const MIB: u64 = 1024 * 1024;

for_both_abis!(
    a_guest_answers,
    head_has_headers_and_no_body,
    a_body_is_asked_for_when_the_guest_reads_it,
    trailers_pass,
    bodies_flow_both_ways_at_once,
    streaming_takes_constant_memory,
    a_guest_may_work_on_after_its_response,
    requests_run_side_by_side,
);

async fn a_guest_answers(abi: Abi) {
    let server = pounce().guest(abi, "hello").start().await;
    for protocol in Protocol::BOTH {
        let mut connection = Connection::open(server.addr(), protocol).await;
        // Twice, so that what a first request leaves behind on the connection would show.
        for _ in 0..2 {
            let answer = connection.fetch(client::get("/")).await;
            assert_eq!((answer.status.as_u16(), answer.text()), (200, "Hello, World!\n"), "{protocol:?}");
            assert_eq!(answer.header("content-type"), "text/plain", "{protocol:?}");
            assert_eq!(answer.header("content-length"), "14", "{protocol:?}");
        }
    }
    let mut old = Raw::open(server.addr()).await;
    old.write("GET / HTTP/1.0\r\n\r\n").await.unwrap();
    let answer = old.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.0 200") && answer.ends_with("Hello, World!\n"), "{answer}");
}

async fn head_has_headers_and_no_body(abi: Abi) {
    let server = pounce().guest(abi, "hello").start().await;
    for protocol in Protocol::BOTH {
        let mut connection = Connection::open(server.addr(), protocol).await;
        let answer = connection.fetch(client::request(Method::HEAD, "/", client::empty())).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (200, ""), "{protocol:?}");
        assert_eq!(answer.header("content-length"), "14", "{protocol:?}");
        // Body bytes after the head would be read as the start of this response.
        assert_eq!(connection.fetch(client::get("/")).await.text(), "Hello, World!\n", "{protocol:?}");
    }
}

async fn a_body_is_asked_for_when_the_guest_reads_it(abi: Abi) {
    let server = pounce().guest(abi, "echo").start().await;
    let mut raw = Raw::open(server.addr()).await;
    let head = "POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 4\r\nconnection: close\r\n\r\n";
    raw.write(head).await.unwrap();
    // The guest may well have begun its response by then; what matters is that the client hears "go on".
    let heard = raw.read_until("HTTP/1.1 100 Continue\r\n\r\n").await;
    assert!(heard.ends_with("100 Continue\r\n\r\n"), "{heard:?}");
    raw.write("ping").await.unwrap();
    assert!(raw.read_to_end().await.contains("ping"));
}

async fn trailers_pass(abi: Abi) {
    let server = pounce().guest(abi, "echo").start().await;
    let (sender, body) = streamed();
    let mut connection = Connection::open(server.addr(), Protocol::H2).await;
    let sent = async {
        let trailers = HeaderMap::from_iter([("x-sum".parse().unwrap(), "42".parse().unwrap())]);
        sender.send(Ok(Frame::data(Bytes::from("data")))).await.unwrap();
        sender.send(Ok(Frame::trailers(trailers))).await.unwrap();
        drop(sender);
    };
    let (answer, ()) = tokio::join!(connection.fetch(client::request(Method::POST, "/", body)), sent);
    assert_eq!(answer.text(), "data");
    assert_eq!(answer.trailers.expect("trailers")["x-sum"], "42");
}

async fn bodies_flow_both_ways_at_once(abi: Abi) {
    let server = pounce().guest(abi, "echo").start().await;
    for protocol in Protocol::BOTH {
        let (sender, body) = streamed();
        let mut connection = Connection::open(server.addr(), protocol).await;
        let mut response = connection.send(client::request(Method::POST, "/", body)).await.into_body();
        // Each part must come back before the next one leaves.
        for part in ["one", "two", "three"] {
            sender.send(Ok(Frame::data(Bytes::from(part)))).await.unwrap();
            let mut back = Vec::new();
            while back.len() < part.len() {
                let frame = within("the part to come back", response.frame()).await.expect("more").unwrap();
                back.extend_from_slice(frame.data_ref().expect("data"));
            }
            assert_eq!(back, part.as_bytes(), "{protocol:?}");
        }
        drop(sender);
        let end = within("the end of the response", response.frame()).await;
        assert!(
            end.is_none_or(|frame| frame.unwrap().data_ref().is_none_or(Bytes::is_empty)),
            "{protocol:?}"
        );
    }
}

/// A client that sends without reading must be made to wait, and all of it must come back in the end.
async fn streaming_takes_constant_memory(abi: Abi) {
    const PARTS: usize = 1536;
    const PART: usize = 64 * 1024;
    let server = pounce().guest(abi, "echo").flag("--max-request-body", "1GiB").start().await;
    for protocol in Protocol::BOTH {
        let (sender, body) = streamed();
        let sent = Arc::new(AtomicUsize::new(0));
        let mut connection = Connection::open(server.addr(), protocol).await;
        let mut response = connection.send(client::request(Method::POST, "/", body)).await.into_body();
        let before = server.resident();
        let count = sent.clone();
        let sending = tokio::spawn(async move {
            let part = Bytes::from(vec![b'x'; PART]);
            for _ in 0..PARTS {
                sender.send(Ok(Frame::data(part.clone()))).await.expect("the request goes on");
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        // Stalled: nothing went out in a second.
        let mut last = usize::MAX;
        while sent.load(Ordering::Relaxed) != last {
            last = sent.load(Ordering::Relaxed);
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert!(last < PARTS, "{protocol:?}: nobody slowed the client down");
        let stalled = server.resident();

        let (mut received, mut peak, mut looked) = (0, stalled, 0);
        while let Some(frame) = within("the rest of the response", response.frame()).await {
            received += frame.unwrap().data_ref().map_or(0, Bytes::len);
            if received >= looked + 8 * PART {
                looked = received;
                peak = peak.max(server.resident());
            }
        }
        sending.await.unwrap();
        assert_eq!(received, PARTS * PART, "{protocol:?}");
        let grown = peak.saturating_sub(before) / MIB;
        assert!(grown < 32, "{protocol:?}: 96 MiB passed through, and resident memory grew by {grown} MiB");
    }
}

async fn a_guest_may_work_on_after_its_response(abi: Abi) {
    let mut server = pounce().guest(abi, "leave").start().await;
    let answer = client::fetch_path(server.addr(), "/?ms=500").await;
    assert_eq!(answer.text(), "on my way out\n");
    server.logged(&["worked on for 500 ms after the response"]).await;
}

/// The guest answers each of 20 requests before the body of any is over.
async fn requests_run_side_by_side(abi: Abi) {
    const REQUESTS: usize = 20;
    let server = pounce().guest(abi, "echo").start().await;
    let addr = server.addr();
    for protocol in Protocol::BOTH {
        let mut connections = Vec::new();
        let mut open = Vec::new();
        for _ in 0..REQUESTS {
            let (upload, body) = streamed();
            let request = client::request(Method::POST, "/", body);
            // HTTP/1.1 takes a connection for each.
            if connections.is_empty() || protocol == Protocol::H1 {
                connections.push(Connection::open(addr, protocol).await);
            }
            let connection = connections.last_mut().expect("one at least");
            open.push((upload, connection.send(request).await));
        }
        for (upload, response) in open {
            upload.send(Ok(Frame::data(Bytes::from_static(b"whole")))).await.unwrap();
            drop(upload);
            assert_eq!(Answer::read(response).await.text(), "whole", "{protocol:?}");
        }
    }
}

#[tokio::test]
async fn text_is_served_too() {
    let server = pounce().fixture("status.wat").start().await;
    for protocol in Protocol::BOTH {
        for status in [200, 204, 304, 404, 418, 500] {
            let answer = client::fetch(server.addr(), protocol, client::get(&format!("/{status}"))).await;
            assert_eq!((answer.status.as_u16(), answer.text()), (status, ""), "{protocol:?}");
        }
    }
}

#[tokio::test]
async fn each_listener_has_its_ready_line_and_nothing_else_is_on_stdout() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("pounce.sock");
    let server = pounce()
        .fixture("status.wat")
        .flag("--listen", "127.0.0.1:0")
        .flag("--listen", format!("unix:{}", socket.display()))
        .start()
        .await;
    eventually("three ready lines", async || server.stdout().lines().count() == 3).await;
    let stdout = server.stdout();
    let addresses: Vec<_> =
        stdout.lines().map(|line| line.strip_prefix("listening on ").expect(line)).collect();
    for address in addresses {
        match address.strip_prefix("http://") {
            Some(addr) => {
                assert_eq!(client::fetch_path(addr.parse().unwrap(), "/200").await.status, 200);
            }
            None => {
                assert_eq!(address, format!("unix:{}", socket.display()));
                let mut stream = tokio::net::UnixStream::connect(&socket).await.unwrap();
                let request = "GET /204 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
                tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes()).await.unwrap();
                let mut answer = String::new();
                let read = tokio::io::AsyncReadExt::read_to_string(&mut stream, &mut answer);
                within("the answer on the unix socket", read).await.unwrap();
                assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
            }
        }
    }
    let exit = server.stop().await;
    exit.expect(0, &[]);
    assert_eq!(exit.stdout, stdout, "more on stdout than the ready lines");
    assert!(!socket.exists(), "the socket file is left behind");
}

#[tokio::test]
async fn a_malformed_request_is_400_and_hurts_nobody_else() {
    let server = pounce().fixture("status.wat").start().await;
    for (what, request) in [
        ("no HTTP", "hello\r\n\r\n"),
        ("no host", "GET /200 HTTP/1.1\r\n\r\n"),
        ("two hosts", "GET /200 HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n"),
        ("a host that is none", "GET /200 HTTP/1.1\r\nhost: a b\r\n\r\n"),
        ("two lengths", "POST /200 HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx"),
        ("a bad length", "POST /200 HTTP/1.1\r\nhost: a\r\ncontent-length: one\r\n\r\nx"),
    ] {
        let mut raw = Raw::open(server.addr()).await;
        raw.write(request).await.unwrap();
        let head = raw.read_until("\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 400") || head.starts_with("HTTP/1.0 400"), "{what}: {head:?}");
    }
    assert_eq!(client::fetch_path(server.addr(), "/200").await.status, 200);
}
