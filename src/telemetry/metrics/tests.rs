//! Aggregation against a naive model, the limits, and what the messages say once decoded.

use super::series::Reading;
use super::*;
use crate::config::Temporality;
use crate::telemetry::context::{RANDOM, SAMPLED, TraceState};
use crate::telemetry::id::{SpanId, TraceId};
use opentelemetry_proto::tonic::common::v1::any_value;
use opentelemetry_proto::tonic::metrics::v1 as otlp;
use otlp::{AggregationTemporality, exemplar, metric::Data, number_data_point};
use proptest::prelude::*;
use prost::Message;
use std::collections::BTreeMap;

fn set(pairs: &[(&str, i64)]) -> Vec<(String, Value)> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), Value::Int(*value))).collect()
}

fn span(id: u8, flags: u8) -> SpanContext {
    let (trace_id, span_id) = (TraceId([id; 16]), SpanId([id; 8]));
    SpanContext { trace_id, span_id, flags, trace_state: TraceState::default() }
}

fn reader(metrics: &Arc<Metrics>, temporality: Temporality) -> Reader {
    Reader::new(Arc::clone(metrics), temporality)
}

/// What a collection says, by name.
fn collect(reader: &mut Reader) -> BTreeMap<String, Data> {
    let mut found = BTreeMap::new();
    for collected in reader.collect() {
        let of_scope = otlp::ScopeMetrics::decode(&*collected.bytes).unwrap();
        let [metric] = of_scope.metrics.try_into().unwrap();
        let data = metric.data.unwrap();
        assert_eq!(collected.points as usize, points(&data), "{data:?}");
        assert_eq!(found.insert(metric.name, data), None, "one message for an instrument this small");
    }
    found
}

fn points(data: &Data) -> usize {
    match data {
        Data::Sum(sum) => sum.data_points.len(),
        Data::Gauge(gauge) => gauge.data_points.len(),
        Data::Histogram(histogram) => histogram.data_points.len(),
        other => panic!("{other:?}"),
    }
}

fn sum(data: &Data) -> &otlp::Sum {
    match data {
        Data::Sum(sum) => sum,
        other => panic!("no sum: {other:?}"),
    }
}

fn histogram(data: &Data) -> &otlp::HistogramDataPoint {
    match data {
        Data::Histogram(histogram) => &histogram.data_points[0],
        other => panic!("no histogram: {other:?}"),
    }
}

fn int(point: &otlp::NumberDataPoint) -> i64 {
    match point.value {
        Some(number_data_point::Value::AsInt(value)) => value,
        ref other => panic!("no integer: {other:?}"),
    }
}

#[test]
fn each_kind_says_what_it_should() {
    let metrics = Arc::new(Metrics::new());
    let mut reader = reader(&metrics, Temporality::Cumulative);
    let sampled = span(7, SAMPLED | RANDOM);
    metrics.add_counter("orders", 2, set(&[("shop", 1)]), Some(&sampled));
    metrics.add_counter("orders", 3, set(&[("shop", 1)]), Some(&span(9, RANDOM)));
    metrics.add_up_down("queue", 5, vec![], None);
    metrics.add_up_down("queue", -7, vec![], None);
    metrics.set_gauge("temperature", 20.5, vec![], None);
    metrics.set_gauge("temperature", -3.5, vec![], None);
    for value in [0.0, 5.0, 5.1, 20_000.0] {
        metrics.record_histogram("size", value, vec![], None);
    }
    metrics.record_histogram("call.duration", 0.3, vec![], None);
    let found = collect(&mut reader);
    assert_eq!(found.keys().collect::<Vec<_>>(), ["call.duration", "orders", "queue", "size", "temperature"]);

    let orders = sum(&found["orders"]);
    assert!(orders.is_monotonic);
    assert_eq!(orders.aggregation_temporality(), AggregationTemporality::Cumulative);
    let [point] = orders.data_points.as_slice() else { panic!("{orders:?}") };
    assert_eq!((int(point), point.attributes[0].key.as_str()), (5, "shop"));
    assert!(0 < point.start_time_unix_nano && point.start_time_unix_nano <= point.time_unix_nano);
    // Of the two measurements only the first was made in a trace that is recorded.
    let [exemplar] = point.exemplars.as_slice() else { panic!("{point:?}") };
    assert_eq!((exemplar.trace_id.as_slice(), exemplar.span_id.as_slice()), (&[7; 16][..], &[7; 8][..]));
    assert_eq!(exemplar.value, Some(exemplar::Value::AsInt(2)));
    assert!((point.start_time_unix_nano..=point.time_unix_nano).contains(&exemplar.time_unix_nano));

    let queue = sum(&found["queue"]);
    assert_eq!((queue.is_monotonic, int(&queue.data_points[0])), (false, -2));
    let Data::Gauge(gauge) = &found["temperature"] else { panic!("{found:?}") };
    assert_eq!(gauge.data_points[0].value, Some(number_data_point::Value::AsDouble(-3.5)));

    let size = histogram(&found["size"]);
    assert_eq!((size.count, size.sum, size.min, size.max), (4, Some(20_010.1), Some(0.0), Some(20_000.0)));
    assert_eq!((size.explicit_bounds.len(), size.bucket_counts.len()), (15, 16));
    // Upper ends belong to their bucket.
    assert_eq!(size.bucket_counts[..3], [1, 1, 1]);
    assert_eq!(size.bucket_counts[15], 1);
    let call = histogram(&found["call.duration"]);
    assert_eq!((call.explicit_bounds[0], call.explicit_bounds.len()), (0.005, 14));

    // All since the start again, and the exemplar only once.
    metrics.add_counter("orders", 1, set(&[("shop", 1)]), None);
    let again = collect(&mut reader);
    let next = &sum(&again["orders"]).data_points[0];
    assert_eq!((int(next), next.start_time_unix_nano), (6, point.start_time_unix_nano));
    assert!(next.exemplars.is_empty());
    assert_eq!(histogram(&again["size"]).count, 4);
}

