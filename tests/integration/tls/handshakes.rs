//! Handshakes that fail or take their time: nobody else waits for them, and each is counted.

use super::with;
use crate::support::client::{self, Connection, Raw};
use crate::support::pounce::Pounce;
use crate::support::tls::{Authority, VERSIONS};
use crate::support::{Protocol, eventually, pounce};
use std::time::{Duration, Instant};

/// Handshakes that have failed for this reason, as the metrics tell.
async fn failed(server: &mut Pounce, error_type: &str) -> u64 {
    let page = client::fetch_path(server.admin().await, "/metrics").await;
    let label = format!("error_type=\"{error_type}\"");
    let line = page
        .text()
        .lines()
        .find(|line| line.starts_with("pounce_tls_handshakes_total") && line.contains(&label))
        .unwrap_or_else(|| panic!("no {error_type} in\n{}", page.text()));
    line.rsplit(' ').next().expect("a number").parse().expect("a number")
}

#[tokio::test]
async fn silent_clients_are_cut_and_hold_nobody_up() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("test"));
    let files = authority.server(&["localhost"]).write(folder.path(), "server");
    let timeout = Duration::from_secs(2);
    let mut server = with(pounce().fixture("status.wat").with_admin(), &files)
        .flag("--handshake-timeout", "2s")
        .flag("--idle-timeout", "10m")
        .start()
        .await;
    let begun = Instant::now();
    let mut silent = Vec::new();
    // Nothing at all, half a record, and a byte that promises one.
    for bytes in [&b""[..], b"\x16\x03\x01\x02\x00\x01\x00", b"\x16"] {
        for _ in 0..20 {
            let mut raw = Raw::open(server.addr()).await;
            raw.write(bytes).await.unwrap();
            silent.push(raw);
        }
    }
    let mut connection = authority.trusting(&VERSIONS).open(server.addr(), "localhost", Protocol::H2).await;
    assert_eq!(connection.fetch(client::get("/200")).await.status, 200);
    for mut raw in silent {
        assert_eq!(raw.read_to_end().await, "");
    }
    assert!(begun.elapsed() >= timeout);
    eventually("all to be counted", async || failed(&mut server, "timeout").await == 60).await;
    server.logged(&["TLS handshake failed", "http.handshake-timeout"]).await;
    assert_eq!(connection.fetch(client::get("/200")).await.status, 200, "its handshake is over");
}

#[tokio::test]
async fn handshakes_count_as_connections() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("test"));
    let files = authority.server(&["localhost"]).write(folder.path(), "server");
    let server = with(pounce().fixture("status.wat"), &files)
        .flag("--max-connections", 1)
        .flag("--handshake-timeout", "none")
        .start()
        .await;
    let silent = Raw::open(server.addr()).await;
    let client = authority.trusting(&VERSIONS);
    let addr = server.addr();
    let waiting = tokio::spawn(async move {
        let mut connection = client.open(addr, "localhost", Protocol::H1).await;
        connection.fetch(client::get("/200")).await.status
    });
    // Whether it waits cannot be seen, but that it is served as soon as the other is gone.
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!waiting.is_finished());
    silent.reset();
    assert_eq!(waiting.await.unwrap(), 200);
}

#[tokio::test]
async fn plain_http_is_told_to_use_https() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("test"));
    let files = authority.server(&["localhost"]).write(folder.path(), "server");
    let mut server = with(pounce().fixture("status.wat").with_admin(), &files).start().await;
    let answer = client::fetch_path(server.addr(), "/200").await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.text(), "This port speaks TLS: use https://.\n");
    // Also one that goes on writing, and one that says nothing of HTTP.
    let upload = Connection::open(server.addr(), Protocol::H1)
        .await
        .try_send(client::post("/", vec![b'x'; 40_000]))
        .await;
    assert_eq!(upload.unwrap().status(), 400);
    let mut raw = Raw::open(server.addr()).await;
    raw.write(b"\x05\x01\x00 who knows").await.unwrap();
    assert!(!raw.read_to_end().await.contains("HTTP"));
    assert_eq!(failed(&mut server, "plain_http").await, 2);
    eventually("the third to be counted", async || failed(&mut server, "malformed").await == 1).await;
}

#[tokio::test]
async fn clients_that_go_or_do_not_trust_us_are_counted() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("test"));
    let files = authority.server(&["localhost"]).write(folder.path(), "server");
    let mut server = with(pounce().fixture("status.wat").with_admin(), &files).start().await;
    Raw::open(server.addr()).await.reset();
    drop(Raw::open(server.addr()).await);
    eventually("both to be counted", async || failed(&mut server, "client_disconnected").await == 2).await;
    let stranger = Authority::new("another").trusting(&VERSIONS);
    stranger.shake_hands(server.addr(), "localhost", &[]).await.unwrap_err();
    eventually("the alert", async || failed(&mut server, "alert").await == 1).await;
    server.logged(&["TLS handshake failed", "alert"]).await;
    let client = authority.trusting(&VERSIONS);
    client.shake_hands(server.addr(), "localhost", &["acme-tls/1"]).await.unwrap_err();
    eventually("the other", async || failed(&mut server, "incompatible").await == 1).await;
    let mut connection = client.open(server.addr(), "localhost", Protocol::H1).await;
    assert_eq!(connection.fetch(client::get("/200")).await.status, 200);
    let page = client::fetch_path(server.admin().await, "/metrics").await;
    let done = page.text().lines().find(|line| {
        line.starts_with("pounce_tls_handshakes_total") && line.contains("tls_protocol_version=\"1.3\"")
    });
    assert!(done.is_some_and(|line| line.ends_with(" 1")), "{done:?}");
}
