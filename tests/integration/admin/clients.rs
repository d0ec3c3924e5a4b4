//! Clients that are slow, silent or rude: they hurt neither each other nor the server.

use super::with_admin;
use crate::support::client::{self, Raw};
use crate::support::{Abi, eventually};
use std::time::{Duration, Instant};

#[tokio::test]
async fn silent_clients_do_not_keep_a_probe_out() {
    let mut server = with_admin().guest(Abi::P2, "hello").start().await;
    let admin = server.admin().await;
    let mut silent = Vec::new();
    for n in 0..200 {
        let mut raw = Raw::open(admin).await;
        if n % 2 == 0 {
            raw.write("GET /livez HT").await.unwrap();
        }
        silent.push(raw);
    }
    let asked = Instant::now();
    assert_eq!(client::fetch_path(admin, "/livez").await.text(), "ok\n");
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    // The connections that came first made room.
    assert_eq!(silent.remove(0).read_to_end().await, "");
    assert_eq!(client::fetch_path(server.addr(), "/").await.status, 200);
    let files = std::fs::read_dir(format!("/proc/{}/fd", server.id())).unwrap().count();
    assert!(files < 64 + 60, "{files} files are open");
}

#[tokio::test]
async fn garbage_is_refused_and_forgotten() {
    let mut server = with_admin().guest(Abi::P2, "hello").start().await;
    let admin = server.admin().await;
    let long = format!("GET /{} HTTP/1.1\r\nhost: localhost\r\n\r\n", "a".repeat(100_000));
    let many = format!("GET / HTTP/1.1\r\nhost: localhost\r\n{}\r\n", "x: y\r\n".repeat(500));
    let garbage: [&[u8]; 6] = [
        b"\0\0\0\0\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        long.as_bytes(),
        many.as_bytes(),
    ];
    for bytes in garbage {
        let mut raw = Raw::open(admin).await;
        // It may hang up before all is written.
        let _written = raw.write(bytes).await;
        raw.write("\r\n\r\n").await.ok();
        let answer = raw.read_to_end().await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer:?}");
    }
    let mut raw = Raw::open(admin).await;
    raw.write("POST /metrics HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000000000\r\n\r\nabc")
        .await
        .unwrap();
    assert!(raw.read_until("\r\n\r\n").await.starts_with("HTTP/1.1 405"));
    assert_eq!(client::fetch_path(admin, "/livez").await.status, 200);
}

/// A client that asks for a large page and does not read it keeps it in memory: few may, and not for long.
#[tokio::test]
async fn a_page_that_nobody_takes_is_given_up() {
    let mut server = with_admin().guest(Abi::P3, "spans").start().await;
    let admin = server.admin().await;
    for _ in 0..32 {
        assert_eq!(client::fetch_path(server.addr(), "/many?count=1000").await.status, 200);
    }
    let whole = client::fetch_path(admin, "/api/traces").await;
    assert!(whole.body.len() > 8_000_000, "more than sockets hold: {}", whole.body.len());
    let mut lazy = Vec::new();
    for _ in 0..4 {
        let mut raw = Raw::open(admin).await;
        raw.write("GET /api/traces HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        lazy.push(raw);
    }
    // At once: who waits for the first page is not to be late with the last.
    for raw in &mut lazy {
        assert!(raw.read_until("\r\n\r\n").await.starts_with("HTTP/1.1 200"));
    }
    let refused = client::fetch_path(admin, "/api/traces").await;
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (503, "1"));
    // Who is slow to take traces does not keep Prometheus out.
    assert_eq!(client::fetch_path(admin, "/metrics").await.status, 200);
    assert_eq!(client::fetch_path(admin, "/livez").await.status, 200);
    assert_eq!(client::fetch_path(server.addr(), "/").await.status, 200);
    eventually("the pages to be given up", async || {
        client::fetch_path(admin, "/api/traces").await.status == 200
    })
    .await;
    // Clients whose time is not over yet get the rest, now that they read.
    let mut cut = 0;
    for mut raw in lazy {
        raw.write("GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.ok();
        cut += usize::from(raw.read_to_end().await.len() < whole.body.len());
    }
    assert!(cut > 0, "none was cut off");
}

#[tokio::test]
async fn no_guest_reaches_it_whatever_it_may_call() {
    for abi in [Abi::P2, Abi::P3] {
        let mut server =
            with_admin().guest(abi, "calls").flag("--allow-outbound", "http://127.0.0.1:*").start().await;
        let admin = server.admin().await;
        let path = format!("/?url=http://{admin}/status");
        let answer = client::fetch_path(server.addr(), &path).await.text().to_owned();
        assert!(answer.contains("loop_detected"), "{answer}");
        let exit = server.stop().await;
        assert!(
            exit.stderr.contains("admin listener") && exit.stderr.contains("no guest may call"),
            "{exit}"
        );
    }
}
