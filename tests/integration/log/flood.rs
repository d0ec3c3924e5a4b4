//! Lines that strangers cause: of each kind a few in ten seconds, and how many more there were.

use super::lines;
use crate::support::client::{self, Connection, Raw};
use crate::support::exit::Exit;
use crate::support::http2::{HEADERS, PING, RST_STREAM, frame, preface};
use crate::support::pounce::Pounce;
use crate::support::{Abi, Collector, Protocol, eventually, for_both_abis, pounce, within};
use serde_json::Value;
use std::time::{Duration, Instant};

for_both_abis!(a_guest_that_traps_at_each_request_fills_no_log,);

/// The lines whose message has `part`, and how many more of them were left out.
struct Told {
    lines: u64,
    left_out: u64,
    /// Words on what was left out.
    summaries: u64,
}

impl Told {
    fn of(exit: &Exit, part: &str) -> Self {
        let mut told = Told { lines: 0, left_out: 0, summaries: 0 };
        for line in lines(exit) {
            let text = |key: &str| line[key].as_str().unwrap_or_default();
            if text("example").contains(part) {
                let count = &line["count"];
                assert!(text("message").starts_with(&format!("{count} more lines like this")), "{line}");
                told.left_out += count.as_u64().expect("a count");
                told.summaries += 1;
            } else if text("message").contains(part) {
                told.lines += 1;
            }
        }
        told
    }

    /// Fails unless all of `happened` are accounted for, and what was written within `time` is little.
    fn expect(&self, happened: u64, time: Duration, exit: &Exit) {
        // A window may have begun before, and another after.
        let windows = time.as_secs() / 10 + 2;
        assert!(self.lines <= 10 * windows, "{} lines in {time:?}\n{exit}", self.lines);
        assert!((1..=windows).contains(&self.summaries), "{} in {time:?}\n{exit}", self.summaries);
        assert_eq!(self.lines + self.left_out, happened, "{} lines\n{exit}", self.lines);
    }
}

/// A connection on which frames of one's own making follow.
async fn open(server: &Pounce) -> Raw {
    let mut raw = Raw::open(server.addr()).await;
    raw.write(preface()).await.unwrap();
    raw
}

/// The HTTP/2 library warns of each frame that makes no sense to it, on one connection or on hundreds.
#[tokio::test]
async fn frames_that_nobody_expects_fill_no_log() {
    const PINGS: usize = 5_000;
    const CONNECTIONS: usize = 100;
    let begun = Instant::now();
    let server = pounce().fixture("status.wat").start().await;
    let mut raw = open(&server).await;
    raw.write(frame(PING, 1, 0, b"surprise").repeat(PINGS)).await.unwrap();
    raw.taken().await;
    // `GET http://a/`, taken back at once, again and again.
    let request = [0x82, 0x86, 0x84, 0x41, 1, b'a'];
    let resets: Vec<u8> = (0..200)
        .flat_map(|n| {
            [frame(HEADERS, 5, n * 2 + 1, &request), frame(RST_STREAM, 0, n * 2 + 1, &[0, 0, 0, 8])].concat()
        })
        .collect();
    for _ in 0..CONNECTIONS {
        let mut raw = open(&server).await;
        // It hangs up in the middle of it.
        let _cut = raw.write(&resets).await;
        raw.read_to_end().await;
    }
    let exit = server.stop().await;
    exit.expect(0, &[]);
    let time = begun.elapsed();
    Told::of(&exit, "PING ack").expect(PINGS as u64, time, &exit);
    Told::of(&exit, "recv_reset").expect(CONNECTIONS as u64, time, &exit);
    let source = |line: &Value| line["source"].as_str().is_some_and(|source| source.starts_with("h2::"));
    assert!(lines(&exit).iter().any(source), "whose lines they were\n{exit}");
}

/// On the way to the endpoint, too, and each request is in the metrics anyway.
async fn a_guest_that_traps_at_each_request_fills_no_log(abi: Abi) {
    const REQUESTS: usize = 5_000;
    const AT_ONCE: usize = 50;
    let begun = Instant::now();
    let collector = Collector::start().await;
    let server = pounce()
        .guest(abi, "trap")
        .flag("--otel-sample", "0")
        .env("OTEL_BLRP_SCHEDULE_DELAY", 50)
        .traced(&collector)
        .start()
        .await;
    let mut connections = Vec::new();
    for protocol in Protocol::BOTH {
        connections.push(Connection::open(server.addr(), protocol).await);
    }
    for _ in 0..REQUESTS / 2 / AT_ONCE {
        let [one, many] = &mut connections[..] else { unreachable!("two of them") };
        let answers: Vec<_> =
            (0..AT_ONCE).map(|_| tokio::spawn(many.start(client::get("/unreachable")))).collect();
        for _ in 0..AT_ONCE {
            assert_eq!(one.fetch(client::get("/unreachable")).await.status, 500);
        }
        for answer in answers {
            assert_eq!(answer.await.unwrap().expect("a response").status(), 500);
        }
    }
    // Another way to fail is another kind, and its first line is there.
    assert_eq!(client::fetch_path(server.addr(), "/divide-by-zero").await.status, 500);
    let exit = server.stop().await;
    exit.expect(0, &[]);
    let time = begun.elapsed();
    let told = Told::of(&exit, "unreachable");
    told.expect(REQUESTS as u64, time, &exit);
    let metrics = collector.host_metrics();
    let dropped =
        metrics.iter().find(|metric| metric.name == "pounce.log.lines.dropped").expect("it is counted");
    assert_eq!(dropped.points[0].value, told.left_out.to_string());
    let other =
        lines(&exit).iter().filter(|line| line["error.type"] == "wasm_trap.integer_divide_by_zero").count();
    assert_eq!(other, 1, "{exit}");
    let records = collector.own_log_records();
    let exported = records.iter().filter(|record| record.body.contains("unreachable")).count() as u64;
    assert!(exported <= 10 * (time.as_secs() / 10 + 2), "{exported} records in {time:?}");
}

/// A process without file descriptors tries ten times a second.
#[tokio::test]
async fn connections_that_cannot_be_accepted_fill_no_log() {
    let begun = Instant::now();
    let mut server = pounce()
        .fixture("status.wat")
        .launched_by(["sh", "-c", r#"ulimit -n 64 && exec "$@""#, "sh"])
        .start()
        .await;
    let mut held = Vec::new();
    for _ in 0..80 {
        held.push(Raw::open(server.addr()).await);
    }
    server.logged(&["more lines like this", "cannot accept a connection"]).await;
    drop(held);
    let fetch = async || client::fetch_path(server.addr(), "/200").await.status == 200;
    within("it to serve again", eventually("an answer", fetch)).await;
    let exit = server.stop().await;
    exit.expect(0, &[]);
    let told = Told::of(&exit, "cannot accept a connection");
    let windows = begun.elapsed().as_secs() / 10 + 2;
    assert!(told.left_out > 0 && told.lines <= 10 * windows, "{} lines\n{exit}", told.lines);
}
