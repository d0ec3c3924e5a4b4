//! Whose request is it? Requests that share an instance keep their own attributes, traces and outgoing calls.

use crate::support::client::{self, Connection, WithHeader};
use crate::support::origin::Origin;
use crate::support::{Abi, Collector, Protocol, pounce};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Requests under way at once; all of them in instances that serve 16 each.
const AT_ONCE: usize = 64;

/// The trace of request `n`.
fn trace_id(n: usize) -> String {
    format!("{:032x}", 0xabc0_0000 + n)
}

fn traceparent(n: usize) -> String {
    format!("00-{}-{:016x}-01", trace_id(n), n + 1)
}

/// Each sets attributes, waits while others run, and sets more: before and after the wait, by the functions that find
/// the request themselves and by a handle kept across it.
#[tokio::test]
async fn interleaved_requests_keep_their_own_attributes() {
    let collector = Collector::start().await;
    let server =
        pounce().guest(Abi::P3, "attributes").flag("--concurrency", AT_ONCE).traced(&collector).start().await;
    let mut connection = Connection::open(server.addr(), Protocol::H2).await;
    let started: Vec<_> = (0..AT_ONCE)
        .map(|n| {
            // Every one waits a different time, so that they wake in another order than they came.
            let (first, second) = (50 + (n * 37) % 100, 50 + (n * 61) % 100);
            let path = format!(
                "/{n}?set.guest.a={n}&wait={first}&set.guest.b={n}&event=e{n}&wait={second}&route=/r/{n}\
                 &via=current&set.guest.c={n}&wait=20&set.guest.d={n}"
            );
            tokio::spawn(connection.start(client::get(&path).with("traceparent", traceparent(n))))
        })
        .collect();
    for (n, response) in started.into_iter().enumerate() {
        let answer = client::Answer::read(response.await.unwrap().expect("a response")).await;
        let seen: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(seen["context"]["trace_id"], trace_id(n), "what the guest sees");
        assert_eq!(seen["current"]["context"]["trace_id"], trace_id(n), "what its handle sees");
    }
    let spans = collector.spans(AT_ONCE).await;
    let reused =
        spans.iter().filter(|span| span.attributes["pounce.instance.reused"].to_string() == "true").count();
    assert!(reused > AT_ONCE / 2, "only {reused} shared an instance: nothing was put to the test");
    for span in spans {
        let n: usize = span.text("url.path")[1..].parse().unwrap();
        let own: Vec<_> = ["a", "b", "c", "d"].iter().map(|key| span.text(&format!("guest.{key}"))).collect();
        assert_eq!(own, vec![n.to_string(); 4], "attributes of request {n}");
        assert_eq!((span.trace_id.clone(), span.parent.clone()), (trace_id(n), format!("{:016x}", n + 1)));
        assert_eq!(
            (span.text("http.route"), span.name.as_str()),
            (&*format!("/r/{n}"), &*format!("GET /r/{n}"))
        );
        let events: Vec<_> = span.events.iter().map(|event| event.name.clone()).collect();
        assert_eq!(events, [format!("e{n}")], "events of request {n}");
    }
}

/// Each outgoing request carries the trace of the request that made it.
#[tokio::test]
async fn interleaved_requests_call_out_in_their_own_traces() {
    let collector = Collector::start().await;
    let origin = Origin::answering(200).await;
    let server = pounce()
        .guest(Abi::P3, "relay")
        .flag("--concurrency", AT_ONCE)
        .flag("--allow-outbound", format!("http://{}", origin.addr()))
        .traced(&collector)
        .start()
        .await;
    let mut connection = Connection::open(server.addr(), Protocol::H2).await;
    let started: Vec<_> = (0..AT_ONCE)
        .map(|n| {
            let call = json!({ "url": origin.url(&format!("/{n}")), "arguments": n });
            let request =
                client::post("/", json!([call, call]).to_string()).with("traceparent", traceparent(n));
            tokio::spawn(connection.start(request))
        })
        .collect();
    for response in started {
        let answer = client::Answer::read(response.await.unwrap().expect("a response")).await;
        assert_eq!(answer.text(), r#"[{"status":200},{"status":200}]"#);
    }
    let arrived = origin.arrived();
    assert_eq!(arrived.len(), 2 * AT_ONCE);
    for request in arrived {
        let n: usize = request.target[1..].parse().unwrap();
        let sent = request.values("traceparent");
        assert!(
            sent.len() == 1 && sent[0].starts_with(&format!("00-{}-", trace_id(n))),
            "request {n}: {sent:?}"
        );
    }
}

/// An instance is replaced after `reuse` requests, and is not shared where the operator says so.
#[tokio::test]
async fn reuse_is_as_it_was_set() {
    for (abi, flags, reused) in [
        (Abi::P2, &[][..], 0),
        (Abi::P2, &[("--isolation", "instance"), ("--reuse", "4")], 6),
        (Abi::P2, &[("--isolation", "instance"), ("--reuse", "1")], 0),
        (Abi::P3, &[], 7),
        (Abi::P3, &[("--reuse", "4")], 6),
        (Abi::P3, &[("--isolation", "request")], 0),
    ] {
        let collector = Collector::start().await;
        let builder = pounce().guest(abi, "hello").traced(&collector);
        let server =
            flags.iter().fold(builder, |builder, (name, value)| builder.flag(name, value)).start().await;
        let mut connection = Connection::open(server.addr(), Protocol::H1).await;
        for _ in 0..8 {
            assert_eq!(connection.fetch(client::get("/")).await.text(), "Hello, World!\n");
        }
        let spans = collector.spans(8).await;
        let count = spans
            .iter()
            .filter(|span| span.attributes["pounce.instance.reused"].to_string() == "true")
            .count();
        assert_eq!(count, reused, "{abi:?} {flags:?}");
        let ids: BTreeSet<_> = spans.iter().map(|span| &span.trace_id).collect();
        assert_eq!(ids.len(), 8);
    }
}

/// What one request leaves in memory is not there for the next: 24 MiB each of 32 would not fit twice.
#[tokio::test]
async fn a_fresh_instance_has_nothing_of_the_last_request() {
    for abi in [Abi::P2, Abi::P3] {
        let builder =
            pounce().guest(abi, "hog-memory").flag("--max-memory", "32MiB").flag("--isolation", "request");
        let server = builder.start().await;
        for _ in 0..4 {
            assert_eq!(client::fetch_path(server.addr(), "/?mib=24&leak").await.status, 200, "{abi:?}");
        }
    }
}
