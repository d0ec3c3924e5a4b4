//! The trace viewer as it is served, and the pages that it reads: summaries of traces, and their log records.

use super::{ask, json, with_admin};
use crate::support::client::{self, WithHeader};
use crate::support::{Abi, Collector, eventually};
use serde_json::Value;
use std::net::SocketAddr;

/// The files that a page of the viewer names.
fn files(page: &str) -> Vec<String> {
    let quoted = page.split('"').skip(1).step_by(2);
    quoted.filter(|text| text.starts_with("/traces/assets/")).map(str::to_owned).collect()
}

#[tokio::test]
async fn the_viewer_is_whole_and_may_load_nothing_else() {
    let mut server = with_admin().guest(Abi::P2, "hello").start().await;
    let admin = server.admin().await;
    let page = client::fetch_path(admin, "/traces").await;
    let files = files(page.text());
    for name in ["app.js", "icon.svg", "style.css"] {
        assert!(files.contains(&format!("/traces/assets/{name}")), "{name} of {files:?}");
    }
    for path in files.iter().map(String::as_str).chain(["/traces"]) {
        let file = client::fetch_path(admin, path).await;
        assert_eq!(file.status, 200, "{path}");
        let policy = file.header("content-security-policy").to_owned();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"), "{policy}");
        assert!(!policy.contains("unsafe") && policy.contains("frame-ancestors 'none'"), "{policy}");
        assert_eq!(file.header("cross-origin-resource-policy"), "same-origin", "{path}");
        let tag = file.header("etag").to_owned();
        let again = ask(admin, client::get(path).with("if-none-match", tag)).await;
        assert_eq!((again.status.as_u16(), again.text()), (304, ""), "{path}");
    }
    let text = page.text().to_ascii_lowercase();
    assert!(
        !text.contains("http:") && !text.contains("https:") && !text.contains("//"),
        "nothing from elsewhere"
    );
    assert!(!text.contains("<style") && !text.contains(" style=") && !text.contains(" on"), "nothing inline");
    let permalink = client::fetch_path(admin, "/traces/0AF7651916cd43dd8448eb211c80319c").await;
    assert_eq!((permalink.status.as_u16(), permalink.text()), (200, page.text()));
    let preload = permalink.header("link");
    assert!(
        preload.contains("</api/traces/outline?trace_id=0af7651916cd43dd8448eb211c80319c>; rel=preload"),
        "{preload}"
    );
    for path in ["/traces/1", "/traces/assets/none.js", "/traces/assets/../page.rs", "/tracesx"] {
        assert_eq!(client::fetch_path(admin, path).await.status, 404, "{path}");
    }
}

async fn summary(admin: SocketAddr, cursor: Option<&str>) -> (String, Vec<Value>) {
    let query = cursor.map(|cursor| format!("?after={cursor}")).unwrap_or_default();
    let answer = json(admin, &format!("/api/traces/summary{query}")).await;
    assert_eq!(answer["is_whole"], cursor.is_none(), "{answer}");
    (answer["cursor"].as_str().unwrap().to_owned(), answer["traces"].as_array().unwrap().clone())
}

