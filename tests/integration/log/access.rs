//! The access log: a line for each request when it is over, whatever became of it.

use super::lines;
use crate::support::client::{self, Protocol, WithHeader};
use crate::support::exit::Exit;
use crate::support::{Abi, Collector, eventually, for_both_abis, pounce};
use serde_json::{Value, json};

for_both_abis!(
    a_request_is_a_line_when_it_is_over,
    whatever_becomes_of_a_request_is_told,
    without_telemetry_there_are_lines_without_ids,
);

/// The lines of the access log.
fn accesses(exit: &Exit) -> Vec<Value> {
    lines(exit).into_iter().filter(|line| line["target"] == "access").collect()
}

async fn a_request_is_a_line_when_it_is_over(abi: Abi) {
    let collector = Collector::start().await;
    // It is not a matter of the level.
    let server = pounce()
        .guest(abi, "echo")
        .traced(&collector)
        .arg("--log-access")
        .flag("--log-level", "error")
        .start()
        .await;
    for protocol in Protocol::BOTH {
        let request = client::post("/a%20b?token=secret", "12345").with("user-agent", "tester/1.0");
        assert_eq!(client::fetch(server.addr(), protocol, request).await.text(), "12345");
    }
    let spans = collector.spans(2).await;
    let exit = server.stop().await;
    assert!(!exit.stderr.contains("secret"), "{exit}");
    let lines = accesses(&exit);
    let records = collector.own_log_records();
    let records: Vec<_> = records.iter().filter(|record| record.event == "pounce.access").collect();
    assert_eq!((lines.len(), records.len()), (2, 2), "{exit}");
    for (at, version) in ["1.1", "2"].into_iter().enumerate() {
        let (line, span) = (&lines[at], &spans[at]);
        for (key, value) in [
            ("message", json!("POST /a%20b 200")),
            ("level", json!("INFO")),
            ("method", json!("POST")),
            ("path", json!("/a%20b")),
            ("status", json!(200)),
            ("bytes_in", json!(5)),
            ("bytes_out", json!(5)),
            ("client", json!("127.0.0.1")),
            ("protocol", json!(version)),
            ("user_agent", json!("tester/1.0")),
            ("component", json!(abi.stem("echo"))),
            ("trace_id", json!(span.trace_id)),
            ("span_id", json!(span.span_id)),
            ("error.type", Value::Null),
            ("route", Value::Null),
        ] {
            assert_eq!(line[key], value, "{key}: {line}");
        }
        let span_ms = (span.end - span.start) as f64 / 1e6;
        let took = line["duration_ms"].as_f64().expect("a number");
        assert!((took - span_ms).abs() < 50.0, "{took} ms, and {span_ms} by its span");
        let port = span.int("network.peer.port").expect("a port");
        assert_eq!(line["peer"], format!("127.0.0.1:{port}"));

        let record = records.iter().find(|record| record.span_id == span.span_id).expect("its record");
        assert_eq!((&record.trace_id, record.flags), (&span.trace_id, span.flags & 0xff));
        assert_eq!(record.body, r#""POST /a%20b 200""#);
        assert_eq!(record.severity, (9, "INFO".into()));
        // What both say, they say alike.
        for key in [
            "http.request.method",
            "url.path",
            "http.response.status_code",
            "http.request.body.size",
            "http.response.body.size",
            "client.address",
            "network.peer.address",
            "network.peer.port",
            "network.protocol.version",
            "user_agent.original",
            "pounce.component",
        ] {
            assert_eq!(record.attributes.get(key), span.attributes.get(key), "{key}");
        }
        assert!(record.attributes.contains_key("pounce.request.duration"));
        assert!(!record.attributes.contains_key("url.query"));
    }
}

async fn whatever_becomes_of_a_request_is_told(abi: Abi) {
    let collector = Collector::start().await;
    let server = pounce()
        .guest(abi, "slow")
        .traced(&collector)
        .arg("--log-access")
        .flag("--max-in-flight", 1)
        .flag("--request-timeout", "500ms")
        .start()
        .await;
    // Over when its body is over, not before.
    let (connection, response) =
        client::hold(server.addr(), Protocol::H1, "/left?ms=0&body_ms=20&chunks=1000000").await;
    assert_eq!(client::fetch_path(server.addr(), "/shed").await.status, 503);
    connection.abort();
    drop(response);
    eventually("the place to be free", async || {
        client::fetch_path(server.addr(), "/again?ms=0").await.status == 200
    })
    .await;
    eventually("a place for the slow one", async || {
        client::fetch_path(server.addr(), "/late?ms=600000").await.status == 504
    })
    .await;
    let exit = server.stop().await;
    let traps = pounce().guest(abi, "trap").arg("--log-access").start().await;
    for path in ["/unreachable", "/after-head"] {
        client::fetch_path(traps.addr(), path).await;
    }
    let gone = traps.stop().await;
    let mut lines = accesses(&exit);
    lines.extend(accesses(&gone));
    for (path, status, error) in [
        ("/left", json!(200), json!("client_disconnected")),
        ("/shed", json!(503), json!("overloaded")),
        ("/again", json!(200), Value::Null),
        ("/late", json!(504), json!("timeout")),
        ("/unreachable", json!(500), json!("wasm_trap.unreachable")),
        ("/after-head", json!(200), json!("wasm_trap.unreachable")),
    ] {
        let found = lines.iter().filter(|line| {
            // Some were shed while the place was not free yet.
            line["path"] == path && (status == 503 || line["status"] != 503)
        });
        let found: Vec<_> = found.collect();
        assert_eq!(found.len(), 1, "{path}: {exit}");
        assert_eq!((&found[0]["status"], &found[0]["error.type"]), (&status, &error), "{path}");
    }
    let late =
        lines.iter().find(|line| line["path"] == "/late" && line["status"] == 504).expect("found above");
    assert!(late["duration_ms"].as_f64() >= Some(500.0), "{late}");
    let spans = collector.received();
    let traced = lines.iter().filter(|line| !line["trace_id"].is_null());
    for line in traced {
        let span = spans.iter().find(|span| line["span_id"] == span.span_id.as_str()).expect("its span");
        assert_eq!(line["trace_id"], span.trace_id.as_str());
        assert_eq!(
            line["error.type"].as_str(),
            span.attributes.get("error.type").map(|_| span.text("error.type"))
        );
    }
}

async fn without_telemetry_there_are_lines_without_ids(abi: Abi) {
    let server = pounce().guest(abi, "hello").arg("--log-access").start().await;
    client::fetch_path(server.addr(), "/").await;
    let [line] = accesses(&server.stop().await).try_into().unwrap();
    assert_eq!(
        (&line["status"], &line["trace_id"], &line["span_id"]),
        (&json!(200), &Value::Null, &Value::Null)
    );
    // Nobody asked for it.
    let server = pounce().guest(abi, "hello").start().await;
    client::fetch_path(server.addr(), "/").await;
    assert!(accesses(&server.stop().await).is_empty());
}

/// For people: short, and what a stranger sends moves no cursor and makes no line.
#[tokio::test]
async fn a_line_for_people_is_one_line() {
    let mut server =
        pounce().guest(Abi::P2, "hello").arg("--log-access").flag("--log-format", "text").start().await;
    let agent = http::HeaderValue::from_bytes("a\u{9b}2J\u{202e}b".as_bytes()).expect("bytes");
    let mut request = client::get("/x?y");
    request.headers_mut().insert("user-agent", agent);
    client::fetch(server.addr(), Protocol::H1, request).await;
    let line = server.logged(&["GET /x 200"]).await;
    for part in ["INFO", "duration_ms=", "bytes_out=", r"a\u{9b}2J\u{202e}b"] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert!(!line.contains("path=") && !line.contains('\u{9b}') && !line.contains('\u{202e}'), "{line}");
}
