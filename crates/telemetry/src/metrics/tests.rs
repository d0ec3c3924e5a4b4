//! The limits of aggregation, and what its messages say once decoded.

use super::attributes::AttributeSet;
use super::instrument::{MAX_INSTRUMENTS, MAX_SERIES};
use super::kind::{Kind, Measurement};
use super::series::Reading;
use super::store::MAX_BYTES;
use super::*;
use crate::context::{RANDOM, SAMPLED, SpanContext, TraceState};
use crate::settings::{self, MetricsSettings, Temporality};
use crate::value::Value;
use opentelemetry_proto::tonic::common::v1::any_value;
use opentelemetry_proto::tonic::metrics::v1 as otlp;
use otlp::{AggregationTemporality, exemplar, metric::Data, number_data_point};
use pounce_otlp::Loss;
use pounce_otlp::id::{SpanId, TraceId};
use prost::Message;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

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
pub(super) fn collect(reader: &mut Reader) -> BTreeMap<String, Data> {
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
        Data::ExponentialHistogram(histogram) => histogram.data_points.len(),
        other => panic!("{other:?}"),
    }
}

pub(super) fn sum(data: &Data) -> &otlp::Sum {
    match data {
        Data::Sum(sum) => sum,
        other => panic!("no sum: {other:?}"),
    }
}

pub(super) fn histogram(data: &Data) -> &otlp::HistogramDataPoint {
    match data {
        Data::Histogram(histogram) => &histogram.data_points[0],
        other => panic!("no histogram: {other:?}"),
    }
}

pub(super) fn int(point: &otlp::NumberDataPoint) -> i64 {
    match point.value {
        Some(number_data_point::Value::AsInt(value)) => value,
        ref other => panic!("no integer: {other:?}"),
    }
}

