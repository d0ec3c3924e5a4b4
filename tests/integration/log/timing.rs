//! `Server-Timing`: the trace and the phases of a request, for whoever asked with a browser.

use crate::support::client::{self, Answer, WithHeader};
use crate::support::{Abi, Collector, for_both_abis, pounce};
use std::collections::BTreeMap;

for_both_abis!(a_response_tells_its_trace_and_phases, without_telemetry_there_are_the_phases,);

/// The metrics of all `Server-Timing` headers: name, and its one parameter.
fn timings(answer: &Answer) -> BTreeMap<String, (String, String)> {
    let fields = answer.headers.get_all("server-timing").iter();
    let entries = fields.flat_map(|field| field.to_str().expect("ASCII").split(','));
    let parsed = entries.map(|entry| {
        let (name, parameter) = entry.trim().split_once(';').expect("a parameter");
        let (key, value) = parameter.split_once('=').expect("with a value");
        (name.to_owned(), (key.to_owned(), value.to_owned()))
    });
    parsed.collect()
}

fn milliseconds(timings: &BTreeMap<String, (String, String)>, name: &str) -> f64 {
    let (key, value) = timings.get(name).unwrap_or_else(|| panic!("no {name} in {timings:?}"));
    assert_eq!(key, "dur");
    value.parse().expect("a number")
}

async fn a_response_tells_its_trace_and_phases(abi: Abi) {
    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    let collector = Collector::start().await;
    let server = pounce()
        .guest(abi, "slow")
        .flag("--isolation", "request")
        .flag("--request-timeout", "1s")
        .traced(&collector)
        .arg("--server-timing")
        .start()
        .await;
    let answer = client::fetch_path(server.addr(), "/?ms=100").await;
    let span = collector.span().await;
    let timings_of = timings(&answer);
    let traceparent = format!("\"00-{}-{}-{:02x}\"", span.trace_id, span.span_id, span.flags & 0xff);
    assert_eq!(timings_of["trace"], ("desc".to_owned(), traceparent));
    assert!(milliseconds(&timings_of, "guest") >= 100.0, "{timings_of:?}");
    for (name, key) in [("queue", "pounce.queue.duration"), ("instantiate", "pounce.instantiate.duration")] {
        let seconds: f64 = span.attributes[key].to_string().parse().expect("a number");
        let told = milliseconds(&timings_of, name);
        assert!((told - seconds * 1e3).abs() < 0.001, "{name}: {told} ms and {seconds} s");
    }

    // Not sampled: the ids are there all the same, and so are the phases.
    let unsampled =
        client::fetch(server.addr(), client::Protocol::H2, client::get("/?ms=0").with("traceparent", PARENT))
            .await;
    let told = timings(&unsampled);
    assert!(told["trace"].1.starts_with("\"00-0af7651916cd43dd8448eb211c80319c-"), "{told:?}");
    assert!(told["trace"].1.ends_with("-00\""), "{told:?}");
    milliseconds(&told, "guest");

    // Of a request that failed there is the trace, with which somebody may find out why.
    let late = client::fetch_path(server.addr(), "/?ms=600000").await;
    assert_eq!(late.status, 504);
    let span =
        collector.span_where("of 504", |span| span.int("http.response.status_code") == Some(504)).await;
    assert!(timings(&late)["trace"].1.contains(&span.span_id));
}

async fn without_telemetry_there_are_the_phases(abi: Abi) {
    let server =
        pounce().guest(abi, "hello").flag("--isolation", "request").arg("--server-timing").start().await;
    let told = timings(&client::fetch_path(server.addr(), "/").await);
    assert_eq!(told.keys().collect::<Vec<_>>(), ["guest", "instantiate", "queue"]);
    for name in told.keys() {
        milliseconds(&told, name);
    }
    let quiet = pounce().guest(abi, "hello").start().await;
    let answer = client::fetch_path(quiet.addr(), "/").await;
    assert!(!answer.headers.contains_key("server-timing"), "nobody asked: {answer:?}");
}

#[tokio::test]
async fn the_span_of_a_body_that_goes_on_tells_when_its_head_was_sent() {
    let collector = Collector::start().await;
    let server = pounce().guest(Abi::P3, "slow").traced(&collector).start().await;
    let answer = client::fetch_path(server.addr(), "/?ms=100&chunks=3&body_ms=50").await;
    assert_eq!(answer.status, 200);
    let span = collector.span().await;
    let told = &span.attributes["pounce.response.head.duration"];
    let head: f64 = told.to_string().parse().expect("a number");
    let all = (span.end - span.start) as f64 / 1e9;
    assert!(head >= 0.1 && all - head >= 0.1, "{head} s of {all} s");
}
