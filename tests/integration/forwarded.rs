//! Reverse proxies: what a trusted one tells of its client reaches guest, span and log; what anybody else claims does
//! not.

use crate::support::client::{self, Body, Connection, Raw, WithHeader};
use crate::support::span::Span;
use crate::support::{Abi, Collector, Protocol, for_both_abis, pounce, within};
use bytes::Bytes;
use http::Request;
use serde_json::Value;

for_both_abis!(
    what_a_trusted_proxy_tells_is_what_guest_span_and_log_say,
    what_a_stranger_claims_is_removed,
    the_family_that_is_not_named_is_removed,
    hostile_and_odd_values_tell_what_is_true,
    the_scheme_of_http_2_counts_from_trusted_proxies_only,
    a_proxy_on_a_unix_socket_is_named_by_a_word,
);

/// A request that the guest answers with what it sees.
fn seen(headers: &[(&'static str, &str)]) -> Request<Body> {
    headers.iter().fold(client::get("/?seen"), |request, (name, value)| request.with(name, value))
}

/// Scheme and authority that a guest saw, then the headers that tell of proxies.
fn claims(answer: &str) -> Vec<String> {
    let is_claim = |line: &&str| line.contains("forwarded") || line.contains("-ip:");
    let (first, rest) = answer.split_once('\n').expect("a first line");
    let mut claims: Vec<_> = rest.lines().filter(is_claim).map(str::to_owned).collect();
    claims.sort();
    claims.insert(0, first.to_owned());
    claims
}

/// Client, scheme, host and port by the span.
fn told(span: &Span) -> (&str, &str, &str, Option<i64>) {
    let text = |key| span.text(key);
    (text("client.address"), text("url.scheme"), text("server.address"), span.int("server.port"))
}

async fn what_a_trusted_proxy_tells_is_what_guest_span_and_log_say(abi: Abi) {
    let collector = Collector::start().await;
    let server = pounce()
        .guest(abi, "echo")
        .flag("--trusted-proxies", "192.0.2.0/24")
        .flag("--trusted-proxies", "127.0.0.0/8")
        .arg("--log-access")
        .traced(&collector)
        .start()
        .await;
    for protocol in Protocol::BOTH {
        let request = seen(&[
            ("x-forwarded-for", "6.6.6.6, 203.0.113.9:4711"),
            ("x-forwarded-for", "127.0.0.5"),
            ("x-forwarded-proto", "https, http"),
            ("x-forwarded-host", "shop.example"),
            ("x-forwarded-port", "8443"),
            ("forwarded", "for=9.9.9.9;host=other.example"),
            ("x-real-ip", "6.6.6.6"),
            ("x-forwarded-user", "ada"),
        ]);
        let answer = client::fetch(server.addr(), protocol, request).await;
        let expected = [
            "https shop.example:8443",
            "x-forwarded-for: 203.0.113.9, 127.0.0.5, 127.0.0.1",
            "x-forwarded-host: shop.example:8443",
            "x-forwarded-proto: https",
            "x-forwarded-user: ada",
        ];
        assert_eq!(claims(answer.text()), expected, "{protocol:?}");
    }
    for span in collector.spans(2).await {
        assert_eq!(told(&span), ("203.0.113.9", "https", "shop.example", Some(8443)));
        assert_eq!((span.text("http.scheme"), span.text("http.host")), ("https", "shop.example:8443"));
        assert_eq!(span.text("network.peer.address"), "127.0.0.1");
    }
    let exit = server.stop().await;
    let lines = exit.stderr.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let lines: Vec<_> = lines.filter(|line| line["target"] == "access").collect();
    assert_eq!(lines.len(), 2, "{exit}");
    for line in lines {
        assert_eq!(line["client"], "203.0.113.9");
        assert!(line["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{line}");
    }
    let schemes: Vec<_> = collector
        .host_metrics()
        .into_iter()
        .filter(|metric| metric.name == "http.server.request.duration")
        .flat_map(|metric| metric.points)
        .map(|point| format!("{:?}", point.attributes["url.scheme"]))
        .collect();
    assert!(!schemes.is_empty() && schemes.iter().all(|scheme| scheme.contains("https")), "{schemes:?}");
}

/// Nothing is configured and telemetry is off: it holds always.
async fn what_a_stranger_claims_is_removed(abi: Abi) {
    let server = pounce().guest(abi, "echo").start().await;
    let own = server.addr();
    let expected = [
        format!("http {own}"),
        "x-forwarded-for: 127.0.0.1".to_owned(),
        format!("x-forwarded-host: {own}"),
        "x-forwarded-proto: http".to_owned(),
    ];
    for protocol in Protocol::BOTH {
        let request = seen(&[
            ("x-forwarded-for", "203.0.113.9"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "shop.example"),
            ("x-forwarded-port", "8443"),
            ("x-forwarded-user", "root"),
            ("x_forwarded_for", "203.0.113.9"),
            ("forwarded", "for=203.0.113.9;proto=https"),
            ("x-real-ip", "203.0.113.9"),
            ("true-client-ip", "203.0.113.9"),
        ]);
        assert_eq!(claims(client::fetch(own, protocol, request).await.text()), expected, "{protocol:?}");
    }
    // Nor is it of use to have what Pounce writes dropped.
    let mut raw = Raw::open(own).await;
    let head =
        "GET /?seen HTTP/1.1\r\nhost: a\r\nconnection: close, x-forwarded-for, x-forwarded-proto\r\n\r\n";
    raw.write(head).await.unwrap();
    let answer = raw.read_to_end().await;
    for line in ["x-forwarded-for: 127.0.0.1\n", "x-forwarded-proto: http\n"] {
        assert!(answer.contains(line), "{answer}");
    }
}

async fn the_family_that_is_not_named_is_removed(abi: Abi) {
    let server = pounce()
        .guest(abi, "echo")
        .flag("--trusted-proxies", "127.0.0.1")
        .flag("--forwarded-header", "forwarded")
        .start()
        .await;
    for protocol in Protocol::BOTH {
        let request = seen(&[
            ("x-forwarded-for", "6.6.6.6"),
            ("x-forwarded-proto", "http"),
            ("forwarded", "for=6.6.6.6, For=\"[2001:db8::1]:99\";Proto=https;Host=\"shop.example:8443\""),
        ]);
        let answer = client::fetch(server.addr(), protocol, request).await;
        let written =
            "forwarded: for=\"[2001:db8::1]\";host=\"shop.example:8443\";proto=https, for=127.0.0.1";
        assert_eq!(claims(answer.text()), ["https shop.example:8443", written], "{protocol:?}");
    }
}

/// The whole table is `server/forwarded/tests.rs`; here is what a client can do to a server behind a proxy that adds
/// its word to whatever came.
async fn hostile_and_odd_values_tell_what_is_true(abi: Abi) {
    let server = pounce().guest(abi, "echo").flag("--trusted-proxies", "127.0.0.1").start().await;
    let long = "1.2.3.4, ".repeat(1000) + "198.51.100.7";
    for protocol in Protocol::BOTH {
        let mut connection = Connection::open(server.addr(), protocol).await;
        for (values, hops) in [
            (&[&b"6.6.6.6, 198.51.100.7"[..]][..], "198.51.100.7, 127.0.0.1"),
            (&[b"6.6.6.6", b"198.51.100.7"], "198.51.100.7, 127.0.0.1"),
            (&[b"127.0.0.1, 198.51.100.7"], "198.51.100.7, 127.0.0.1"),
            (&[b"\"6.6.6.6, 198.51.100.7"], "198.51.100.7, 127.0.0.1"),
            (&[b"\xff\xfe", b"198.51.100.7"], "198.51.100.7, 127.0.0.1"),
            (&[long.as_bytes()], "198.51.100.7, 127.0.0.1"),
            (&[b"[2001:db8::1]:443"], "2001:db8::1, 127.0.0.1"),
            (&[b"::ffff:198.51.100.7"], "198.51.100.7, 127.0.0.1"),
            (&[b"unknown"], "127.0.0.1"),
            (&[b"_hidden"], "127.0.0.1"),
            (&[b""], "127.0.0.1"),
            (&[b"\xff"], "127.0.0.1"),
            (&[b"198.51.100.7, unknown"], "127.0.0.1"),
        ] {
            let request = values
                .iter()
                .fold(client::get("/?seen"), |request, value| request.with("x-forwarded-for", value));
            let answer = connection.fetch(request).await;
            assert_eq!(answer.status, 200, "{protocol:?} {hops}");
            assert_eq!(claims(answer.text())[1], format!("x-forwarded-for: {hops}"), "{protocol:?}");
        }
    }
}

async fn the_scheme_of_http_2_counts_from_trusted_proxies_only(abi: Abi) {
    for (proxies, scheme) in [("127.0.0.1", "https"), ("192.0.2.1", "http")] {
        let collector = Collector::start().await;
        let server =
            pounce().guest(abi, "echo").flag("--trusted-proxies", proxies).traced(&collector).start().await;
        let socket = tokio::net::TcpStream::connect(server.addr()).await.unwrap();
        let (mut sender, connection) = h2::client::handshake(socket).await.unwrap();
        tokio::spawn(connection);
        let request = Request::get("https://shop.example/?seen").body(()).unwrap();
        let (response, _) = sender.send_request(request, true).unwrap();
        let mut body = within("the response", response).await.unwrap().into_body();
        let mut text = Vec::<Bytes>::new();
        while let Some(data) = within("the body", body.data()).await {
            text.push(data.unwrap());
        }
        let text = String::from_utf8(text.concat()).unwrap();
        assert_eq!(claims(&text)[0], format!("{scheme} shop.example"));
        assert!(text.contains(&format!("x-forwarded-proto: {scheme}\n")), "{text}");
        let port = if scheme == "https" { 443 } else { 80 };
        assert_eq!(told(&collector.span().await), ("127.0.0.1", scheme, "shop.example", Some(port)));
    }
}

async fn a_proxy_on_a_unix_socket_is_named_by_a_word(abi: Abi) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let dir = tempfile::tempdir().unwrap();
    let told = ["https shop.example", "x-forwarded-for: 203.0.113.9", "x-forwarded-host: shop.example"];
    let own = ["http a", "x-forwarded-host: a", "x-forwarded-proto: http"];
    for (proxies, expected) in [("unix", &told), ("0.0.0.0/0", &own)] {
        let socket = dir.path().join(format!("{}.sock", expected.len() + proxies.len()));
        let mut server = pounce()
            .guest(abi, "echo")
            .flag("--trusted-proxies", proxies)
            // Its line is the first one.
            .flag("--listen", "127.0.0.1:0")
            .flag("--listen", format!("unix:{}", socket.display()))
            .start()
            .await;
        server.said("unix:").await;
        let mut stream = tokio::net::UnixStream::connect(&socket).await.unwrap();
        let head = "GET /?seen HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx-forwarded-for: 203.0.113.9\r\n\
                    x-forwarded-proto: https\r\nx-forwarded-host: shop.example\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        within("the answer", stream.read_to_string(&mut answer)).await.unwrap();
        for line in expected {
            assert!(answer.contains(&format!("{line}\n")), "{proxies} {line}: {answer}");
        }
    }
}
