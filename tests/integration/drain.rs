//! Stopping: what is in flight finishes, what is over time is cut, and no span is lost on the way out.

use crate::support::client::{self, Answer, Connection, Raw};
use crate::support::collector::Reply;
use crate::support::fifo;
use crate::support::guest::fixture;
use crate::support::pounce::Pounce;
use crate::support::{Abi, Collector, Held, Protocol, eventually, for_both_abis, pounce};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

/// Goes on until its client hangs up, or the server does.
const ENDLESS: &str = "/in-flight?ms=0&body_ms=100&chunks=1000000";

for_both_abis!(what_is_in_flight_finishes, beyond_the_grace_period_requests_are_cut);

async fn what_is_in_flight_finishes(abi: Abi) {
    // Its response has begun, or has not.
    for (guest, signal) in [("echo", Pounce::term as fn(&Pounce)), ("relay", Pounce::int)] {
        let mut server = pounce().guest(abi, guest).with_admin().start().await;
        let addr = server.addr();
        let mut going = Vec::new();
        for protocol in Protocol::BOTH {
            let held = Held::begin(addr, protocol, "/in-flight").await;
            if guest == "echo" {
                held.answered().await;
            }
            going.push((protocol, held));
        }
        server.in_flight(2).await;
        signal(&server);
        eventually("the listener to close", async || TcpStream::connect(addr).await.is_err()).await;
        let mut open = Vec::new();
        for (protocol, held) in going {
            let (connection, answer) = held.end().await;
            assert_eq!(answer.text(), "[]", "{guest}, {protocol:?}: whole");
            // A head that has gone out before the drain could not tell.
            let told = if guest == "relay" && protocol == Protocol::H1 { "close" } else { "" };
            assert_eq!(answer.header("connection"), told, "{guest}, {protocol:?}");
            open.push(connection);
        }
        for connection in open {
            connection.closed().await.expect("in order");
        }
        server.wait().await.expect(0, &[]);
    }
}

/// Clients with a connection open cannot know: their requests are served, and they are told that these are the last.
#[tokio::test]
async fn during_a_drain_open_connections_are_served_and_told_to_close() {
    let mut server = pounce().guest(Abi::P2, "echo").with_admin().start().await;
    let addr = server.addr();
    let held = Held::begin(addr, Protocol::H1, "/").await;
    server.in_flight(1).await;
    let mut open = Connection::open(addr, Protocol::H1).await;
    let before = open.fetch(client::post("/", "before")).await;
    assert_eq!((before.text(), before.header("connection")), ("before", ""));
    server.term();
    eventually("the listener to close", async || TcpStream::connect(addr).await.is_err()).await;
    let during = open.fetch(client::post("/", "during")).await;
    assert_eq!((during.text(), during.header("connection")), ("during", "close"));
    assert_eq!(held.end().await.1.text(), "[]");
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
    // Long before ten minutes, that is.
    server.stop().await.expect(0, &[]);
    drop(silent);
}

