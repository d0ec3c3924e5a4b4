//! What an OpenTelemetry SDK inside a guest hands over by `wasi:otel`: a stock one (`/traces`), and calls that a test
//! spells out (`/raw`). Each of the rules for a host has its test here.

use crate::support::client::{self, Answer};
use crate::support::pounce::Pounce;
use crate::support::{Protocol, within};
use serde_json::Value as Json;

/// What no SDK would hand over.
mod hostile;
/// Metrics on `/metrics`.
mod pages;
/// Where spans belong, what stands of them, and when.
mod rules;
/// A stock SDK.
mod sdk;
/// Its metrics and log records.
mod signals;

/// Has the guest do `path` and reads its answer.
async fn ask(server: &Pounce, path: &str) -> Json {
    ask_with(server, client::get(path)).await
}

async fn ask_with(server: &Pounce, request: http::Request<client::Body>) -> Json {
    let target = request.uri().to_string();
    let answer: Answer = within(&target, client::fetch(server.addr(), Protocol::H1, request)).await;
    assert!(answer.status == 200 && answer.error.is_none(), "{target}: {answer:?}");
    serde_json::from_slice(&answer.body).expect("JSON")
}

/// The path at which the guest does these steps (see the guest's `raw.rs`).
fn raw(steps: &Json) -> String {
    format!("/raw?do={}", encoded(steps))
}

fn encoded(steps: &Json) -> String {
    let mut text = String::new();
    for byte in steps.to_string().bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => text.push(byte.into()),
            other => text.push_str(&format!("%{other:02x}")),
        }
    }
    text
}
