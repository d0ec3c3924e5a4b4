//! The host's own metrics: exact counts of requests that ended in every way, what else the server tells of itself, and
//! that none of it needs spans.

use crate::support::attributes::Attributes;
use crate::support::client::{self, Connection};
use crate::support::origin::Origin;
use crate::support::signals::{Metric, Point};
use crate::support::{Abi, Collector, Protocol, eventually, for_both_abis, pounce};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

for_both_abis!(
    traps_are_told_by_kind,
    sheds_timeouts_and_clients_that_leave_are_measured,
    instances_and_what_guests_cost_are_measured,
);

fn named<'a>(metrics: &'a [Metric], name: &str) -> &'a Metric {
    let names = || metrics.iter().map(|metric| &metric.name).collect::<Vec<_>>();
    metrics.iter().find(|metric| metric.name == name).unwrap_or_else(|| panic!("no {name} in {:?}", names()))
}

fn text(attributes: &Attributes, key: &str) -> String {
    attributes.get(key).map(|value| value.to_string().trim_matches('"').to_owned()).unwrap_or_default()
}

/// The number of a sum without attributes.
fn sum(metrics: &[Metric], name: &str) -> i64 {
    let points = &named(metrics, name).points;
    assert_eq!(points.len(), 1, "{name}: {points:?}");
    points[0].value.parse().unwrap()
}

fn count(point: &Point) -> u64 {
    let count = point.value.strip_prefix("count=").and_then(|rest| rest.split(' ').next());
    count.unwrap_or_else(|| panic!("no count in {}", point.value)).parse().unwrap()
}

/// `status error.type route` of each kind of request, and how many there were.
fn durations(metrics: &[Metric]) -> BTreeMap<String, u64> {
    let kinds = named(metrics, "http.server.request.duration").points.iter().map(|point| {
        let of = |key| text(&point.attributes, key);
        let kind = [of("http.response.status_code"), of("error.type"), of("http.route")].join(" ");
        (kind.trim_end().to_owned(), count(point))
    });
    let mut all = BTreeMap::new();
    kinds.for_each(|(kind, count)| *all.entry(kind).or_default() += count);
    all
}

fn is<const N: usize>(expected: [(&str, u64); N]) -> BTreeMap<String, u64> {
    expected.map(|(kind, count)| (kind.to_owned(), count)).into()
}

/// Requests under way, which must be none at the end.
fn active(metrics: &[Metric]) -> i64 {
    let points = &named(metrics, "http.server.active_requests").points;
    points.iter().map(|point| point.value.parse::<i64>().unwrap()).sum()
}

#[tokio::test]
async fn requests_are_measured_with_spans_or_without() {
    for (sample, traces) in [("1", "otlp"), ("0", "otlp"), ("1", "none")] {
        let is_recorded = sample == "1" && traces == "otlp";
        let collector = Collector::start().await;
        let server = pounce()
            .fixture("status.wat")
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint())
            .env("OTEL_TRACES_EXPORTER", traces)
            .flag("--otel-sample", sample)
            .start()
            .await;
        for path in ["/200", "/200", "/200", "/404", "/503"] {
            client::fetch_path(server.addr(), path).await;
        }
        let posted = client::fetch(server.addr(), Protocol::H2, client::post("/200", "12345")).await;
        assert_eq!(posted.status, 200);
        let exit = server.stop().await;
        exit.expect(0, &[]);
        let metrics = collector.host_metrics();
        assert_eq!(durations(&metrics), is([("200", 4), ("404", 1), ("503 503", 1)]), "{sample} {traces}");
        assert_eq!(active(&metrics), 0);
        let duration = named(&metrics, "http.server.request.duration");
        assert_eq!((duration.unit.as_str(), duration.kind.as_str()), ("s", "histogram"));
        assert_eq!(duration.origin.scope, "pounce");
        let post =
            duration.points.iter().find(|point| text(&point.attributes, "http.request.method") == "POST");
        let post = &post.expect("the POST").attributes;
        let keys: Vec<_> = post.keys().map(String::as_str).collect();
        let expected =
            ["http.request.method", "http.response.status_code", "network.protocol.version", "url.scheme"];
        assert_eq!(keys, expected, "nothing that a client chooses");
        assert_eq!(
            (text(post, "network.protocol.version"), text(post, "url.scheme")),
            ("2".into(), "http".into())
        );
        let sizes = &named(&metrics, "http.server.request.body.size").points;
        let of_post = sizes.iter().find(|point| point.attributes == *post).unwrap();
        assert!(of_post.value.starts_with("count=1 sum=5 "), "{}", of_post.value);
        assert_eq!(sizes.iter().map(count).sum::<u64>(), 6, "a request without a body has one of no bytes");
        assert_eq!(
            named(&metrics, "http.server.response.body.size").points.iter().map(count).sum::<u64>(),
            6
        );

        // Exemplars lead to spans that were exported, and there are none without.
        let known: BTreeSet<_> =
            collector.received().into_iter().map(|span| (span.trace_id, span.span_id)).collect();
        assert_eq!(known.len(), if is_recorded { 6 } else { 0 });
        let exemplars: Vec<_> = duration.points.iter().flat_map(|point| &point.exemplars).collect();
        assert_eq!(exemplars.is_empty(), !is_recorded);
        for (trace, span, value) in exemplars {
            assert!(known.contains(&(trace.clone(), span.clone())), "{trace} {span} {value}");
        }
    }
}

