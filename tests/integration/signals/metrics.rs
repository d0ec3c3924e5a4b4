//! Metrics of guests: exact points, whose they are, and the limits.

use super::deeds;
use crate::support::attributes::expect;
use crate::support::signals::Metric;
use crate::support::{Abi, Collector, for_both_abis, pounce};

for_both_abis!(
    measurements_of_all_requests_are_added_up,
    an_exemplar_leads_to_the_trace,
    what_cannot_be_kept_is_counted_and_told,
    deltas_are_sent_where_they_are_asked_for,
);

fn named<'a>(metrics: &'a [Metric], name: &str) -> &'a Metric {
    let mut found = metrics.iter().filter(|metric| metric.name == name);
    match (found.next(), found.next()) {
        (Some(metric), None) => metric,
        _ => panic!("one metric {name:?} among {metrics:#?}"),
    }
}

async fn measurements_of_all_requests_are_added_up(abi: Abi) {
    let collector = Collector::start().await;
    let server = pounce().guest(abi, "attributes").traced(&collector).start().await;
    for n in 1..=3 {
        let gauge = format!("gauge.temperature={n}.5");
        deeds(
            &server,
            &format!(
                "with.shop=berlin&counter.orders={n}&histogram.items=7&histogram.call.duration=0.3&{gauge}"
            ),
        )
        .await;
    }
    deeds(&server, "updown.queue=5&updown.queue=-7&with.shop=rome&counter.orders=40&histogram.items=20000")
        .await;
    let span = collector.spans(4).await.remove(0);
    // Nothing waits for the interval of a minute when the server stops.
    assert!(collector.others().is_empty());
    let exit = server.stop().await;
    exit.expect(0, &[&format!("{} points of metrics exported", collector.points())]);
    let [export] = collector.others().try_into().unwrap_or_else(|others| panic!("one export: {others:#?}"));
    assert_eq!(export.target, "/v1/metrics");
    let metrics = export.received.metrics();
    let shown = |name| (named(&metrics, name).kind.clone(), named(&metrics, name).lines());
    assert_eq!(metrics.len(), 5);
    assert_eq!(metrics.iter().map(|metric| metric.points.len()).sum::<usize>(), 7);
    let orders = [r#"shop="berlin" → 6"#, r#"shop="rome" → 40"#].map(str::to_owned).to_vec();
    assert_eq!(shown("orders"), ("counter".into(), orders));
    assert_eq!(shown("queue"), ("updown".into(), vec!["→ -2".to_owned()]));
    assert_eq!(shown("temperature"), ("gauge".into(), vec![r#"shop="berlin" → 3.5"#.to_owned()]));
    assert_eq!(
        shown("items").1,
        [
            r#"shop="berlin" → count=3 sum=21 min=7 max=7 ≤10:3"#,
            r#"shop="rome" → count=1 sum=20000 min=20000 max=20000 ≤inf:1"#
        ]
    );
    let calls = &shown("call.duration").1[0];
    assert!(calls.contains("count=3") && calls.ends_with("≤0.5:3"), "buckets of seconds: {calls}");

    let origin = &metrics[0].origin;
    assert_eq!(origin.resource, span.resource, "the same instance of the same service");
    assert_eq!(origin.scope, "pounce.guest");
    let component = format!("pounce.component = {:?}", abi.stem("attributes"));
    expect("attributes of the scope", &origin.scope_attributes, &component);
    let (from, to) = named(&metrics, "orders").points[0].time;
    assert!(
        from < span.start && span.end < to,
        "{from}..{to} has the request of {}..{}",
        span.start,
        span.end
    );
}

async fn an_exemplar_leads_to_the_trace(abi: Abi) {
    let collector = Collector::start().await;
    let server = pounce()
        .guest(abi, "attributes")
        .traced(&collector)
        .env("OTEL_METRIC_EXPORT_INTERVAL", 100)
        .start()
        .await;
    deeds(&server, "counter.orders=2&histogram.items=7").await;
    let span = collector.span().await;
    let exemplar = |value: &str| (span.trace_id.clone(), span.span_id.clone(), value.to_owned());
    // The first export may be of before the request.
    let first = || {
        let exports = collector.others().into_iter().map(|export| export.received.metrics());
        exports.into_iter().find(|metrics| metrics.len() == 2)
    };
    crate::support::eventually("both metrics", async || first().is_some()).await;
    let metrics = first().unwrap();
    assert_eq!(named(&metrics, "orders").points[0].exemplars, [exemplar("2")]);
    assert_eq!(named(&metrics, "items").points[0].exemplars, [exemplar("7.0")]);
    // A total is sent again at each interval, from the same start; an exemplar only once.
    let before = named(&metrics, "orders").points[0].time;
    let later = collector
        .metrics_where("of later", |metrics| {
            metrics.iter().any(|metric| metric.name == "orders" && metric.points[0].time.1 > before.1)
        })
        .await;
    let point = &named(&later, "orders").points[0];
    assert_eq!((point.time.0, point.value.as_str(), point.exemplars.len()), (before.0, "2", 0));
    // What is not sampled has no trace to lead to.
    let server = pounce()
        .guest(abi, "attributes")
        .traced(&collector)
        .flag("--otel-sample", "0")
        .env("OTEL_METRIC_EXPORT_INTERVAL", 100)
        .start()
        .await;
    deeds(&server, "counter.unsampled=1").await;
    let found = collector
        .metrics_where("unsampled", |metrics| metrics.iter().any(|metric| metric.name == "unsampled"))
        .await;
    assert_eq!(named(&found, "unsampled").points[0].exemplars, []);
}

async fn what_cannot_be_kept_is_counted_and_told(abi: Abi) {
    let collector = Collector::start().await;
    let server = pounce().guest(abi, "attributes").traced(&collector).start().await;
    deeds(&server, "counter.no%20name=1&counter.%C3%A4=1&histogram.h=nan&gauge.g=inf").await;
    deeds(&server, "counter.same=1&gauge.same=1&counter.Same=1").await;
    deeds(&server, "with.pounce.component=forged&counter.mine=1").await;
    deeds(&server, "times=1500&counter.often=1").await;
    for _ in 0..3 {
        deeds(&server, "series=1000").await;
    }
    let exit = server.stop().await;
    exit.expect(
        0,
        &[
            "2 measurements dropped for an invalid name",
            "2 measurements dropped as infinite or not a number",
            "1 measurements dropped as their name is of another kind of instrument",
            "500 measurements dropped beyond what a request may make",
            "1 of their attributes dropped",
        ],
    );
    assert_eq!(exit.totals().exported, 7, "{exit}");
    let metrics = collector.metrics();
    assert_eq!(
        metrics.iter().map(|metric| metric.name.as_str()).collect::<Vec<_>>(),
        ["mine", "often", "same", "series"]
    );
    assert_eq!(named(&metrics, "same").lines(), ["→ 2"]);
    assert_eq!(named(&metrics, "mine").lines(), ["→ 1"]);
    assert_eq!(named(&metrics, "often").lines(), ["→ 1000"]);
    let series = named(&metrics, "series");
    assert_eq!(series.points.len(), 1000, "the same set is the same series");
    assert!(series.points.iter().all(|point| point.value == "3"));
}

#[tokio::test]
async fn too_many_series_are_one_for_the_rest() {
    let collector = Collector::start().await;
    let server = pounce().guest(Abi::P2, "attributes").traced(&collector).start().await;
    for part in 0..4 {
        // Each request may make a thousand measurements.
        let queries: String = (0..700).map(|n| format!("&set.x=1&with.n={part}.{n}&counter.c=1")).collect();
        // Long queries, so in pieces of a request head.
        for piece in queries.split_inclusive("=1&set.x").collect::<Vec<_>>().chunks(100) {
            let piece = piece.concat();
            deeds(&server, piece.trim_start_matches('&').trim_end_matches("&set.x")).await;
        }
    }
    let exit = server.stop().await;
    exit.expect(0, &["801 measurements without their attributes for too many series"]);
    let metrics = collector.metrics();
    let points = &named(&metrics, "c").points;
    assert_eq!(points.len(), 2000);
    let sum: i64 = points.iter().map(|point| point.value.parse::<i64>().unwrap()).sum();
    assert_eq!(sum, 2800, "no measurement is lost");
    let rest = named(&metrics, "c").lines();
    assert!(rest.contains(&"otel.metric.overflow=true → 801".to_owned()));
}

async fn deltas_are_sent_where_they_are_asked_for(abi: Abi) {
    let collector = Collector::start().await;
    let server = pounce()
        .guest(abi, "attributes")
        .traced(&collector)
        .env("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta")
        .env("OTEL_METRIC_EXPORT_INTERVAL", 100)
        .start()
        .await;
    for n in 1..=3 {
        deeds(&server, &format!("counter.orders={n}&updown.queue={n}&histogram.items={n}")).await;
        tokio::time::sleep(std::time::Duration::from_millis(250)).await;
    }
    server.stop().await.expect(0, &[]);
    let all: Vec<_> = collector.others().into_iter().flat_map(|export| export.received.metrics()).collect();
    let of = |name: &str, kind: &str| -> Vec<String> {
        let found = all.iter().filter(|metric| metric.name == name);
        found
            .inspect(|metric| assert_eq!(metric.kind, kind))
            .map(|metric| metric.points[0].value.clone())
            .collect()
    };
    let orders = of("orders", "counter delta");
    assert_eq!(orders.iter().map(|value| value.parse::<i64>().unwrap()).sum::<i64>(), 6, "{orders:?}");
    assert_eq!(of("queue", "updown").last().map(String::as_str), Some("6"), "what may shrink is a total");
    let items = of("items", "histogram delta");
    let counts = items.iter().map(|value| value[6..7].parse::<i64>().unwrap());
    assert_eq!(counts.sum::<i64>(), 3, "{items:?}");
}
