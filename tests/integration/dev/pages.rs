//! What a client gets of a request that failed: everything under `pounce dev`, nothing of it under `pounce serve`.

use super::{put, traces};
use crate::support::client::{self, WithHeader};
use crate::support::{Abi, Protocol, eventually, for_both_abis, pounce};
use serde_json::Value;

const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

for_both_abis!(
    a_browser_sees_why_its_request_failed,
    other_clients_get_the_same_as_text_or_json,
    who_is_served_is_told_nothing,
);

async fn a_browser_sees_why_its_request_failed(abi: Abi) {
    let mut server = pounce().dev().guest(abi, "trap").start().await;
    let admin = server.admin().await;
    for protocol in Protocol::BOTH {
        let request = client::get("/panic?a=b").with("accept", BROWSER);
        let answer = client::fetch(server.addr(), protocol, request).await;
        assert_eq!(answer.status, 500);
        assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
        let page = answer.text();
        for part in [
            "GET /panic · 500 Internal Server Error",
            "the guest panicked on purpose",
            "wasm_trap.unreachable",
            "<h2>Backtrace of the guest</h2>",
            // Its own function, by the name section.
            "kinds::fail",
            "<h2>Output of the guest</h2>",
            "<span class=\"err\">thread",
        ] {
            assert!(page.contains(part), "{part:?} is not in\n{page}");
        }
        let link = page.split("<a href=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a link");
        let trace_id = link.strip_prefix(&format!("http://{admin}/traces/")).expect("to the viewer");
        let found = client::fetch_path(admin, &format!("/api/traces?trace_id={trace_id}")).await;
        assert!(found.text().contains("the guest panicked on purpose"), "{}", found.text());
    }
    // A request without a body to its answer has none either.
    let head = client::request(http::Method::HEAD, "/panic", client::empty()).with("accept", BROWSER);
    let answer = client::fetch(server.addr(), Protocol::H1, head).await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (500, 0));
    server.stop().await.expect(0, &[]);
}

async fn other_clients_get_the_same_as_text_or_json(abi: Abi) {
    let mut server = pounce().dev().guest(abi, "trap").start().await;
    let admin = server.admin().await;
    let answer = client::fetch_path(server.addr(), "/oob").await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (500, "text/plain; charset=utf-8"));
    let text = answer.text();
    assert!(text.starts_with("500 Internal Server Error\n\nwasm_trap.out_of_bounds: "), "{text}");
    for part in ["Backtrace of the guest:\n", &format!("Trace:\n  http://{admin}/traces/")] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    let request = client::get("/panic").with("accept", "application/json");
    let answer = client::fetch(server.addr(), Protocol::H1, request).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (500, "application/json"));
    let told: Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!(told["error"], "wasm_trap.unreachable");
    assert!(told["message"].as_str().is_some_and(|message| message.contains("on purpose")), "{told}");
    assert!(told["backtrace"].as_str().is_some_and(|trace| trace.contains("kinds::fail")), "{told}");
    assert_eq!(told["output"][0]["stream"], "stderr");
    // Also what the guest had no part in.
    let request = client::get("/x").with("accept", BROWSER);
    let routed = pounce().dev().guest(abi, "hello").flag("--route", format!("/only={}", abi.stem("hello")));
    let routed = routed.start().await;
    let answer = client::fetch(routed.addr(), Protocol::H1, request).await;
    assert_eq!(answer.status, 404);
    assert!(answer.text().contains("404 Not Found"), "{}", answer.text());
}

/// Names of functions, messages, traces: nothing of a guest is in a response of `pounce serve`, whatever is asked for.
async fn who_is_served_is_told_nothing(abi: Abi) {
    let server = pounce().command("serve").flag("--listen", "127.0.0.1:0").guest(abi, "trap").with_admin();
    let server = server.start().await;
    for accept in [BROWSER, "application/json", "*/*"] {
        let request = client::get("/panic").with("accept", accept);
        let answer = client::fetch(server.addr(), Protocol::H1, request).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (500, "Internal Server Error\n"));
        assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
    }
}

/// An exception of a language by its own name, and what it has printed before.
#[tokio::test]
async fn an_exception_is_told_by_its_own_name() {
    for stem in ["fails-js", "fails-py"] {
        let server = pounce().dev().component(crate::support::guest::built(stem)).start().await;
        let request = client::get("/before?id=7").with("accept", BROWSER);
        let answer = client::fetch(server.addr(), Protocol::H1, request).await;
        assert_eq!(answer.status, 500, "{stem}");
        for part in ["Mistake", "before", "<h2>Backtrace of the guest</h2>"] {
            assert!(answer.text().contains(part), "{stem}: {part:?} is not in\n{}", answer.text());
        }
    }
}

/// While a newer component cannot be served, pages say so: what answers is not what was written last.
#[tokio::test]
async fn a_page_says_that_a_newer_component_is_not_served() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("app.wasm");
    put(Abi::P2.guest("trap"), &path);
    let mut server = pounce().dev().component(&path).start().await;
    let page = async |addr| client::fetch_path(addr, "/panic").await.text().to_owned();
    assert!(!page(server.addr()).await.contains("A newer component is not served"));
    std::fs::write(&path, b"\0asm\x01\0\0\0").expect("written");
    server.logged(&["not reloaded", "core module"]).await;
    let told = page(server.addr()).await;
    assert!(told.contains("A newer component is not served:\n") && told.contains("core module"), "{told}");
    assert!(told.contains("the guest panicked on purpose"), "the last good one still answers: {told}");
    put(Abi::P2.guest("hello"), &path);
    eventually("the mended component to be served", async || {
        client::fetch_path(server.addr(), "/").await.status == 200
    })
    .await;
}

/// Without an endpoint, and whatever the caller has decided: every request is a trace that can be looked at.
#[tokio::test]
async fn every_request_is_traced() {
    let mut server = pounce().dev().guest(Abi::P2, "hello").start().await;
    let trace_id = "0af7651916cd43dd8448eb211c80319c";
    let unsampled = format!("00-{trace_id}-b7ad6b7169203331-00");
    client::fetch(server.addr(), Protocol::H1, client::get("/a").with("traceparent", unsampled)).await;
    client::fetch_path(server.addr(), "/b").await;
    eventually("both traces", async || {
        let traces = traces(&mut server).await.to_string();
        traces.contains(trace_id) && traces.contains("GET /a") && traces.contains("GET /b")
    })
    .await;
    // Each is a line of the log as well, which is JSON in a pipe.
    let line = server.logged(&["access", "\"/a\""]).await;
    let line: Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!((&line["trace_id"], &line["status"]), (&trace_id.into(), &200.into()));
}
