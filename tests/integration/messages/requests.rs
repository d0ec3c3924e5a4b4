//! What is said of requests that fail: to a developer on the terminal and in the response, to an operator in the log.

use super::{matches, settled};
use crate::support::client::{self, Connection};
use crate::support::guest::built;
use crate::support::pounce::Builder;
use crate::support::{Abi, Protocol, pounce};
use std::path::PathBuf;

/// A request, and what it has its guest do wrong.
struct Case {
    name: &'static str,
    component: PathBuf,
    flags: &'static [(&'static str, &'static str)],
    path: &'static str,
}

fn cases() -> Vec<Case> {
    let case = |name, stem: &str, path| Case { name, component: built(stem), flags: &[], path };
    let with = |flags, case| Case { flags, ..case };
    vec![
        case("a panic", "trap", "/panic"),
        case("a read beyond the memory", "trap", "/oob"),
        case("endless recursion", "trap", "/stack-overflow"),
        case("an exit", "trap", "/exit"),
        case("no response", "no-response", "/"),
        with(&[("--request-timeout", "200ms")], case("too slow", "busy-loop", "/")),
        with(&[("--max-memory", "64MiB")], case("out of memory", "hog-memory", "/?mib=100")),
        with(
            &[("--allow-outbound", "https://api.example.com")],
            case("a call that is not allowed", "calls", "/?url=http://other.example.com/"),
        ),
        case("an error code", "error-code", "/?code=connection-refused"),
        case("an exception of JavaScript", "fails-js", "/before?id=7"),
        case("an exception of Python", "fails-py", "/before?id=7"),
        with(&[("--route", "/shop=hello")], case("no route", "hello", "/shpo")),
    ]
}

/// What the log says of the request, and the response's body.
async fn said(builder: Builder, case: &Case) -> (String, String) {
    let builder =
        builder.component(&case.component).flag("--log-format", "text").flag("--listen", "127.0.0.1:0");
    let builder = case.flags.iter().fold(builder, |builder, (name, value)| builder.flag(name, value));
    let server = builder.without_listen().start().await;
    let mut connection = Connection::open(server.addr(), Protocol::H1).await;
    let answer = connection.fetch(client::get(case.path)).await;
    let exit = server.stop().await;
    // What a guest answers is its own.
    let body = if answer.status.as_u16() < 400 { "(the guest's)\n" } else { answer.text() };
    (exit.stderr, body.to_owned())
}

/// A backtrace is as long and as deep as the toolchain makes it: of its lines, those of the guest's own files are kept.
fn without_frames(text: &str) -> String {
    let mut out = String::new();
    let mut is_told = false;
    for line in text.lines() {
        let inner = line.trim_start();
        let is_frame = line.starts_with("  ")
            && (inner.split_once(": ").is_some_and(|(number, _)| number.parse::<u32>().is_ok())
                || inner.starts_with("at ")
                || inner.contains(" (inlined)"));
        if !is_frame {
            is_told = false;
            out.push_str(line);
            out.push('\n');
        } else if !is_told {
            is_told = true;
            out.push_str("    (frames of the guest)\n");
        }
    }
    out
}

#[tokio::test]
async fn a_developer_is_told_what_failed_and_what_to_do() {
    let mut all = String::new();
    for case in cases() {
        let (log, body) = said(pounce().dev(), &case).await;
        let lines = log.lines().skip_while(|line| !line.contains("traces are on")).skip(1);
        let lines = lines.take_while(|line| !line.starts_with("draining for"));
        let lines: String = lines.map(|line| format!("{line}\n")).collect();
        let told = format!("# {}\n## on the terminal\n{lines}## in the response\n{body}\n", case.name);
        all.push_str(&told);
    }
    matches("developer", &settled(&without_frames(&all)));
}

#[tokio::test]
async fn an_operator_is_told_what_failed_and_what_to_do() {
    let mut all = String::new();
    for case in cases() {
        let (log, body) = said(pounce().command("serve"), &case).await;
        let mut lines = String::new();
        let mut is_warning = false;
        for line in log.lines() {
            // What follows a line is set in.
            is_warning = line.contains(" WARN ")
                || line.contains(" ERROR ")
                || (is_warning && line.starts_with("    "));
            if is_warning {
                lines.push_str(line);
                lines.push('\n');
            }
        }
        all.push_str(&format!("# {}\n{lines}## in the response\n{body}\n", case.name));
    }
    matches("operator", &settled(&without_frames(&all)));
}

/// In a pipe the same is JSON, with what to do in a field.
#[tokio::test]
async fn a_machine_gets_the_same_as_json() {
    let mut server =
        pounce().command("serve").guest(Abi::P2, "trap").flag("--listen", "127.0.0.1:0").start().await;
    client::fetch_path(server.addr(), "/exit").await;
    let line = server.logged(&["wasm_trap.exit"]).await;
    let line: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    assert!(line["tip"].as_str().is_some_and(|tip| tip.contains("a handler does not exit")), "{line}");
}

/// An endpoint where nobody listens is told of once, with what to do; requests are served all the same.
#[tokio::test]
async fn an_endpoint_that_does_not_answer_is_explained() {
    let endpoint = format!("http://{}", crate::support::free_address());
    let server = pounce().command("serve").guest(Abi::P2, "hello").flag("--listen", "127.0.0.1:0");
    let server = server.flag("--log-format", "text").flag("--otel-endpoint", endpoint);
    let mut server = server.env("OTEL_BSP_SCHEDULE_DELAY", 50).start().await;
    assert_eq!(client::fetch_path(server.addr(), "/").await.status, 200);
    server.logged(&["WARN", "refused"]).await;
    let exit = server.stop().await;
    let lines = exit.stderr.lines().skip_while(|line| !line.contains(" WARN ")).take(2);
    matches("endpoint", &settled(&lines.map(|line| format!("{line}\n")).collect::<String>()));
}
