//! Differences add up to what was counted, whatever the scale; what restarts is whole; what is kept is bounded.

use super::*;
use proptest::prelude::*;

/// With the times 10 and `time`.
fn number(value: Number, time: u64) -> otlp::NumberDataPoint {
    otlp::NumberDataPoint {
        value: Some(value),
        start_time_unix_nano: 10,
        time_unix_nano: time,
        ..otlp::NumberDataPoint::default()
    }
}

fn since<P: Fold + std::fmt::Debug>(folded: Folded<P>) -> P {
    match folded {
        Folded::Since(point) => point,
        other => panic!("{other:?}"),
    }
}

#[test]
fn sums_are_handed_over_as_what_has_come_since() {
    let mut folds = Folds::default();
    let mut fold = |value, time| match folds.fold("sum", number(value, time)) {
        Folded::Since(point) => (point.value, point.start_time_unix_nano, point.time_unix_nano),
        Folded::Nothing => (None, 0, 0),
        other => panic!("{other:?}"),
    };
    let int = |value| Some(Number::AsInt(value));
    assert_eq!(fold(Number::AsInt(5), 20), (int(5), 10, 20), "the first is all since the start");
    assert_eq!(fold(Number::AsInt(5), 30), (None, 0, 0));
    assert_eq!(fold(Number::AsInt(8), 40), (int(3), 20, 40), "without a gap");
    assert_eq!(fold(Number::AsDouble(8.5), 50), (Some(Number::AsDouble(0.5)), 40, 50));
    assert_eq!(fold(Number::AsInt(2), 60), (int(2), 50, 60), "it counts from zero again");
    // A sum that counts from another start has nothing to do with the last.
    let mut restarted = number(Number::AsInt(9), 80);
    restarted.start_time_unix_nano = 70;
    assert_eq!(since(folds.fold("sum", restarted.clone())), restarted);
    // Neither has one of another name or of other attributes.
    let other = number(Number::AsInt(1), 90);
    assert_eq!(since(folds.fold("other", other.clone())), other);
    let mut other = number(Number::AsInt(1), 90);
    other.attributes.push(KeyValue { key: "k".into(), ..KeyValue::default() });
    assert_eq!(since(folds.fold("sum", other.clone())), other);
}

#[test]
fn histograms_are_subtracted_by_bucket() {
    let mut folds = Folds::default();
    let point = |counts: &[u64], bounds: &[f64], sum, time| otlp::HistogramDataPoint {
        count: counts.iter().sum(),
        sum: Some(sum),
        bucket_counts: counts.to_vec(),
        explicit_bounds: bounds.to_vec(),
        min: Some(0.5),
        max: Some(3.0),
        start_time_unix_nano: 10,
        time_unix_nano: time,
        ..otlp::HistogramDataPoint::default()
    };
    let first = point(&[1, 2], &[1.0], 5.0, 20);
    assert_eq!(since(folds.fold("h", first.clone())), first);
    assert_eq!(folds.fold("h", point(&[1, 2], &[1.0], 5.0, 30)), Folded::Nothing);
    let second = since(folds.fold("h", point(&[4, 2], &[1.0], 6.5, 40)));
    assert_eq!((second.count, second.bucket_counts, second.sum), (3, vec![3, 0], Some(1.5)));
    assert_eq!((second.start_time_unix_nano, second.min, second.max), (20, None, None));
    assert_eq!(folds.fold("h", point(&[3, 9], &[1.0], 9.0, 50)), Folded::Broken, "a bucket shrank");
    assert_eq!(folds.fold("h", point(&[6, 9], &[2.0], 9.0, 60)), Folded::Broken, "other buckets");
    let next = since(folds.fold("h", point(&[7, 9], &[2.0], 9.5, 70)));
    assert_eq!((next.count, next.start_time_unix_nano), (1, 60), "and on from there");
    let restarted = since(folds.fold("h", point(&[1, 0], &[2.0], 0.5, 80)));
    assert_eq!((restarted.count, restarted.start_time_unix_nano, restarted.min), (1, 70, Some(0.5)));
}

