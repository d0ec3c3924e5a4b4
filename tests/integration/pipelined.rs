//! Requests that a client of HTTP/1.1 sends without waiting for the responses: these come in order, none waits for a later
//! one, and what is streamed is not held back.

use crate::support::client::Raw;
use crate::support::{Abi, for_both_abis, pounce};
use tokio::io::AsyncWriteExt as _;

for_both_abis!(a_thousand_are_answered_in_order, nothing_waits_for_a_request_behind_it);

async fn a_thousand_are_answered_in_order(abi: Abi) {
    let server = pounce().guest(abi, "bodies").start().await;
    let mut raw = Raw::open(server.addr()).await;
    let requests: String =
        (0..1000).map(|n| format!("GET /?write={} HTTP/1.1\r\nhost: a\r\n\r\n", n % 7 * 300 + 1)).collect();
    raw.write(requests + "GET /?length=4&write=4 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let heard = raw.read_to_end().await;
    let sizes: Vec<_> =
        heard.split("HTTP/1.1 200 OK").skip(1).map(|answer| answer.matches('x').count()).collect();
    assert_eq!(sizes.len(), 1001);
    // The word of a header has one, too.
    let extra = sizes[1000] - 4;
    for (n, size) in sizes[..1000].iter().enumerate() {
        assert_eq!(*size, n % 7 * 300 + 1 + extra, "answer {n}");
    }
}

async fn nothing_waits_for_a_request_behind_it(abi: Abi) {
    let server = pounce().guest(abi, "slow").start().await;
    // Nobody ever answers the last one.
    let behind = "GET /?ms=86400000 HTTP/1.1\r\nhost: a\r\n\r\n".repeat(3);
    let mut raw = Raw::open(server.addr()).await;
    raw.write(format!("GET /?ms=0 HTTP/1.1\r\nhost: a\r\n\r\n{behind}")).await.unwrap();
    assert!(raw.read_until("chunk 1\n").await.starts_with("HTTP/1.1 200"));
    raw.read_until("0\r\n\r\n").await;

    let mut raw = Raw::open(server.addr()).await;
    let streams = "GET /?ms=0&body_ms=300&chunks=1000000 HTTP/1.1\r\nhost: a\r\n\r\n";
    raw.write(format!("{streams}{behind}")).await.unwrap();
    raw.read_until("chunk 3\n").await;
}

/// Good responses are sent although what follows them ends the connection.
#[tokio::test]
async fn what_is_malformed_takes_no_answer_along() {
    let server = pounce().guest(Abi::P2, "bodies").start().await;
    for last in [
        "GET / HTTP/1.1\r\nhost : a\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        "GET / HTTP/1.1\r\nho",
    ] {
        let mut raw = Raw::open(server.addr()).await;
        let good = "GET /?length=4&write=4 HTTP/1.1\r\nhost: a\r\n\r\n".repeat(3);
        raw.write(format!("{good}{last}")).await.unwrap();
        raw.0.shutdown().await.unwrap();
        let heard = raw.read_to_end().await;
        assert_eq!(heard.matches("HTTP/1.1 200 OK").count(), 3, "{last:?}: {heard}");
    }
}
