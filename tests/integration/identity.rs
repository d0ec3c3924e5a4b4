//! Nothing on the wrong trace: 64 requests at once in instances that serve 16 each, all of them setting attributes,
//! opening spans, calling out, logging, going on after their response, and now and then panicking.
//!
//! `POUNCE_IDENTITY=SECONDS` goes on with random seeds for so long (`make identity`).

use crate::support::attributes::Value as Attribute;
use crate::support::client::{self, Connection, WithHeader};
use crate::support::origin::Origin;
use crate::support::pounce::Builder;
use crate::support::server::Arrived;
use crate::support::span::Span;
use crate::support::{Abi, Collector, Protocol, eventually, pounce};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

/// Requests under way at once.
const AT_ONCE: u64 = 64;
const STEPS: u64 = 3;
const BRANCHES: u64 = 3;

/// The trace of request `n`.
fn trace_id(n: u64) -> String {
    format!("{:032x}", 0x1d00_0000_0000 + n)
}

fn number(trace_id: &str) -> u64 {
    u64::from_str_radix(trace_id, 16).expect("hex") - 0x1d00_0000_0000
}

/// What one request of a round asks of the guest.
fn path(n: u64, seed: u64, origin: &Origin) -> String {
    let mut path = format!(
        "/work?id={n}&seed={}&steps={STEPS}&origin={}&log&metrics",
        seed.wrapping_add(n),
        origin.url("/")
    );
    // Scopes held across waits, or entered for each poll; the latter alone is right for branches in turns.
    if n.is_multiple_of(2) {
        path.push_str(&format!("&poll&join={BRANCHES}"));
    }
    if n % 4 == 1 {
        path.push_str("&after=10");
    }
    if n % 8 == 3 {
        path.push_str("&leave-open");
    }
    if panics(n, seed) {
        path.push_str("&panic");
    }
    path
}

/// With seed 0 nobody does.
fn panics(n: u64, seed: u64) -> bool {
    seed != 0 && (n ^ seed) % 61 == 7
}

struct Round {
    collector: Collector,
    origin: Origin,
    answers: BTreeMap<u64, (u16, String)>,
    /// What was said at exit.
    log: String,
    seed: u64,
}

/// One server, `waves` times all requests at once.
async fn round(flags: &[(&str, &str)], seed: u64, waves: u64) -> Round {
    round_of(pounce(), flags, seed, waves).await
}

/// Starts this server, and sends it all requests at once `waves` times.
async fn round_of(server: Builder, flags: &[(&str, &str)], seed: u64, waves: u64) -> Round {
    let collector = Collector::start().await;
    let origin = Origin::answering(200).await;
    let builder = server
        .guest(Abi::P3, "weave")
        .flag("--allow-outbound", format!("http://{}", origin.addr()))
        // What is told by a request that ran twice is there twice.
        .flag("--retry-neighbours", "off")
        .env("OTEL_BSP_MAX_QUEUE_SIZE", 100_000)
        .traced(&collector);
    let server = flags.iter().fold(builder, |builder, (name, value)| builder.flag(name, value)).start().await;
    let mut connection = Connection::open(server.addr(), Protocol::H2).await;
    let mut answers = BTreeMap::new();
    for wave in 0..waves {
        let started: Vec<_> = (0..AT_ONCE)
            .map(|n| {
                let n = wave * AT_ONCE + n;
                let request = client::get(&path(n, seed, &origin))
                    .with("traceparent", format!("00-{}-{:016x}-01", trace_id(n), n + 1));
                (n, tokio::spawn(connection.start(request)))
            })
            .collect();
        for (n, response) in started {
            let answer = client::Answer::read(response.await.unwrap().expect("a response")).await;
            // A neighbour's panic may cut a response that has begun.
            let answer = match answer.error {
                Some(_) => (0, String::new()),
                None => (answer.status.as_u16(), answer.text().to_owned()),
            };
            answers.insert(n, answer);
        }
    }
    drop(connection);
    // Work after the response is the last to end.
    eventually("work after the responses", async || {
        let spans = collector.received();
        answers.iter().filter(|(n, answer)| *n % 4 == 1 && answer.0 == 200).all(|(n, _)| {
            let after = format!("after {n}");
            spans.iter().any(|span| span.name == after)
        })
    })
    .await;
    let exit = server.stop().await;
    exit.expect(0, &[]);
    Round { collector, origin, answers, log: exit.stderr, seed }
}