#[tokio::test]
async fn summaries_tell_what_has_changed() {
    let mut server = with_admin().guest(Abi::P3, "attributes").flag("--admin-recent-traces", 3).start().await;
    let admin = server.admin().await;
    let (cursor, traces) = summary(admin, None).await;
    assert!(traces.is_empty());
    let path = "/deeds?route=/items/%7Bid%7D&code=503&wait=2";
    assert_eq!(client::fetch_path(server.addr(), path).await.status, 503);
    eventually("the span to end", async || summary(admin, Some(&cursor)).await.1.len() == 1).await;
    let (cursor, traces) = summary(admin, Some(&cursor)).await;
    let trace = &traces[0];
    assert_eq!(trace["name"], "GET /items/{id}");
    for (key, value) in
        [("route", "/items/{id}"), ("path", "/deeds"), ("method", "GET"), ("error_type", "503")]
    {
        assert_eq!(trace[key], value, "{key}");
    }
    assert_eq!((&trace["status"], &trace["component"]), (&503.into(), &"attributes-p3".into()));
    assert_eq!((&trace["spans"], &trace["requests"], &trace["errors"]), (&1.into(), &1.into(), &1.into()));
    assert!(trace["duration_nano"].as_u64().unwrap() >= 2_000_000, "{trace}");
    assert!(trace["start_unix_nano"].as_str().unwrap().len() == 19, "{trace}");
    let whole = json(admin, &format!("/api/traces?trace_id={}", trace["trace_id"].as_str().unwrap())).await;
    let span = &whole["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
    assert_eq!((&span["name"], &span["startTimeUnixNano"]), (&trace["name"], &trace["start_unix_nano"]));
    let first = trace.clone();
    assert!(summary(admin, Some(&cursor)).await.1.is_empty(), "nothing has changed since");
    for query in ["?after=1&after=2", "?x", "?limit=1"] {
        assert_eq!(client::fetch_path(admin, &format!("/api/traces/summary{query}")).await.status, 400);
    }
    for _ in 0..5 {
        client::fetch_path(server.addr(), "/deeds").await;
    }
    eventually("the last three to be told", async || {
        let traces = summary(admin, None).await.1;
        traces.len() == 3 && traces.iter().all(|trace| trace["status"] == 200)
    })
    .await;
    // Enough that each thread has evicted what it had of the first.
    eventually("the first to be told as evicted", async || {
        client::fetch_path(server.addr(), "/deeds").await;
        let answer = json(admin, &format!("/api/traces/summary?after={cursor}")).await;
        first["places"].as_array().unwrap().iter().all(|place| {
            let part = place[0].as_u64().unwrap() as usize;
            place[1].as_u64() < answer["held_from"][part].as_u64()
        })
    })
    .await;
}

/// What Pounce logs of a request is beside its spans, with their flags.
#[tokio::test]
async fn failures_are_beside_the_trace_that_failed() {
    let mut server = with_admin().guest(Abi::P3, "trap").start().await;
    let admin = server.admin().await;
    let trace = "05".repeat(16);
    let asked = client::get("/panic").with("traceparent", format!("00-{trace}-b7ad6b7169203331-01"));
    assert_eq!(ask(server.addr(), asked).await.status, 500);
    let mut flags = Value::Null;
    eventually("the failure to be kept", async || {
        let answer = json(admin, &format!("/api/logs?trace_id={trace}")).await;
        let of_resources = answer["resourceLogs"].as_array().unwrap();
        let scopes = of_resources.iter().flat_map(|resource| resource["scopeLogs"].as_array().unwrap());
        let own = scopes.filter(|scope| scope["scope"]["name"] == "pounce");
        let mut records = own.flat_map(|scope| scope["logRecords"].as_array().unwrap());
        let failure = records.find(|record| record["severityText"] == "WARN");
        flags = failure.map(|record| record["flags"].clone()).unwrap_or_default();
        failure.is_some()
    })
    .await;
    assert_eq!(flags, 1);
}

/// Body, severity and the number of records of a trace.
async fn logs(admin: SocketAddr, trace: &str) -> Vec<(String, String)> {
    let answer = json(admin, &format!("/api/logs?trace_id={trace}")).await;
    let of_resources = answer["resourceLogs"].as_array().unwrap();
    let scopes = of_resources.iter().flat_map(|resource| resource["scopeLogs"].as_array().unwrap());
    let records = scopes.flat_map(|scope| scope["logRecords"].as_array().unwrap());
    let mut found: Vec<_> = records
        .map(|record| {
            let body = record["body"]["stringValue"].as_str().unwrap().to_owned();
            (body, record["severityText"].as_str().unwrap().to_owned())
        })
        .collect();
    found.sort();
    found
}

fn said(all: &[(&str, &str)]) -> Vec<(String, String)> {
    all.iter().map(|(body, severity)| ((*body).to_owned(), (*severity).to_owned())).collect()
}

#[tokio::test]
async fn log_records_and_output_are_kept_beside_their_trace_whether_exported_or_not() {
    for is_exported in [false, true] {
        let collector = Collector::start().await;
        let server = with_admin()
            .guest(Abi::P3, "attributes")
            .arg(Abi::P2.guest("stdio"))
            .flag("--route", "/deeds=attributes-p3")
            .flag("--route", "/lines=stdio");
        let mut server = if is_exported { server.traced(&collector) } else { server }.start().await;
        let admin = server.admin().await;
        let [one, other, lines] = ["01", "02", "03"].map(|digits| digits.repeat(16));
        for (trace, path) in [
            (&one, "/deeds?log.info=first&log.error=worse"),
            (&other, "/deeds?log.warn=other"),
            (&lines, "/lines?lines=1&only=stderr"),
        ] {
            let parent = format!("00-{trace}-b7ad6b7169203331-01");
            let asked = client::get(path).with("traceparent", parent);
            assert_eq!(ask(server.addr(), asked).await.status, 200);
        }
        assert_eq!(logs(admin, &one).await, said(&[("first", "INFO"), ("worse", "ERROR")]), "{is_exported}");
        assert_eq!(logs(admin, &other).await, said(&[("other", "WARN")]), "{is_exported}");
        assert_eq!(logs(admin, &lines).await, said(&[("line 1", "ERROR")]), "{is_exported}");
        assert!(logs(admin, &"04".repeat(16)).await.is_empty());
        // Each in the span that it belongs to, and in the resource of its component.
        let answer = json(admin, &format!("/api/logs?trace_id={lines}")).await;
        let of_resource = &answer["resourceLogs"][0];
        let resource = of_resource["resource"]["attributes"].to_string();
        assert!(resource.contains("\"stdio\""), "{resource}");
        let span_id = of_resource["scopeLogs"][0]["logRecords"][0]["spanId"].as_str().unwrap().to_owned();
        eventually("the span to end", async || {
            let trace = json(admin, &format!("/api/traces?trace_id={lines}")).await;
            trace.to_string().contains(&format!("\"spanId\":\"{span_id}\""))
        })
        .await;
        let telemetry = json(admin, "/status").await["telemetry"].clone();
        assert_eq!(
            telemetry["logs"].is_null(),
            !is_exported,
            "they are kept, which is no export: {telemetry}"
        );
        assert!(telemetry["recent_traces"]["log_bytes"].as_u64().unwrap() > 0);
        for query in ["", "?trace_id=xyz", "?trace_id=", "?limit=1"] {
            assert_eq!(client::fetch_path(admin, &format!("/api/logs{query}")).await.status, 400, "{query}");
        }
    }
}

/// A request that is not sampled has no trace to be looked at, and its records push out nobody's.
#[tokio::test]
async fn log_records_of_requests_that_are_not_sampled_are_not_kept() {
    let server = with_admin().guest(Abi::P2, "attributes").arg(Abi::P2.guest("trap"));
    let routes = ["/deeds=attributes", "/panic=trap"];
    let server = routes.into_iter().fold(server, |server, route| server.flag("--route", route));
    let mut server = server.flag("--otel-sample", 0).start().await;
    let admin = server.admin().await;
    let answer = client::fetch_path(server.addr(), "/deeds?log.error=unseen").await;
    assert!(answer.text().contains("\"is_recording\":false"), "{}", answer.text());
    server.logged(&["unseen"]).await;
    assert_eq!(client::fetch_path(server.addr(), "/panic").await.status, 500);
    server.logged(&["WARN", "panicked at"]).await;
    assert_eq!(json(admin, "/status").await["telemetry"]["recent_traces"]["log_bytes"], 0);
}
