//! Aggregation against a naive model, whatever is recorded.

use super::*;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Counter(u8, u32, u8),
    Histogram(f64),
    Collect,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3u8, any::<u32>(), 0..4u8).prop_map(|(name, value, set)| Step::Counter(name, value, set)),
        4 => (0.0..20_000.0f64).prop_map(Step::Histogram),
        1 => Just(Step::Collect),
    ]
}

proptest! {
    /// Cumulative points are what a map of all measurements says; deltas add up to the same.
    #[test]
    fn aggregation_is_that_of_a_naive_model(steps in proptest::collection::vec(step(), 0..200)) {
        let both = [Temporality::Cumulative, Temporality::Delta].map(|temporality| {
            let metrics = Arc::new(Metrics::plain());
            let reader = reader(&metrics, temporality);
            (metrics, reader)
        });
        let [(cumulative, mut all), (delta, mut since)] = both;
        let mut sums = BTreeMap::<(String, i64), i64>::new();
        let mut values = Vec::new();
        let (mut delta_sums, mut delta_buckets) = (BTreeMap::<(String, i64), i64>::new(), vec![0; 16]);
        for step in steps.into_iter().chain([Step::Collect]) {
            match step {
                Step::Counter(name, value, set) => {
                    let name = format!("c{name}");
                    *sums.entry((name.clone(), set.into())).or_default() += i64::from(value);
                    for metrics in [&cumulative, &delta] {
                        metrics.add_counter(&name, value.into(), self::set(&[("set", set.into())]), None);
                    }
                }
                Step::Histogram(value) => {
                    values.push(value);
                    for metrics in [&cumulative, &delta] {
                        metrics.record_histogram("h", value, vec![], None);
                    }
                }
                Step::Collect => {
                    let found = collect(&mut all);
                    prop_assert_eq!(&by_set(&found), &sums);
                    if let Some(data) = found.get("h") {
                        let point = histogram(data);
                        let within = |low: f64, high: f64| {
                            values.iter().filter(|value| low < **value && **value <= high).count() as u64
                        };
                        let ends = point.explicit_bounds.iter().copied().chain([f64::INFINITY]);
                        let starts = [f64::NEG_INFINITY].into_iter().chain(point.explicit_bounds.iter().copied());
                        let expected: Vec<_> = starts.zip(ends).map(|(low, high)| within(low, high)).collect();
                        prop_assert_eq!(&point.bucket_counts, &expected);
                        let total: f64 = values.iter().sum();
                        prop_assert!((point.sum.unwrap() - total).abs() <= 1e-9 * total);
                        prop_assert_eq!(point.min, values.iter().copied().reduce(f64::min));
                        prop_assert_eq!(point.max, values.iter().copied().reduce(f64::max));
                    }
                    let found = collect(&mut since);
                    for (key, value) in by_set(&found) {
                        *delta_sums.entry(key).or_default() += value;
                    }
                    if let Some(data) = found.get("h") {
                        for (sum, count) in delta_buckets.iter_mut().zip(&histogram(data).bucket_counts) {
                            *sum += count;
                        }
                    }
                }
            }
        }
        prop_assert_eq!(&delta_sums, &sums);
        prop_assert_eq!(delta_buckets.iter().sum::<u64>(), values.len() as u64);
    }

    /// Whatever a guest gives, equal sets are one series, and every point decodes.
    #[test]
    fn any_attributes_make_a_point(
        pairs in proptest::collection::vec((".{0,20}", any::<f64>()), 0..40),
        name in "\\PC{0,20}",
    ) {
        let metrics = Arc::new(Metrics::plain());
        let given = || pairs.iter().map(|(key, value)| (key.clone(), Value::Double(*value))).collect::<Vec<_>>();
        metrics.add_counter(&name, 1, given(), None);
        metrics.add_counter("valid", 1, given(), None);
        metrics.add_counter("valid", 1, given().into_iter().collect(), None);
        let found = collect(&mut reader(&metrics, Temporality::Cumulative));
        prop_assert_eq!(int(&sum(&found["valid"]).data_points[0]), 2 + i64::from(name == "valid"));
        let series = metrics.series(Kind::Counter, "valid", AttributeSet::of_guest(given()).0).unwrap();
        prop_assert_eq!(series.read(), Some(Reading::Sum(2 + i64::from(name == "valid"))));
    }
}

/// The sums of `c…` by name and the value of their one attribute.
fn by_set(found: &BTreeMap<String, Data>) -> BTreeMap<(String, i64), i64> {
    let mut sums = BTreeMap::new();
    for (name, data) in found.iter().filter(|(name, _)| name.starts_with('c')) {
        for point in &sum(data).data_points {
            let set = match point.attributes[0].value.clone().unwrap().value {
                Some(any_value::Value::IntValue(set)) => set,
                other => panic!("{other:?}"),
            };
            let twice = sums.insert((name.clone(), set), int(point));
            assert_eq!(twice, None, "a set is one point");
        }
    }
    sums
}
