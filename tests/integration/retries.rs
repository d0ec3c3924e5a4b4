//! What a trap costs those who share its instance: nothing, where they may run once more (`guest.retry-neighbours`).

use crate::support::client::{self, Connection};
use crate::support::origin::Origin;
use crate::support::signals::Metric;
use crate::support::span::Span;
use crate::support::{Abi, Collector, Protocol, eventually, pounce};
use http::Request;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use std::collections::BTreeMap;

/// Requests that may run once more, by their outcome.
fn retries(metrics: &[Metric]) -> BTreeMap<String, u64> {
    let metric = metrics.iter().find(|metric| metric.name == "pounce.guest.retries").expect("retries");
    let outcome = |attributes: &crate::support::attributes::Attributes| {
        attributes["outcome"].to_string().trim_matches('"').to_owned()
    };
    metric.points.iter().map(|point| (outcome(&point.attributes), point.value.parse().unwrap())).collect()
}

fn is_retried(span: &Span) -> bool {
    span.attributes.get("pounce.retried").is_some_and(|retried| retried.to_string() == "true")
}

/// Spans of `/innocent` after some of them were beside a panic, and the answers of all.
struct Beside {
    statuses: Vec<u16>,
    innocent: Vec<Span>,
    metrics: Vec<Metric>,
}

/// Has requests, made by `innocent` of their number, share instances with one that panics, until one of them was hit.
async fn beside_a_panic(
    flags: &[(&str, &str)],
    origin: Option<&Origin>,
    innocent: impl Fn(usize) -> Request<client::Body>,
) -> Beside {
    let collector = Collector::start().await;
    let builder = pounce().guest(Abi::P3, "weave").traced(&collector);
    let builder = match origin {
        Some(origin) => builder.flag("--allow-outbound", format!("http://{}", origin.addr())),
        None => builder,
    };
    let server = flags.iter().fold(builder, |builder, (name, value)| builder.flag(name, value)).start().await;
    let addr = server.addr();
    let mut statuses = Vec::new();
    let mut next = 0;
    // Which instance a request gets is the server's choice: again until some had company.
    eventually("a request to share an instance with a panic", async || {
        let waiting: Vec<_> =
            (next..next + 8).map(|n| tokio::spawn(client::fetch(addr, Protocol::H1, innocent(n)))).collect();
        next += 8;
        client::fetch_path(addr, "/?id=50&steps=20").await;
        assert_eq!(client::fetch_path(addr, "/guilty?id=99&steps=2&panic").await.status, 500);
        for task in waiting {
            statuses.push(task.await.unwrap().status.as_u16());
        }
        // Beside those that wait, two each time: one that comes and goes, and one that panics.
        let expected = statuses.len() / 8 * 10;
        let server_spans = || collector.received().into_iter().filter(|span| span.kind == SpanKind::Server);
        eventually("the spans of all requests", async || server_spans().count() >= expected).await;
        let was_hit =
            |span: &Span| span.text("url.path") == "/innocent" && (is_retried(span) || span.failed());
        server_spans().any(|span| was_hit(&span))
    })
    .await;
    server.stop().await.expect(0, &[]);
    let innocent = collector.received().into_iter().filter(|span| span.text("url.path") == "/innocent");
    Beside { statuses, innocent: innocent.collect(), metrics: collector.host_metrics() }
}

fn get(n: usize) -> Request<client::Body> {
    client::get(&format!("/innocent?id={n}&steps=200"))
}

fn post(n: usize) -> Request<client::Body> {
    client::post(&format!("/innocent?id={n}&steps=200"), "a body that nobody reads")
}

/// Of 2,000 requests 60 trap, among neighbours: nobody else fails, and the share of answers of 500 is theirs.
#[tokio::test]
async fn three_percent_of_traps_are_three_percent_of_failures() {
    const ALL: usize = 2000;
    const AT_ONCE: usize = 64;
    let traps = |n: usize| n % 33 == 5;
    let collector = Collector::start().await;
    let server = pounce()
        .guest(Abi::P3, "weave")
        .env("OTEL_BSP_MAX_QUEUE_SIZE", 100_000)
        .traced(&collector)
        .start()
        .await;
    let mut connection = Connection::open(server.addr(), Protocol::H2).await;
    let (mut culprits, mut failed) = (0, 0);
    for wave in (0..ALL).step_by(AT_ONCE) {
        let started: Vec<_> = (wave..ALL.min(wave + AT_ONCE))
            .map(|n| {
                let panic = if traps(n) { "&panic" } else { "" };
                let request = client::get(&format!("/{n}?id={n}&steps=2{panic}"));
                (n, tokio::spawn(connection.start(request)))
            })
            .collect();
        for (n, response) in started {
            let answer = client::Answer::read(response.await.unwrap().expect("a response")).await;
            culprits += usize::from(traps(n));
            match answer.status.as_u16() {
                // One whose response had begun cannot begin again: it may have been cut.
                200 => assert!(!traps(n), "request {n} was to trap"),
                500 => failed += 1,
                status => panic!("request {n}: status {status}"),
            }
        }
    }
    drop(connection);
    server.stop().await.expect(0, &[]);
    let (share, of_traps) = (failed as f64 / ALL as f64, culprits as f64 / ALL as f64);
    assert!(
        (0.03..0.031).contains(&of_traps) && share < 0.035,
        "{failed} of {ALL} failed, {culprits} trapped"
    );
    let spans = collector.received();
    assert_eq!(
        spans.iter().filter(|span| span.kind == SpanKind::Server).count(),
        ALL,
        "one span for each request"
    );
    let saved = spans.iter().filter(|span| is_retried(span) && !span.failed()).count();
    assert!(saved > 0, "no request was beside a trap: nothing was put to the test");
    let counted = retries(&collector.host_metrics());
    assert_eq!(counted["answered"], saved as u64, "{counted:?}");
}