#[test]
fn deltas_say_what_came_since() {
    let metrics = Arc::new(Metrics::new());
    let mut reader = reader(&metrics, Temporality::Delta);
    metrics.add_counter("c", 2, vec![], None);
    metrics.add_up_down("u", 2, vec![], None);
    metrics.record_histogram("h", 1.0, vec![], None);
    let first = collect(&mut reader);
    assert_eq!(sum(&first["c"]).aggregation_temporality(), AggregationTemporality::Delta);
    // The specification: what may shrink is cumulative all the same.
    assert_eq!(sum(&first["u"]).aggregation_temporality(), AggregationTemporality::Cumulative);
    metrics.add_counter("c", 3, vec![], None);
    metrics.add_up_down("u", 3, vec![], None);
    let second = collect(&mut reader);
    assert_eq!(second.keys().collect::<Vec<_>>(), ["c", "u"], "no value came for h");
    let (before, after) = (&sum(&first["c"]).data_points[0], &sum(&second["c"]).data_points[0]);
    assert_eq!((int(after), int(&sum(&second["u"]).data_points[0])), (3, 5));
    assert_eq!(after.start_time_unix_nano, before.time_unix_nano, "without a gap");
    metrics.record_histogram("h", 9.0, vec![], None);
    let third = collect(&mut reader);
    let point = histogram(&third["h"]);
    assert_eq!((point.count, point.min, point.sum), (1, Some(9.0), Some(9.0)));
}

#[test]
fn nothing_recorded_is_nothing_said() {
    let metrics = Arc::new(Metrics::new());
    for temporality in [Temporality::Cumulative, Temporality::Delta] {
        assert!(reader(&metrics, temporality).collect().is_empty());
    }
    // A series that somebody holds on to says nothing until something is recorded.
    let bound = metrics.series(Kind::Counter, "bound", AttributeSet::default()).unwrap();
    let mut reader = reader(&metrics, Temporality::Cumulative);
    assert!(reader.collect().is_empty());
    bound.record(Measurement::Int(1), None);
    metrics.add_counter("bound", 1, vec![], None);
    assert_eq!(int(&sum(&collect(&mut reader)["bound"]).data_points[0]), 2);
}

#[test]
fn what_cannot_be_recorded_is_counted() {
    let metrics = Metrics::new();
    let long = format!("a{}", "b".repeat(255));
    for name in ["", "1a", "_a", "a b", "ä", "a\0", "a=b", &long] {
        metrics.add_counter(name, 1, vec![], None);
    }
    assert_eq!(metrics.ignored.name.load(Relaxed), 8);
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        metrics.record_histogram("h", value, vec![], None);
        metrics.set_gauge("g", value, vec![], None);
    }
    assert_eq!(metrics.ignored.number.load(Relaxed), 6);
    assert!(metrics.instruments().is_empty());
    metrics.add_counter("Taken", 1, vec![], None);
    metrics.set_gauge("taken", 1.0, vec![], None);
    metrics.add_up_down("TAKEN", 1, vec![], None);
    metrics.add_counter("taken", 1, vec![], None);
    assert_eq!(metrics.ignored.kind.load(Relaxed), 2, "the first kind stays");
    assert_eq!(&*metrics.instruments()[0].name, "Taken", "and the first spelling");
    (0..MAX_INSTRUMENTS + 5).for_each(|n| metrics.add_counter(&format!("n{n}"), 1, vec![], None));
    assert_eq!(metrics.ignored.instruments.load(Relaxed), 6);
    assert_eq!(metrics.instruments().len(), MAX_INSTRUMENTS);
    assert!(instrument::is_name(&long[..255]) && instrument::is_name("a/b-c_d.9"));
}

