//! What is exported of all that is served: requests kept although nobody sampled them, shares by route, limits of what
//! one span holds.

use crate::support::client::{self, WithHeader};
use crate::support::exit::Exit;
use crate::support::pounce::{Builder, Pounce};
use crate::support::span::Span;
use crate::support::{Collector, Protocol};

/// Requests that fail or are slow.
mod kept;
/// The variables of limits.
mod limits;
/// Shares by route.
mod routes;
/// What a share says of itself, and what becomes of what a caller says of its own.
mod told;

/// The trace of requests that carry one.
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
/// The caller's span in it.
const CALLER: &str = "b7ad6b7169203331";

/// Asks for `path` as somebody whose caller decided not to sample; gives status and body.
async fn ask_unsampled(server: &Pounce, path: &str) -> client::Answer {
    let request = client::get(path).with("traceparent", format!("00-{TRACE}-{CALLER}-00"));
    let request = request.with("tracestate", "ot=th:8");
    client::fetch(server.addr(), Protocol::H1, request).await
}

/// What came of one unsampled request, and how the server ended.
struct Served {
    answer: client::Answer,
    spans: Vec<Span>,
    exit: Exit,
}

/// The one unsampled request for `path`.
async fn serve_unsampled(builder: Builder, path: &str) -> Served {
    let collector = Collector::start().await;
    let server = builder.env("OTEL_BSP_MAX_QUEUE_SIZE", 10_000).traced(&collector).start().await;
    let answer = ask_unsampled(&server, path).await;
    let exit = server.stop().await;
    Served { answer, spans: collector.received(), exit }
}

impl Served {
    /// The request's span.
    fn server(&self) -> &Span {
        let of_server = |span: &&Span| span.attributes.contains_key("url.scheme");
        self.spans.iter().find(of_server).expect("the server span")
    }

    fn expect_nothing(&self) {
        expect_nothing(&self.spans, &self.exit);
    }
}

/// Fails unless nothing was exported, and nothing said to be lost.
fn expect_nothing(spans: &[Span], exit: &Exit) {
    assert!(spans.is_empty(), "{spans:?}");
    let said =
        |what: &str| exit.stderr.lines().any(|line| line.contains("\"count\":") && line.contains(what));
    assert!(!said("dropped") && !said("had ended"), "{exit}");
    assert!(!exit.stderr.contains("spans ended") || exit.totals().ended == 0, "{exit}");
}
