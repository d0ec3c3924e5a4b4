//! What is valid goes out as it came, the rest is counted, and what waits is bounded.

use super::super::sdk_queue::MAX_BYTES;
use super::*;
use otlp::ScopeMetrics;

fn number(value: Number) -> Point {
    Point {
        attributes: vec![("k".into(), Value::Int(1))],
        value: PointValue::Number(value),
        exemplars: vec![],
    }
}

fn histogram(sum: f64, bounds: Vec<f64>, counts: Vec<u64>) -> Point {
    let distribution = Distribution { count: counts.iter().sum(), sum, min: Some(f64::NAN), max: Some(2.0) };
    let value = PointValue::Histogram { distribution, bounds, counts };
    Point { attributes: vec![], value, exemplars: vec![] }
}

fn metric(name: &str, kind: Kind, points: Vec<Point>) -> Metric<'static> {
    let points = Box::new(points.into_iter());
    let (name, description, unit) = (name.to_owned(), "d".repeat(10_000), "s".into());
    Metric { name, description, unit, kind, start: Some(u64::MAX), time: u64::MAX, points }
}

/// Hands over with no attributes for all, as a store does that has never done so.
fn hand_over(metrics: &Metrics, metric: Metric<'_>, may_take: bool) {
    metrics.hand_over(metric, &Common(vec![]), &mut Folds::default(), || may_take);
}

fn taken(metrics: &Metrics) -> Vec<otlp::Metric> {
    let all = metrics.sdk_queue.take();
    all.iter().flat_map(|collected| ScopeMetrics::decode(&*collected.bytes).unwrap().metrics).collect()
}

#[test]
fn points_keep_what_they_say_and_get_what_all_have() {
    let metrics = Metrics::plain();
    let before = unix_nanos();
    let scope = SdkScope { name: "scope".into(), ..SdkScope::default() };
    let common = metrics.common(scope, Some(Value::Text("service".into())), 0);
    let sum = Kind::Sum { is_delta: true, is_monotonic: true };
    let mut point = number(Number::Int(7));
    let exemplar = |value, span| Exemplar { attributes: vec![], time: 5, value, span };
    let ids = (TraceId([1; 16]), SpanId([2; 8]));
    point.exemplars = vec![exemplar(Number::Double(f64::NAN), None), exemplar(Number::Int(3), Some(ids))];
    metrics.hand_over(metric("sum", sum, vec![point]), &common, &mut Folds::default(), || true);
    let found = taken(&metrics).remove(0);
    assert_eq!((found.description.len(), found.unit.as_str()), (MAX_VALUE, "s"));
    let Some(metric::Data::Sum(sum)) = found.data else { panic!("a sum") };
    assert!(sum.is_monotonic && sum.aggregation_temporality() == AggregationTemporality::Delta);
    let point = &sum.data_points[0];
    assert_eq!(point.value, Some(number_data_point::Value::AsInt(7)));
    let keys: Vec<_> = point.attributes.iter().map(|attribute| attribute.key.as_str()).collect();
    assert_eq!(keys, ["k", "service.name", "otel.scope.name"]);
    assert!(before <= point.time_unix_nano && point.time_unix_nano <= unix_nanos(), "not in the future");
    assert_eq!(point.start_time_unix_nano, point.time_unix_nano);
    assert_eq!(point.exemplars.len(), 1, "one that is a number");
    assert_eq!((&point.exemplars[0].trace_id[..], point.exemplars[0].time_unix_nano), (&[1; 16][..], 5));
    assert!(taken(&metrics).is_empty(), "sent once");
}

