//! Responses that say how long they are: a whole one is one, and one that falls short never looks whole.

use crate::support::client::{self, Raw};
use crate::support::{Abi, Collector, Protocol, for_both_abis, pounce};

for_both_abis!(a_response_of_a_promised_length_is_whole, a_body_short_of_its_promise_has_failed);

/// Of an empty one hyper never asks for the body.
async fn a_response_of_a_promised_length_is_whole(abi: Abi) {
    let collector = Collector::start().await;
    let server = pounce().guest(abi, "slow").traced(&collector).start().await;
    for protocol in Protocol::BOTH {
        for (path, body) in
            [("/?ms=0&chunks=0&length=0", ""), ("/?ms=0&chunks=2&length=16", "chunk 1\nchunk 2\n")]
        {
            let answer = client::fetch(server.addr(), protocol, client::get(path)).await;
            assert_eq!(answer.text(), body, "{protocol:?}");
            assert_eq!(answer.header("content-length"), body.len().to_string(), "{protocol:?}");
        }
    }
    for span in collector.spans(4).await {
        assert!(!span.failed() && !span.attributes.contains_key("error.type"), "{span:?}");
    }
}

async fn a_body_short_of_its_promise_has_failed(abi: Abi) {
    let collector = Collector::start().await;
    let server = pounce().guest(abi, "slow").traced(&collector).start().await;
    for path in ["/?ms=0&chunks=1&length=100", "/?ms=0&chunks=0&length=5"] {
        let mut raw = Raw::open(server.addr()).await;
        raw.write(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")).await.unwrap();
        let heard = raw.read_to_end().await;
        assert!(heard.starts_with("HTTP/1.1 200"), "the head comes all the same: {heard:?}");
        let answer = client::fetch(server.addr(), Protocol::H2, client::get(path)).await;
        assert_eq!(answer.status, 200);
        assert!(answer.reset().is_some_and(|reason| reason != h2::Reason::NO_ERROR), "{answer:?}");
    }
    for span in collector.spans(4).await {
        assert!(span.failed() && !span.text("error.type").is_empty(), "{span:?}");
        assert_ne!(span.text("error.type"), "client_disconnected", "{span:?}");
    }
}