#[test]
fn each_kind_says_what_it_should() {
    let metrics = Arc::new(Metrics::plain());
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
    let metrics = Arc::new(Metrics::plain());
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

/// `/metrics` reads totals while deltas are sent.
#[test]
fn deltas_take_nothing_from_who_else_reads() {
    let metrics = Arc::new(Metrics::plain());
    let mut deltas = reader(&metrics, Temporality::Delta);
    for n in 1..=3 {
        metrics.add_counter("c", 2, vec![], Some(&span(1, SAMPLED)));
        metrics.record_histogram("h", 2.0, vec![], None);
        let found = collect(&mut deltas);
        assert_eq!((int(&sum(&found["c"]).data_points[0]), histogram(&found["h"]).sum), (2, Some(2.0)));
        let counter = metrics.series(Kind::Counter, "c", AttributeSet::default()).unwrap();
        assert_eq!(counter.read(), Some(Reading::Sum(2 * n)));
        assert_eq!(counter.exemplars(false).len(), 1);
        let values = metrics.series(Kind::Histogram, "h", AttributeSet::default()).unwrap();
        let Some(Reading::Distribution { buckets, sum, .. }) = values.read() else { panic!() };
        assert_eq!((buckets.iter().sum::<u64>(), sum), (n as u64, 2.0 * n as f64));
    }
}

#[test]
fn the_filter_says_what_may_be_an_exemplar() {
    use settings::ExemplarFilter::{AlwaysOff, AlwaysOn, TraceBased};
    for (filter, expected) in [(TraceBased, [1, 0, 0]), (AlwaysOn, [1, 1, 1]), (AlwaysOff, [0, 0, 0])] {
        let export = MetricsSettings { exemplars: filter, ..MetricsSettings::default() };
        let metrics = Arc::new(Metrics::new(&export, Arc::default()));
        for (name, context) in [("a", Some(span(1, SAMPLED))), ("b", Some(span(1, RANDOM))), ("c", None)] {
            metrics.add_counter(name, 1, vec![], context.as_ref());
        }
        let found = collect(&mut reader(&metrics, Temporality::Cumulative));
        let counts = ["a", "b", "c"].map(|name| sum(&found[name]).data_points[0].exemplars.len());
        assert_eq!(counts, expected, "{filter}");
    }
}

#[test]
fn each_bucket_has_an_exemplar() {
    let metrics = Arc::new(Metrics::plain());
    for (id, value) in [(1, 3.0), (2, 4.0), (3, 30.0), (4, 1e9)] {
        metrics.record_histogram("h", value, vec![], Some(&span(id, SAMPLED)));
    }
    let found = collect(&mut reader(&metrics, Temporality::Cumulative));
    let ids: Vec<_> = histogram(&found["h"]).exemplars.iter().map(|one| one.span_id[0]).collect();
    assert_eq!(ids, [2, 3, 4], "the last of each");
}

#[test]
fn exponential_histograms_where_they_are_asked_for() {
    let histograms = settings::HistogramAggregation::Exponential;
    let export = MetricsSettings { histograms, ..MetricsSettings::default() };
    for temporality in [Temporality::Cumulative, Temporality::Delta] {
        let metrics = Arc::new(Metrics::new(&export, Arc::default()));
        let mut reader = reader(&metrics, temporality);
        for round in 1..=2 {
            for value in [0.0, 1.0, 1.5, 4000.0] {
                metrics.record_histogram("h", value, vec![], Some(&span(1, SAMPLED)));
            }
            let found = collect(&mut reader);
            let Data::ExponentialHistogram(histogram) = &found["h"] else { panic!("{found:?}") };
            let [point] = histogram.data_points.as_slice() else { panic!("{histogram:?}") };
            let times = if temporality == Temporality::Delta { 1 } else { round };
            assert_eq!((point.count, point.zero_count), (4 * times, times));
            assert_eq!((point.sum, point.max), (Some(4002.5 * times as f64), Some(4000.0)));
            let buckets = &point.positive.as_ref().unwrap().bucket_counts;
            assert_eq!((buckets.iter().sum::<u64>(), point.exemplars.len()), (3 * times, 1));
            assert!(buckets.len() <= 160 && point.scale == 3, "{point:?}");
        }
        assert_eq!(reader.collect().len(), usize::from(temporality == Temporality::Cumulative));
    }
}

#[test]
fn nothing_recorded_is_nothing_said() {
    let metrics = Arc::new(Metrics::plain());
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
    let metrics = Metrics::plain();
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
    let metrics = Arc::new(Metrics::plain());
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
    // Attribute sets that were there before are still told apart.
    metrics.add_counter("c", 1, set(&[("n", 3)]), None);
    assert_eq!(metrics.ignored.overflowed.load(Relaxed), 3001);
}

#[test]
fn series_are_bounded_in_bytes_and_large_ones_travel_apart() {
    let metrics = Arc::new(Metrics::plain());
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
    let failed = |metrics: &Metrics| metrics.counters.lost(Loss::ExportFailed);
    let metrics = Arc::new(Metrics::plain());
    let mut reader = reader(&metrics, Temporality::Cumulative);
    metrics.add_counter("c", 1, set(&[("n", 1)]), None);
    metrics.add_counter("c", 1, set(&[("n", 2)]), None);
    metrics.set_gauge("g", 1.0, vec![], None);
    // Three points under way in an exporter that is stuck, and the same three that it would have sent at the end.
    assert_eq!(reader.collect().iter().map(|part| part.points).sum::<u32>(), 3);
    metrics.counters.export(1u32);
    Metrics::settle(&[&metrics]);
    assert_eq!(failed(&metrics), 2 + 3);
    Metrics::settle(&[&metrics]);
    assert_eq!(failed(&metrics), 5, "once");
    let metrics = Arc::new(Metrics::plain());
    metrics.add_counter("c", 1, vec![], None);
    let collected = Reader::new(Arc::clone(&metrics), Temporality::Cumulative).finish();
    metrics.counters.export(collected.len() as u64);
    Metrics::settle(&[&metrics]);
    assert_eq!(failed(&metrics), 0, "all arrived");
}

#[test]
fn sums_stop_at_their_ends() {
    let metrics = Arc::new(Metrics::plain());
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
    let metrics = Arc::new(Metrics::plain());
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

mod model;
