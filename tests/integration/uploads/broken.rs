//! Bodies that never come whole: what the client gets, and who is to blame.

use crate::support::client::{self, Raw, streamed};
use crate::support::http2::{
    DATA, END_HEADERS, END_STREAM, HEADERS, PADDED, PING, RST_STREAM, frame, preface,
};
use crate::support::span::Span;
use crate::support::{Abi, Collector, Protocol, eventually, for_both_abis, pounce};
use bytes::Bytes;
use http::Method;
use hyper::body::Frame;

for_both_abis!(
    a_client_that_is_still_uploading_when_time_is_up_gets_408,
    a_guest_that_takes_its_time_is_to_blame_whatever_its_client_does,
    a_malformed_body_is_a_bad_request,
    a_malformed_body_after_the_head_breaks_the_response_off,
    over_http2_a_malformed_body_is_a_bad_request,
);

const ISOLATIONS: [&str; 2] = ["request", "instance"];

async fn a_client_that_is_still_uploading_when_time_is_up_gets_408(abi: Abi) {
    for isolation in ISOLATIONS {
        let collector = Collector::start().await;
        let server = pounce()
            .guest(abi, "relay")
            .flag("--request-timeout", "1s")
            .flag("--isolation", isolation)
            .arg("--log-access")
            .traced(&collector)
            .start()
            .await;
        for framing in ["content-length: 10", "transfer-encoding: chunked"] {
            let mut raw = Raw::open(server.addr()).await;
            raw.write(format!("POST /late HTTP/1.1\r\nhost: a\r\n{framing}\r\n\r\n1")).await.unwrap();
            let head = raw.read_until("\r\n\r\n").await;
            assert!(head.starts_with("HTTP/1.1 408"), "{framing}: {head}");
            assert!(head.contains("\r\nconnection: close\r\n"), "{framing}: {head}");
        }
        let (sender, body) = streamed();
        sender.send(Ok(Frame::data(Bytes::from_static(b"[")))).await.unwrap();
        let answer =
            client::fetch(server.addr(), Protocol::H2, client::request(Method::POST, "/late", body)).await;
        assert_eq!(answer.status, 408);
        for span in collector.spans(3).await {
            assert_eq!(span.text("error.type"), "client_timeout", "{span:?}");
            assert!(span.failed() && span.int("http.response.status_code") == Some(408), "{span:?}");
        }
        let exit = server.stop().await;
        let lines = exit.stderr.lines().filter(|line| line.contains("POST /late 408"));
        let lines: Vec<_> = lines.filter(|line| line.contains("client_timeout")).collect();
        assert_eq!(lines.len(), 3, "{exit}");
        assert!(!exit.stderr.contains("WARN"), "nothing is wrong here: {exit}");
    }
}

/// It has not asked for the body.
async fn a_guest_that_takes_its_time_is_to_blame_whatever_its_client_does(abi: Abi) {
    let collector = Collector::start().await;
    let server = pounce().guest(abi, "slow").flag("--request-timeout", "1s").traced(&collector).start().await;
    let mut raw = Raw::open(server.addr()).await;
    raw.write("POST /?ms=86400000 HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n1").await.unwrap();
    let head = raw.read_until("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 504"), "{head}");
    let (_sender, body) = streamed();
    let request = client::request(Method::POST, "/?ms=86400000", body);
    assert_eq!(client::fetch(server.addr(), Protocol::H2, request).await.status, 504);
    for span in collector.spans(2).await {
        assert_eq!(span.text("error.type"), "timeout", "{span:?}");
    }
}

async fn a_malformed_body_is_a_bad_request(abi: Abi) {
    let collector = Collector::start().await;
    let server = pounce().guest(abi, "relay").arg("--log-access").traced(&collector).start().await;
    let bodies = ["xyz\r\n", "5\r\nhelloXX", "ffffffffffffffffff\r\n", "2\r\n[]\r\n0\r\nno trailer\r\n\r\n"];
    for (n, body) in bodies.into_iter().enumerate() {
        let mut raw = Raw::open(server.addr()).await;
        let head = "transfer-encoding: chunked";
        raw.write(format!("POST /{n} HTTP/1.1\r\nhost: a\r\n{head}\r\n\r\n{body}")).await.unwrap();
        let answer = raw.read_to_end().await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{body:?}: {answer}");
        assert!(answer.contains("\r\nconnection: close\r\n"), "{body:?}: {answer}");
        let path = format!("/{n}");
        let span = collector.span_where(body, |span| span.text("url.path") == path).await;
        assert_eq!(span.text("error.type"), "bad_request", "{body:?}: {span:?}");
        // By the conventions: 4xx is no error of a server's.
        assert!(!span.failed(), "{body:?}: {span:?}");
    }
    let exit = server.stop().await;
    let told = exit.stderr.lines().filter(|line| line.contains("bad_request"));
    assert_eq!(told.count(), bodies.len(), "{exit}");
}

