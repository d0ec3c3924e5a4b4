//! Components composed of several: an instance for each request unless the operator says otherwise, and then nothing on the
//! wrong trace.

use crate::support::attributes::Value as Attribute;
use crate::support::client::{self, Connection, WithHeader};
use crate::support::exit::Exit;
use crate::support::guest::fixture;
use crate::support::origin::Origin;
use crate::support::pounce::Pounce;
use crate::support::span::Span;
use crate::support::{Abi, Collector, Protocol, eventually, pounce};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use std::collections::HashMap;

/// Requests under way at once, and what their inner components go on to do.
const ORPHANS: u64 = 16;

/// The trace of request `n`.
fn trace_id(n: u64) -> String {
    format!("{:032x}", 0xc0_0000_0000 + n)
}

fn number(trace_id: &str) -> u64 {
    u64::from_str_radix(trace_id, 16).expect("hex") - 0xc0_0000_0000
}

/// Composed components: one calls the other and exits while that works on. Ids of tasks come again, so such a component
/// gets a store for each request by itself, and what the orphan does is its own request's.
#[tokio::test]
async fn orphans_of_composed_components_stay_in_their_trace() {
    let origin = Origin::answering(200).await;
    let mut composed = Composed::start(&origin, None).await;
    composed.server.logged(&["INFO", "composed", "an instance of its own", "--isolation instance"]).await;
    let (exit, spans) = composed.run(&origin, "", "gone\n").await;
    assert!(!exit.stderr.contains("without a current request"), "{exit}");
    for n in 0..ORPHANS {
        let named = |name: &str| {
            spans.iter().filter(|span| span.trace_id == trace_id(n) && span.name == name).count()
        };
        assert_eq!((named(&format!("back {n}")), named("GET")), (1, 1), "spans of {n}");
    }
    let arrived = origin.arrived();
    assert_eq!(arrived.len() as u64, ORPHANS);
    for request in arrived {
        let n: u64 = request.values("x-id")[0].parse().unwrap();
        assert!(request.values("traceparent")[0].contains(&trace_id(n)), "the call of {n}");
    }
    assert!(!spans.iter().any(is_reused), "each has its own");
}

/// Where the operator has them share instances, what cannot be told to belong to a request is on no trace, counted and
/// said: also when a guest has copied the headers that it came with.
#[tokio::test]
async fn composed_components_share_instances_where_they_are_told_to() {
    let origin = Origin::answering(200).await;
    let mut composed = Composed::start(&origin, Some("instance")).await;
    composed.server.logged(&["WARN", "composed", "share instances", "on no trace"]).await;
    let (exit, spans) = composed.run(&origin, "&wait", "back\n").await;
    let said = exit.stderr.lines().find(|line| line.contains("telemetry calls of guests without"));
    assert!(said.is_some(), "what is on no trace is said: {exit}");
    let served: Vec<_> = spans.iter().filter(|span| span.kind == SpanKind::Server).collect();
    assert_eq!(served.len() as u64, ORPHANS);
    assert!(
        served.iter().any(|span| is_reused(span)),
        "none shared an instance: nothing was put to the test"
    );
    for span in served {
        let mine = Attribute::Int(number(&span.trace_id) as i64);
        assert_eq!(span.attributes.get("front"), Some(&mine), "the outer one is certain: {span:?}");
    }
    let arrived = origin.arrived();
    assert_eq!(arrived.len() as u64, ORPHANS);
    for request in arrived {
        let n: u64 = request.values("x-id")[0].parse().unwrap();
        let sent = request.values("traceparent");
        assert!(sent.is_empty() || sent[0].contains(&trace_id(n)), "the call of {n}: {sent:?}");
    }
}

/// A request that nothing else was under way beside, in an instance that others have used: no other can be meant.
#[tokio::test]
async fn alone_in_a_shared_instance_composed_components_are_certain() {
    let origin = Origin::answering(200).await;
    let composed = Composed::start(&origin, Some("instance")).await;
    let mut connection = Connection::open(composed.server.addr(), Protocol::H2).await;
    let mut n = 0;
    // The instance is alone only once it has been seen to idle: one that is asked at once may be not.
    eventually("a request alone in an instance that has served", async || {
        n += 1;
        let answer = connection.fetch(request_of(n, &origin, "&wait&ms=1")).await;
        assert_eq!(answer.text(), "back\n");
        let span = composed
            .collector
            .span_where("of it", |span| span.kind == SpanKind::Server && span.trace_id == trace_id(n));
        let span = span.await;
        is_reused(&span) && span.attributes.get("back.late") == Some(&Attribute::Int(n as i64))
    })
    .await;
    check_traces(&composed.collector.received());
}

/// The guest `orphan`, traced.
struct Composed {
    server: Pounce,
    collector: Collector,
}

fn request_of(n: u64, origin: &Origin, more: &str) -> http::Request<client::Body> {
    let path = format!("/?id={n}&origin={}{more}", origin.url("/"));
    client::get(&path).with("traceparent", format!("00-{}-{:016x}-01", trace_id(n), n + 1))
}

fn is_reused(span: &Span) -> bool {
    span.attributes.get("pounce.instance.reused") == Some(&Attribute::Bool(true))
}

