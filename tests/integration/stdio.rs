//! What guests write to stdout and stderr: into our log, by the line, with the trace it belongs to, and bounded.

use crate::support::client::{self, Answer, Connection, WithHeader};
use crate::support::{Abi, Collector, Protocol, for_both_abis, pounce};
use serde_json::Value;

for_both_abis!(lines_of_a_guest_are_log_lines, a_long_line_is_cut, a_flood_is_limited_and_counted);

/// The log lines of guests, as JSON.
fn guest_lines(stderr: &str) -> Vec<Value> {
    let lines = stderr.lines().map(|line| {
        let value = serde_json::from_str::<Value>(line);
        value.unwrap_or_else(|error| panic!("log lines are JSON when stderr is no terminal: {error}: {line}"))
    });
    lines.filter(|line| find(line, "stream").is_some()).collect()
}

/// The text under `key`, wherever in the line it is.
fn find<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    let map = value.as_object()?;
    map.get(key).and_then(Value::as_str).or_else(|| map.values().find_map(|value| find(value, key)))
}

async fn lines_of_a_guest_are_log_lines(abi: Abi) {
    let collector = Collector::start().await;
    let server = pounce().guest(abi, "stdio").flag("--isolation", "request").traced(&collector).start().await;
    assert_eq!(client::fetch_path(server.addr(), "/").await.text(), "written\n");
    let span = collector.span().await;
    let exit = server.stop().await;
    exit.expect(0, &[]);
    assert_eq!(exit.stdout.lines().count(), 1, "stdout is ours: {exit}");
    let lines = guest_lines(&exit.stderr);
    for stream in ["stdout", "stderr"] {
        let of_stream: Vec<_> = lines.iter().filter(|line| find(line, "stream") == Some(stream)).collect();
        let texts: Vec<_> = of_stream.iter().filter_map(|line| find(line, "message")).collect();
        assert_eq!(texts.first(), Some(&"a line"), "{stream}: {texts:?}");
        assert_eq!(texts.last(), Some(&"a line without an end"), "{stream}: {texts:?}");
        assert!(texts.iter().any(|text| text.starts_with("no UTF-8: ")), "{stream}: {texts:?}");
        for line in of_stream {
            assert_eq!(find(line, "trace_id"), Some(span.trace_id.as_str()), "{line}");
            assert_eq!(find(line, "span_id"), Some(span.span_id.as_str()), "{line}");
            assert_eq!(find(line, "component"), Some(abi.stem("stdio").as_str()), "{line}");
        }
    }
    assert!(!exit.stderr.contains('\u{1b}'), "a guest could move the cursor of whoever reads the log");
}

async fn a_long_line_is_cut(abi: Abi) {
    let server = pounce().guest(abi, "stdio").start().await;
    let answer = client::fetch_path(server.addr(), "/?lines=1&length=1000000&only=stderr").await;
    assert_eq!(answer.text(), "written\n");
    let exit = server.stop().await;
    let lines = guest_lines(&exit.stderr);
    assert!(find(&lines[0], "message").is_some_and(|text| text.starts_with("line 1 xxx")));
    let longest = exit.stderr.lines().map(str::len).max();
    assert!(longest < Some(32 * 1024), "{longest:?} bytes in a line");
    // Cut off or cut in pieces: the megabyte is not multiplied.
    assert!(exit.stderr.len() < 2_000_000, "{} bytes of log", exit.stderr.len());
}

/// A guest that writes without end keeps neither itself nor others from being served.
async fn a_flood_is_limited_and_counted(abi: Abi) {
    const LINES: usize = 50_000;
    let server = pounce().guest(abi, "stdio").flag("--request-timeout", "none").start().await;
    let answer = client::fetch_path(server.addr(), &format!("/?lines={LINES}&only=stderr")).await;
    assert_eq!(answer.text(), "written\n");
    let exit = server.stop().await;
    exit.expect(0, &["drop"]);
    let logged = guest_lines(&exit.stderr).len();
    assert!((10..LINES).contains(&logged), "{logged} lines");
    let total = exit
        .stderr
        .lines()
        .rfind(|line| line.contains("dropped") && line.contains("output"))
        .expect("a total");
    let digits: Vec<usize> =
        total.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect();
    assert!(
        digits.contains(&(LINES - logged)),
        "{} lines are missing and not counted: {total}",
        LINES - logged
    );
}