async fn a_malformed_body_after_the_head_breaks_the_response_off(abi: Abi) {
    let collector = Collector::start().await;
    let server = pounce().guest(abi, "echo").traced(&collector).start().await;
    let mut raw = Raw::open(server.addr()).await;
    raw.write("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n")
        .await
        .unwrap();
    raw.read_until("hello").await;
    raw.write("nonsense\r\n").await.unwrap();
    let rest = raw.read_to_end().await;
    assert!(!rest.ends_with("0\r\n\r\n"), "it looks whole: {rest:?}");
    let is_it = |span: &Span| span.text("error.type") == "bad_request";
    let span = collector.span_where("of the broken body", is_it).await;
    assert!(span.failed() && span.int("http.response.status_code") == Some(200), "{span:?}");
    // Somebody who is gone is something else.
    let mut raw = Raw::open(server.addr()).await;
    raw.write("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhello").await.unwrap();
    raw.read_until("hello").await;
    drop(raw);
    eventually("the span of the client that left", async || {
        collector.received().iter().any(|span| span.text("error.type") == "client_disconnected")
    })
    .await;
}

/// Whether the guest reads the body, has begun its response, or looks at neither: h2 ends the stream itself, so that no
/// response tells the client.
async fn over_http2_a_malformed_body_is_a_bad_request(abi: Abi) {
    let data = |flags, payload: &[u8]| frame(DATA, flags, 1, payload);
    let trailers = |flags, line: &[u8]| frame(HEADERS, flags, 1, line);
    let malformed = [
        ("more than its length", data(0, b"1234")),
        ("less than its length", data(END_STREAM, b"1")),
        ("trailers before its end", trailers(END_HEADERS, &[0, 1, b'a', 1, b'b'])),
        ("trailers with a pseudo-header", trailers(END_HEADERS | END_STREAM, &[0x82])),
        ("no end but trailers", trailers(END_HEADERS | END_STREAM, &[0, 1, b'a', 1, b'b'])),
        ("trailers that no table has", trailers(END_HEADERS | END_STREAM, &[0xff, 0xff, 1])),
        ("padding longer than the frame", data(PADDED, &[9, b'1'])),
    ];
    for (guest, path) in
        [("relay", "/"), ("echo", "/"), ("slow", "/?ms=86400000"), ("slow", "/?ms=0&body_ms=86400000")]
    {
        for isolation in ISOLATIONS {
            let collector = Collector::start().await;
            let server = pounce()
                .guest(abi, guest)
                .flag("--isolation", isolation)
                .arg("--log-access")
                .traced(&collector);
            let server = server.start().await;
            for (n, (what, frames)) in malformed.iter().enumerate() {
                let what = format!("{guest}, {isolation}: {what}");
                let path = format!("/{n}{}", &path[1..]);
                // `POST`, `http`, this path, of a host `a`, with `content-length: 3`.
                let mut head = vec![0x83, 0x86, 4, u8::try_from(path.len()).unwrap()];
                head.extend(path.bytes());
                head.extend([1, 1, b'a', 0x0f, 13, 1, b'3']);
                let mut raw = Raw::open(server.addr()).await;
                let begin = [preface(), frame(HEADERS, END_HEADERS, 1, &head)].concat();
                raw.write([begin, frame(PING, 0, 0, b"it began")].concat()).await.unwrap();
                raw.read_until("it began").await;
                raw.write(frames).await.unwrap();
                let path = format!("/{n}");
                let span = collector.span_where(&what, |span| span.text("url.path") == path).await;
                assert_eq!(span.text("error.type"), "bad_request", "{what}: {span:?}");
                let status = span.int("http.response.status_code");
                assert!(span.failed() || status == Some(400), "{what}: {span:?}");
                drop(raw);
            }
            // Somebody who gives up has done nothing wrong by HTTP/2.
            let mut raw = Raw::open(server.addr()).await;
            let head = [&[0x83, 0x86, 4, 5][..], b"/gone", &[1, 1, b'a', 0x0f, 13, 1, b'3']].concat();
            let reset = frame(RST_STREAM, 0, 1, &[0, 0, 0, 8]);
            raw.write([preface(), frame(HEADERS, END_HEADERS, 1, &head), reset].concat()).await.unwrap();
            let span =
                collector.span_where("of one that gave up", |span| span.text("url.path") == "/gone").await;
            assert_eq!(span.text("error.type"), "client_disconnected", "{guest}, {isolation}: {span:?}");
            let exit = server.stop().await;
            let told = exit.stderr.lines().filter(|line| line.contains("bad_request"));
            assert_eq!(told.count(), malformed.len(), "{exit}");
        }
    }
}
