//! The PROXY protocol: a connection is its client's, whom a trusted proxy has named before the first byte.

use crate::support::client::Raw;
use crate::support::tls::{Authority, VERSIONS};
use crate::support::{Collector, eventually, pounce, within};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

const REQUEST: &str =
    "GET /200 HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx-forwarded-for: 203.0.113.9\r\n\r\n";
const V1: &[u8] = b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n";
const UNKNOWN_V1: &[u8] = b"PROXY UNKNOWN\r\n";
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn v2() -> Vec<u8> {
    let addresses = [192, 0, 2, 1, 198, 51, 100, 2, 0xdc, 0x04, 1, 187];
    // With one more entry behind the addresses, which is skipped.
    [SIGNATURE, &[0x21, 0x11, 0, 19], &addresses, &[4, 0, 4, 1, 2, 3, 4]].concat()
}

fn local_v2() -> Vec<u8> {
    [SIGNATURE, &[0x20, 0, 0, 0]].concat()
}

#[tokio::test]
async fn the_client_is_whom_the_proxy_names() {
    for (version, named, unknown) in [("v1", V1.to_vec(), UNKNOWN_V1.to_vec()), ("v2", v2(), local_v2())] {
        let collector = Collector::start().await;
        let server = pounce()
            .fixture("status.wat")
            .flag("--proxy-protocol", version)
            .flag("--trusted-proxies", "127.0.0.1")
            .traced(&collector)
            .start()
            .await;
        let mut sent = 0;
        for (header, client) in [(&named, "192.0.2.1"), (&unknown, "127.0.0.1")] {
            // In one piece with the request, and byte by byte.
            for step in [header.len() + REQUEST.len(), 1] {
                let mut raw = Raw::open(server.addr()).await;
                raw.0.set_nodelay(true).unwrap();
                for part in [&header[..], REQUEST.as_bytes()].concat().chunks(step) {
                    raw.write(part).await.unwrap();
                }
                assert!(raw.read_to_end().await.starts_with("HTTP/1.1 200"), "{version}");
                sent += 1;
                let spans = collector.spans(sent).await;
                let span = spans.last().expect("one at least");
                // What the client itself says of others is not believed, whoever it is.
                assert_eq!(span.text("client.address"), client, "{version}");
                assert_eq!(span.text("network.peer.address"), client, "{version}");
            }
        }
        let port = collector.spans(sent).await[0].int("network.peer.port");
        assert_eq!(port, Some(56324));
    }
}

#[tokio::test]
async fn it_comes_before_tls() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("test"));
    let files = authority.server(&["localhost"]).write(folder.path(), "server");
    let collector = Collector::start().await;
    let server = pounce()
        .fixture("status.wat")
        .flag("--proxy-protocol", "v2")
        .flag("--trusted-proxies", "127.0.0.0/8")
        .flag("--tls-cert", files.certificate.display())
        .flag("--tls-key", files.key.display())
        .traced(&collector)
        .start()
        .await;
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    stream.write_all(&v2()).await.unwrap();
    let connector = TlsConnector::from(authority.trusting(&VERSIONS).config(&["http/1.1"]));
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = within("the handshake", connector.connect(name, stream)).await.unwrap();
    stream.write_all(REQUEST.as_bytes()).await.unwrap();
    let mut answer = String::new();
    within("the response", stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let span = collector.span().await;
    assert_eq!((span.text("client.address"), span.text("url.scheme")), ("192.0.2.1", "https"));
}

/// Required of trusted proxies; of others it is no HTTP.
#[tokio::test]
async fn without_it_a_trusted_proxy_is_not_served_and_with_it_nobody_else() {
    let mut server = pounce()
        .fixture("status.wat")
        .flag("--proxy-protocol", "v1")
        .flag("--trusted-proxies", "127.0.0.1")
        .flag("--handshake-timeout", "1s")
        .with_admin()
        .start()
        .await;
    let long = [b"PROXY TCP4 ".as_slice(), &[b'1'; 200]].concat();
    let v2 = v2();
    let bad: [&[u8]; 5] = [REQUEST.as_bytes(), &v2, &long, b"PROXY TCP4 a b c d\r\n", b"PROXY TC"];
    for bytes in bad {
        let mut raw = Raw::open(server.addr()).await;
        raw.write(bytes).await.unwrap();
        assert_eq!(raw.read_to_end().await, "", "{}", String::from_utf8_lossy(bytes));
    }
    server.logged(&["without the PROXY protocol is closed", "127.0.0.1"]).await;
    let admin = server.admin().await;
    eventually("all to be counted", async || {
        let page = crate::support::client::fetch_path(admin, "/metrics").await;
        let line = page.text().lines().find(|line| line.starts_with("pounce_proxy_protocol_failed_total"));
        line.is_some_and(|line| line.ends_with(" 5"))
    })
    .await;

    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 2], 0).into()).unwrap();
    let mut stranger = Raw(socket.connect(server.addr()).await.unwrap());
    stranger.write(REQUEST).await.unwrap();
    assert!(stranger.read_to_end().await.starts_with("HTTP/1.1 200"));
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 2], 0).into()).unwrap();
    let mut liar = Raw(socket.connect(server.addr()).await.unwrap());
    liar.write([V1, REQUEST.as_bytes()].concat()).await.unwrap();
    assert!(!liar.read_to_end().await.contains(" 200"), "it is not believed");
}

#[tokio::test]
async fn somebody_must_be_trusted_to_speak_it() {
    let exit = pounce().fixture("status.wat").flag("--proxy-protocol", "v1").run().await;
    exit.expect(2, &["--proxy-protocol", "nobody is believed", "http.trusted-proxies"]);
}