/// What a guest says of its route and its error tells requests apart, sampled or not.
#[tokio::test]
async fn routes_and_errors_of_guests_are_told_whatever_is_sampled() {
    for (sample, traces) in [("1", "otlp"), ("0", "otlp"), ("1", "none")] {
        let collector = Collector::start().await;
        let server = pounce()
            .guest(Abi::P2, "attributes")
            .traced(&collector)
            .env("OTEL_TRACES_EXPORTER", traces)
            .flag("--otel-sample", sample)
            .start()
            .await;
        super::deeds(&server, "route=/items/%7Bid%7D").await;
        super::deeds(&server, "route=/items/%7Bid%7D&set.error.type=mine").await;
        server.stop().await.expect(0, &[]);
        let durations = durations(&collector.host_metrics());
        assert_eq!(
            durations,
            is([("200  /items/{id}", 1), ("200 mine /items/{id}", 1)]),
            "{sample} {traces}"
        );
    }
}

#[tokio::test]
async fn with_everything_off_nothing_is_sent() {
    let collector = Collector::start().await;
    let server =
        pounce().fixture("status.wat").traced(&collector).env("OTEL_SDK_DISABLED", "true").start().await;
    assert_eq!(client::fetch_path(server.addr(), "/200").await.status, 200);
    let exit = server.stop().await;
    exit.expect(0, &[]);
    assert!(collector.hosts().is_empty() && collector.exports().is_empty());
    assert!(!exit.stderr.contains("exported"), "{exit}");
}

async fn traps_are_told_by_kind(abi: Abi) {
    let collector = Collector::start().await;
    let server = pounce().guest(abi, "trap").traced(&collector).start().await;
    for path in ["/unreachable", "/unreachable", "/oob", "/exit?ok", "/after-head"] {
        // One after another: a neighbour's trap would be a kind of its own.
        client::fetch_path(server.addr(), path).await;
    }
    server.stop().await.expect(0, &[]);
    let metrics = collector.host_metrics();
    let traps = named(&metrics, "pounce.guest.traps");
    let kinds: BTreeMap<_, _> = traps
        .points
        .iter()
        .map(|point| (text(&point.attributes, "error.type"), point.value.parse().unwrap()))
        .collect();
    assert_eq!(kinds.values().sum::<u64>(), 5, "{kinds:?}");
    assert_eq!((kinds["wasm_trap.out_of_bounds"], kinds["no_response"]), (1, 1), "{kinds:?}");
    let durations = durations(&metrics);
    assert_eq!(durations["500 wasm_trap.out_of_bounds"], 1, "{durations:?}");
    assert_eq!(durations["500 no_response"], 1, "{durations:?}");
    assert!(
        durations.keys().any(|kind| kind.starts_with("200 ")),
        "of the head that was sent: {durations:?}"
    );
    assert_eq!(durations.values().sum::<u64>(), 5);
    // What metrics count is what spans say.
    for kind in durations.keys() {
        let error = kind.split(' ').nth(1).unwrap();
        assert!(collector.received().iter().any(|span| span.text("error.type") == error), "{error}");
    }
    assert_eq!(active(&metrics), 0);
}