#[test]
fn beyond_the_limit_of_series_there_is_one_for_the_rest() {
    let metrics = Arc::new(Metrics::new());
    for n in 0..5000 {
        metrics.add_counter("c", 1, set(&[("n", n)]), None);
    }
    assert_eq!(metrics.ignored.overflowed.load(Relaxed), 5000 - (MAX_SERIES as u64 - 1));
    let found = collect(&mut reader(&metrics, Temporality::Cumulative));
    let points = &sum(&found["c"]).data_points;
    assert_eq!(points.len(), MAX_SERIES);
    assert_eq!(points.iter().map(int).sum::<i64>(), 5000, "no measurement is lost");
    let rest: Vec<_> =
        points.iter().filter(|point| point.attributes[0].key == "otel.metric.overflow").collect();
    assert_eq!(rest.len(), 1);
    let value = rest[0].attributes[0].value.clone().unwrap().value;
    assert_eq!((int(rest[0]), value), (3001, Some(any_value::Value::BoolValue(true))));
    // Those that were there before are still told apart.
    metrics.add_counter("c", 1, set(&[("n", 3)]), None);
    assert_eq!(metrics.ignored.overflowed.load(Relaxed), 3001);
}

#[test]
fn series_are_bounded_in_bytes_and_large_ones_travel_apart() {
    let metrics = Arc::new(Metrics::new());
    let text = "x".repeat(100_000);
    let attributes = |n: i64| {
        let mut attributes = set(&[("n", n)]);
        attributes.extend((0..31).map(|key| (format!("k{key}"), Value::Text(text.clone()))));
        attributes
    };
    (0..1500).for_each(|n| metrics.add_counter("c", 1, attributes(n), None));
    let overflowed = metrics.ignored.overflowed.load(Relaxed);
    assert!((100..300).contains(&overflowed), "each takes 12 KiB, all 16 MiB: {overflowed}");
    assert!(metrics.bytes.load(Relaxed) <= MAX_BYTES);
    let collected = reader(&metrics, Temporality::Cumulative).collect();
    assert_eq!(collected.iter().map(|part| u64::from(part.points)).sum::<u64>(), 1500 - overflowed + 1);
    assert!(collected.iter().all(|part| part.bytes.len() < 2 * 1024 * 1024));
}

#[test]
fn attributes_are_sorted_distinct_and_bounded() {
    let mut given = set(&[("b", 1), ("a", 2), ("b", 3), ("", 4), ("pounce.component", 5)]);
    given.push(("otel.metric.overflow".into(), Value::Bool(true)));
    given.push(("k".repeat(300), Value::Bool(true)));
    given.push(("long".into(), Value::Text("ä".repeat(9000))));
    let (attributes, dropped) = AttributeSet::of_guest(given);
    let keys: Vec<_> = attributes.iter().map(|(key, _)| key).collect();
    assert_eq!((keys.as_slice(), dropped), (&["a", "b", "long"][..], 4));
    assert_eq!(attributes.iter().nth(1), Some(("b", &Value::Int(3))), "the last value wins");
    assert_eq!(attributes.iter().nth(2).map(|(_, value)| value.size()), Some(4096));
    let many = (0..100).map(|n| (format!("k{n}"), Value::Int(n))).collect();
    let (attributes, dropped) = AttributeSet::of_guest(many);
    assert_eq!((attributes.iter().count(), dropped), (32, 68));
    let of = |value| AttributeSet::of_guest(vec![("k".into(), value)]).0;
    assert_eq!(of(Value::Double(f64::NAN)), of(Value::Double(f64::NAN)), "or each would be a new series");
    assert_ne!(of(Value::Double(1.0)), of(Value::Int(1)));
}

