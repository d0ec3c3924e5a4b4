//! Trace context and baggage through the real server: what a caller sends, what the origin of a guest's call receives.

/// B3 in and out, beside W3C.
mod b3;
/// Baggage: carried on, read and added to by guests, limits.
mod baggage;
/// `otel.propagate-to`.
mod destinations;
/// `otel.trust-parent`.
mod trust;
/// The obligations of W3C Trace Context level 2, as a table.
mod w3c;

use crate::support::client::{self, WithHeader};
use crate::support::origin::Origin;
use crate::support::pounce::{Builder, Pounce};
use crate::support::server::Arrived;
use crate::support::{Abi, Protocol, pounce};
use serde_json::{Value, json};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// The headers of a request.
type Headers<'a> = &'a [(&'static str, &'a str)];

/// The guest that makes calls, allowed to call this origin.
fn relay(abi: Abi, origin: &Origin) -> Builder {
    pounce().guest(abi, "relay").flag("--allow-outbound", format!("http://{}", origin.addr()))
}

/// Has the guest call the origin once; what arrived there. `call` may add to what the guest is told.
async fn through(server: &Pounce, origin: &Origin, brought: Headers<'_>, call: Value) -> Arrived {
    let before = origin.arrived().len();
    assert_eq!(told(server, origin, brought, call).await, json!([{ "status": 200 }]));
    let arrived = origin.arrived();
    assert_eq!(arrived.len(), before + 1);
    arrived[before].clone()
}

/// Has the guest make this call, and gives what it says of it.
async fn told(server: &Pounce, origin: &Origin, brought: Headers<'_>, mut call: Value) -> Value {
    call["url"] = json!(origin.url("/"));
    call["arguments"] = json!(1);
    let request = client::post("/", json!([call]).to_string());
    let request = brought.iter().fold(request, |request, (name, value)| request.with(name, value));
    let answer = client::fetch(server.addr(), Protocol::H1, request).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    serde_json::from_slice(&answer.body).unwrap()
}

/// Trace id, span id and flags of the one `traceparent` that arrived, which must be right.
fn sent_parent(arrived: &Arrived) -> (String, String, String) {
    let [sent] = arrived.values("traceparent")[..] else {
        panic!("one traceparent should have arrived: {:?}", arrived.headers)
    };
    let hex = |text: &str, digits| {
        text.len() == digits && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let parts: Vec<&str> = sent.split('-').collect();
    let [version, trace, span, flags] = parts[..] else { panic!("{sent}") };
    assert!(version == "00" && hex(trace, 32) && hex(span, 16) && hex(flags, 2), "{sent}");
    assert!(trace != "0".repeat(32) && span != "0".repeat(16), "{sent}");
    (trace.to_owned(), span.to_owned(), flags.to_owned())
}
