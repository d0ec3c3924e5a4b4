//! Request heads: what the server itself refuses, and what a guest sees of the others.

use crate::support::client::{self, Raw, WithHeader};
use crate::support::pounce::Pounce;
use crate::support::{Abi, Collector, Protocol, for_both_abis, pounce};

for_both_abis!(
    transfer_codings_that_nobody_undoes_are_501,
    expectations_that_nobody_meets_are_417,
    an_absolute_target_without_a_path_has_the_root,
    a_mistake_of_the_clients_has_a_type_and_is_no_error,
);

/// What the server answers to these bytes, up to the end of the head.
async fn answer_to(server: &Pounce, bytes: &str) -> String {
    let mut raw = Raw::open(server.addr()).await;
    raw.write(bytes).await.unwrap();
    raw.read_until("\r\n\r\n").await
}

async fn transfer_codings_that_nobody_undoes_are_501(abi: Abi) {
    let server = pounce().guest(abi, "echo").start().await;
    for (lines, status) in [
        ("transfer-encoding: chunked", 200),
        ("transfer-encoding: Chunked", 200),
        ("transfer-encoding: , chunked", 200),
        ("transfer-encoding: gzip, chunked", 501),
        ("transfer-encoding: gzip;q=1,chunked", 501),
        ("transfer-encoding: identity, chunked", 501),
        ("transfer-encoding: deflate\r\ntransfer-encoding: chunked", 501),
        ("transfer-encoding: chunked, chunked", 400),
        ("transfer-encoding: chunked\r\ntransfer-encoding: chunked", 400),
        // Without an end that anybody could find.
        ("transfer-encoding: gzip", 400),
        ("transfer-encoding: chunked, gzip", 400),
    ] {
        let head =
            answer_to(&server, &format!("POST / HTTP/1.1\r\nhost: a\r\n{lines}\r\n\r\n0\r\n\r\n")).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{lines:?}: {head}");
    }
}

async fn expectations_that_nobody_meets_are_417(abi: Abi) {
    let server = pounce().guest(abi, "echo").start().await;
    for (expected, status) in
        [("100-continue", 200), ("100-Continue", 200), ("a-miracle", 417), ("100-continue, a-miracle", 417)]
    {
        let request = client::post("/", "hello").with("expect", expected);
        let answer = client::fetch(server.addr(), Protocol::H2, request).await;
        assert_eq!(answer.status, status, "{expected}");
        let head =
            format!("POST / HTTP/1.1\r\nhost: a\r\nexpect: {expected}\r\ncontent-length: 5\r\n\r\nhello");
        let mut raw = Raw::open(server.addr()).await;
        raw.write(&head).await.unwrap();
        let mut answer = raw.read_until("\r\n\r\n").await;
        if answer.starts_with("HTTP/1.1 100") {
            answer = raw.read_until("\r\n\r\n").await;
        }
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{expected}: {answer}");
        assert_eq!(answer.contains("connection: close"), status == 417, "{expected}: {answer}");
    }
    // HTTP/1.0 has no expectations.
    let head = answer_to(&server, "GET / HTTP/1.0\r\nexpect: a-miracle\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.0 200"), "{head}");
}

async fn an_absolute_target_without_a_path_has_the_root(abi: Abi) {
    let server = pounce().guest(abi, "echo").start().await;
    for (target, seen) in [
        ("http://x?seen&y=1", ["http x\n", "\n/?seen&y=1\n"]),
        ("http://x:81/?seen", ["http x:81\n", "\n/?seen\n"]),
        ("/?seen", ["http a\n", "\n/?seen\n"]),
    ] {
        let mut raw = Raw::open(server.addr()).await;
        raw.write(format!("GET {target} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")).await.unwrap();
        let answer = raw.read_to_end().await;
        assert!(seen.iter().all(|part| answer.contains(part)), "{target}: {answer}");
    }
    // Only CONNECT has a target that is nothing but an authority.
    let head = answer_to(&server, "GET x:80 HTTP/1.1\r\nhost: x:80\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 400"), "{head}");
}

async fn a_mistake_of_the_clients_has_a_type_and_is_no_error(abi: Abi) {
    let collector = Collector::start().await;
    let server = pounce().guest(abi, "echo").traced(&collector).arg("--log-access").start().await;
    let head = answer_to(&server, "GET /mistake HTTP/1.1\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 400"), "{head}");
    let span = collector.span().await;
    assert_eq!(span.text("error.type"), "bad_request", "{span:?}");
    assert!(!span.failed() && span.events.is_empty(), "{span:?}");
    let exit = server.stop().await;
    assert!(
        exit.stderr.lines().any(|line| line.contains("GET /mistake 400") && line.contains("bad_request"))
    );
}
