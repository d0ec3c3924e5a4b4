//! Clients that close their sending half after the request: they get their answer, and whoever is gone altogether is
//! noticed by a reset.

use crate::support::client::{self, Raw};
use crate::support::{Abi, Collector, eventually, for_both_abis, pounce};
use futures_util::FutureExt as _;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;

for_both_abis!(
    a_client_that_sends_no_more_gets_its_answer,
    a_reset_after_that_is_noticed_before_the_head,
    a_client_that_has_closed_is_noticed_by_the_first_bytes,
);

async fn a_client_that_sends_no_more_gets_its_answer(abi: Abi) {
    let collector = Collector::start().await;
    let server = pounce().guest(abi, "slow").traced(&collector).start().await;
    for request in [
        "GET /?ms=600&body_ms=300&chunks=2 HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET /?ms=600&body_ms=300&chunks=2 HTTP/1.0\r\n\r\n",
        // A body that the guest does not read.
        "POST /?ms=600&body_ms=300&chunks=2 HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello",
    ] {
        let mut raw = Raw::open(server.addr()).await;
        raw.write(request).await.unwrap();
        raw.0.shutdown().await.unwrap();
        let heard = raw.read_to_end().await;
        assert!(heard.contains("chunk 1\n") && heard.contains("chunk 2\n"), "{request}: {heard}");
        let is_whole = heard.ends_with("0\r\n\r\n") || request.contains("HTTP/1.0");
        assert!(is_whole, "{request}: {heard}");
    }
    for span in collector.spans(3).await {
        assert!(!span.failed(), "{span:?}");
    }
}

/// A half of a request is none.
#[tokio::test]
async fn a_client_that_sends_half_a_request_has_left() {
    let collector = Collector::start().await;
    let server = pounce().guest(Abi::P2, "echo").traced(&collector).start().await;
    let mut raw = Raw::open(server.addr()).await;
    raw.write("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 50\r\n\r\nhello").await.unwrap();
    raw.0.shutdown().await.unwrap();
    raw.read_to_end().await;
    assert_eq!(collector.span().await.text("error.type"), "client_disconnected");
}

async fn a_reset_after_that_is_noticed_before_the_head(abi: Abi) {
    for half_closes in [false, true] {
        let collector = Collector::start().await;
        let builder = pounce().guest(abi, "slow").flag("--request-timeout", "0");
        let server = builder.flag("--max-in-flight", 1).traced(&collector).start().await;
        let mut raw = loop {
            let mut raw = Raw::open(server.addr()).await;
            raw.write("GET /left?ms=86400000 HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
            // When others are shed it is in flight; unless one of those came first, and it was shed itself.
            let is_shed = async |raw: &Raw| raw.0.peek(&mut [0]).now_or_never().is_some();
            eventually("the request to be in flight", async || {
                is_shed(&raw).await || client::fetch_path(server.addr(), "/?ms=0").await.status == 503
            })
            .await;
            if !is_shed(&raw).await {
                break raw;
            }
        };
        if half_closes {
            raw.0.shutdown().await.unwrap();
            // By when the server has looked at that.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        raw.reset();
        let left = collector.span_where("of the client", |span| {
            span.text("url.path") == "/left" && span.text("error.type") != "overloaded"
        });
        let left = left.await;
        assert_eq!(left.text("error.type"), "client_disconnected", "{half_closes}");
        eventually("the place to be free", async || {
            client::fetch_path(server.addr(), "/?ms=0").await.status == 200
        })
        .await;
    }
}

/// Its kernel answers them with a reset.
async fn a_client_that_has_closed_is_noticed_by_the_first_bytes(abi: Abi) {
    let collector = Collector::start().await;
    let server = pounce().guest(abi, "slow").traced(&collector).start().await;
    let mut raw = Raw::open(server.addr()).await;
    raw.write("GET /?ms=500&body_ms=100&chunks=1000000 HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    drop(raw);
    assert_eq!(collector.span().await.text("error.type"), "client_disconnected");
}

/// On a Unix socket a closed peer is told from one that only sends no more.
#[tokio::test]
async fn on_a_unix_socket_a_close_is_noticed_at_once() {
    use tokio::io::AsyncReadExt as _;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let collector = Collector::start().await;
    let builder = pounce().guest(Abi::P2, "slow").flag("--request-timeout", "0").traced(&collector);
    let mut server = builder.flag("--listen", format!("unix:{}", path.display())).begin();
    server.said("listening on").await;
    let connect = async |request: &str| {
        let mut stream = tokio::net::UnixStream::connect(&path).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    };
    let mut waits = connect("GET /waits?ms=500 HTTP/1.1\r\nhost: a\r\n\r\n").await;
    waits.shutdown().await.unwrap();
    let mut heard = String::new();
    waits.read_to_string(&mut heard).await.unwrap();
    assert!(heard.contains("chunk 1\n"), "{heard}");
    let leaves = connect("GET /leaves?ms=86400000 HTTP/1.1\r\nhost: a\r\n\r\n").await;
    drop(leaves);
    let left = collector.span_where("of the client", |span| span.text("url.path") == "/leaves").await;
    assert_eq!(left.text("error.type"), "client_disconnected");
}
