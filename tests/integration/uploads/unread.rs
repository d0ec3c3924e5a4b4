//! Bodies that a guest leaves alone: the client gets its response all the same, and is told when the connection ends.

use crate::support::client::{self, Connection, Raw};
use crate::support::pounce::Pounce;
use crate::support::{Abi, Protocol, for_both_abis, pounce, within};
use bytes::Bytes;
use futures_util::FutureExt as _;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Ping, PingPong};
use http::Request;
use std::process::Command;
use std::time::Duration;
use tokio::net::TcpStream;

for_both_abis!(
    a_response_says_whether_the_connection_outlives_the_body,
    over_http2_an_unread_body_ends_without_a_reset,
    over_http2_the_rest_of_a_large_one_is_not_waited_for,
    a_slow_client_sends_all_of_a_small_one,
    curl_gets_its_response_whatever_it_sends,
);

/// The head of the response to `POST /` with this framing, of whose body nothing is sent.
async fn head_of(server: &Pounce, path: &str, framing: &str) -> String {
    let mut raw = Raw::open(server.addr()).await;
    raw.write(format!("POST {path} HTTP/1.1\r\nhost: a\r\n{framing}\r\n\r\n")).await.unwrap();
    raw.read_until("\r\n\r\n").await
}

async fn a_response_says_whether_the_connection_outlives_the_body(abi: Abi) {
    let server = pounce().guest(abi, "hello").start().await;
    for (framing, closes) in [
        ("content-length: 20", false),
        ("content-length: 1048576", false),
        ("content-length: 1048577", true),
        ("content-length: 20000000", true),
        // Nobody knows how much it will be.
        ("transfer-encoding: chunked", true),
        // Refused, and so never sent or sent in vain.
        ("content-length: 1048577\r\nexpect: 100-continue", true),
        ("content-length: 999999999999", true),
    ] {
        let head = head_of(&server, "/", framing).await;
        assert_eq!(head.contains("\r\nconnection: close\r\n"), closes, "{framing}: {head}");
    }
    // What is kept is fit for the next request, whose head comes after the body of this one.
    let mut raw = Raw::open(server.addr()).await;
    raw.write("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1048576\r\n\r\n").await.unwrap();
    raw.read_until("Hello, World!\n").await;
    raw.write(vec![b' '; 1_048_576]).await.unwrap();
    raw.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let head = raw.read_until("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");

    // A guest that has begun to read reads on: after a large body the connection is as good as after a small one.
    let server = pounce().guest(abi, "echo").start().await;
    let mut connection = Connection::open(server.addr(), Protocol::H1).await;
    for _ in 0..2 {
        let answer = connection.fetch(client::post("/", vec![b'x'; 1_000_000])).await;
        assert_eq!((answer.text().len(), answer.header("connection")), (1_000_000, ""));
    }
}

/// An HTTP/2 connection of which each frame can be told.
struct Http2 {
    sender: SendRequest<Bytes>,
    pings: PingPong,
}

impl Http2 {
    async fn open(server: &Pounce) -> Self {
        let stream = TcpStream::connect(server.addr()).await.unwrap();
        let (sender, mut connection) = h2::client::handshake(stream).await.unwrap();
        let pings = connection.ping_pong().unwrap();
        tokio::spawn(connection);
        Http2 { sender, pings }
    }

    fn post(&mut self) -> (ResponseFuture, h2::SendStream<Bytes>) {
        let request = Request::post("http://a/").body(()).unwrap();
        self.sender.send_request(request, false).unwrap()
    }

    /// Waits until all is here that the server has sent so far.
    async fn turn(&mut self) {
        within("the answer to a ping", self.pings.ping(Ping::opaque())).await.unwrap();
    }
}

/// Reads a response to its end.
async fn whole(response: ResponseFuture) -> Bytes {
    let mut body = within("the response", response).await.unwrap().into_body();
    let mut read = Vec::new();
    while let Some(part) = within("its body", body.data()).await {
        let part = part.unwrap();
        body.flow_control().release_capacity(part.len()).unwrap();
        read.extend_from_slice(&part);
    }
    read.into()
}

/// The code with which the server has reset the stream, if it has.
async fn reset(body: &mut h2::SendStream<Bytes>) -> Option<h2::Reason> {
    std::future::poll_fn(|cx| {
        std::task::Poll::Ready(match body.poll_reset(cx) {
            std::task::Poll::Ready(reason) => Some(reason.expect("a connection")),
            std::task::Poll::Pending => None,
        })
    })
    .await
}

/// Sends `length` bytes as there is room for them, and the end.
async fn send(body: &mut h2::SendStream<Bytes>, length: usize) {
    let mut rest = Bytes::from(vec![b' '; length]);
    while !rest.is_empty() {
        body.reserve_capacity(rest.len());
        let room = within("room for the body", std::future::poll_fn(|cx| body.poll_capacity(cx))).await;
        let room = room.expect("an open stream").expect("a connection");
        body.send_data(rest.split_to(room), false).unwrap();
    }
    body.send_data(Bytes::new(), true).unwrap();
}