async fn sheds_timeouts_and_clients_that_leave_are_measured(abi: Abi) {
    let collector = Collector::start().await;
    let server = pounce()
        .guest(abi, "slow")
        .flag("--max-in-flight", 1)
        .flag("--request-timeout", "1s")
        .traced(&collector)
        .start()
        .await;
    assert_eq!(client::fetch_path(server.addr(), "/?ms=60000").await.status, 504);
    let endless = "/?ms=0&body_ms=100&chunks=1000000";
    let (connection, response) = client::hold(server.addr(), Protocol::H1, endless).await;
    assert_eq!(client::fetch_path(server.addr(), "/?ms=0").await.status, 503);
    connection.abort();
    drop(response);
    let mut attempts = 0;
    eventually("the place to be free", async || {
        attempts += 1;
        client::fetch_path(server.addr(), "/?ms=0").await.status == 200
    })
    .await;
    server.stop().await.expect(0, &[]);
    let metrics = collector.host_metrics();
    let durations = durations(&metrics);
    assert_eq!(durations["504 timeout"], 1, "{durations:?}");
    assert_eq!(durations["200 client_disconnected"], 1, "{durations:?}");
    assert_eq!(durations["200"], 1, "{durations:?}");
    let shed = durations["503 overloaded"];
    assert!(shed >= attempts, "{durations:?}");
    let counted = &named(&metrics, "pounce.requests.shed").points;
    let counted = counted.iter().map(|point| (text(&point.attributes, "reason"), point.value.clone()));
    let expected = [("component", 0), ("guests", 0), ("max_in_flight", shed), ("max_in_flight_per_peer", 0)];
    let expected = expected.map(|(reason, count)| (reason.to_owned(), count.to_string()));
    assert_eq!(BTreeMap::from_iter(counted), BTreeMap::from(expected), "the same by both");
    assert_eq!(sum(&metrics, "pounce.requests.limit"), 1);
    assert_eq!(active(&metrics), 0);
    let traps = &named(&metrics, "pounce.guest.traps").points;
    assert_eq!((traps.len(), text(&traps[0].attributes, "error.type").as_str()), (1, "timeout"));
    let spans = collector.received();
    assert_eq!(spans.len() as u64, durations.values().sum::<u64>(), "one measurement for each span");
    // A second is a second in both.
    let mut slowest = named(&metrics, "http.server.request.duration").points.iter();
    let slowest = slowest.find(|point| text(&point.attributes, "error.type") == "timeout").unwrap();
    let span = spans.iter().find(|span| span.text("error.type") == "timeout").unwrap();
    let lasted = (span.end - span.start) as f64 / 1e9;
    assert!(slowest.value.contains(&format!("sum={lasted} ")), "{} is not {lasted}", slowest.value);
}

/// What is measured of eight requests, one after another, to instances that serve four each.
async fn eight_requests(abi: Abi) -> Vec<Metric> {
    loop {
        let collector = Collector::start().await;
        let server = pounce()
            .guest(abi, "hello")
            .flag("--isolation", "instance")
            .flag("--reuse", 4)
            .flag("--warm", 1)
            .flag("--otel-sample", "0")
            .traced(&collector)
            .start()
            .await;
        let mut connection = Connection::open(server.addr(), Protocol::H1).await;
        let begun = Instant::now();
        for _ in 0..8 {
            assert_eq!(connection.fetch(client::get("/")).await.text(), "Hello, World!\n");
        }
        let took = begun.elapsed();
        drop(connection);
        server.stop().await.expect(0, &[]);
        // An instance that has waited for a second for its next request is given up.
        if took < Duration::from_secs(1) {
            return collector.host_metrics();
        }
    }
}

async fn instances_and_what_guests_cost_are_measured(abi: Abi) {
    let metrics = eight_requests(abi).await;
    assert_eq!(sum(&metrics, "pounce.instance.reused"), 6);
    assert_eq!(sum(&metrics, "pounce.instance.created"), 2, "the one at the start serves as well");
    let instantiate = &named(&metrics, "pounce.instantiate.duration").points;
    assert_eq!(count(&instantiate[0]), 2);
    let live = sum(&metrics, "pounce.instance.live");
    assert!((0..=1).contains(&live), "{live}");
    let cpu: f64 = named(&metrics, "pounce.guest.cpu_time").points[0].value.parse().unwrap();
    assert!(cpu > 0.0 && cpu < 10.0, "unsampled requests cost as well: {cpu}");
    let peaks = &named(&metrics, "pounce.guest.memory.peak").points;
    assert_eq!(peaks.iter().map(count).sum::<u64>(), 8);
    assert!(sum(&metrics, "pounce.guest.memory.limit") > 1 << 20);
    let slots = (sum(&metrics, "pounce.pool.slots.used"), sum(&metrics, "pounce.pool.slots.limit"));
    assert!((0..=2).contains(&slots.0) && slots.1 > 2, "{slots:?}");
}