/// A request that ran once more is one request: one span that has not failed and says so, one measurement, no trap.
#[tokio::test]
async fn a_request_that_runs_once_more_says_so() {
    let Beside { statuses, innocent, metrics } = beside_a_panic(&[], None, get).await;
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    assert_eq!(innocent.len(), statuses.len(), "one span for each request");
    let retried: Vec<_> = innocent.iter().filter(|span| is_retried(span)).collect();
    for span in &retried {
        assert!(!span.failed(), "{span:?}");
        assert_eq!(span.text("error.type"), "");
        assert_eq!(span.attributes["pounce.instance.reused"].to_string(), "false", "a fresh instance");
        let events: Vec<_> = span.events.iter().filter(|event| event.name == "pounce.retry").collect();
        let [event] = &events[..] else { panic!("one event on {span:?}") };
        assert_eq!(event.attributes["error.type"].to_string(), "\"worker_failed\"");
        assert!(span.start < event.time && event.time < span.end);
        assert_eq!(span.links.len(), 1, "to the request that trapped: {span:?}");
    }
    let counted = retries(&metrics);
    assert_eq!(
        counted,
        BTreeMap::from([
            ("answered".to_owned(), retried.len() as u64),
            ("failed".to_owned(), 0),
            ("refused".to_owned(), 0),
        ])
    );
    let traps = metrics.iter().find(|metric| metric.name == "pounce.guest.traps").expect("traps");
    let kinds: Vec<_> = traps.points.iter().map(|point| point.attributes["error.type"].to_string()).collect();
    assert_eq!(kinds, ["\"wasm_trap.unreachable\""], "whoever ran once more has not failed");
}

/// Nothing is done twice that others see: not after an outgoing call, and by default not what is not safe by its method.
#[tokio::test]
async fn what_others_may_have_seen_is_not_repeated() {
    let origin = Origin::answering(200).await;
    let calling = |n| client::get(&format!("/innocent?id={n}&steps=200&origin={}", origin.url("/")));
    let Beside { statuses, innocent, .. } = beside_a_panic(&[], Some(&origin), calling).await;
    assert!(statuses.contains(&500) && !innocent.iter().any(is_retried), "{statuses:?}");
    let arrived = origin.arrived();
    let mut calls: Vec<_> = arrived.iter().map(|call| (call.values("x-id"), call.values("x-step"))).collect();
    let all = calls.len();
    calls.sort();
    calls.dedup();
    assert_eq!(calls.len(), all, "each call was made once");

    let Beside { statuses, innocent, .. } = beside_a_panic(&[], None, post).await;
    assert!(statuses.contains(&500) && !innocent.iter().any(is_retried), "{statuses:?}");
    assert!(
        innocent.iter().filter(|span| span.failed()).all(|span| span.text("error.type") == "worker_failed")
    );
}

#[tokio::test]
async fn the_operator_says_which_requests_run_once_more() {
    let Beside { statuses, innocent, .. } =
        beside_a_panic(&[("--retry-neighbours", "all")], None, post).await;
    assert!(statuses.iter().all(|status| *status == 200) && innocent.iter().any(is_retried), "{statuses:?}");
    let Beside { statuses, innocent, .. } = beside_a_panic(&[("--retry-neighbours", "off")], None, get).await;
    assert!(statuses.contains(&500) && !innocent.iter().any(is_retried), "{statuses:?}");
    let dir = tempfile::tempdir().unwrap();
    let mount = format!("{}::/data:rw", dir.path().display());
    let Beside { statuses, innocent, .. } = beside_a_panic(&[("--dir", &mount)], None, get).await;
    assert!(statuses.contains(&500) && !innocent.iter().any(is_retried), "it may have written: {statuses:?}");
}