#[test]
fn what_is_kept_of_a_store_is_bounded() {
    let mut folds = Folds::default();
    let fold = |folds: &mut Folds, n: usize| folds.fold(&format!("c{n}"), number(Number::AsInt(1), 20));
    let full = (0..1500).filter(|n| fold(&mut folds, *n) == Folded::Full).count();
    assert!(full >= 500 && folds.series.len() <= MAX_SERIES && folds.bytes <= MAX_BYTES, "{full}");
    assert_eq!(fold(&mut folds, 3), Folded::Nothing, "the first are known");
    let mut folds = Folds::default();
    let large = |n: usize| otlp::HistogramDataPoint {
        bucket_counts: vec![1; n],
        ..otlp::HistogramDataPoint::default()
    };
    let full = (0..100).filter(|n| folds.fold(&format!("h{n}"), large(1000)) == Folded::Full).count();
    assert!((65..75).contains(&full) && folds.bytes <= MAX_BYTES, "each takes 8 KiB: {full}");
    assert_eq!(folds.fold("h3", large(900_000)), Folded::Full, "nor does it grow beyond");
}

/// The buckets of `values` at a scale, as an SDK has them.
fn exponential(values: &[f64], scale: i32, time: u64) -> otlp::ExponentialHistogramDataPoint {
    let side = |sign: f64| {
        let base = 2f64.powf(2f64.powi(-scale));
        let index = |value: &f64| (value.abs().ln() / base.ln()).ceil() as i32 - 1;
        let indexes: Vec<_> = values.iter().filter(|value| **value * sign > 0.0).map(index).collect();
        let offset = indexes.iter().copied().min().unwrap_or(0);
        let len = indexes.iter().max().map_or(0, |max| (max - offset + 1) as usize);
        let mut bucket_counts = vec![0; len];
        indexes.iter().for_each(|index| bucket_counts[(index - offset) as usize] += 1);
        Some(Buckets { offset, bucket_counts })
    };
    otlp::ExponentialHistogramDataPoint {
        count: values.len() as u64,
        sum: Some(values.iter().sum()),
        scale,
        zero_count: values.iter().filter(|value| **value == 0.0).count() as u64,
        positive: side(1.0),
        negative: side(-1.0),
        start_time_unix_nano: 10,
        time_unix_nano: time,
        ..otlp::ExponentialHistogramDataPoint::default()
    }
}

/// Counts by bucket, empty ones left out.
fn buckets(buckets: &Option<Buckets>) -> Vec<(i32, u64)> {
    let (offset, counts) = counts(buckets);
    let counted = counts.iter().enumerate().filter(|(_, count)| **count > 0);
    counted.map(|(at, count)| (offset + at as i32, *count)).collect()
}

proptest! {
    /// The difference is the histogram of the values that came since, also where the scale went down.
    #[test]
    fn exponential_histograms_are_subtracted_at_any_scale(
        // Halves of powers are far from the ends of buckets, where a logarithm might fall on either side.
        powers in proptest::collection::vec((-40..40i32, 0..3u8), 2..40),
        at in any::<prop::sample::Index>(),
        (first, coarser) in (-2..1i32, 0..4),
    ) {
        let value = |(power, sign): &(i32, u8)| {
            2f64.powi(*power) * 1.4 * match sign { 0 => 0.0, 1 => 1.0, _ => -1.0 }
        };
        let values: Vec<_> = powers.iter().map(value).collect();
        let at = at.index(values.len());
        let mut folds = Folds::default();
        since(folds.fold("e", exponential(&values[..at], first, 20)));
        let found = since(folds.fold("e", exponential(&values, first - coarser, 30)));
        let expected = exponential(&values[at..], first - coarser, 30);
        prop_assert_eq!((found.count, found.zero_count), (expected.count, expected.zero_count));
        prop_assert_eq!(buckets(&found.positive), buckets(&expected.positive));
        prop_assert_eq!(buckets(&found.negative), buckets(&expected.negative));
    }
}
