//! Request heads: what the server itself refuses, and what a guest sees of the others.

use crate::support::client::{self, Connection, Raw, WithHeader};
use crate::support::pounce::Pounce;
use crate::support::{Abi, Collector, Protocol, eventually, for_both_abis, pounce};
use http::Request;
use tokio::net::TcpStream;

for_both_abis!(
    transfer_codings_that_nobody_undoes_are_501,
    expectations_that_nobody_meets_are_417,
    an_absolute_target_without_a_path_has_the_root,
    a_mistake_of_the_clients_has_a_type_and_is_no_error,
    several_cookies_are_one,
    a_host_that_contradicts_the_authority_is_refused,
    a_head_beyond_a_limit_is_seen_everywhere,
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

/// Clients of HTTP/2 send them one by one, so that they compress better.
async fn several_cookies_are_one(abi: Abi) {
    let collector = Collector::start().await;
    let server =
        pounce().guest(abi, "echo").flag("--otel-request-headers", "x-kept").traced(&collector).start().await;
    for protocol in Protocol::BOTH {
        for (pieces, whole) in [
            (&["a=1"][..], "cookie: a=1\n"),
            (&["a=1", "b=2", "c=3; d=4", "", "e"], "cookie: a=1; b=2; c=3; d=4; ; e\n"),
        ] {
            let request = client::get("/?seen").with("x-kept", "1");
            let request = pieces.iter().fold(request, |request, piece| request.with("cookie", piece));
            let answer = client::fetch(server.addr(), protocol, request).await;
            assert!(answer.text().contains(whole), "{protocol:?}: {}", answer.text());
            assert_eq!(answer.text().matches("cookie:").count(), 1, "{protocol:?}: {}", answer.text());
        }
    }
}

/// The status of `GET http://AUTHORITY/?seen` over HTTP/2 with these Host lines.
async fn status_of(server: &Pounce, authority: &str, hosts: &[&str]) -> u16 {
    let stream = TcpStream::connect(server.addr()).await.unwrap();
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get(format!("http://{authority}/?seen"));
    let request = hosts.iter().fold(request, |request, host| request.header("host", *host));
    let mut sender = sender.ready().await.unwrap();
    let (response, _) = sender.send_request(request.body(()).unwrap(), true).unwrap();
    crate::support::within("the response", response).await.unwrap().status().as_u16()
}

async fn a_host_that_contradicts_the_authority_is_refused(abi: Abi) {
    let server = pounce().guest(abi, "echo").start().await;
    for (authority, hosts, status) in [
        ("example.com", &[][..], 200),
        ("example.com", &["example.com"], 200),
        ("example.com", &["EXAMPLE.com:80"], 200),
        ("example.com:8080", &["example.com:8080"], 200),
        ("example.com", &["example.org"], 400),
        ("example.com", &["example.com:8080"], 400),
        ("example.com", &[""], 400),
        ("example.com", &["example.com", "example.com"], 400),
        ("example.com", &["a b"], 400),
    ] {
        assert_eq!(status_of(&server, authority, hosts).await, status, "{authority}, {hosts:?}");
    }
    // In HTTP/1.1 the target counts, and Host does not (RFC 9112 section 3.2.2).
    let mut raw = Raw::open(server.addr()).await;
    raw.write("GET http://x/?seen HTTP/1.1\r\nhost: y\r\nconnection: close\r\n\r\n").await.unwrap();
    let answer = raw.read_to_end().await;
    assert!(answer.contains("http x\n"), "{answer}");
}

/// A request with so many lines of headers over either version, the Host of HTTP/1.1 being one.
fn with_lines(protocol: Protocol, path: &str, lines: usize) -> Request<client::Body> {
    let more = lines - usize::from(protocol == Protocol::H1);
    (0..more).fold(client::get(path), |request, _| request.with("a", "b"))
}

async fn a_head_beyond_a_limit_is_seen_everywhere(abi: Abi) {
    let collector = Collector::start().await;
    let server = pounce()
        .guest(abi, "hello")
        .flag("--max-headers", 20)
        .flag("--max-header-size", "8KiB")
        .flag("--log-level", "debug")
        .env("OTEL_METRIC_EXPORT_INTERVAL", 200)
        .arg("--log-access")
        .traced(&collector)
        .start()
        .await;
    for protocol in Protocol::BOTH {
        for (lines, status) in [(20, 200), (21, 431), (40, 431), (41, 431)] {
            let answer = client::fetch(server.addr(), protocol, with_lines(protocol, "/lines", lines)).await;
            assert_eq!(answer.status, status, "{protocol:?}: {lines} lines");
        }
        // Pieces of a cookie are one line, as they are in the other version.
        let cookies =
            (0..40).fold(client::get("/cookies"), |request, n| request.with("cookie", format!("c={n}")));
        let mut connection = Connection::open(server.addr(), Protocol::H2).await;
        assert_eq!(connection.fetch(cookies).await.status, 200);
        let large = client::get("/large").with("x", "y".repeat(9000));
        assert_eq!(client::fetch(server.addr(), protocol, large).await.status, 431, "{protocol:?}");
        let long = client::get(&format!("/{}", "y".repeat(9000)));
        assert_eq!(client::fetch(server.addr(), protocol, long).await.status, 414, "{protocol:?}");
    }
    let counted = |status: &str| {
        let metrics = collector.host_metrics();
        metrics
            .iter()
            .filter(|metric| metric.name == "http.server.request.duration")
            .flat_map(|metric| &metric.points)
            .any(|point| {
                point.attributes.get("http.response.status_code").is_some_and(|it| it.to_string() == status)
            })
    };
    eventually("431 in the metrics", async || counted("431")).await;
    let exit = server.stop().await;
    let spans = collector.received();
    let refused = |path: &str| {
        let is_it = |span: &&crate::support::span::Span| {
            span.text("url.path") == path && span.int("http.response.status_code") == Some(431)
        };
        spans.iter().filter(is_it).count()
    };
    assert_eq!(refused("/large"), 2, "{spans:?}");
    // Beyond twice the limit the library of HTTP/1.1 refuses by itself.
    assert_eq!(refused("/lines"), 5, "{spans:?}");
    for (words, least) in [("GET /lines 431", 5), ("GET /large 431", 2), ("http.max-headers", 5)] {
        assert!(exit.stderr.matches(words).count() >= least, "{words}: {exit}");
    }
}