#[test]
fn attributes_are_bounded_in_all_whatever_a_list_holds() {
    let list = |len| Value::List(vec![Value::Text("x".repeat(4096)); len]);
    let given =
        vec![("a".into(), list(1000)), ("b".into(), list(2)), ("b".into(), list(900)), ("c".into(), list(3))];
    let (attributes, dropped) = AttributeSet::of_guest(given);
    let keys: Vec<_> = attributes.iter().map(|(key, _)| key).collect();
    assert_eq!((keys.as_slice(), dropped), (&["b"][..], 3));
    assert!(attributes.size() < 16 * 1024);
    let (replaced, dropped) =
        AttributeSet::of_guest(vec![("a".into(), list(3)), ("a".into(), list(2)), ("b".into(), list(1))]);
    assert_eq!((replaced.iter().count(), dropped), (2, 0), "what is replaced makes room");
}

#[test]
fn what_has_not_arrived_at_the_end_is_counted_as_failed() {
    let failed = |metrics: &Metrics| metrics.counters.export_failed.load(Relaxed);
    let metrics = Arc::new(Metrics::new());
    let mut reader = reader(&metrics, Temporality::Cumulative);
    metrics.add_counter("c", 1, set(&[("n", 1)]), None);
    metrics.add_counter("c", 1, set(&[("n", 2)]), None);
    metrics.set_gauge("g", 1.0, vec![], None);
    // Three points under way in an exporter that is stuck, and the same three that it would have sent at the end.
    assert_eq!(reader.collect().iter().map(|part| part.points).sum::<u32>(), 3);
    metrics.counters.exported.fetch_add(1, Relaxed);
    metrics.settle();
    assert_eq!(failed(&metrics), 2 + 3);
    metrics.settle();
    assert_eq!(failed(&metrics), 5, "once");
    let metrics = Arc::new(Metrics::new());
    metrics.add_counter("c", 1, vec![], None);
    let collected = Reader::new(Arc::clone(&metrics), Temporality::Cumulative).finish();
    metrics.counters.exported.fetch_add(collected.len() as u64, Relaxed);
    metrics.settle();
    assert_eq!(failed(&metrics), 0, "all arrived");
}

#[test]
fn sums_stop_at_their_ends() {
    let metrics = Arc::new(Metrics::new());
    metrics.add_counter("c", u64::MAX, vec![], None);
    metrics.add_counter("c", 1, vec![], None);
    metrics.add_up_down("u", i64::MIN, vec![], None);
    metrics.add_up_down("u", -1, vec![], None);
    (0..3).for_each(|_| metrics.record_histogram("h", f64::MAX, vec![], None));
    metrics.record_histogram("negative", -1.0, vec![], None);
    let found = collect(&mut reader(&metrics, Temporality::Cumulative));
    let of = |name: &str| int(&sum(&found[name]).data_points[0]);
    assert_eq!((of("c"), of("u")), (i64::MAX, i64::MIN));
    assert_eq!(histogram(&found["h"]).sum, Some(f64::MAX));
    let negative = histogram(&found["negative"]);
    assert_eq!((negative.sum, negative.min, negative.count), (None, Some(-1.0), 1), "its sum may shrink");
}

#[test]
fn threads_and_a_reader_of_deltas_lose_nothing() {
    let metrics = Arc::new(Metrics::new());
    let mut reader = reader(&metrics, Temporality::Delta);
    let (mut counted, mut recorded) = (0, 0);
    let mut add = |found: BTreeMap<String, Data>| {
        if let Some(data) = found.get("c") {
            counted += sum(data).data_points.iter().map(int).sum::<i64>();
        }
        if let Some(data) = found.get("h") {
            let point = histogram(data);
            assert_eq!(point.count, point.bucket_counts.iter().sum::<u64>());
            recorded += point.count;
        }
    };
    std::thread::scope(|scope| {
        let work = |thread: i64| {
            let metrics = &metrics;
            move || {
                for n in 0..5000 {
                    metrics.add_counter("c", 1, set(&[("n", n % 3), ("thread", thread)]), None);
                    metrics.record_histogram("h", n as f64, vec![], Some(&span(1, SAMPLED)));
                }
            }
        };
        let threads: Vec<_> = (0..4).map(|thread| scope.spawn(work(thread))).collect();
        while threads.iter().any(|thread| !thread.is_finished()) {
            add(collect(&mut reader));
        }
    });
    add(collect(&mut reader));
    assert_eq!((counted, recorded), (20_000, 20_000));
}

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
            let metrics = Arc::new(Metrics::new());
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
        let metrics = Arc::new(Metrics::new());
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
