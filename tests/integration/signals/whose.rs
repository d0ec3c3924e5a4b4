//! Many requests at once: each record, each line of our log and each exemplar is of its own request, under the span
//! that the guest had entered.

use crate::support::client::{self, Connection, WithHeader};
use crate::support::origin::Origin;
use crate::support::{Abi, Collector, Protocol, for_both_abis, pounce};
use serde_json::Value;
use std::collections::BTreeMap;

for_both_abis!(records_and_exemplars_are_of_their_own_request);

const AT_ONCE: u64 = 48;
const STEPS: usize = 3;

fn trace_id(n: u64) -> String {
    format!("{:032x}", 0x51_0000_0000 + n)
}

async fn records_and_exemplars_are_of_their_own_request(abi: Abi) {
    let (collector, origin) = (Collector::start().await, Origin::answering(200).await);
    let server = pounce()
        .guest(abi, "weave")
        .flag("--allow-outbound", origin.url(""))
        .traced(&collector)
        .start()
        .await;
    let mut connection = Connection::open(server.addr(), Protocol::H2).await;
    let started: Vec<_> = (0..AT_ONCE)
        .map(|n| {
            let poll = if n % 2 == 0 { "&poll" } else { "" };
            let path =
                format!("/work?id={n}&seed={n}&steps={STEPS}&log&metrics{poll}&origin={}", origin.url("/"));
            let parent = format!("00-{}-{:016x}-01", trace_id(n), n + 1);
            tokio::spawn(connection.start(client::get(&path).with("traceparent", parent)))
        })
        .collect();
    for response in started {
        let answer = client::Answer::read(response.await.unwrap().expect("a response")).await;
        assert_eq!(answer.status, 200);
    }
    drop(connection);
    let exit = server.stop().await;
    exit.expect(0, &[&format!("{} points of metrics exported", collector.points())]);
    let emitted = 144 + exit.own_lines();
    assert_eq!((exit.log_totals().ended, exit.log_totals().exported), (emitted, emitted), "{exit}");

    // Each works within its span `inner N`.
    let spans = collector.received();
    let inner: BTreeMap<u64, (String, String)> = (0..AT_ONCE)
        .map(|n| {
            let name = format!("inner {n}");
            let mut found = spans.iter().filter(|span| span.name == name);
            let span = found.next().unwrap_or_else(|| panic!("no span {name:?}"));
            assert_eq!(span.trace_id, trace_id(n));
            (n, (span.trace_id.clone(), span.span_id.clone()))
        })
        .collect();

    let mut records: BTreeMap<u64, usize> = BTreeMap::new();
    for record in collector.log_records() {
        let n = record.attributes["id"].to_string().parse().unwrap();
        assert_eq!((record.trace_id, record.span_id), inner[&n], "record of request {n}");
        *records.entry(n).or_default() += 1;
    }
    assert!(
        records.len() == AT_ONCE as usize && records.values().all(|count| *count == STEPS),
        "{records:?}"
    );

    let lines = exit.stderr.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let mut count = 0;
    for line in lines.filter(|line| line["message"] == "step") {
        let attributes: Value = serde_json::from_str(line["attributes"].as_str().unwrap()).unwrap();
        let (trace_id, span_id) = &inner[&attributes["id"].as_u64().unwrap()];
        assert_eq!(
            (line["trace_id"].as_str(), line["span_id"].as_str()),
            (Some(&**trace_id), Some(&**span_id))
        );
        count += 1;
    }
    assert_eq!(count, AT_ONCE as usize * STEPS);

    let metrics = collector.metrics();
    let [done] = metrics.as_slice() else { panic!("{metrics:#?}") };
    assert_eq!((done.name.as_str(), done.points.len()), ("work.done", AT_ONCE as usize));
    for point in &done.points {
        let n = point.attributes["id"].to_string().parse().unwrap();
        assert_eq!(point.value, STEPS.to_string(), "request {n}");
        let (trace_id, span_id) = inner[&n].clone();
        assert_eq!(point.exemplars, [(trace_id, span_id, "1".to_owned())], "request {n}");
    }
}