#[test]
fn what_is_not_valid_is_counted() {
    let metrics = Metrics::plain();
    let kind = Kind::Histogram { is_delta: false };
    let gauges = [f64::NAN, f64::INFINITY, 0.5].map(|value| number(Number::Double(value)));
    hand_over(&metrics, metric("gauge", Kind::Gauge, gauges.into()), true);
    let histograms = vec![
        histogram(1.0, vec![1.0], vec![1, 2]),
        histogram(1.0, vec![], vec![]),
        histogram(f64::NAN, vec![1.0], vec![1, 2]),
        histogram(1.0, vec![1.0], vec![1]),
        histogram(1.0, vec![2.0, 1.0], vec![1, 2, 3]),
        histogram(1.0, vec![f64::NAN], vec![1, 2]),
        histogram(1.0, vec![1.0; 5000], vec![1; 5001]),
        number(Number::Int(1)),
    ];
    hand_over(&metrics, metric("histogram", kind, histograms), true);
    hand_over(&metrics, metric("", kind, vec![histogram(1.0, vec![], vec![])]), true);
    hand_over(&metrics, metric("refused", Kind::Gauge, vec![number(Number::Int(1))]), false);
    let found = taken(&metrics);
    let points: Vec<_> = found
        .iter()
        .map(|metric| match metric.data.as_ref().unwrap() {
            metric::Data::Gauge(gauge) => gauge.data_points.len(),
            metric::Data::Histogram(histogram) => {
                assert_eq!((histogram.data_points[0].min, histogram.data_points[0].max), (None, Some(2.0)));
                histogram.data_points.len()
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(points, [1, 2]);
    let ignored = &metrics.ignored;
    let counts = [&ignored.number, &ignored.name, &ignored.invocation].map(|count| count.load(Relaxed));
    assert_eq!(counts, [2 + 6, 1, 1]);
}

#[test]
fn what_waits_is_bounded() {
    let metrics = Metrics::plain();
    for _ in 0..30 {
        let points = (0..1000).map(|_| number(Number::Int(1))).collect();
        hand_over(&metrics, metric("gauge", Kind::Gauge, points), true);
    }
    assert_eq!(metrics.ignored.waiting.load(Relaxed), 20_000);
    assert_eq!(metrics.ignored.invocation.load(Relaxed), 0, "no request is to blame");
    assert_eq!(taken(&metrics).len(), 10);
    hand_over(&metrics, metric("gauge", Kind::Gauge, vec![number(Number::Int(1))]), true);
    assert_eq!(taken(&metrics).len(), 1, "an export makes room");
}

fn large(n: i64) -> Point {
    // As a guest can write it in a few hundred bytes of JSON: a list of many texts, each as long as a text may be.
    let list = Value::List(vec![Value::Text("x".repeat(MAX_VALUE)); 1000]);
    let texts = (0..20).map(|key| (format!("k{key}"), Value::Text("x".repeat(MAX_VALUE))));
    let attributes = [("n".to_owned(), Value::Int(n)), ("list".to_owned(), list)].into_iter().chain(texts);
    Point { attributes: attributes.collect(), ..number(Number::Int(n)) }
}

#[test]
fn points_are_bounded_in_bytes_and_those_without_room_are_never_made() {
    let metrics = Metrics::plain();
    let scope = SdkScope {
        name: "s".into(),
        attributes: (0..100).map(|n| (format!("a{n}"), Value::Text("y".repeat(9000)))).collect(),
        ..SdkScope::default()
    };
    let common = metrics.common(scope, Some(Value::Text("service".into())), 3);
    assert!(common.0.iter().map(|(_, size)| size).sum::<usize>() <= MAX_COMMON);
    let dropped = metrics.ignored.attributes.load(Relaxed);
    assert_eq!(dropped + common.0.len() as u64, 102 + 3);
    let made = std::cell::Cell::new(0);
    let points = (0..1000).collect::<Vec<_>>().into_iter().map(|n| {
        made.set(made.get() + 1);
        large(n)
    });
    let metric = Metric { points: Box::new(points), ..metric("g", Kind::Gauge, vec![]) };
    metrics.hand_over(metric, &common, &mut Folds::default(), || true);
    let found = taken(&metrics).remove(0);
    assert!(found.encoded_len() <= MAX_BYTES, "{}", found.encoded_len());
    let Some(metric::Data::Gauge(gauge)) = found.data else { panic!("a gauge") };
    let kept = gauge.data_points.len();
    assert!((300..350).contains(&kept), "each takes 12 KiB, all 4 MiB: {kept}");
    assert_eq!((made.get(), metrics.ignored.waiting.load(Relaxed)), (kept + 1, 1000 - kept as u64));
    for point in &gauge.data_points {
        assert!(point.encoded_len() <= attributes::MAX_SIZE + 1024, "{}", point.encoded_len());
        assert!(point.attributes.iter().all(|attribute| attribute.key != "list"));
    }
    assert!(
        metrics.ignored.attributes.load(Relaxed) > dropped + kept as u64 * 10,
        "what was left out is counted"
    );
}

/// The sum over all points of the deltas of `name`.
fn total(found: &[otlp::Metric]) -> i64 {
    let mut total = 0;
    for metric in found {
        let Some(metric::Data::Sum(sum)) = &metric.data else { panic!("{metric:?}") };
        assert_eq!(sum.aggregation_temporality(), AggregationTemporality::Delta);
        for point in &sum.data_points {
            let Some(number_data_point::Value::AsInt(value)) = point.value else { panic!("{point:?}") };
            total += value;
        }
    }
    total
}

#[test]
fn cumulative_sums_of_many_stores_add_up() {
    let metrics = Metrics::plain();
    let kind = Kind::Sum { is_delta: false, is_monotonic: true };
    let export = |folds: &mut Folds, value| {
        let metric = metric("orders", kind, vec![number(Number::Int(value))]);
        metrics.hand_over(Metric { start: Some(5), ..metric }, &Common(vec![]), folds, || true);
    };
    let (mut one, mut two) = (Folds::default(), Folds::default());
    export(&mut one, 3);
    export(&mut two, 4);
    export(&mut one, 10);
    export(&mut one, 10);
    export(&mut two, 5);
    assert_eq!(total(&taken(&metrics)), 10 + 5);
    // What could not be handed over comes with the next.
    let refused = metric("orders", kind, vec![number(Number::Int(12))]);
    metrics.hand_over(Metric { start: Some(5), ..refused }, &Common(vec![]), &mut one, || false);
    export(&mut one, 13);
    assert_eq!(total(&taken(&metrics)), 3);
    // What may shrink goes out as it came.
    let kind = Kind::Sum { is_delta: false, is_monotonic: false };
    metrics.hand_over(metric("up", kind, vec![number(Number::Int(-2))]), &Common(vec![]), &mut one, || true);
    let Some(metric::Data::Sum(sum)) = taken(&metrics).remove(0).data else { panic!("a sum") };
    assert_eq!(sum.aggregation_temporality(), AggregationTemporality::Cumulative);
}

#[test]
fn nothing_waits_after_the_last_export() {
    let metrics = Metrics::plain();
    let one = || metric("gauge", Kind::Gauge, vec![number(Number::Int(1))]);
    hand_over(&metrics, one(), true);
    Metrics::settle(&[&metrics]);
    hand_over(&metrics, one(), true);
    assert_eq!(metrics.counters.lost(Loss::ExportFailed), 2, "neither will be sent");
    assert!(taken(&metrics).is_empty());
}
