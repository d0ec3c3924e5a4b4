//! What is valid goes out as it came, the rest is counted, and what waits is bounded.

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

fn metric(name: &str, kind: Kind, points: Vec<Point>) -> Metric {
    let (name, description, unit) = (name.to_owned(), "d".repeat(10_000), "s".into());
    Metric { name, description, unit, kind, start: Some(u64::MAX), time: u64::MAX, points }
}

fn taken(metrics: &Metrics) -> Vec<otlp::Metric> {
    let all = metrics.handed_over.take();
    all.iter().flat_map(|collected| ScopeMetrics::decode(&*collected.bytes).unwrap().metrics).collect()
}

#[test]
fn points_keep_what_they_say_and_get_what_all_have() {
    let metrics = Metrics::new();
    let before = unix_nanos();
    let scope = Scope { name: "scope".into(), ..Scope::default() };
    let common = common(scope, Some(Value::Text("service".into())));
    let sum = Kind::Sum { is_delta: true, is_monotonic: true };
    let mut point = number(Number::Int(7));
    let exemplar = |value, span| Exemplar { attributes: vec![], time: 5, value, span };
    let ids = (TraceId([1; 16]), SpanId([2; 8]));
    point.exemplars = vec![exemplar(Number::Double(f64::NAN), None), exemplar(Number::Int(3), Some(ids))];
    metrics.hand_over(metric("sum", sum, vec![point]), &common, || true);
    let found = taken(&metrics).remove(0);
    assert_eq!((found.description.len(), found.unit.as_str()), (MAX_VALUE, "s"));
    let Some(metric::Data::Sum(sum)) = found.data else { panic!("a sum") };
    assert!(sum.is_monotonic && sum.aggregation_temporality() == AggregationTemporality::Delta);
    let point = &sum.data_points[0];
    assert_eq!(point.value, Some(number_data_point::Value::AsInt(7)));
    let keys: Vec<_> = point.attributes.iter().map(|attribute| attribute.key.as_str()).collect();
    assert_eq!(keys, ["k", "otel.scope.name", "service.name"]);
    assert!(before <= point.time_unix_nano && point.time_unix_nano <= unix_nanos(), "not in the future");
    assert_eq!(point.start_time_unix_nano, point.time_unix_nano);
    assert_eq!(point.exemplars.len(), 1, "one that is a number");
    assert_eq!((&point.exemplars[0].trace_id[..], point.exemplars[0].time_unix_nano), (&[1; 16][..], 5));
    assert!(taken(&metrics).is_empty(), "sent once");
}

#[test]
fn what_is_not_valid_is_counted() {
    let metrics = Metrics::new();
    let kind = Kind::Histogram { is_delta: false };
    let gauges = [f64::NAN, f64::INFINITY, 0.5].map(|value| number(Number::Double(value)));
    metrics.hand_over(metric("gauge", Kind::Gauge, gauges.into()), &[], || true);
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
    metrics.hand_over(metric("histogram", kind, histograms), &[], || true);
    metrics.hand_over(metric("", kind, vec![histogram(1.0, vec![], vec![])]), &[], || true);
    metrics.hand_over(metric("refused", Kind::Gauge, vec![number(Number::Int(1))]), &[], || false);
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
    let metrics = Metrics::new();
    for _ in 0..30 {
        let points = (0..1000).map(|_| number(Number::Int(1))).collect();
        metrics.hand_over(metric("gauge", Kind::Gauge, points), &[], || true);
    }
    assert_eq!(metrics.ignored.invocation.load(Relaxed), 20_000);
    assert_eq!(taken(&metrics).len(), 10);
    metrics.hand_over(metric("gauge", Kind::Gauge, vec![number(Number::Int(1))]), &[], || true);
    assert_eq!(taken(&metrics).len(), 1, "an export makes room");
}
