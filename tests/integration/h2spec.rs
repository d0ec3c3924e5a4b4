//! h2spec plays clients that break HTTP/2 in every way that it knows, and some that do not.

use crate::backend::tool;
use crate::support::{Abi, for_both_abis, pounce, within};
use std::process::Command;

for_both_abis!(all_cases_pass_but_those_named_here);

/// By section and number, and why it is as it is.
const FAIL: [(&str, &str); 1] = [(
    "3.5. HTTP/2 Connection Preface: 2: Sends invalid connection preface",
    // A connection that does not begin with HTTP/2's preface is one of HTTP/1.1, and gets a 400 in it.
    "both versions are spoken on one port, by prior knowledge",
)];

async fn all_cases_pass_but_those_named_here(abi: Abi) {
    let server = pounce().guest(abi, "hello").start().await;
    let mut h2spec = Command::new(tool("POUNCE_H2SPEC", "h2spec-2.2.1/h2spec"));
    let addr = server.addr();
    // Time for a server that is busy otherwise: what must not happen is waited for in a few cases only.
    h2spec.args(["--strict", "--timeout", "20", "--host", &addr.ip().to_string()]);
    h2spec.args(["--port", &addr.port().to_string()]);
    let run = tokio::task::spawn_blocking(move || h2spec.output());
    let output = within("h2spec", run).await.unwrap().expect("h2spec: run `make setup`");
    let said = String::from_utf8_lossy(&output.stdout);
    let failed = failures(&said);
    let named: Vec<_> = FAIL.iter().map(|(case, _)| (*case).to_owned()).collect();
    assert_eq!(failed, named, "{said}");
    let count = format!("146 tests, {} passed, 0 skipped, {} failed", 146 - FAIL.len(), FAIL.len());
    assert!(said.contains(&count), "{said}");
}

/// The cases that it lists as failed, each after the section that it belongs to.
fn failures(said: &str) -> Vec<String> {
    let Some((_, listed)) = said.split_once("Failures:") else { return Vec::new() };
    let mut section = "";
    let mut cases = Vec::new();
    for line in listed.lines().map(str::trim) {
        match line.strip_prefix("× ") {
            Some(case) => cases.push(format!("{section}: {case}")),
            None if line.starts_with(|first: char| first.is_ascii_digit()) => section = line,
            None => {}
        }
    }
    cases
}
