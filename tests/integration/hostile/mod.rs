//! Guests that tell their host more, and worse, than anybody would want to hear: they are answered, everybody else is
//! served as ever, limits hold, and what was dropped is counted.

use crate::support::client::{self, WithHeader};
use crate::support::exit::Exit;
use crate::support::pounce::{Builder, Pounce};
use crate::support::span::Span;
use crate::support::{Abi, Collector, Protocol, pounce};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

/// Memory, handles and time.
mod bounds;
/// What leaves: headers, and names without number.
mod headers;
/// Limits of spans, and the counts of what was over them.
mod limits;
/// All that a guest can say wrong.
mod nonsense;

/// Everything that a guest of these tests may take for one request on a loaded machine.
const TIME: &str = "50s";

fn guest(abi: Abi) -> Builder {
    pounce().guest(abi, "hostile").flag("--request-timeout", TIME)
}

/// What a deed came to.
struct Done {
    /// Spans of the request that did it.
    spans: Vec<Span>,
    exit: Exit,
}

/// Has a guest do `path`, then serves somebody else, who must not notice.
async fn deed(abi: Abi, path: &str) -> Done {
    deed_at(guest(abi), path).await
}

/// Has the guest of this server do `path`, and serves somebody else.
async fn deed_at(server: Builder, path: &str) -> Done {
    let collector = Collector::start().await;
    let server = server.env("OTEL_BSP_MAX_QUEUE_SIZE", 10_000).traced(&collector).start().await;
    perform(&server, path, trace_id(0)).await;
    somebody_else(&server, trace_id(1)).await;
    let exit = server.stop().await;
    exit.expect(0, &[]);
    let (spans, others): (Vec<_>, Vec<_>) =
        collector.received().into_iter().partition(|span| span.trace_id == trace_id(0));
    expect_unaffected(&others);
    let totals = exit.totals();
    assert_eq!((totals.ended, totals.exported), (spans.len() + 1, spans.len() + 1), "{exit}");
    Done { spans, exit }
}

/// A request that is answered 200, whatever it did.
async fn perform(server: &Pounce, path: &str, trace_id: String) {
    let request = client::get(path).with("traceparent", format!("00-{trace_id}-{:016x}-01", 1));
    let answer = client::fetch(server.addr(), Protocol::H1, request).await;
    let did = path.split('?').next().unwrap_or_default();
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    assert!(answer.text().contains(&format!("{did:?}")), "{path}: {answer:?}");
}

/// A request that does nothing wrong.
async fn somebody_else(server: &Pounce, trace_id: String) {
    perform(server, "/routes?v=/fine", trace_id).await;
}

/// Fails unless `spans` are the span of [`somebody_else`], as if nothing had been.
fn expect_unaffected(spans: &[Span]) {
    let [span] = spans else { panic!("one span and not {spans:?}") };
    assert_eq!((span.name.as_str(), span.text("http.route")), ("GET /fine", "/fine"));
    assert_eq!((span.kind, span.int("http.response.status_code")), (SpanKind::Server, Some(200)));
    assert_eq!((span.events.len(), span.links.len(), span.failed()), (0, 0, false));
    assert_eq!((span.dropped_attributes, span.dropped_events, span.dropped_links), (0, 0, 0));
    let known = |key: &&String| {
        ["http.", "url.", "server.", "network.", "client.", "pounce.", "net."]
            .iter()
            .any(|of| key.starts_with(of))
    };
    let strange: Vec<_> = span.attributes.keys().filter(|key| !known(key)).collect();
    assert!(strange.is_empty(), "{strange:?}");
}

fn trace_id(n: usize) -> String {
    format!("{:032x}", 0xabc0_0000 + n)
}

impl Done {
    fn server(&self) -> &Span {
        let of_server = |span: &&Span| span.attributes.contains_key("url.scheme");
        self.spans.iter().find(of_server).expect("the server span")
    }

    /// The guest's spans whose names begin so.
    fn own(&self, name: &str) -> Vec<&Span> {
        let own = |span: &&Span| span.name.starts_with(name) && !span.attributes.contains_key("url.scheme");
        self.spans.iter().filter(own).collect()
    }

    /// The count that was said at exit of what a line with `what` names; 0 when nothing was.
    fn said(&self, what: &str) -> u64 {
        said(&self.exit, what)
    }
}

fn said(exit: &Exit, what: &str) -> u64 {
    let Some(line) = exit.stderr.lines().find(|line| line.contains(what)) else { return 0 };
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    line["count"].as_u64().unwrap_or_else(|| panic!("a count in {line}"))
}