#[tokio::test]
async fn outgoing_requests_are_measured_by_server() {
    for (abi, sample) in [(Abi::P2, "1"), (Abi::P3, "0")] {
        let (collector, origin) = (Collector::start().await, Origin::answering(404).await);
        let server = pounce()
            .guest(abi, "relay")
            .flag("--allow-outbound", origin.url(""))
            .flag("--otel-sample", sample)
            .traced(&collector)
            .start()
            .await;
        let one = |url: String| serde_json::json!([{ "url": url, "arguments": {} }]).to_string();
        for url in [origin.url("/a"), origin.url("/b"), "http://refused.example/".to_owned()] {
            client::fetch(server.addr(), Protocol::H1, client::post("/", one(url))).await;
        }
        server.stop().await.expect(0, &[]);
        let metrics = collector.host_metrics();
        let calls = &named(&metrics, "http.client.request.duration").points;
        let kinds: BTreeMap<_, _> = calls
            .iter()
            .map(|point| {
                let of = |key| text(&point.attributes, key);
                (
                    [of("server.address"), of("http.response.status_code"), of("error.type")].join(" "),
                    count(point),
                )
            })
            .collect();
        assert_eq!(kinds["127.0.0.1 404 404"], 2, "{kinds:?}");
        let refused = kinds.iter().filter(|(kind, _)| kind.starts_with("refused.example  "));
        assert_eq!(refused.map(|(_, count)| count).sum::<u64>(), 1, "{kinds:?}");
        assert!(calls.iter().all(|point| !text(&point.attributes, "server.port").is_empty()));
        assert_eq!(sum(&metrics, "pounce.outbound.refused"), 1);
        let exemplars: Vec<_> = calls.iter().flat_map(|point| &point.exemplars).collect();
        assert_eq!(exemplars.is_empty(), sample == "0");
        let ids: BTreeSet<_> = collector.received().into_iter().map(|span| span.span_id).collect();
        assert!(exemplars.iter().all(|(_, span, _)| ids.contains(span)), "{exemplars:?}");
    }
}

/// What telemetry says of itself is what the collector got.
#[tokio::test]
async fn telemetry_measures_itself() {
    let collector = Collector::start().await;
    let server = pounce()
        .guest(Abi::P2, "attributes")
        .traced(&collector)
        .env("OTEL_METRIC_EXPORT_INTERVAL", 100)
        .env("OTEL_BLRP_SCHEDULE_DELAY", 20)
        .env("OTEL_BSP_SCHEDULE_DELAY", 20)
        .start()
        .await;
    for _ in 0..3 {
        super::deeds(&server, "log.info=hello&counter.no%20name=1").await;
    }
    collector.spans(3).await;
    let exported = |name: &str, error: &str| {
        let metrics = collector.host_metrics();
        let points =
            metrics.iter().filter(|metric| metric.name == name).flat_map(|metric| metric.points.clone());
        let mut found = points.filter(|point| text(&point.attributes, "error.type") == error);
        found.next().map(|point| point.value)
    };
    eventually("three spans and records to be told of", async || {
        // Beside the guest's, those of the server's own log.
        let records = 3 + collector.own_log_records().len();
        exported("otel.sdk.exporter.span.exported", "").as_deref() == Some("3")
            && exported("otel.sdk.exporter.log.exported", "") == Some(records.to_string())
    })
    .await;
    let metrics = collector.host_metrics();
    assert_eq!(sum(&metrics, "otel.sdk.exporter.span.inflight"), 0);
    assert_eq!(sum(&metrics, "otel.sdk.processor.span.queue.size"), 0);
    assert_eq!(sum(&metrics, "otel.sdk.processor.span.queue.capacity"), 2048);
    assert_eq!(exported("otel.sdk.processor.span.processed", "").as_deref(), Some("3"));
    let dropped = named(&metrics, "pounce.telemetry.dropped").points.iter();
    let told: Vec<_> = dropped
        .filter(|point| point.value != "0")
        .map(|point| {
            (text(&point.attributes, "signal"), text(&point.attributes, "reason"), point.value.clone())
        })
        .collect();
    assert_eq!(told, [("metrics".to_owned(), "invalid_name".to_owned(), "3".to_owned())]);
    let exit = server.stop().await;
    let points = collector.points();
    exit.expect(0, &["3 spans ended, 3 exported", &format!("{points} points of metrics exported")]);
}