impl Round {
    /// Whatever has arrived anywhere is where it belongs.
    fn check(&self) {
        let spans = self.collector.received();
        let by_id: HashMap<_, _> = spans.iter().map(|span| (span.span_id.as_str(), span)).collect();
        assert_eq!(by_id.len(), spans.len(), "span ids are unique");
        for span in &spans {
            self.check_span(span, &by_id);
        }
        let whole = self.answers.iter().filter(|(_, (status, _))| *status == 200);
        for (n, (_, body)) in whole {
            self.check_answer(*n, body, &spans);
        }
        let failed: Vec<_> =
            self.answers.iter().filter(|(_, (status, _))| *status != 200).map(|(n, _)| *n).collect();
        for n in &failed {
            let server = self.server_span(*n, &spans);
            let error = server.text("error.type");
            let own = panics(*n, self.seed);
            let expected = if own { "wasm_trap.unreachable" } else { "worker_failed" };
            // Two that panic in one instance: the first takes the second along.
            assert!(error == expected || (own && error == "worker_failed"), "request {n}: {error}");
        }
        for n in (0..self.answers.len() as u64).filter(|n| panics(*n, self.seed)) {
            assert!(failed.contains(&n), "request {n} was to panic");
        }
        for arrived in self.origin.arrived() {
            self.check_call(&arrived, &by_id);
        }
        let unattributed: Vec<_> =
            self.log.lines().filter(|line| line.contains("without a current request")).collect();
        assert!(unattributed.is_empty(), "{unattributed:?}");
        for line in self.log.lines().filter(|line| line.contains("\"step\"") && line.contains("guest")) {
            let line: Value = serde_json::from_str(line).expect("JSON");
            let trace = line["trace_id"].as_str().expect("a log record has its trace");
            assert!(line.to_string().contains(&format!("{}", number(trace))), "{line}");
        }
    }

    fn server_span<'a>(&self, n: u64, spans: &'a [Span]) -> &'a Span {
        let mut found =
            spans.iter().filter(|span| span.kind == SpanKind::Server && span.trace_id == trace_id(n));
        let span = found.next().unwrap_or_else(|| panic!("no span of request {n}"));
        assert!(found.next().is_none(), "two spans of request {n}");
        span
    }

    /// Every attribute, event, name and parent is of the request whose trace it is on.
    fn check_span(&self, span: &Span, by_id: &HashMap<&str, &Span>) {
        let n = number(&span.trace_id);
        let mine = Attribute::Int(n as i64);
        let of_guest = |key: &str| matches!(key, "id" | "handle" | "after") || key.starts_with("step.");
        for (key, value) in span.attributes.iter().filter(|(key, _)| of_guest(key)) {
            assert_eq!(*value, mine, "{key} on {:?} of request {n}", span.name);
        }
        for event in span.events.iter().filter(|event| event.attributes.contains_key("id")) {
            assert_eq!(event.attributes["id"], mine, "{} on {:?} of request {n}", event.name, span.name);
        }
        if span.kind == SpanKind::Server {
            assert_eq!(span.parent, format!("{:016x}", n + 1));
            return;
        }
        // A guest's parent may be lost with an instance that traps only if it was never to be exported.
        let parent = by_id
            .get(span.parent.as_str())
            .unwrap_or_else(|| panic!("{:?} of request {n} has a parent that never came", span.name));
        assert_eq!(parent.trace_id, span.trace_id, "{:?} hangs in another trace", span.name);
        let expected = match span.name.split([' ', '.']).collect::<Vec<_>>()[..] {
            ["outer" | "after" | "open", id] => {
                assert_eq!(id, n.to_string(), "{:?}", span.name);
                assert_eq!(parent.kind, SpanKind::Server, "{:?} under {:?}", span.name, parent.name);
                return;
            }
            ["inner", id] => (id, format!("outer {n}")),
            ["branch", id, _] => (id, format!("inner {n}")),
            ["GET"] => {
                let owners = ["inner ", "branch ", "after "];
                assert!(
                    owners.iter().any(|owner| parent.name.starts_with(owner)),
                    "a call under {:?}",
                    parent.name
                );
                return;
            }
            _ => panic!("an unexpected span {:?}", span.name),
        };
        assert_eq!((expected.0, &expected.1), (&*n.to_string(), &parent.name), "{:?}", span.name);
    }

    /// What the guest saw was always its own, and all of its work is there.
    fn check_answer(&self, n: u64, body: &str, spans: &[Span]) {
        let answer: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body}"));
        assert_eq!(answer["ok"], true, "{body}");
        assert_eq!((answer["id"].as_u64(), answer["trace_id"].as_str()), (Some(n), Some(&*trace_id(n))));
        let server = self.server_span(n, spans);
        assert_eq!(answer["span_id"], server.span_id);
        let steps = server.attributes.keys().filter(|key| key.starts_with("step.")).count() as u64;
        assert_eq!((steps, server.events.len() as u64), (2 * STEPS, STEPS), "request {n}");
        let names = |prefix: &str| {
            let of_request = spans.iter().filter(|span| span.trace_id == trace_id(n));
            of_request.filter(|span| span.name.starts_with(prefix)).count() as u64
        };
        let (branches, after) = (if n.is_multiple_of(2) { BRANCHES } else { 0 }, u64::from(n % 4 == 1));
        // A neighbour that panics after this one's response takes its further work along.
        let cut = spans.iter().any(|span| {
            span.name == format!("after {n}") && span.attributes.contains_key("pounce.incomplete")
        });
        let expected = [
            ("outer", 1),
            ("inner", 1),
            ("branch", branches),
            ("after", after),
            ("open", u64::from(n % 8 == 3)),
            ("GET", 1 + STEPS + branches + after),
        ];
        for (prefix, count) in expected {
            // The server span is a GET, too.
            let seen = names(prefix);
            let in_full = seen == count || (cut && prefix == "GET" && seen + 1 == count);
            assert!(in_full, "{seen} and not {count} {prefix} of request {n}");
        }
        let inner = spans.iter().find(|span| span.name == format!("inner {n}")).expect("inner");
        assert_eq!((answer["inner"].as_str(), inner.events.len() as u64), (Some(&*inner.span_id), STEPS));
    }

    /// An outgoing request carries the CLIENT span of the request that made it, under the span that was entered.
    fn check_call(&self, arrived: &Arrived, by_id: &HashMap<&str, &Span>) {
        let only = |name: &str| arrived.values(name).first().map(|value| (*value).to_owned());
        let n: u64 = only("x-id").expect("x-id").parse().expect("a number");
        let sent = only("traceparent").expect("a traceparent");
        let [_, trace, parent, _] = sent.split('-').collect::<Vec<_>>()[..] else { panic!("{sent}") };
        assert_eq!(trace, trace_id(n), "the call of request {n}");
        let client = by_id.get(parent).unwrap_or_else(|| panic!("no CLIENT span {parent} of request {n}"));
        assert_eq!((client.kind, client.trace_id.as_str()), (SpanKind::Client, trace));
        let owner = by_id[client.parent.as_str()];
        let expected = match (only("x-branch"), only("x-after")) {
            (Some(branch), _) => format!("branch {n}.{branch}"),
            (_, Some(_)) => format!("after {n}"),
            _ => format!("inner {n}"),
        };
        assert_eq!(owner.name, expected);
    }
}

