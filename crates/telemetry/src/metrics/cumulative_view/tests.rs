//! A page says what the exports add up to, in bounds, whatever stores hand over.

use super::*;
use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value};
use proptest::prelude::*;

fn text(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

fn number(value: Number, of: &str, time: u64) -> otlp::NumberDataPoint {
    let attributes = vec![text("of", of)];
    otlp::NumberDataPoint {
        value: Some(value),
        attributes,
        time_unix_nano: time,
        ..otlp::NumberDataPoint::default()
    }
}

fn metric(name: &str, data: metric::Data) -> otlp::Metric {
    otlp::Metric { name: name.into(), unit: "s".into(), data: Some(data), ..otlp::Metric::default() }
}

fn sum(is_delta: bool, is_monotonic: bool, data_points: Vec<otlp::NumberDataPoint>) -> metric::Data {
    let temporality =
        if is_delta { AggregationTemporality::Delta } else { AggregationTemporality::Cumulative };
    metric::Data::Sum(otlp::Sum { data_points, is_monotonic, aggregation_temporality: temporality.into() })
}

fn histogram(bounds: &[f64], counts: &[u64], sum: f64, min: Option<f64>) -> metric::Data {
    let point = otlp::HistogramDataPoint {
        count: counts.iter().sum(),
        sum: Some(sum),
        min,
        explicit_bounds: bounds.to_vec(),
        bucket_counts: counts.to_vec(),
        ..otlp::HistogramDataPoint::default()
    };
    let aggregation_temporality = AggregationTemporality::Delta.into();
    metric::Data::Histogram(otlp::Histogram { data_points: vec![point], aggregation_temporality })
}

/// The values of all numbers, by name and attributes.
fn numbers(cumulative: &CumulativeView) -> Vec<(String, Number)> {
    let mut all = Vec::new();
    for metric in cumulative.now() {
        let (Some(metric::Data::Gauge(otlp::Gauge { data_points }))
        | Some(metric::Data::Sum(otlp::Sum { data_points, .. }))) = metric.data
        else {
            panic!("{metric:?}")
        };
        for point in data_points {
            let value = point.attributes[0].value.clone().and_then(|value| value.value);
            let of = match value {
                Some(any_value::Value::StringValue(text)) => text,
                _ => point.attributes[0].key.clone(),
            };
            all.push((format!("{} {of}", metric.name), point.value.unwrap()));
        }
    }
    all.sort_by(|one, other| one.0.cmp(&other.0));
    all
}

fn one_histogram(cumulative: &CumulativeView) -> otlp::HistogramDataPoint {
    let Some(metric::Data::Histogram(histogram)) = cumulative.now().remove(0).data else {
        panic!("a histogram")
    };
    assert_eq!((histogram.data_points.len(), histogram.aggregation_temporality), (1, 2), "cumulative");
    histogram.data_points[0].clone()
}

#[test]
fn what_adds_up_is_added_and_of_the_rest_the_latest_counts() {
    let cumulative = CumulativeView::default();
    let int = Number::AsInt;
    for (of, n, time) in [("a", 3, 1), ("b", 1, 1), ("a", 4, 2)] {
        let points = || vec![number(int(n), of, time)];
        let gauge = metric::Data::Gauge(otlp::Gauge { data_points: points() });
        for (name, data) in [
            ("counter", sum(true, true, points())),
            ("delta", sum(true, false, vec![number(int(-n), of, time)])),
            ("up.down", sum(false, false, points())),
            ("gauge", gauge),
        ] {
            assert_eq!(cumulative.add(metric(name, data)), 0);
        }
    }
    let late = metric::Data::Gauge(otlp::Gauge { data_points: vec![number(int(99), "a", 1)] });
    cumulative.add(metric("gauge", late));
    let expected = [
        ("counter a", int(7)),
        ("counter b", int(1)),
        ("delta a", int(-7)),
        ("delta b", int(-1)),
        ("gauge a", int(4)),
        ("gauge b", int(1)),
        ("up.down a", int(4)),
        ("up.down b", int(1)),
    ];
    assert_eq!(numbers(&cumulative), expected.map(|(of, n)| (of.to_owned(), n)));
    assert_eq!(numbers(&cumulative).len(), 8, "nothing is taken");
}

#[test]
fn numbers_stay_numbers_and_counters_never_shrink() {
    let cumulative = CumulativeView::default();
    for value in
        [Number::AsInt(i64::MAX), Number::AsInt(i64::MAX), Number::AsInt(-5), Number::AsDouble(-1e300)]
    {
        cumulative.add(metric("c", sum(true, true, vec![number(value, "a", 1)])));
    }
    assert_eq!(numbers(&cumulative)[0].1, Number::AsDouble(i64::MAX as f64));
    for _ in 0..3 {
        cumulative.add(metric("d", sum(true, true, vec![number(Number::AsDouble(f64::MAX), "a", 1)])));
    }
    assert_eq!(numbers(&cumulative)[1].1, Number::AsDouble(f64::MAX));
}

#[test]
fn buckets_that_differ_become_those_that_all_have() {
    let cumulative = CumulativeView::default();
    cumulative.add(metric("h", histogram(&[1.0, 2.0, 2.0, 5.0], &[1, 2, 0, 3, 4], 30.0, None)));
    let point = one_histogram(&cumulative);
    assert_eq!(
        (&point.explicit_bounds[..], &point.bucket_counts[..]),
        (&[1.0, 2.0, 5.0][..], &[1, 2, 3, 4][..])
    );
    cumulative.add(metric("h", histogram(&[1.0, 2.0, 5.0], &[1, 1, 1, 1], 10.0, Some(0.0))));
    let point = one_histogram(&cumulative);
    assert_eq!((point.bucket_counts, point.count, point.sum), (vec![2, 3, 4, 5], 14, Some(40.0)));
    cumulative.add(metric("h", histogram(&[2.0, 4.0, 5.0], &[10, 20, 30, 40], 1.0, None)));
    let point = one_histogram(&cumulative);
    assert_eq!((&point.explicit_bounds[..], &point.bucket_counts[..]), (&[2.0, 5.0][..], &[15, 54, 45][..]));
    cumulative.add(metric("h", histogram(&[], &[], 0.0, None)));
    let point = one_histogram(&cumulative);
    assert_eq!((point.explicit_bounds.len(), point.bucket_counts), (0, vec![114]));
    cumulative.add(metric("h", histogram(&[], &[1], 5.0, Some(-1.0))));
    let point = one_histogram(&cumulative);
    assert_eq!((point.count, point.sum), (115, None), "it may shrink");
}

#[test]
fn of_exponential_histograms_the_totals_stay() {
    let cumulative = CumulativeView::default();
    for n in 1..=3u64 {
        let point = otlp::ExponentialHistogramDataPoint {
            count: n,
            sum: Some(n as f64),
            scale: n as i32,
            ..otlp::ExponentialHistogramDataPoint::default()
        };
        let aggregation_temporality = AggregationTemporality::Delta.into();
        let data = otlp::ExponentialHistogram { data_points: vec![point], aggregation_temporality };
        cumulative.add(metric("e", metric::Data::ExponentialHistogram(data)));
    }
    let Some(metric::Data::ExponentialHistogram(found)) = cumulative.now().remove(0).data else { panic!() };
    assert_eq!((found.data_points[0].count, found.data_points[0].sum), (6, Some(6.0)));
}

#[test]
fn series_metrics_and_bytes_are_bounded_and_the_rest_is_counted() {
    let counter = |name: &str, of: &str| metric(name, sum(true, true, vec![number(Number::AsInt(1), of, 1)]));
    let cumulative = CumulativeView::default();
    let without: u64 = (0..MAX_SERIES + 9).map(|n| cumulative.add(counter("c", &n.to_string()))).sum();
    assert_eq!(without, 10);
    let found = numbers(&cumulative);
    assert_eq!(found.len(), MAX_SERIES);
    let rest = found.iter().find(|(of, _)| of == "c otel.metric.overflow").expect("the rest");
    assert_eq!(rest.1, Number::AsInt(10));
    assert_eq!(cumulative.add(counter("c", "0")), 0, "what is known has its place");

    let without: u64 = (0..MAX_INSTRUMENTS + 9).map(|n| cumulative.add(counter(&format!("m{n}"), "a"))).sum();
    assert_eq!(without, 10, "one was there before");
    assert_eq!(cumulative.now().len(), MAX_INSTRUMENTS);

    let cumulative = CumulativeView::default();
    let long = "x".repeat(4096);
    let mut without = 0;
    for n in 0..40 {
        for of in 0..100 {
            without += cumulative.add(counter(&format!("m{n}"), &format!("{of}{long}")));
        }
    }
    let bytes = cumulative.0.lock().unwrap().bytes;
    assert!(bytes <= MAX_BYTES && without > 1500, "{bytes} {without}");
}

#[test]
fn exemplars_are_the_latest_without_what_no_page_shows() {
    let exemplar = |time| otlp::Exemplar {
        time_unix_nano: time,
        filtered_attributes: vec![text("secret", "x")],
        ..otlp::Exemplar::default()
    };
    let cumulative = CumulativeView::default();
    for exemplars in [vec![exemplar(2), exemplar(1)], vec![], vec![exemplar(7), exemplar(5)], vec![]] {
        let point = otlp::NumberDataPoint { exemplars, ..number(Number::AsInt(1), "a", 1) };
        cumulative.add(metric("c", sum(true, true, vec![point])));
    }
    let Some(metric::Data::Sum(found)) = cumulative.now().remove(0).data else { panic!() };
    let exemplars = &found.data_points[0].exemplars;
    assert_eq!((exemplars.len(), exemplars[0].time_unix_nano), (1, 7));
    assert!(exemplars[0].filtered_attributes.is_empty());
}

/// Who reads never holds up who writes, nor sees what comes later.
#[test]
fn readers_see_one_moment() {
    let cumulative = CumulativeView::default();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..1000 {
                    cumulative.add(metric("c", sum(true, true, vec![number(Number::AsInt(1), "a", 1)])));
                }
            });
        }
        let mut last = 0;
        while last < 3000 {
            let now = match numbers(&cumulative)[..] {
                [(_, Number::AsInt(now))] => now,
                _ => 0,
            };
            assert!(now >= last);
            last = now;
        }
    });
}

proptest! {
    /// Counts at the bounds that stay are those of all values, whatever bounds stores use.
    #[test]
    fn counts_at_bounds_are_exact(
        parts in proptest::collection::vec((proptest::collection::vec(0u8..8, 0..6), proptest::collection::vec(0.0..10f64, 0..20)), 1..6),
    ) {
        let cumulative = CumulativeView::default();
        let mut all: Vec<f64> = Vec::new();
        for (mut bounds, values) in parts {
            bounds.sort_unstable();
            let bounds: Vec<f64> = bounds.into_iter().map(f64::from).collect();
            let mut counts = vec![0; bounds.len() + 1];
            for value in &values {
                counts[bounds.partition_point(|bound| bound < value)] += 1;
            }
            cumulative.add(metric("h", histogram(&bounds, &counts, values.iter().sum(), None)));
            all.extend(values);
        }
        let point = one_histogram(&cumulative);
        prop_assert_eq!(point.count, all.len() as u64);
        prop_assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
        let mut below = 0;
        for (bound, count) in point.explicit_bounds.iter().zip(&point.bucket_counts) {
            below += count;
            prop_assert_eq!(below, all.iter().filter(|value| *value <= bound).count() as u64);
        }
    }
}
