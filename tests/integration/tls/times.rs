//! Limits and the drain behind TLS: as without it, and an end that nobody can take for a cut.

use super::with;
use crate::support::client::{self, Answer};
use crate::support::tls::{Authority, VERSIONS};
use crate::support::{Abi, Held, Protocol, for_both_abis, pounce, within};
use std::io::ErrorKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// How the server has ended what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// With `close_notify`.
    InOrder,
    /// Without.
    Cut,
}

/// Writes these bytes, and reads to the end.
pub(super) async fn talk(mut stream: TlsStream<TcpStream>, bytes: &[u8]) -> (String, End) {
    within("the server to read", stream.write_all(bytes)).await.expect("it reads");
    let mut got = Vec::new();
    let read = within("the server to close", stream.read_to_end(&mut got)).await;
    let end = match read {
        Ok(_) => End::InOrder,
        Err(error) if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => {
            End::Cut
        }
        Err(error) => panic!("{error}"),
    };
    (String::from_utf8_lossy(&got).into_owned(), end)
}

#[tokio::test]
async fn slow_heads_and_idle_connections_are_closed_in_order() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("test"));
    let files = authority.server(&["localhost"]).write(folder.path(), "server");
    let client = authority.trusting(&VERSIONS);
    for (limit, other, bytes) in [
        ("--header-timeout", "--idle-timeout", &b"GET /200 HTTP/1.1\r\nhost:"[..]),
        ("--idle-timeout", "--header-timeout", b"GET /200 HTTP/1.1\r\nhost: a\r\n\r\n"),
        ("--idle-timeout", "--header-timeout", b""),
    ] {
        let server = with(pounce().fixture("status.wat").flag(limit, "1s").flag(other, "10m"), &files);
        let server = server.start().await;
        let stream = client.shake_hands(server.addr(), "localhost", &["http/1.1"]).await.unwrap();
        let (answer, end) = talk(stream, bytes).await;
        assert_eq!(answer.contains("200"), bytes.ends_with(b"\r\n\r\n"), "{limit}");
        assert_eq!(end, End::InOrder, "{limit}");
    }
}

/// A peer that does not read its response: what TLS has taken over for it is not what the peer has taken.
#[tokio::test]
async fn a_peer_that_does_not_read_is_cut() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("test"));
    let files = authority.server(&["localhost"]).write(folder.path(), "server");
    let mut server = with(pounce().guest(Abi::P2, "echo").with_admin(), &files)
        .flag("--idle-timeout", "1s")
        .flag("--max-request-body", "none")
        .start()
        .await;
    let addr = server.addr();
    let mut stream =
        authority.trusting(&VERSIONS).shake_hands(addr, "localhost", &["http/1.1"]).await.unwrap();
    let head = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let part = [&b"10000\r\n"[..], &[b'x'; 0x10000], b"\r\n"].concat();
    // What comes back fills both kernels, then the server's TLS; then it takes no more, and hangs up.
    let cut = async { while stream.write_all(&part).await.is_ok() {} };
    within("the server to hang up", cut).await;
    server.in_flight(0).await;
}

#[tokio::test]
async fn a_drain_says_goodbye_to_idle_connections() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("test"));
    let files = authority.server(&["localhost"]).write(folder.path(), "server");
    let server = with(pounce().fixture("status.wat").flag("--grace-period", "10m"), &files).start().await;
    let client = authority.trusting(&VERSIONS);
    let silent = client.shake_hands(server.addr(), "localhost", &["h2"]).await.unwrap();
    let mut used = client.shake_hands(server.addr(), "localhost", &["http/1.1"]).await.unwrap();
    used.write_all(b"GET /200 HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut first = [0; 12];
    within("a response", used.read_exact(&mut first)).await.unwrap();
    // One that has not shaken hands holds nothing up.
    let strange = TcpStream::connect(server.addr()).await.unwrap();
    server.term();
    for stream in [silent, used] {
        assert_eq!(talk(stream, b"").await.1, End::InOrder);
    }
    server.wait().await.expect(0, &[]);
    drop(strange);
}

for_both_abis!(requests_in_flight_are_finished, what_breaks_off_looks_broken);

async fn requests_in_flight_are_finished(abi: Abi) {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("test"));
    let files = authority.server(&["localhost"]).write(folder.path(), "server");
    let mut server = with(pounce().guest(abi, "echo").with_admin(), &files).start().await;
    let mut held = Vec::new();
    for protocol in Protocol::BOTH {
        let connection = authority.trusting(&VERSIONS).open(server.addr(), "localhost", protocol).await;
        let one = Held::begin_on(connection, "/").await;
        one.answered().await;
        held.push(one);
    }
    server.in_flight(2).await;
    server.term();
    let mut open = Vec::new();
    for one in held {
        let (connection, answer) = one.end().await;
        assert_eq!(answer.text(), "[]");
        open.push(connection);
    }
    for connection in open {
        connection.closed().await.expect("in order");
    }
    server.wait().await.expect(0, &[]);
}

/// A guest that traps behind the head of its response: no `close_notify` makes it look whole.
async fn what_breaks_off_looks_broken(abi: Abi) {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("test"));
    let files = authority.server(&["localhost"]).write(folder.path(), "server");
    let server = with(pounce().guest(abi, "slow").flag("--response-timeout", "1s"), &files).start().await;
    let client = authority.trusting(&VERSIONS);
    for protocol in Protocol::BOTH {
        let mut connection = client.open(server.addr(), "localhost", protocol).await;
        let response = connection.send(client::get("/?ms=0&body_ms=100&chunks=1000000")).await;
        let answer = Answer::read(response).await;
        assert!(answer.error.is_some(), "{protocol:?}: {answer:?}");
    }
    // Of HTTP/1.0 the end of the connection is the end of the body, and only TLS tells which end it is.
    let stream = client.shake_hands(server.addr(), "localhost", &[]).await.unwrap();
    let request = b"GET /?ms=0&body_ms=100&chunks=1000000 HTTP/1.0\r\n\r\n";
    let (answer, end) = talk(stream, request).await;
    assert!(answer.starts_with("HTTP/1."), "{answer}");
    assert_eq!(end, End::Cut);
}