async fn beyond_the_grace_period_requests_are_cut(abi: Abi) {
    let collector = Collector::start().await;
    let server = pounce().guest(abi, "slow").flag("--grace-period", "1s").traced(&collector).start().await;
    let mut cut = Vec::new();
    for protocol in Protocol::BOTH {
        cut.push(client::hold(server.addr(), protocol, ENDLESS).await);
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
    // What idle connections get in a drain; a client that is slower than that has come too late.
    let moment = Duration::from_secs(2);
    for _ in 0..10 {
        let server = pounce().guest(Abi::P2, "slow").start().await;
        let addr = server.addr();
        let mut raw = Raw::open(addr).await;
        raw.write("GET /?ms=4000 HTTP/1.1\r\n").await.unwrap();
        raw.taken().await;
        let begun = Instant::now();
        server.term();
        eventually("the listener to close", async || TcpStream::connect(addr).await.is_err()).await;
        let written = raw.write("host: a\r\n\r\n").await;
        if begun.elapsed() >= moment {
            continue;
        }
        written.unwrap();
        let heard = raw.read_to_end().await;
        assert!(heard.starts_with("HTTP/1.1 200") && heard.contains("connection: close"), "{heard:?}");
        assert!(heard.ends_with("chunk 1\n\r\n0\r\n\r\n"), "{heard:?}");
        return server.wait().await.expect(0, &[]);
    }
    panic!("this machine is too slow to send the rest of a request within {moment:?}");
}

/// What a server is doing when it is told to stop.
#[derive(Clone, Copy, Debug)]
enum Loading {
    /// It waits for the component's file.
    Reading,
    /// It compiles functions, so many of a hard kind.
    Compiling(usize),
    /// It makes a first instance, which never comes to an end.
    Starting,
}

impl Loading {
    /// Writes a component that keeps a server at it.
    fn component(self, dir: &Path) -> PathBuf {
        let path = dir.join("app.wat");
        let extra = match self {
            Self::Reading => {
                fifo::make(&path);
                return path;
            }
            Self::Compiling(functions) => {
                let step = "(local.set 0 (i64.xor (i64.rotl (local.get 1) (local.get 0)) \
                            (i64.mul (local.get 2) (i64.const 7))))";
                format!("(func (param i64 i64 i64) {})", step.repeat(20_000)).repeat(functions)
            }
            Self::Starting => "(func $spin (loop $again (br $again))) (start $spin)".to_owned(),
        };
        let whole = std::fs::read_to_string(fixture("status.wat")).unwrap();
        let text = whole.replacen("(global $free", &format!("{extra} (global $free"), 1);
        assert_ne!(text, whole);
        std::fs::write(&path, text).unwrap();
        path
    }
}

/// Tells a server to stop that is at `loading`; false if it was done with that before it heard.
async fn is_stopped_while(loading: Loading, signal: fn(&Pounce)) -> bool {
    let dir = tempfile::tempdir().unwrap();
    let component = loading.component(dir.path());
    let socket = dir.path().join("admin.sock");
    let collector = Collector::start().await;
    let mut server = pounce()
        .component(&component)
        .flag("--admin-listen", format!("unix:{}", socket.display()))
        .flag("--log-level", "debug")
        // It has to compile each time.
        .flag("--cache", "none")
        // Slower than the test: what arrives was flushed at the end.
        .env("OTEL_BLRP_SCHEDULE_DELAY", 600_000)
        .traced(&collector)
        .begin();
    let mut pipe = None;
    match loading {
        Loading::Reading => pipe = Some(fifo::read_by_somebody(&component).await),
        Loading::Compiling(_) => drop(server.logged(&["compiling the component"]).await),
        Loading::Starting => drop(server.logged(&["making its first instances"]).await),
    }
    signal(&server);
    let exit = server.wait().await;
    drop(pipe);
    if matches!(loading, Loading::Compiling(_)) && exit.stdout.contains("listening on") {
        return false;
    }
    exit.expect(0, &["told to stop before the component was loaded", "telemetry: ", "stopped"]);
    assert_eq!(exit.stdout, "", "it was never ready");
    assert!(!socket.exists(), "the file goes with its listener");
    let records = collector.own_log_records();
    assert!(records.iter().any(|record| record.body.contains("told to stop")), "{records:?}");
    true
}

/// Who stops a server that is not ready yet, such as a supervisor that rolls a release back, gets an orderly end at once.
#[tokio::test]
async fn a_signal_while_the_component_is_loaded_is_heeded_at_once() {
    assert!(is_stopped_while(Loading::Reading, Pounce::term).await);
    assert!(is_stopped_while(Loading::Starting, Pounce::int).await);
    // Takes the machine a while; a faster one has to compile more.
    for functions in [12, 48, 192] {
        if is_stopped_while(Loading::Compiling(functions), Pounce::term).await {
            return;
        }
    }
    panic!("it heeds a signal only when it has compiled");
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
        let (_connection, response) = client::hold(addr, Protocol::H1, ENDLESS).await;
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
    collector.always(Reply::Silence);
    let server = pounce()
        .fixture("status.wat")
        .flag("--grace-period", "2s")
        .traced(&collector)
        .env("OTEL_EXPORTER_OTLP_TIMEOUT", 600_000)
        .start()
        .await;
    for _ in 0..5 {
        client::fetch_path(server.addr(), "/200").await;
    }
    let exit = server.stop().await;
    exit.expect(0, &[]);
    let totals = exit.totals();
    assert_eq!((totals.ended, totals.exported, totals.dropped), (5, 0, 5));
}

/// Who sends a second signal does not wait for a backend either.
#[tokio::test]
async fn a_second_signal_ends_the_flush() {
    let collector = Collector::start().await;
    collector.always(Reply::Silence);
    let server = pounce()
        .fixture("status.wat")
        .flag("--grace-period", "10m")
        .traced(&collector)
        // What the collector sees is the flush, and that would go on for ten minutes.
        .env("OTEL_BSP_SCHEDULE_DELAY", 600_000)
        .env("OTEL_EXPORTER_OTLP_TIMEOUT", 600_000)
        .start()
        .await;
    client::fetch_path(server.addr(), "/200").await;
    server.term();
    collector.exports_of(1).await;
    server.int();
    let exit = server.wait().await;
    exit.expect(0, &[]);
    let totals = exit.totals();
    assert_eq!((totals.ended, totals.exported, totals.dropped), (1, 0, 1));
}

/// Load balancers learn from `/readyz` to send requests elsewhere, and until they do all are served as ever.
#[tokio::test]
async fn before_a_drain_readiness_is_taken_back_and_requests_are_served() {
    let mut server = pounce().fixture("status.wat").flag("--drain-delay", "3s").with_admin().start().await;
    let (addr, admin) = (server.addr(), server.admin().await);
    let mut open = Connection::open(addr, Protocol::H1).await;
    assert_eq!(open.fetch(client::get("/200")).await.status, 200);
    let told = Instant::now();
    server.term();
    server.logged(&["3s from now (http.drain-delay)"]).await;
    eventually("readiness to go", async || client::fetch_path(admin, "/readyz").await.status == 503).await;
    if told.elapsed() < Duration::from_secs(2) {
        for protocol in Protocol::BOTH {
            let new = client::fetch(addr, protocol, client::get("/200")).await;
            assert_eq!((new.status.as_u16(), new.header("connection")), (200, ""), "{protocol:?}");
        }
        let kept = open.fetch(client::get("/200")).await;
        assert_eq!((kept.status.as_u16(), kept.header("connection")), (200, ""));
    }
    eventually("the listener to close", async || TcpStream::connect(addr).await.is_err()).await;
    assert!(told.elapsed() >= Duration::from_secs(3));
    open.closed().await.expect("in order");
    server.wait().await.expect(0, &[]);
}

#[tokio::test]
async fn a_second_signal_ends_the_time_before_a_drain_too() {
    let mut server = pounce()
        .guest(Abi::P2, "slow")
        .flag("--drain-delay", "1h")
        .flag("--grace-period", "1h")
        .start()
        .await;
    let (_connection, response) = client::hold(server.addr(), Protocol::H1, ENDLESS).await;
    server.term();
    server.logged(&["http.drain-delay"]).await;
    server.int();
    assert!(Answer::read(response).await.error.is_some());
    server.wait().await.expect(1, &["cut"]);
}
