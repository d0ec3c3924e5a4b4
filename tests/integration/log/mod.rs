//! Our own log: every line says whose it is, on stderr and at the endpoint, and nobody waits for whoever reads it.

use crate::support::client::{self, Connection};
use crate::support::exit::Exit;
use crate::support::{Abi, Collector, Protocol, eventually, for_both_abis, pounce, within};
use serde_json::Value;

/// Each request as a line.
mod access;
/// One `error.type` for a request, whoever tells of it.
mod agreement;
/// Exceptions as log records.
mod exceptions;
/// Lines as log records.
mod exported;
/// Lines that strangers cause.
mod flood;
/// `Server-Timing`.
mod timing;
/// Records by `wasi:logging`.
mod wasi_logging;

for_both_abis!(lines_of_a_request_say_whose_they_are,);

/// The lines of the log as JSON, each with what every line has.
pub(crate) fn lines(exit: &Exit) -> Vec<Value> {
    let lines = exit.stderr.lines().map(|line| {
        let value: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}\n{exit}"));
        let time = value["timestamp"].as_str().expect("a time");
        assert!(time.len() >= 20 && &time[10..11] == "T" && time.ends_with('Z'), "RFC 3339, UTC: {line}");
        assert!(["ERROR", "WARN", "INFO", "DEBUG", "TRACE"].contains(&value["level"].as_str().unwrap()));
        assert!(value["message"].is_string() && value["target"].is_string(), "{line}");
        value
    });
    lines.collect()
}

async fn lines_of_a_request_say_whose_they_are(abi: Abi) {
    let collector = Collector::start().await;
    let server = pounce().guest(abi, "trap").traced(&collector).start().await;
    assert_eq!(client::fetch_path(server.addr(), "/panic").await.status, 500);
    let span = collector.span().await;
    let exit = server.stop().await;
    let lines = lines(&exit);
    let of_request: Vec<_> = lines.iter().filter(|line| !line["trace_id"].is_null()).collect();
    let by_target = |target: &str| {
        of_request.iter().filter(|line| line["target"].as_str().unwrap().starts_with(target)).count()
    };
    assert!(by_target("guest") > 0 && by_target("pounce::server") == 1, "{exit}");
    for line in of_request {
        assert_eq!(line["trace_id"], span.trace_id.as_str());
        assert_eq!(line["span_id"], span.span_id.as_str());
        assert_eq!(line["component"], abi.stem("trap"));
    }
    let failed = lines.iter().find(|line| line["level"] == "WARN").expect("the failure");
    assert_eq!(failed["error.type"], "wasm_trap.unreachable");
    assert!(failed["stacktrace"].is_string());
}

/// Nobody reads stderr, and its pipe is full: everybody is served all the same, and the server stops when told to.
#[tokio::test]
async fn a_log_that_nobody_reads_holds_up_nobody() {
    const LINES: usize = 20_000;
    const AT_ONCE: usize = 100;
    let folder = tempfile::tempdir().expect("a folder");
    let pipe = folder.path().join("stderr");
    // A pipe that is open at both ends, and never read.
    let script = r#"mkfifo "$0" && exec 3<>"$0" && exec "$@" 2>&3 3>&-"#;
    let launcher = ["sh", "-c", script, pipe.to_str().expect("UTF-8")];
    let server = pounce()
        .guest(Abi::P2, "slow")
        .flag("--max-in-flight", 1)
        .arg("--log-access")
        .launched_by(launcher)
        .start()
        .await;
    let (held, response) =
        client::hold(server.addr(), Protocol::H1, "/?ms=0&body_ms=100&chunks=1000000").await;
    // More lines than the pipe and the log hold.
    let floods = (0..2).map(|_| async {
        let mut connection = Connection::open(server.addr(), Protocol::H2).await;
        // With the first response it knows how many streams it may open.
        assert_eq!(connection.fetch(client::get("/shed")).await.status, 503);
        for _ in 0..(LINES / 2 / AT_ONCE) {
            let mut started = Vec::new();
            for _ in 0..AT_ONCE {
                started.push(tokio::spawn(connection.start(client::get("/shed"))));
            }
            for response in started {
                assert_eq!(response.await.expect("no panic").expect("a response").status(), 503);
            }
        }
    });
    within("the flood", futures_util::future::join_all(floods)).await;
    held.abort();
    drop(response);
    eventually("a place", async || client::fetch_path(server.addr(), "/?ms=0").await.status == 200).await;
    let exit = server.stop().await;
    assert_eq!(exit.code, Some(0), "{exit}");
}
