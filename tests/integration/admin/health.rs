//! `/livez` and `/readyz` from the first moment to the last.

use super::with_admin;
use crate::support::client;
use crate::support::fifo;
use crate::support::guest::fixture;
use crate::support::{Abi, Held, Protocol, eventually, pounce, within};
use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

/// `GET path` through a unix socket: status and body; none where nobody listens.
async fn over_unix(socket: &Path, path: &str) -> Option<(u16, String)> {
    let mut stream = UnixStream::connect(socket).await.ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: anything\r\nconnection: close\r\n\r\n");
    AsyncWriteExt::write_all(&mut stream, request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    within("an answer", stream.read_to_string(&mut answer)).await.ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.trim_end().to_owned()))
}

#[tokio::test]
async fn a_server_is_alive_before_it_is_ready() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("admin.sock");
    let component = dir.path().join("late.wat");
    fifo::make(&component);
    let mut server =
        pounce().component(&component).flag("--admin-listen", format!("unix:{}", socket.display())).begin();
    let mut starting = None;
    eventually("an answer of the admin listener", async || {
        starting = over_unix(&socket, "/readyz").await;
        starting.is_some()
    })
    .await;
    assert_eq!(starting, Some((503, "starting".to_owned())));
    assert_eq!(over_unix(&socket, "/livez").await, Some((200, "ok".to_owned())));
    let (status, body) = over_unix(&socket, "/status").await.unwrap();
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (status, &body["phase"], &body["component"]),
        (200, &"starting".into(), &serde_json::Value::Null)
    );
    assert_eq!(server.stdout(), "", "not ready yet");
    let whole = std::fs::read(fixture("status.wat")).unwrap();
    fifo::read_by_somebody(&component).await.write_all(&whole).unwrap();
    eventually("the server to be ready", async || {
        over_unix(&socket, "/readyz").await == Some((200, "ready".to_owned()))
    })
    .await;
    server.said(&format!("admin on unix:{}\n", socket.display())).await;
    server.stop().await.expect(0, &[]);
    assert!(!socket.exists(), "the file goes with its listener");
}

#[tokio::test]
async fn a_drain_is_told_to_its_end() {
    let mut server = with_admin().guest(Abi::P2, "echo").start().await;
    let admin = server.admin().await;
    let ready = client::fetch_path(admin, "/readyz").await;
    assert_eq!((ready.status.as_u16(), ready.text()), (200, "ready\n"));
    let held = Held::begin(server.addr(), Protocol::H1, "/").await;
    server.in_flight(1).await;
    server.term();
    server.logged(&["draining"]).await;
    // The line is written just before.
    eventually("the drain to show", async || client::fetch_path(admin, "/readyz").await.status == 503).await;
    assert_eq!(client::fetch_path(admin, "/readyz").await.text(), "draining\n");
    assert_eq!(client::fetch_path(admin, "/livez").await.status, 200);
    assert_eq!(super::json(admin, "/status").await["phase"], "draining");
    assert_eq!(held.end().await.1.status, 200, "and the request is served");
    server.wait().await.expect(0, &[]);
    assert!(TcpStream::connect(admin).await.is_err());
}

#[tokio::test]
async fn guests_that_take_every_processor_do_not_stop_the_probe() {
    let mut server = with_admin().guest(Abi::P2, "busy-loop").flag("--request-timeout", "none").start().await;
    let admin = server.admin().await;
    let mut stuck = Vec::new();
    for _ in 0..16 {
        let mut raw = client::Raw::open(server.addr()).await;
        raw.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        stuck.push(raw);
    }
    server.in_flight(16).await;
    for path in ["/livez", "/readyz", "/metrics"] {
        let asked = std::time::Instant::now();
        assert_eq!(client::fetch_path(admin, path).await.status, 200, "{path}");
        assert!(asked.elapsed().as_secs() < 10, "{path} took {:?}", asked.elapsed());
    }
}

#[tokio::test]
async fn an_address_that_is_taken_is_an_error_that_names_the_flag() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap();
    let exit = pounce().guest(Abi::P2, "hello").flag("--admin-listen", addr).run().await;
    exit.expect(1, &[&addr.to_string(), "--admin-listen"]);
    assert_eq!(exit.stdout, "");
    let exit = pounce().guest(Abi::P2, "hello").flag("--admin-listen", "8081").run().await;
    exit.expect(2, &["--admin-listen", "127.0.0.1:8081"]);
    let exit = pounce().guest(Abi::P2, "hello").flag("--admin-recent-traces", "1000000").run().await;
    exit.expect(2, &["--admin-recent-traces", "out of range"]);
}
