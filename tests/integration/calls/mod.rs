//! CLIENT spans: one for each outgoing request of a guest, by what became of it, and what the origin was told.

use crate::support::client::{self, WithHeader};
use crate::support::exit::Exit;
use crate::support::pounce::{Builder, Pounce};
use crate::support::span::Span;
use crate::support::{Abi, Collector, Protocol, pounce};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::Value as Json;

/// What a span says of each way in which a call can fail.
mod failed;
/// Whose child a call is, and what the origin is told.
mod parents;
/// What a span says of each answer.
mod said;

/// The trace of the requests of these tests.
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
/// The caller's span in it.
const CALLER: &str = "b7ad6b7169203331";

/// A server whose guest may call any port of this machine.
fn guest(abi: Abi) -> Builder {
    ["http://127.0.0.1:*", "http://localhost:*", "https://localhost:*", "http://no-such-host.invalid:*"]
        .into_iter()
        .fold(pounce().guest(abi, "calls"), |builder, host| builder.flag("--allow-outbound", host))
}

/// What one request came to.
struct Made {
    /// What the guest saw.
    seen: Json,
    /// All spans, in order of their start.
    spans: Vec<Span>,
    exit: Exit,
}

/// Has the guest call `urls` as `more` says, in a request of [`TRACE`] with `flags`.
async fn call_with(builder: Builder, urls: &[&str], more: &str, flags: &str) -> Made {
    let collector = Collector::start().await;
    let server = builder.traced(&collector).start().await;
    let seen = ask(&server, urls, more, flags).await;
    let exit = server.stop().await;
    Made { seen, spans: collector.received(), exit }
}

/// Has a guest call these URLs for a caller that samples.
async fn call(abi: Abi, urls: &[&str], more: &str) -> Made {
    call_with(guest(abi), urls, more, "01").await
}

async fn ask(server: &Pounce, urls: &[&str], more: &str, flags: &str) -> Json {
    let answer = client::fetch(server.addr(), Protocol::H1, asking(urls, more, flags)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    serde_json::from_slice(&answer.body).unwrap()
}

fn asking(urls: &[&str], more: &str, flags: &str) -> http::Request<client::Body> {
    let urls: Vec<_> = urls.iter().map(|url| format!("url={}", escaped(url))).collect();
    let path = format!("/calls?{}&{more}", urls.join("&"));
    client::get(&path).with("traceparent", format!("00-{TRACE}-{CALLER}-{flags}"))
}

/// `text` as the value of a query parameter.
fn escaped(text: &str) -> String {
    text.replace('%', "%25").replace('&', "%26").replace('=', "%3D").replace('+', "%2B").replace('#', "%23")
}

impl Made {
    /// The CLIENT spans, in order of their start.
    fn calls(&self) -> Vec<&Span> {
        self.spans.iter().filter(|span| span.kind == SpanKind::Client).collect()
    }

    /// The one CLIENT span.
    fn call(&self) -> &Span {
        let calls = self.calls();
        assert_eq!(calls.len(), 1, "{calls:?}");
        calls[0]
    }

    /// The request's span.
    fn server(&self) -> &Span {
        self.spans.iter().find(|span| span.kind == SpanKind::Server).expect("the server span")
    }

    /// The name of the error that call `n` ended with, as the guest saw it.
    fn error(&self, n: usize) -> &str {
        self.seen["results"][n]["error"].as_str().unwrap_or_else(|| panic!("an error: {}", self.seen))
    }
}

/// The legacy names of what is known before an answer, as lines of exact attributes.
fn legacy(url: &str, host: &str, port: u16) -> String {
    format!(
        "http.method = \"GET\"
         http.url = {url:?}
         net.peer.name = {host:?}
         net.peer.port = {port}\n"
    )
}

/// `00-TRACE-SPAN-FLAGS` in its parts.
fn parts(traceparent: &str) -> [&str; 4] {
    traceparent.split('-').collect::<Vec<_>>().try_into().expect("four parts")
}
