//! Clients that go away: the guest is stopped, its place is free, and the span says who left.

use crate::support::client::{self, Connection, Raw};
use crate::support::span::Span;
use crate::support::{Abi, Collector, Protocol, eventually, for_both_abis, pounce};

for_both_abis!(
    a_client_that_leaves_before_the_head_stops_the_guest,
    a_client_that_leaves_after_the_head_stops_the_guest,
    a_client_that_leaves_in_its_upload_is_to_blame,
);

async fn a_client_that_leaves_before_the_head_stops_the_guest(abi: Abi) {
    let collector = Collector::start().await;
    let server = pounce()
        .guest(abi, "slow")
        .flag("--max-in-flight", 1)
        .flag("--request-timeout", "0")
        .traced(&collector)
        .start()
        .await;
    for (n, protocol) in Protocol::BOTH.into_iter().enumerate() {
        let (connection, waiting) = loop {
            let mut connection = Connection::open(server.addr(), protocol).await;
            let waiting = tokio::spawn(connection.start(client::get("/left?ms=86400000")));
            // When others are shed, it is in flight; unless one of those came first, and it was shed itself.
            eventually("the request to be in flight", async || {
                waiting.is_finished() || client::fetch_path(server.addr(), "/?ms=0").await.status == 503
            })
            .await;
            if !waiting.is_finished() {
                break (connection, waiting);
            }
        };
        connection.abort();
        let _nothing = waiting.await;
        eventually("the place to be free", async || {
            client::fetch_path(server.addr(), "/?ms=0").await.status == 200
        })
        .await;
        let version = ["1.1", "2"][n];
        let is_left = |span: &Span| {
            span.text("error.type") == "client_disconnected"
                && span.text("network.protocol.version") == version
        };
        let left = collector.span_where("of the client that left", is_left).await;
        assert_eq!(left.text("url.path"), "/left");
        assert_eq!(left.int("http.response.status_code"), None, "nothing was sent");
        assert!(left.failed());
    }
}

async fn a_client_that_leaves_after_the_head_stops_the_guest(abi: Abi) {
    let collector = Collector::start().await;
    let server = pounce().guest(abi, "slow").flag("--max-in-flight", 1).traced(&collector).start().await;
    for protocol in Protocol::BOTH {
        let path = format!("/left/{protocol:?}");
        let endless = format!("{path}?ms=0&body_ms=50&chunks=1000000");
        let (connection, response) = client::hold(server.addr(), protocol, &endless).await;
        connection.abort();
        drop(response);
        let is_left = |span: &Span| span.text("url.path") == path && span.text("error.type") != "overloaded";
        let left = collector.span_where("of the client that left", is_left).await;
        assert_eq!(left.text("error.type"), "client_disconnected");
        assert_eq!(left.int("http.response.status_code"), Some(200));
        assert!(left.failed());
        eventually("the place to be free", async || {
            client::fetch_path(server.addr(), "/?ms=0").await.status == 200
        })
        .await;
    }
}

/// A crashed client's kernel says goodbye with a reset, which is an error where a close is an end.
#[tokio::test]
async fn a_client_whose_connection_is_reset_has_left_too() {
    let collector = Collector::start().await;
    let server = pounce().guest(Abi::P2, "slow").traced(&collector).start().await;
    let mut raw = Raw::open(server.addr()).await;
    raw.write("GET /?ms=0&body_ms=50&chunks=1000000 HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    raw.read_until("chunk 1\n").await;
    raw.reset();
    assert_eq!(collector.span().await.text("error.type"), "client_disconnected");
}

/// Whatever the guest makes of half a body, it is not what went wrong.
async fn a_client_that_leaves_in_its_upload_is_to_blame(abi: Abi) {
    for guest in ["echo", "relay"] {
        let collector = Collector::start().await;
        let server = pounce().guest(abi, guest).traced(&collector).start().await;
        let mut raw = Raw::open(server.addr()).await;
        raw.write("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 200\r\n\r\n[1,").await.unwrap();
        // Read by the guest by then, or not: both must end alike.
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        drop(raw);
        let span = collector.span().await;
        assert_eq!(span.text("error.type"), "client_disconnected", "{guest}");
        assert!(span.failed(), "{guest}");
    }
}
