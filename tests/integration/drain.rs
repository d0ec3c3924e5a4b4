//! Stopping: what is in flight finishes, what is over time is cut, and no span is lost on the way out.

use crate::support::client::{self, Answer, Connection, Raw};
use crate::support::guest::fixture;
use crate::support::pounce::Pounce;
use crate::support::{Abi, Collector, PATIENCE, Protocol, eventually, for_both_abis, pounce, within};
use hyper::Response;
use hyper::body::Incoming;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::{TcpStream, UnixStream};

for_both_abis!(what_is_in_flight_finishes, beyond_the_grace_period_requests_are_cut);

/// A response whose head has come and whose body takes `milliseconds`.
async fn in_flight(
    server: &Pounce,
    protocol: Protocol,
    milliseconds: u64,
) -> (Connection, Response<Incoming>) {
    let mut connection = Connection::open(server.addr(), protocol).await;
    let path = format!("/in-flight?ms=0&chunks=10&body_ms={}", milliseconds / 10);
    let response = connection.send(client::get(&path)).await;
    (connection, response)
}

async fn what_is_in_flight_finishes(abi: Abi) {
    for signal in [Pounce::term, Pounce::int] {
        let server = pounce().guest(abi, "slow").start().await;
        let addr = server.addr();
        let mut going = Vec::new();
        for protocol in Protocol::BOTH {
            going.push(in_flight(&server, protocol, 3000).await);
        }
        let (mut waiting, request) = (Connection::open(addr, Protocol::H1).await, client::get("/?ms=2500"));
        let head = tokio::spawn(waiting.start(request));
        // Sent before the signal; once this later one is answered, the server has most likely read it.
        client::fetch_path(addr, "/?ms=0").await;
        signal(&server);
        eventually("the listener to close", async || TcpStream::connect(addr).await.is_err()).await;
        for (connection, response) in going {
            let answer = Answer::read(response).await;
            assert_eq!(answer.text().lines().count(), 10, "whole");
            within("the connection to close", connection.closed()).await.expect("in order");
        }
        let answer = Answer::read(head.await.unwrap().expect("a response")).await;
        assert_eq!((answer.text(), answer.header("connection")), ("chunk 1\n", "close"));
        server.wait().await.expect(0, &[]);
    }
}

/// Clients with a connection open cannot know: their requests are served, and they are told that these are the last.
#[tokio::test]
async fn during_a_drain_open_connections_are_served_and_told_to_close() {
    let server = pounce().guest(Abi::P2, "slow").start().await;
    let addr = server.addr();
    let (_connection, response) = in_flight(&server, Protocol::H1, 4000).await;
    let mut open = Connection::open(addr, Protocol::H1).await;
    let before = open.fetch(client::get("/?ms=0")).await;
    assert_eq!((before.text(), before.header("connection")), ("chunk 1\n", ""));
    server.term();
    eventually("the listener to close", async || TcpStream::connect(addr).await.is_err()).await;
    let during = open.fetch(client::get("/?ms=0")).await;
    assert_eq!((during.text(), during.header("connection")), ("chunk 1\n", "close"));
    assert_eq!(Answer::read(response).await.text().lines().count(), 10);
    server.wait().await.expect(0, &[]);
}

#[tokio::test]
async fn idle_connections_do_not_hold_it_up() {
    let server = pounce().fixture("status.wat").flag("--grace-period", "10m").start().await;
    let mut open = Vec::new();
    for protocol in Protocol::BOTH {
        let mut connection = Connection::open(server.addr(), protocol).await;
        connection.fetch(client::get("/200")).await;
        open.push(connection);
    }
    let silent = TcpStream::connect(server.addr()).await.unwrap();
    let begun = std::time::Instant::now();
    server.stop().await.expect(0, &[]);
    assert!(begun.elapsed() < PATIENCE / 2, "{:?}", begun.elapsed());
    drop(silent);
}

async fn beyond_the_grace_period_requests_are_cut(abi: Abi) {
    let collector = Collector::start().await;
    let server = pounce().guest(abi, "slow").flag("--grace-period", "1s").traced(&collector).start().await;
    let mut cut = Vec::new();
    for protocol in Protocol::BOTH {
        cut.push(in_flight(&server, protocol, 600_000).await);
    }
    server.term();
    for (_connection, response) in cut {
        let answer = Answer::read(response).await;
        assert!(answer.error.is_some(), "it looks whole: {answer:?}");
    }
    server.wait().await.expect(1, &["cut", "grace"]);
    // No waiting: what was in flight has been flushed before it exited.
    let spans = collector.received();
    assert_eq!(spans.len(), 2, "{spans:?}");
    for span in spans {
        assert!(span.failed() && !span.text("error.type").is_empty(), "{span:?}");
    }
}

/// Nothing was in flight when its last bytes were still on their way: it is served all the same, and waited for.
#[tokio::test]
async fn a_request_that_was_coming_in_is_served() {
    let server = pounce().guest(Abi::P2, "slow").start().await;
    let addr = server.addr();
    let mut raw = Raw::open(addr).await;
    raw.write("GET /?ms=4000 HTTP/1.1\r\n").await.unwrap();
    // Accepted later, answered: the server has most likely seen the earlier one.
    client::fetch_path(addr, "/?ms=0").await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.term();
    eventually("the listener to close", async || TcpStream::connect(addr).await.is_err()).await;
    raw.write("host: a\r\n\r\n").await.unwrap();
    let heard = raw.read_to_end().await;
    assert!(heard.starts_with("HTTP/1.1 200") && heard.contains("connection: close"), "{heard:?}");
    assert!(heard.ends_with("chunk 1\n\r\n0\r\n\r\n"), "{heard:?}");
    server.wait().await.expect(0, &[]);
}

