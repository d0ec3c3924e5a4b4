//! HTTP/2 peers that leave no room for their response: the socket is writable, the window is closed.

use crate::support::client::{self, Connection, Protocol};
use crate::support::pounce::Pounce;
use crate::support::{Abi, Collector, eventually, for_both_abis, pounce, within};
use bytes::Bytes;
use h2::client::SendRequest;
use h2::{Reason, RecvStream};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

for_both_abis!(
    a_window_that_stays_closed_costs_its_stream_alone,
    a_response_that_found_no_room_at_all_has_failed,
    a_slow_reader_is_not_cut_off,
);

/// An HTTP/2 client whose windows open only when the test says so.
pub(super) async fn connect(server: &Pounce, window: u32) -> SendRequest<Bytes> {
    let socket = TcpStream::connect(server.addr()).await.unwrap();
    let (sender, connection) = h2::client::Builder::new()
        .initial_window_size(window)
        .initial_connection_window_size(16 << 20)
        .handshake(socket)
        .await
        .unwrap();
    tokio::spawn(connection);
    within("the connection to be ready", sender.ready()).await.unwrap()
}

/// The body of the response to `GET path`.
async fn get(sender: &mut SendRequest<Bytes>, server: &Pounce, path: &str) -> RecvStream {
    let request = http::Request::get(format!("http://{}{path}", server.addr())).body(()).unwrap();
    let (response, _) = sender.send_request(request, true).unwrap();
    let response = within("the response head", response).await.unwrap();
    assert_eq!(response.status(), 200);
    response.into_body()
}

async fn place_is_free(server: &Pounce) {
    eventually("its place to be free", async || {
        client::fetch_path(server.addr(), "/?ms=0").await.status == 200
    })
    .await;
}

/// The guest stops, the place is free, the client is told; its other streams go on.
async fn a_window_that_stays_closed_costs_its_stream_alone(abi: Abi) {
    let collector = Collector::start().await;
    let server = pounce()
        .guest(abi, "slow")
        .flag("--idle-timeout", "1s")
        .flag("--max-in-flight", 2)
        .flag("--max-in-flight-per-peer", 2)
        .traced(&collector)
        .start()
        .await;
    let mut sender = connect(&server, 65_535).await;
    let mut other = get(&mut sender, &server, "/other?ms=0&chunks=4&body_ms=2000").await;
    let mut unread = get(&mut sender, &server, "/unread?ms=0&chunks=1000000&size=65535").await;
    place_is_free(&server).await;

    let mut got = 0;
    let end = loop {
        match within("the end of the stream", unread.data()).await {
            Some(Ok(data)) => got += data.len(),
            end => break end,
        }
    };
    assert_eq!(got, 65_535, "all that there was room for");
    assert_eq!(end.unwrap().unwrap_err().reason(), Some(Reason::CANCEL));
    let span = collector.span_where("of it", |span| span.text("url.path") == "/unread").await;
    assert_eq!(span.text("error.type"), "client_disconnected");
    assert!(span.failed());

    // A body that waits for its guest, longer than the peer might: nobody stalls it.
    let mut text = Vec::new();
    while let Some(data) = within("the other stream", other.data()).await {
        text.extend_from_slice(&data.unwrap());
    }
    assert_eq!(String::from_utf8_lossy(&text), "chunk 1\nchunk 2\nchunk 3\nchunk 4\n");
}

/// Small enough to be over at once, for a guest; but none of it went out.
async fn a_response_that_found_no_room_at_all_has_failed(abi: Abi) {
    let collector = Collector::start().await;
    let server = pounce()
        .guest(abi, "slow")
        .flag("--idle-timeout", "1s")
        .flag("--max-in-flight", 1)
        .traced(&collector)
        .start()
        .await;
    for length in ["", "&length=8"] {
        let mut sender = connect(&server, 0).await;
        let path = format!("/unread{length}");
        let mut body = get(&mut sender, &server, &format!("{path}?ms=0&chunks=1{length}")).await;
        let end = within("the end of the stream", body.data()).await;
        assert_eq!(end.unwrap().unwrap_err().reason(), Some(Reason::CANCEL), "{length}");
        let span = collector.span_where("of it", |span| span.text("url.path") == path).await;
        assert_eq!(span.text("error.type"), "client_disconnected", "{length}");
        place_is_free(&server).await;
    }
}

/// Each piece long before its time is up, the whole after it.
async fn a_slow_reader_is_not_cut_off(abi: Abi) {
    const SIZE: usize = 65_535;
    const PATIENCE: Duration = Duration::from_secs(6);
    let server = pounce().guest(abi, "slow").flag("--idle-timeout", "6s").start().await;
    let mut sender = connect(&server, 16 * 1024).await;
    let mut body = get(&mut sender, &server, &format!("/?ms=0&chunks=8&size={SIZE}")).await;
    let (begun, mut got) = (Instant::now(), 0);
    while let Some(data) = within("the next piece", body.data()).await {
        let length = data.expect("not cut off").len();
        got += length;
        // A quarter of a second for 16 KiB.
        tokio::time::sleep(Duration::from_millis(250) * u32::try_from(length).unwrap() / (16 * 1024)).await;
        body.flow_control().release_capacity(length).unwrap();
    }
    assert_eq!(got, 8 * (SIZE + 1));
    assert!(begun.elapsed() > PATIENCE, "too fast to say anything");
    // And a fast one gets the same.
    let mut connection = Connection::open(server.addr(), Protocol::H2).await;
    let answer = connection.fetch(client::get(&format!("/?ms=0&chunks=3&size={SIZE}"))).await;
    assert_eq!(answer.text().len(), 3 * (SIZE + 1));
}
