//! How large: request heads and bodies.

use crate::support::client::{self, Answer, Connection, Raw, WithHeader, streamed};
use crate::support::pounce::Pounce;
use crate::support::{Abi, Collector, Protocol, for_both_abis, pounce};
use bytes::Bytes;
use http::Method;
use hyper::body::Frame;

for_both_abis!(a_large_body_is_413, a_body_that_grows_too_large_after_the_head_fails_the_span);

#[tokio::test]
async fn a_large_head_is_431() {
    let server = pounce().fixture("status.wat").flag("--max-header-size", "8KiB").start().await;
    let by_default = pounce().fixture("status.wat").start().await;
    for protocol in Protocol::BOTH {
        for (server, size, status) in [
            (&server, 4 * 1024, 200),
            (&server, 12 * 1024, 431),
            (&by_default, 24 * 1024, 200),
            (&by_default, 40 * 1024, 431),
        ] {
            let request = client::get("/200").with("x-large", "x".repeat(size));
            let mut connection = Connection::open(server.addr(), protocol).await;
            let answer = connection.fetch(request).await;
            assert_eq!(answer.status, status, "{protocol:?}, {size} bytes");
        }
    }
    let many = "a: b\r\n".repeat(100);
    let mut raw = Raw::open(by_default.addr()).await;
    raw.write(format!("GET /200 HTTP/1.1\r\nhost: a\r\n{many}\r\n")).await.unwrap();
    let answer = raw.read_until("\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 431"), "101 fields: {answer}");

    let mut raw = Raw::open(by_default.addr()).await;
    let target = "x".repeat(40 * 1024);
    // It may hang up before it has read all of that.
    let _cut = raw.write(format!("GET /{target} HTTP/1.1\r\nhost: a\r\n\r\n")).await;
    let answer = raw.read_until("\r\n\r\n").await;
    assert!(
        answer.starts_with("HTTP/1.1 431") || answer.starts_with("HTTP/1.1 414"),
        "a long target: {answer}"
    );
}

async fn a_large_body_is_413(abi: Abi) {
    let server = pounce().guest(abi, "echo").flag("--max-request-body", "1KiB").start().await;
    let whole = pounce().guest(abi, "relay").flag("--max-request-body", "1KiB").start().await;
    for protocol in Protocol::BOTH {
        let fits = client::fetch(server.addr(), protocol, client::post("/", vec![b'x'; 1024])).await;
        assert_eq!((fits.status.as_u16(), fits.text().len()), (200, 1024), "{protocol:?}");
        let announced = client::fetch(server.addr(), protocol, client::post("/", vec![b'x'; 1025])).await;
        assert_eq!(announced.status, 413, "{protocol:?}");

        // Without a length nobody knows before the limit is reached. A guest that has answered by then is cut off …
        let answer = send_streamed(&server, protocol, 64).await;
        assert!(answer.status == 413 || answer.error.is_some(), "{protocol:?}: {answer:?}");
        assert!(answer.body.len() <= 1024, "{protocol:?}: {} bytes came back", answer.body.len());
        // … and one that reads first is overruled, whatever it makes of the broken body.
        let answer = send_streamed(&whole, protocol, 64).await;
        assert_eq!(answer.status, 413, "{protocol:?}: {answer:?}");
    }
}

/// The status was sent before anyone knew: 200 alone would look as if all had gone well.
async fn a_body_that_grows_too_large_after_the_head_fails_the_span(abi: Abi) {
    let collector = Collector::start().await;
    let server =
        pounce().guest(abi, "echo").flag("--max-request-body", "1KiB").traced(&collector).start().await;
    for protocol in Protocol::BOTH {
        let (sender, body) = streamed();
        let mut connection = Connection::open(server.addr(), protocol).await;
        sender.send(Ok(Frame::data(Bytes::from_static(b"head first")))).await.unwrap();
        let response = connection.send(client::request(Method::POST, "/", body)).await;
        assert_eq!(response.status(), 200);
        sender.send(Ok(Frame::data(Bytes::from(vec![b' '; 2048])))).await.unwrap();
        drop(sender);
        let answer = Answer::read(response).await;
        assert!(answer.error.is_some(), "{protocol:?}: {answer:?}");
    }
    for span in collector.spans(2).await {
        assert!(span.failed(), "{span:?}");
        assert_eq!(span.text("error.type"), "http_request_body_size");
        assert_eq!(span.int("http.response.status_code"), Some(200));
    }
}

/// Sends `parts` KiB without announcing a length.
async fn send_streamed(server: &Pounce, protocol: Protocol, parts: usize) -> Answer {
    let (sender, body) = streamed();
    tokio::spawn(async move {
        // Ends when the server stops reading.
        for _ in 0..parts {
            if sender.send(Ok(Frame::data(Bytes::from(vec![b' '; 1024])))).await.is_err() {
                break;
            }
        }
    });
    client::fetch(server.addr(), protocol, client::request(Method::POST, "/", body)).await
}
