//! TLS on the listeners of clients: what is spoken, with which certificate, and what a span says of it. Each through
//! the real binary.

use crate::support::client;
use crate::support::pounce::Builder;
use crate::support::tls::{Authority, Files, VERSIONS, shake_hands};
use crate::support::{Abi, Collector, Protocol, for_both_abis, pounce, within};
use rustls::HandshakeKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Clients that show certificates of their own.
mod clients;
/// Handshakes that fail, or take their time.
mod handshakes;
/// What is refused at the start, and what `pounce check` shows.
mod mistakes;
/// Certificates that change.
mod reload;
/// Limits and the drain hold behind TLS.
mod times;
/// curl and openssl.
mod tools;

/// Has a server show these certificates.
fn with(server: Builder, files: &Files) -> Builder {
    server.flag("--tls-cert", files.certificate.display()).flag("--tls-key", files.key.display())
}

for_both_abis!(both_versions_carry_both_versions_of_http);

async fn both_versions_carry_both_versions_of_http(abi: Abi) {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("test"));
    let files = authority.server(&["localhost"]).write(folder.path(), "server");
    let collector = Collector::start().await;
    let server = with(pounce().guest(abi, "echo").traced(&collector), &files).start().await;
    assert_eq!(server.stdout(), format!("listening on https://{}\n", server.addr()));
    let mut sent = 0;
    for version in VERSIONS {
        for protocol in Protocol::BOTH {
            let client = authority.trusting(&[version]);
            let mut connection = client.open(server.addr(), "localhost", protocol).await;
            // More than a record holds, and more than once on a connection.
            for size in [10, 100_000] {
                let body = vec![b'x'; size];
                let answer = connection.fetch(client::post("/", body.clone())).await;
                assert_eq!(answer.status, 200, "{version:?} {protocol:?}");
                assert!(answer.error.is_none() && answer.body == body, "{version:?} {protocol:?}");
                sent += 1;
                let spans = collector.spans(sent).await;
                let span = spans.last().expect("one at least");
                assert_eq!(span.text("url.scheme"), "https");
                assert_eq!(
                    span.text("network.protocol.version"),
                    if protocol == Protocol::H2 { "2" } else { "1.1" }
                );
                let is_12 = version.version == rustls::ProtocolVersion::TLSv1_2;
                assert_eq!(span.text("tls.protocol.name"), "tls");
                assert_eq!(span.text("tls.protocol.version"), if is_12 { "1.2" } else { "1.3" });
                let cipher = span.text("tls.cipher");
                assert!(cipher.starts_with(if is_12 { "TLS_ECDHE_ECDSA_WITH_" } else { "TLS_" }), "{cipher}");
                assert!(!cipher.contains("TLS13") && !span.attributes.contains_key("tls.client.subject"));
            }
        }
    }
    server.stop().await.expect(0, &[]);
}

/// What a guest sees of its request, and what a Unix socket beside it speaks.
#[tokio::test]
async fn a_guest_sees_https_and_unix_sockets_speak_plain() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("test"));
    let files = authority.server(&["localhost"]).write(folder.path(), "server");
    let socket = folder.path().join("pounce.sock");
    let collector = Collector::start().await;
    let mut server = with(pounce().guest(Abi::P2, "echo").traced(&collector), &files)
        .arg("--listen")
        .arg("127.0.0.1:0")
        .arg("--listen")
        .arg(format!("unix:{}", socket.display()))
        .without_listen()
        .start()
        .await;
    // A line for each listener, one after the other.
    server.said(&format!("listening on unix:{}\n", socket.display())).await;
    let mut plain = tokio::net::UnixStream::connect(&socket).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    within("the response", plain.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(collector.spans(1).await[0].text("url.scheme"), "http");
    let mut connection = authority.trusting(&VERSIONS).open(server.addr(), "localhost", Protocol::H1).await;
    assert_eq!(connection.fetch(client::get("/")).await.status, 200);
    assert_eq!(collector.spans(2).await[1].text("url.scheme"), "https");
}

#[tokio::test]
async fn the_name_that_a_client_asks_for_chooses_the_certificate() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("test"));
    let names: [&[&str]; 3] = [&["a.example"], &["*.b.example"], &["one.b.example", "c.example"]];
    let pairs = names.map(|names| authority.server(names));
    let mut server = pounce().fixture("status.wat");
    for (at, pair) in pairs.iter().enumerate() {
        server = with(server, &pair.write(folder.path(), &format!("{at}")));
    }
    let server = server.start().await;
    let client = authority.trusting(&VERSIONS);
    for (name, at) in
        [("a.example", 0), ("two.b.example", 1), ("one.b.example", 2), ("c.example", 2), ("C.Example", 2)]
    {
        assert_eq!(client.shown(server.addr(), name).await, pairs[at].der(), "{name}");
    }
    // The first serves everybody else, who may find that it is not for them.
    for name in ["b.example", "d.example", "127.0.0.1"] {
        let error = client.shake_hands(server.addr(), name, &[]).await.unwrap_err();
        assert!(error.to_string().contains("a.example"), "{name}: {error}");
    }
}

#[tokio::test]
async fn sessions_are_resumed() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("test"));
    let files = authority.server(&["localhost"]).write(folder.path(), "server");
    let server = with(pounce().fixture("status.wat"), &files).start().await;
    for version in VERSIONS {
        let config = authority.trusting(&[version]).config(&["http/1.1"]);
        for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
            let stream = shake_hands(config.clone(), server.addr(), "localhost").await.unwrap();
            assert_eq!(stream.get_ref().1.handshake_kind(), Some(kind), "{version:?}");
            // Tickets of 1.3 come with the first bytes.
            let mut connection = client::Connection::encrypted(stream, server.addr(), Protocol::H1).await;
            assert_eq!(connection.fetch(client::get("/200")).await.status, 200);
        }
    }
}

/// Both ends are held to what they have agreed to (RFC 7301).
#[tokio::test]
async fn who_agrees_to_one_version_of_http_and_speaks_another_is_hung_up_on() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("test"));
    let files = authority.server(&["localhost"]).write(folder.path(), "server");
    let server = with(pounce().fixture("status.wat"), &files).start().await;
    let client = authority.trusting(&VERSIONS);
    for (agreed, spoken) in
        [("h2", "GET /200 HTTP/1.1\r\nhost: a\r\n\r\n"), ("http/1.1", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")]
    {
        let stream = client.shake_hands(server.addr(), "localhost", &[agreed]).await.unwrap();
        assert_eq!(times::talk(stream, spoken.as_bytes()).await.0, "", "{agreed}");
    }
    let error = client.shake_hands(server.addr(), "localhost", &["acme-tls/1"]).await.unwrap_err();
    assert!(error.to_string().contains("NoApplicationProtocol"), "{error}");
    // Who agrees to nothing is known by the first bytes, as without TLS.
    let stream = client.shake_hands(server.addr(), "localhost", &[]).await.unwrap();
    let (answer, _) = times::talk(stream, b"GET /200 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