/// A component whose `slow` goes on for minutes before it can be served: it is compiled, or an instance of it is made.
fn never_ready(dir: &Path, slow: &str) -> PathBuf {
    let whole = std::fs::read_to_string(fixture("status.wat")).unwrap();
    let text = whole.replacen("(global $free", &format!("{slow} (global $free"), 1);
    assert_ne!(text, whole);
    let path = dir.join("slow.wat");
    std::fs::write(&path, text).unwrap();
    path
}

/// Who stops a server that is not ready yet, such as a supervisor that rolls a release back, gets an orderly end at once.
#[tokio::test]
async fn a_signal_while_the_component_is_loaded_is_heeded_at_once() {
    let step = "(local.set 0 (i64.xor (i64.rotl (local.get 1) (local.get 0)) (i64.mul (local.get 2) (i64.const 7))))";
    let work = format!("(func (param i64 i64 i64) {})", step.repeat(20_000)).repeat(12);
    let spin = "(func $spin (loop $again (br $again))) (start $spin)";
    for (slow, signal) in [(work.as_str(), Pounce::term as fn(&Pounce)), (spin, Pounce::int)] {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("admin.sock");
        let collector = Collector::start().await;
        let mut server = pounce()
            .component(never_ready(dir.path(), slow))
            .flag("--admin-listen", format!("unix:{}", socket.display()))
            // Slower than the test: what arrives was flushed at the end.
            .env("OTEL_BLRP_SCHEDULE_DELAY", 600_000)
            .traced(&collector)
            .begin();
        eventually("the admin listener", async || UnixStream::connect(&socket).await.is_ok()).await;
        // Reading the file and its text is over, or nearly so.
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(server.is_alive(), "nothing to end");
        let begun = std::time::Instant::now();
        signal(&server);
        let exit = server.wait().await;
        exit.expect(0, &["told to stop before the component was loaded", "telemetry: ", "stopped"]);
        assert!(begun.elapsed() < PATIENCE / 2, "{:?}", begun.elapsed());
        assert_eq!(exit.stdout, "", "it was never ready");
        assert!(!socket.exists(), "the file goes with its listener");
        let records = collector.own_log_records();
        assert!(records.iter().any(|record| record.body.contains("told to stop")), "{records:?}");
    }
}

/// A supervisor may send one as soon as it reads the ready line.
#[tokio::test]
async fn a_signal_right_after_the_ready_line_is_heeded() {
    for _ in 0..8 {
        pounce().fixture("status.wat").start().await.stop().await.expect(0, &[]);
    }
}

#[tokio::test]
async fn two_signals_with_nothing_in_flight_cut_nothing() {
    for _ in 0..8 {
        let server = pounce().fixture("status.wat").start().await;
        server.term();
        server.int();
        server.wait().await.expect(0, &[]);
    }
}

#[tokio::test]
async fn a_second_signal_ends_the_drain() {
    for second in [Pounce::term, Pounce::int] {
        let server = pounce().guest(Abi::P2, "slow").flag("--grace-period", "10m").start().await;
        let addr = server.addr();
        let (_connection, response) = in_flight(&server, Protocol::H1, 600_000).await;
        server.term();
        eventually("the drain to begin", async || TcpStream::connect(addr).await.is_err()).await;
        second(&server);
        server.wait().await.expect(1, &[]);
        assert!(Answer::read(response).await.error.is_some());
    }
}

#[tokio::test]
async fn telemetry_is_flushed_at_exit() {
    let collector = Collector::start().await;
    // No batch would go out by itself for ten minutes.
    let server = pounce()
        .fixture("status.wat")
        .traced(&collector)
        .env("OTEL_BSP_SCHEDULE_DELAY", 600_000)
        .start()
        .await;
    for _ in 0..5 {
        client::fetch_path(server.addr(), "/200").await;
    }
    assert_eq!(collector.received().len(), 0);
    let exit = server.stop().await;
    exit.expect(0, &[]);
    assert_eq!(collector.received().len(), 5);
    let totals = exit.totals();
    assert_eq!((totals.ended, totals.exported, totals.dropped), (5, 5, 0));
}

/// A backend that hangs at the wrong moment must not hang the server: what could not be sent is counted.
#[tokio::test]
async fn a_backend_that_hangs_does_not_hold_it_up() {
    let collector = Collector::start().await;
    collector.always(crate::support::collector::Reply::Silence);
    let server = pounce().fixture("status.wat").flag("--grace-period", "2s").traced(&collector).start().await;
    for _ in 0..5 {
        client::fetch_path(server.addr(), "/200").await;
    }
    let begun = std::time::Instant::now();
    let exit = server.stop().await;
    exit.expect(0, &[]);
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    let totals = exit.totals();
    assert_eq!((totals.ended, totals.exported, totals.dropped), (5, 0, 5));
}

/// Who sends a second signal does not wait for a backend either.
#[tokio::test]
async fn a_second_signal_ends_the_flush() {
    let collector = Collector::start().await;
    collector.always(crate::support::collector::Reply::Silence);
    let mut server =
        pounce().fixture("status.wat").flag("--grace-period", "10m").traced(&collector).start().await;
    client::fetch_path(server.addr(), "/200").await;
    server.term();
    server.logged(&["draining"]).await;
    // Nothing is in flight: what is left is the flush.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(server.is_alive(), "nothing to end");
    let begun = std::time::Instant::now();
    server.int();
    let exit = server.wait().await;
    exit.expect(0, &[]);
    assert!(begun.elapsed() < PATIENCE / 2, "{:?}", begun.elapsed());
    let totals = exit.totals();
    assert_eq!((totals.ended, totals.exported, totals.dropped), (1, 0, 1));
}
