//! Spans of a guest's own, through `pounce:telemetry`: every case of `guests/spans/cases.rs`, as a backend sees it.

use crate::support::client::{self, WithHeader};
use crate::support::exit::Exit;
use crate::support::pounce::Builder;
use crate::support::span::{Span, tree};
use crate::support::{Abi, Collector, Protocol, pounce};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::Value as Json;

/// How spans end: left open, ended twice, used after their end.
mod ends;
/// Parents in other processes.
mod remote;
/// What a span says: kind, attributes, events, links, exceptions, status, name, times.
mod said;
/// Whose child a span is.
mod trees;
/// Requests that are not recorded, and servers without telemetry.
mod unrecorded;

/// The guest's fixed time, in nanoseconds of Unix time: in 2023, before any request of these tests.
const T: u64 = 1_700_000_000_000_000_000;
/// The span elsewhere that the guest names.
const REMOTE: (&str, &str) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
/// How long before its request a span may say that it began, in nanoseconds.
const START_BEFORE: u64 = 1_000_000_000;

/// What one request came to.
struct Case {
    /// What the guest saw.
    seen: Json,
    /// The spans of the request's trace, the server span among them.
    spans: Vec<Span>,
}

/// The spans of all requests, and the end of the server.
struct Session {
    cases: Vec<Case>,
    /// Spans of other traces.
    elsewhere: Vec<Span>,
    exit: Exit,
}

/// Asks the guest for each of `paths`, in order; request N has a trace of its own, with `flags`.
async fn session(builder: Builder, paths: &[&str], flags: &str) -> Session {
    let collector = Collector::start().await;
    let server = builder.traced(&collector).start().await;
    let mut answers = Vec::new();
    for (n, path) in paths.iter().enumerate() {
        let traceparent = format!("00-{}-{:016x}-{flags}", trace_id(n), n + 1);
        let request = client::get(path).with("traceparent", traceparent);
        let answer = client::fetch(server.addr(), Protocol::H1, request).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answers.push(serde_json::from_slice(&answer.body).unwrap());
    }
    let exit = server.stop().await;
    let mut elsewhere = collector.received();
    let cases = answers.into_iter().enumerate().map(|(n, seen)| {
        let (spans, others) = elsewhere.drain(..).partition(|span| span.trace_id == trace_id(n));
        elsewhere = others;
        Case { seen, spans }
    });
    let cases = cases.collect();
    Session { cases, elsewhere, exit }
}

/// The one case of a sampled request on a server of its own.
async fn case(abi: Abi, path: &str) -> Case {
    let mut session = session(guest(abi), &[path], "01").await;
    session.exit.expect(0, &[]);
    assert_eq!(session.elsewhere.len(), 0, "{:?}", session.elsewhere);
    session.cases.remove(0)
}

fn guest(abi: Abi) -> Builder {
    pounce().guest(abi, "spans")
}

/// The trace of request `n`.
fn trace_id(n: usize) -> String {
    format!("{:032x}", 0xabc0_0000 + n)
}

impl Case {
    /// The span of this name, which must be there once.
    fn span(&self, name: &str) -> &Span {
        let mut found = self.spans.iter().filter(|span| span.name == name);
        match (found.next(), found.next()) {
            (Some(span), None) => span,
            _ => panic!("one span {name:?} should be there:\n{}", tree(&self.spans)),
        }
    }

    /// The request's span.
    fn server(&self) -> &Span {
        let of_server =
            |span: &&Span| span.kind == SpanKind::Server && span.attributes.contains_key("url.scheme");
        self.spans.iter().find(of_server).expect("the server span")
    }

    /// What the guest's span said of itself when it was started.
    fn seen(&self, name: &str) -> &Json {
        let spans = self.seen["spans"].as_array().expect("a list");
        spans.iter().find(|span| span["name"] == name).unwrap_or_else(|| panic!("no {name:?} in {spans:?}"))
    }

    /// Fails unless the spans are this tree, line by line, the server span's line left out.
    fn expect_tree(&self, expected: &str) {
        let tree = tree(&self.spans);
        let mut lines = tree.lines();
        assert!(
            lines.next().is_some_and(|line| line.starts_with("Server GET /") && line.ends_with(" <remote>"))
        );
        let under: Vec<_> = lines.map(|line| line.strip_prefix("  ").unwrap_or(line)).collect();
        let expected: Vec<_> =
            expected.lines().map(str::trim_end).filter(|line| !line.trim().is_empty()).collect();
        let margin =
            expected.iter().map(|line| line.len() - line.trim_start().len()).min().unwrap_or_default();
        let expected: Vec<_> = expected.iter().map(|line| &line[margin..]).collect();
        assert_eq!(under, expected, "\n{tree}");
    }
}