/// Sixteen requests that write in turns, in instances that they share: each line has the trace of the one that wrote it,
/// by the streams of 0.3 and by those of 0.2, which Rust's std uses.
#[tokio::test]
async fn lines_of_a_shared_instance_carry_the_trace_of_their_request() {
    const AT_ONCE: usize = 16;
    let trace_id = |n: usize| format!("{:032x}", 0xabc0_0000 + n);
    let collector = Collector::start().await;
    let builder = pounce().guest(Abi::P3, "stdio").flag("--concurrency", AT_ONCE);
    let server = builder.traced(&collector).start().await;
    let mut connection = Connection::open(server.addr(), Protocol::H2).await;
    let started: Vec<_> = (0..2 * AT_ONCE)
        .map(|n| {
            // The first half by std; the second by streams of their own, each so many lines as nobody else.
            let path = if n < AT_ONCE { format!("/?std={n}") } else { format!("/?lines={n}") };
            let traceparent = format!("00-{}-{:016x}-01", trace_id(n), n + 1);
            tokio::spawn(connection.start(client::get(&path).with("traceparent", traceparent)))
        })
        .collect();
    for response in started {
        assert_eq!(Answer::read(response.await.unwrap().expect("a response")).await.text(), "written\n");
    }
    let spans = collector.spans(2 * AT_ONCE).await;
    let shared =
        spans.iter().filter(|span| span.attributes["pounce.instance.reused"].to_string() == "true").count();
    // Instances that are being made at once serve a request each before they are shared.
    assert!(shared >= AT_ONCE / 2, "only {shared} shared an instance: nothing was put to the test");
    let exit = server.stop().await;
    exit.expect(0, &[]);
    let lines = guest_lines(&exit.stderr);
    for span in spans {
        let n = (0..2 * AT_ONCE).find(|n| trace_id(*n) == span.trace_id).expect("a trace of ours");
        let own = lines.iter().filter(|line| find(line, "trace_id") == Some(&span.trace_id));
        let mut told: Vec<_> = own
            .map(|line| {
                assert_eq!(find(line, "span_id"), Some(span.span_id.as_str()), "{line}");
                (find(line, "stream").unwrap(), find(line, "message").unwrap())
            })
            .collect();
        told.sort_by_key(|(stream, message)| (*stream, message.len(), *message));
        let mut expected = Vec::new();
        if n < AT_ONCE {
            let line = |k: usize| (["stdout", "stderr"][k % 2], format!("std {n} {k}"));
            expected.extend([1, 3, 0, 2, 4].map(line));
        } else {
            for stream in ["stderr", "stdout"] {
                expected.extend((1..=n).map(|k| (stream, format!("line {k}"))));
            }
        }
        let told: Vec<_> = told.into_iter().map(|(stream, message)| (stream, message.to_owned())).collect();
        assert_eq!(told, expected, "lines of request {n}");
    }
    let nobodys: Vec<_> = lines.iter().filter(|line| find(line, "trace_id").is_none()).collect();
    assert!(nobodys.is_empty(), "{nobodys:?}");
}

#[tokio::test]
async fn a_log_for_people_is_text() {
    let mut server = pounce().guest(Abi::P2, "stdio").flag("--log-format", "text").start().await;
    client::fetch_path(server.addr(), "/?lines=1&only=stdout").await;
    let line = server.logged(&["line 1"]).await;
    assert!(!line.starts_with('{') && line.contains("stdout"), "{line}");
}

/// A panic's message in a log for people is one line, whatever is in it, and moves nothing.
#[tokio::test]
async fn nobody_forges_lines_of_the_log() {
    let mut server = pounce().guest(Abi::P2, "trap").flag("--log-format", "text").start().await;
    client::fetch_path(server.addr(), "/panic").await;
    let line = server.logged(&["panicked at"]).await;
    assert!(line.contains("panicked at"), "{line}");
    let exit = server.stop().await;
    let failed = exit.stderr.lines().find(|line| line.contains("WARN") && line.contains("panicked at"));
    assert!(failed.is_some_and(|line| line.contains("\\n")), "{exit}");
}
