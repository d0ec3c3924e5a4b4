//! How requests are cut: by number, by size, and in halves.

use super::*;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1 as metrics;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1 as trace;
use proptest::prelude::*;
use prost::Message;

/// The message `Resource` of a service.
fn resource() -> Arc<[u8]> {
    Resource { attributes: vec![text("service.name", "hello")], ..Resource::default() }.encode_to_vec().into()
}

/// The message `InstrumentationScope`.
fn scope() -> Vec<u8> {
    InstrumentationScope { name: "test".into(), ..InstrumentationScope::default() }.encode_to_vec()
}

fn text(key: &str, text: &str) -> KeyValue {
    let value = any_value::Value::StringValue(text.to_owned());
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

/// Items of several origins in one buffer are in requests of their own origin, with its resource and scope.
#[test]
fn each_request_is_of_one_origin() {
    let envelope = Envelope::new(&resource(), scope(), "");
    let service = |name| -> Arc<[u8]> {
        Resource { attributes: vec![text("service.name", name)], ..Resource::default() }
            .encode_to_vec()
            .into()
    };
    let (shop, api) = (service("shop"), service("api"));
    assert_eq!(
        [envelope.add_origin(&shop, scope(), ""), envelope.clone().add_origin(&api, scope(), "")],
        [1, 2]
    );
    let mut mixed = Chunk { bytes: Vec::new(), items: 0 };
    for (at, origin) in [2, 0, 1, 2, 300].into_iter().enumerate() {
        crate::wire::origin(&mut mixed.bytes, origin);
        mixed.bytes.extend_from_slice(&chunk(&[at + 1]).bytes);
        mixed.items += 1;
    }
    let told: Vec<_> = envelope
        .batches_of(&[mixed], usize::MAX)
        .iter()
        .map(|batch| {
            let request = ExportTraceServiceRequest::decode(batch.body.clone()).unwrap();
            let [of_resource] = &request.resource_spans[..] else { panic!("one resource: {request:?}") };
            (of_resource.resource.clone().unwrap().attributes, names(batch))
        })
        .collect();
    let of = |name, lengths: &[usize]| (vec![text("service.name", name)], lengths.to_vec());
    // One with a number that nobody has given is told as the envelope's own.
    assert_eq!(told, [of("hello", &[2, 5]), of("shop", &[3]), of("api", &[1, 4])]);
}

/// Spans whose names are this long.
fn chunk(names: &[usize]) -> Chunk {
    let mut chunk = Chunk { bytes: Vec::new(), items: 0 };
    for len in names {
        let mut span = Vec::new();
        bytes(&mut span, 5, &vec![b'n'; *len]);
        bytes(&mut chunk.bytes, 2, &span);
        chunk.items += 1;
    }
    chunk
}

fn batches(chunks: &[Chunk], max_spans: usize) -> Vec<Batch> {
    Envelope::new(&resource(), scope(), "https://schema.example/1").batches_of(chunks, max_spans)
}

fn names(batch: &Batch) -> Vec<usize> {
    let request = ExportTraceServiceRequest::decode(batch.body.clone()).unwrap();
    let spans = &request.resource_spans[0].scope_spans[0].spans;
    assert_eq!(spans.len(), batch.items as usize);
    spans.iter().map(|span| span.name.len()).collect()
}

#[test]
fn requests_are_bounded_by_spans_and_bytes() {
    let sizes = |chunks: &[Chunk], max_spans| -> Vec<Vec<usize>> {
        batches(chunks, max_spans).iter().map(names).collect()
    };
    assert_eq!(sizes(&[], 2), Vec::<Vec<usize>>::new());
    let chunks = [chunk(&[1, 200, 3]), chunk(&[40_000, 5])];
    assert_eq!(sizes(&chunks, 2), [vec![1, 200], vec![3, 40_000], vec![5]]);
    assert_eq!(sizes(&chunks, 512), [vec![1, 200, 3, 40_000, 5]]);
    let (large, huge) = (MAX_REQUEST / 3, MAX_REQUEST + 1);
    let chunks = [chunk(&[large, large, large, huge, 1])];
    assert_eq!(sizes(&chunks, 512), [vec![large, large], vec![large], vec![huge], vec![1]]);
}

/// What stands around the spans counts, too: of spans of whatever size, no request is larger than it may be, and none is
/// much smaller.
#[test]
fn the_size_of_a_request_is_that_of_all_its_bytes() {
    for len in (16_000..17_500).step_by(7) {
        let batches = batches(&[chunk(&vec![len; 700])], 512);
        assert_eq!(batches.iter().map(|batch| batch.items).sum::<u32>(), 700);
        let (last, full) = batches.split_last().unwrap();
        for batch in full {
            let size = batch.body.len();
            assert!(size <= MAX_REQUEST && size + len + 40 > MAX_REQUEST, "{len}: {size}");
        }
        assert!(last.body.len() <= MAX_REQUEST);
    }
}

/// A guest may name a scope for each of its spans.
#[test]
fn scopes_count_by_their_own_size() {
    let mut scoped = Chunk { bytes: Vec::new(), items: 0 };
    for number in 0..3000u32 {
        let mut entry = Vec::new();
        let name = format!("{number}{}", "s".repeat(1500));
        let scope = InstrumentationScope { name, ..InstrumentationScope::default() };
        bytes(&mut entry, 1, &scope.encode_to_vec());
        bytes(&mut entry, 2, &trace::Span { name: "n".into(), ..trace::Span::default() }.encode_to_vec());
        bytes(&mut scoped.bytes, crate::wire::SCOPED, &entry);
        scoped.items += 1;
    }
    let batches = batches(&[scoped], usize::MAX);
    assert_eq!(batches.len(), 2);
    assert_eq!(batches.iter().map(|batch| batch.items).sum::<u32>(), 3000);
    assert!(batches.iter().all(|batch| batch.body.len() <= MAX_REQUEST));
}

/// An SDK in a guest hands over all series of an instrument at once.
#[test]
fn a_metric_that_is_too_large_is_cut_between_its_points() {
    let attributes = vec![text("k", &"v".repeat(1000))];
    let point = metrics::NumberDataPoint { attributes, ..metrics::NumberDataPoint::default() };
    let gauge = metrics::Gauge { data_points: vec![point; 5000] };
    let data = Some(metrics::metric::Data::Gauge(gauge));
    let metric = metrics::Metric { name: "queue".into(), data, ..metrics::Metric::default() };
    let mut entry = Vec::new();
    bytes(&mut entry, 2, &metric.encode_to_vec());
    let envelope = Envelope::new(&Vec::new().into(), scope(), "");
    let batches = envelope.batches_of_metrics([(entry.as_slice(), 5000)]);
    assert_eq!(batches.iter().map(|batch| batch.items).sum::<u32>(), 5000);
    assert!(batches.len() > 1 && batches.iter().all(|batch| batch.body.len() <= MAX_REQUEST));
}

#[test]
fn halves_are_of_about_the_same_size() {
    let cut = |lengths: &[usize]| {
        let [batch] = batches(&[chunk(lengths)], 512).try_into().unwrap();
        batch.halves(Signal::Traces).map(|halves| halves.map(|half| names(&half)))
    };
    assert_eq!(cut(&[7]), None);
    assert_eq!(cut(&[7, 7, 7, 7]), Some([vec![7, 7], vec![7, 7]]));
    assert_eq!(cut(&[9000, 1, 1, 1]), Some([vec![9000], vec![1, 1, 1]]));
    assert_eq!(cut(&[1, 1, 1, 9000]), Some([vec![1, 1, 1], vec![9000]]));
    assert_eq!(cut(&[1, 9000, 1]), Some([vec![1], vec![9000, 1]]));
    // More items than it says, or none that can be read.
    let [batch] = batches(&[chunk(&[1, 2])], 512).try_into().unwrap();
    assert!(Batch { items: 3, ..batch.clone() }.halves(Signal::Traces).is_none());
    assert!(
        Batch { body: batch.body.slice(..batch.body.len() - 1), ..batch }.halves(Signal::Traces).is_none()
    );
}

/// A request of each kind of metric, with more than one resource and scope, as another exporter might have written it.
fn request_of_metrics(points: [usize; 4]) -> ExportMetricsServiceRequest {
    use metrics::metric::Data;
    let [gauges, sums, histograms, exponential] = points;
    let number = |value| metrics::NumberDataPoint {
        value: Some(metrics::number_data_point::Value::AsInt(value)),
        ..metrics::NumberDataPoint::default()
    };
    let data = [
        Data::Gauge(metrics::Gauge { data_points: (0..gauges as i64).map(number).collect() }),
        Data::Sum(metrics::Sum {
            data_points: (0..sums as i64).map(number).collect(),
            aggregation_temporality: 2,
            is_monotonic: true,
        }),
        Data::Histogram(metrics::Histogram {
            data_points: vec![metrics::HistogramDataPoint::default(); histograms],
            aggregation_temporality: 1,
        }),
        Data::ExponentialHistogram(metrics::ExponentialHistogram {
            data_points: vec![metrics::ExponentialHistogramDataPoint::default(); exponential],
            aggregation_temporality: 1,
        }),
    ];
    let metric = |data| metrics::Metric {
        name: "m".into(),
        unit: "s".into(),
        description: "how long".into(),
        data: Some(data),
        ..metrics::Metric::default()
    };
    let [gauge, sum, histogram, exponential] = data.map(metric);
    let scope = |name: &str, metrics| metrics::ScopeMetrics {
        scope: Some(InstrumentationScope { name: name.into(), ..InstrumentationScope::default() }),
        metrics,
        schema_url: "https://example.com/1".into(),
    };
    let resource = |scope_metrics| metrics::ResourceMetrics {
        resource: Some(Resource::default()),
        scope_metrics,
        schema_url: String::new(),
    };
    let first = resource(vec![scope("one", vec![gauge, sum]), scope("two", vec![histogram])]);
    ExportMetricsServiceRequest {
        resource_metrics: vec![first, resource(vec![scope("one", vec![exponential])])],
    }
}

/// Each point with the names of all that stands around it.
fn points(request: &ExportMetricsServiceRequest) -> Vec<String> {
    use metrics::metric::Data;
    let mut found = Vec::new();
    for of_resource in &request.resource_metrics {
        for of_scope in &of_resource.scope_metrics {
            for metric in &of_scope.metrics {
                let around =
                    format!("{:?} {} {} {}", of_scope.scope, of_scope.schema_url, metric.name, metric.unit);
                let lines: Vec<String> = match metric.data.as_ref().unwrap() {
                    Data::Gauge(gauge) => {
                        gauge.data_points.iter().map(|point| format!("{point:?}")).collect()
                    }
                    Data::Sum(sum) => {
                        let kind = (sum.aggregation_temporality, sum.is_monotonic);
                        sum.data_points.iter().map(|point| format!("{kind:?} {point:?}")).collect()
                    }
                    Data::Histogram(of) => {
                        let kind = of.aggregation_temporality;
                        of.data_points.iter().map(|point| format!("{kind} {point:?}")).collect()
                    }
                    Data::ExponentialHistogram(of) => {
                        let kind = of.aggregation_temporality;
                        of.data_points.iter().map(|point| format!("{kind} {point:?}")).collect()
                    }
                    Data::Summary(_) => Vec::new(),
                };
                assert!(!lines.is_empty(), "a metric without points is not sent");
                found.extend(lines.into_iter().map(|line| format!("{around} {line}")));
            }
        }
    }
    found
}

proptest! {
    /// Wherever it is cut, both parts together have each point once, in its place.
    #[test]
    fn parts_have_all_points_and_what_stands_around_them(of_each in [1..5usize, 1..5, 1..5, 1..5], at in 0..20u32) {
        let request = request_of_metrics(of_each);
        let all = points(&request);
        let whole = Batch { body: request.encode_to_vec().into(), items: all.len() as u32 };
        let read = |batch: &Batch| points(&ExportMetricsServiceRequest::decode(batch.body.clone()).unwrap());
        let halves = whole.halves(Signal::Metrics).unwrap();
        prop_assert_eq!(halves.each_ref().map(read).concat(), all.clone());
        prop_assert_eq!(halves.each_ref().map(|half| half.items as usize), halves.each_ref().map(|half| read(half).len()));
        let rest = whole.without_first(Signal::Metrics, at);
        prop_assert_eq!(rest.as_ref().map(read).unwrap_or_default(), all[all.len().min(at as usize)..].to_vec());
        prop_assert_eq!(rest.is_some(), (at as usize) < all.len());
    }

    #[test]
    fn what_is_no_request_is_not_cut(body in proptest::collection::vec(any::<u8>(), 0..200), items in 0..9u32) {
        let batch = Batch { body: body.into(), items };
        for signal in Signal::ALL {
            if let Some(halves) = batch.halves(signal) {
                prop_assert_eq!(halves.iter().map(|half| half.items).sum::<u32>(), items);
            }
            batch.without_first(signal, 1);
        }
    }
}

#[test]
fn log_records_are_cut_as_spans_are() {
    use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
    let records: Vec<_> =
        (1..=5).map(|time| LogRecord { time_unix_nano: time, ..LogRecord::default() }).collect();
    let scope_logs = vec![ScopeLogs { log_records: records, ..ScopeLogs::default() }];
    let request = ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs { scope_logs, ..ResourceLogs::default() }],
    };
    let batch = Batch { body: request.encode_to_vec().into(), items: 5 };
    let times = |batch: &Batch| -> Vec<u64> {
        let request = ExportLogsServiceRequest::decode(batch.body.clone()).unwrap();
        request.resource_logs[0].scope_logs[0]
            .log_records
            .iter()
            .map(|record| record.time_unix_nano)
            .collect()
    };
    let halves = batch.halves(Signal::Logs).unwrap();
    assert_eq!(halves.each_ref().map(times), [vec![1, 2], vec![3, 4, 5]]);
}