/// Nothing is on the trace of another request.
fn check_traces(spans: &[Span]) {
    let by_id: HashMap<_, _> = spans.iter().map(|span| (span.span_id.as_str(), span)).collect();
    for span in spans {
        let mine = Attribute::Int(number(&span.trace_id) as i64);
        for key in ["front", "back", "back.late"] {
            assert!(span.attributes.get(key).is_none_or(|value| *value == mine), "{key} on {span:?}");
        }
        if span.kind != SpanKind::Server {
            let parent = by_id[span.parent.as_str()];
            assert_eq!((parent.kind, &parent.trace_id), (SpanKind::Server, &span.trace_id));
        }
    }
}

impl Composed {
    async fn start(origin: &Origin, isolation: Option<&str>) -> Self {
        let collector = Collector::start().await;
        let builder = pounce()
            .guest(Abi::P3, "orphan")
            .flag("--allow-outbound", format!("http://{}", origin.addr()))
            .traced(&collector);
        let builder = isolation.into_iter().fold(builder, |builder, set| builder.flag("--isolation", set));
        Composed { server: builder.start().await, collector }
    }

    /// Sends all requests at once, lets their inner components come to their ends, and stops the server.
    async fn run(mut self, origin: &Origin, more: &str, wanted: &str) -> (Exit, Vec<Span>) {
        let mut connection = Connection::open(self.server.addr(), Protocol::H2).await;
        let started: Vec<_> = (0..ORPHANS)
            .map(|n| {
                let more = format!("{more}&ms={}", 50 + n * 13 % 100);
                tokio::spawn(connection.start(request_of(n, origin, &more)))
            })
            .collect();
        for response in started {
            let answer = client::Answer::read(response.await.unwrap().expect("a response")).await;
            assert_eq!(answer.text(), wanted);
        }
        for n in 0..ORPHANS {
            let line = self.server.logged(&[&format!("orphan: {n} done")]).await;
            let others = (0..ORPHANS).filter(|other| *other != n).map(trace_id);
            assert!(others.into_iter().all(|other| !line.contains(&other)), "{line}");
        }
        drop(connection);
        let exit = self.server.stop().await;
        exit.expect(0, &[]);
        let spans = self.collector.received();
        check_traces(&spans);
        (exit, spans)
    }
}

/// What composing costs, in one place with what to do about it.
#[tokio::test]
async fn check_tells_what_composing_costs() {
    let check = |isolation: Option<&'static str>| {
        let builder = pounce().command("check").guest(Abi::P3, "orphan");
        isolation.into_iter().fold(builder, |builder, set| builder.flag("--isolation", set)).run()
    };
    for (isolation, row, warning) in [
        (None, "request: a fresh instance for each", Some("--isolation instance shares them")),
        (Some("request"), "request: a fresh instance for each", None),
        (
            Some("instance"),
            "instance: 128 requests in each, 16 at once",
            Some("counted as without a current request"),
        ),
    ] {
        let exit = check(isolation).await;
        exit.expect(0, &[]);
        assert!(exit.stdout.contains("several components composed") && exit.stdout.contains(row), "{exit}");
        let warnings: Vec<_> = exit.stdout.lines().filter(|line| line.starts_with("warning:")).collect();
        match warning {
            Some(warning) => assert!(warnings.iter().any(|line| line.contains(warning)), "{exit}"),
            None => assert_eq!(warnings, Vec::<&str>::new(), "{exit}"),
        }
    }
}

/// As tools do it: an outer component that passes on imports and exports, and has no code.
#[tokio::test]
async fn one_component_wrapped_in_another_is_not_composed() {
    let inner = std::fs::read_to_string(fixture("no-result.wat")).unwrap();
    let (_, types) = inner.split_once("(component").unwrap();
    let types = &types[..types.find("(core module").unwrap()];
    let inner = inner.replacen("(component", "(component $inner", 1);
    let wrapped = format!(
        r#"(component {types} {inner}
            (instance $made (instantiate $inner (with "wasi:http/types@0.3.0" (instance $types))))
            (alias export $made "wasi:http/handler@0.3.0" (instance $handler))
            (export "wasi:http/handler@0.3.0" (instance $handler)))"#
    );
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("wrapped.wat");
    std::fs::write(&path, wrapped).unwrap();
    let exit = pounce().command("check").component(&path).run().await;
    exit.expect(0, &[]);
    assert!(!exit.stdout.contains("composed") && exit.stdout.contains("instance: 128 requests"), "{exit}");
    let mut server = pounce().component(&path).start().await;
    server.logged(&["wasi:http 0.3, instances reused"]).await;
}

/// The type of WASI 0.3.1, as the toolchains of both components have written it.
#[tokio::test]
async fn maps_go_between_components() {
    let server = pounce().guest(Abi::P3, "tally").start().await;
    let answer = client::fetch_path(server.addr(), "/?a=7&three=5&none=0").await;
    assert_eq!(answer.text(), r#"{"a":7,"none":0,"three":25}"#, "{answer:?}");
    assert_eq!(client::fetch_path(server.addr(), "/").await.text(), "{}");
    server.stop().await.expect(0, &[]);
}