async fn over_http2_an_unread_body_ends_without_a_reset(abi: Abi) {
    let server = pounce().guest(abi, "hello").start().await;
    let mut http2 = Http2::open(&server).await;
    for length in [0, 1, 64 * 1024, 1024 * 1024] {
        let (response, mut body) = http2.post();
        assert_eq!(whole(response).await, "Hello, World!\n");
        http2.turn().await;
        assert_eq!(reset(&mut body).await, None, "the stream of {length} bytes, before they were sent");
        send(&mut body, length).await;
        http2.turn().await;
        assert_eq!(reset(&mut body).await, None, "the stream of {length} bytes, after they were sent");
    }
}

async fn over_http2_the_rest_of_a_large_one_is_not_waited_for(abi: Abi) {
    let server = pounce().guest(abi, "hello").start().await;
    let mut http2 = Http2::open(&server).await;
    let (response, mut body) = http2.post();
    assert_eq!(whole(response).await, "Hello, World!\n");
    let part = Bytes::from(vec![b' '; 16 * 1024]);
    let mut sent = 0;
    let reason = loop {
        body.reserve_capacity(part.len());
        let room = std::future::poll_fn(|cx| body.poll_capacity(cx));
        match within("room, or the end", room).await {
            Some(Ok(room)) => {
                let length = room.min(part.len());
                body.send_data(part.slice(..length), false).unwrap();
                sent += length;
            }
            _ => break within("the reset", std::future::poll_fn(|cx| body.poll_reset(cx))).await.unwrap(),
        }
    };
    assert_eq!(reason, h2::Reason::NO_ERROR, "it says that nothing is wrong but that nobody wants the rest");
    assert!(sent < 16 << 20, "{} MiB were taken", sent >> 20);
    // The others of the connection have their room.
    let (response, mut body) = http2.post();
    send(&mut body, 512 * 1024).await;
    assert_eq!(whole(response).await, "Hello, World!\n");
}

/// As long as something comes, no pause of it is too long for the whole.
async fn a_slow_client_sends_all_of_a_small_one(abi: Abi) {
    const PARTS: usize = 5;
    const PAUSE: Duration = Duration::from_millis(700);
    let server = pounce().guest(abi, "hello").start().await;
    let over_http1 = async {
        let mut raw = Raw::open(server.addr()).await;
        raw.write("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5000\r\n\r\n").await.unwrap();
        raw.read_until("Hello, World!\n").await;
        for _ in 0..PARTS {
            tokio::time::sleep(PAUSE).await;
            raw.write(vec![b' '; 1000]).await.unwrap();
        }
        raw.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        let head = raw.read_until("\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    };
    let over_http2 = async {
        let mut http2 = Http2::open(&server).await;
        let request = Request::post("http://a/").header("content-length", 5000).body(()).unwrap();
        let (mut response, mut body) = http2.sender.send_request(request, false).unwrap();
        for _ in 0..PARTS {
            tokio::time::sleep(PAUSE).await;
            let early = (&mut response).now_or_never();
            assert!(early.is_none(), "a response before the end of the request, which makes curl 7.88 stop");
            body.send_data(vec![b' '; 1000].into(), false).unwrap();
        }
        body.send_data(Bytes::new(), true).unwrap();
        assert_eq!(whole(response).await, "Hello, World!\n");
        assert_eq!(reset(&mut body).await, None);
    };
    tokio::join!(over_http1, over_http2);
}

/// A client that many have: it takes a reset after the response, and a reset in place of the end of a connection, for a
/// failure of the request.
async fn curl_gets_its_response_whatever_it_sends(abi: Abi) {
    let server = pounce().guest(abi, "hello").start().await;
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, size: usize| {
        let path = dir.path().join(name);
        std::fs::write(&path, vec![b'x'; size]).unwrap();
        format!("@{}", path.display())
    };
    let (little, mebi, much) = (file("little", 1), file("mebi", 1 << 20), file("much", 20_000_000));
    for (version, data) in [
        ("--http2-prior-knowledge", &little),
        ("--http2-prior-knowledge", &mebi),
        ("--http1.1", &little),
        ("--http1.1", &mebi),
        ("--http1.1", &much),
    ] {
        for _ in 0..5 {
            let mut curl = Command::new("curl");
            curl.args(["--silent", "--show-error", "--max-time", "60", version, "-X", "PUT"]);
            curl.args(["-H", "Expect:", "--data-binary", data, &format!("http://{}/", server.addr())]);
            let run = tokio::task::spawn_blocking(move || curl.output());
            let output = within("curl", run).await.unwrap().expect("curl: run `make setup`");
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{version}, {data}: {}: {said}", output.status);
            assert_eq!(String::from_utf8_lossy(&output.stdout), "Hello, World!\n", "{version}, {data}");
        }
    }
}
