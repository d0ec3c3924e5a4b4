//! What a client may send before a guest reads, and that it harms nobody.

use crate::support::client::{self, Connection};
use crate::support::{Abi, Collector, Protocol, for_both_abis, pounce, within};
use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::Method;
use std::future::poll_fn;
use std::net::SocketAddr;
use tokio::net::TcpStream;

for_both_abis!(
    all_streams_may_send_small_frames_that_wait,
    one_stream_may_send_many_tiny_frames,
    uploads_that_nobody_reads_leave_room_for_others,
    a_client_that_waits_to_be_told_is_told,
);

/// What the server gives a stream.
const WINDOW: usize = 256 * 1024;

async fn connect(addr: SocketAddr) -> SendRequest<Bytes> {
    let socket = TcpStream::connect(addr).await.unwrap();
    let (sender, connection) = h2::client::Builder::new()
        .initial_window_size(1 << 20)
        .initial_connection_window_size(64 << 20)
        .handshake(socket)
        .await
        .unwrap();
    tokio::spawn(connection);
    within("the connection to be ready", sender.ready()).await.unwrap()
}

fn post(sender: &mut SendRequest<Bytes>, path: &str) -> (ResponseFuture, SendStream<Bytes>) {
    let request = http::Request::post(format!("http://test{path}")).body(()).unwrap();
    sender.send_request(request, false).unwrap()
}

/// Sends frames of `size` bytes, each as soon as there is room.
async fn send(stream: &mut SendStream<Bytes>, frames: usize, size: usize) {
    for _ in 0..frames {
        room(stream, size).await;
        stream.send_data(Bytes::from(vec![b'x'; size]), false).unwrap();
    }
    stream.send_data(Bytes::new(), true).unwrap();
}

async fn room(stream: &mut SendStream<Bytes>, size: usize) {
    stream.reserve_capacity(size);
    while stream.capacity() < size {
        within("room", poll_fn(|cx| stream.poll_capacity(cx))).await.unwrap().unwrap();
    }
}

/// Bytes of a response that came whole.
async fn read(response: ResponseFuture) -> usize {
    let response = within("the response head", response).await.unwrap();
    assert_eq!(response.status(), 200);
    let mut body: RecvStream = response.into_body();
    let mut got = 0;
    while let Some(data) = within("the body", body.data()).await {
        let length = data.unwrap().len();
        got += length;
        body.flow_control().release_capacity(length).unwrap();
    }
    got
}

/// As many as are advertised, 51,200 frames in all.
async fn all_streams_may_send_small_frames_that_wait(abi: Abi) {
    let server = pounce().guest(abi, "echo").start().await;
    let mut sender = connect(server.addr()).await;
    let mut streams = Vec::new();
    for _ in 0..200 {
        sender = within("the connection to be ready", sender.ready()).await.unwrap();
        let (response, mut body) = post(&mut sender, "/?ms=1000");
        let sent = tokio::spawn(async move { send(&mut body, 256, 1).await });
        streams.push((response, sent));
    }
    for (response, sent) in streams {
        assert_eq!(read(response).await, 256);
        sent.await.unwrap();
    }
}

async fn one_stream_may_send_many_tiny_frames(abi: Abi) {
    const FRAMES: usize = WINDOW + 100_000;
    let collector = Collector::start().await;
    let server = pounce().guest(abi, "echo").traced(&collector).start().await;
    let mut sender = connect(server.addr()).await;
    let (response, mut body) = post(&mut sender, "/?ms=1000");
    let sent = tokio::spawn(async move { send(&mut body, FRAMES, 1).await });
    assert_eq!(read(response).await, FRAMES);
    sent.await.unwrap();
    assert_eq!(collector.span().await.int("http.request.body.size"), Some(FRAMES as i64));
}

/// Each has sent all that it may.
async fn uploads_that_nobody_reads_leave_room_for_others(abi: Abi) {
    let server = pounce().guest(abi, "echo").start().await;
    let mut sender = connect(server.addr()).await;
    let mut unread = Vec::new();
    for _ in 0..20 {
        let (response, mut body) = post(&mut sender, "/?ms=86400000");
        for _ in 0..WINDOW / 4096 {
            room(&mut body, 4096).await;
            body.send_data(Bytes::from_static(&[b'x'; 4096]), false).unwrap();
        }
        unread.push((response, body));
    }
    // More than two of them have sent.
    const FRAMES: usize = 1000;
    let (response, mut body) = post(&mut sender, "/");
    let sent = tokio::spawn(async move { send(&mut body, FRAMES, 1000).await });
    assert_eq!(read(response).await, FRAMES * 1000);
    sent.await.unwrap();
    // None of them can send any more.
    for (_, body) in &mut unread {
        body.reserve_capacity(1);
        assert_eq!(body.capacity(), 0);
    }
    drop(unread);
}

/// The guest reads, and only then does the body come.
async fn a_client_that_waits_to_be_told_is_told(abi: Abi) {
    let server = pounce().guest(abi, "echo").start().await;
    let mut sender = connect(server.addr()).await;
    let request = http::Request::post("http://test/").header("expect", "100-continue").body(()).unwrap();
    let (mut response, mut body) = sender.send_request(request, false).unwrap();
    let told = poll_fn(|cx| response.poll_informational(cx));
    let told = within("100 Continue", told).await.expect("before the response").unwrap();
    assert_eq!(told.status(), 100);
    send(&mut body, 10, 10).await;
    assert_eq!(read(response).await, 100);

    // One that nobody reads is not asked for, and its client is answered all the same.
    let server = pounce().guest(abi, "hello").start().await;
    let mut connection = Connection::open(server.addr(), Protocol::H2).await;
    let mut request = client::request(Method::POST, "/", client::streamed().1);
    request.headers_mut().insert("expect", http::HeaderValue::from_static("100-continue"));
    assert_eq!(connection.fetch(request).await.text(), "Hello, World!\n");
}