/// Nobody panics: every request is answered, and everything of it is there.
#[tokio::test]
async fn interleaved_requests_keep_everything_to_themselves() {
    let round = round(&[], 0, 1).await;
    assert!(round.answers.values().all(|(status, _)| *status == 200), "{:?}", round.answers);
    round.check();
}

/// Some panic and take their neighbours along; what is left of those is right as well.
#[tokio::test]
async fn a_panic_puts_nothing_on_another_trace() {
    let round = round(&[], 5, 3).await;
    let failed = round.answers.values().filter(|(status, _)| *status != 200).count();
    assert!(failed > 0, "nobody panicked");
    round.check();
}

/// Each request has a store of its own.
#[tokio::test]
async fn a_store_for_each_request_keeps_them_apart_too() {
    round(&[("--isolation", "request")], 9, 1).await.check();
}

/// Whoever develops a guest sees each request's spans and output where they belong.
#[tokio::test]
async fn developers_see_nothing_on_the_wrong_trace_either() {
    let round = round_of(pounce().dev(), &[], 0, 1).await;
    assert!(round.answers.values().all(|(status, _)| *status == 200), "{:?}", round.answers);
    round.check();
}

/// Random seeds for a while; the seed of a failure is told.
#[tokio::test(flavor = "multi_thread")]
async fn soak() {
    let Some(seconds) = std::env::var("POUNCE_IDENTITY").ok().and_then(|text| text.parse().ok()) else {
        return;
    };
    let (start, mut rounds, mut requests, mut spans) = (Instant::now(), 0u64, 0, 0);
    while start.elapsed() < Duration::from_secs(seconds) {
        let seed = u64::from(std::process::id()).wrapping_mul(0x9e37_79b9).wrapping_add(rounds * 7919);
        println!("seed {seed}");
        let round = round(if rounds % 4 == 3 { &[("--reuse", "8")] } else { &[] }, seed, 8).await;
        round.check();
        (rounds, requests) = (rounds + 1, requests + round.answers.len());
        spans += round.collector.received().len();
    }
    println!("identity: {rounds} rounds, {requests} requests, {spans} spans, none on the wrong trace");
}
