//! Log records and metrics as tests read them: ids in hex, attributes in a map, a metric per name.

use super::attributes::{self, Attributes, Value, hex};
use super::server::Arrived;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1 as logs;
use opentelemetry_proto::tonic::metrics::v1::{self as metrics, exemplar, metric::Data, number_data_point};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;

/// A request for export.
#[derive(Clone, Debug)]
pub(crate) enum Received {
    /// To `…/v1/logs`.
    Logs(ExportLogsServiceRequest),
    /// To `…/v1/metrics`.
    Metrics(ExportMetricsServiceRequest),
}

/// Whose it is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Origin {
    /// Attributes of the resource.
    pub(crate) resource: Attributes,
    /// Name of the scope.
    pub(crate) scope: String,
    /// Attributes of the scope.
    pub(crate) scope_attributes: Attributes,
}

/// A log record.
#[derive(Clone, Debug)]
pub(crate) struct LogRecord {
    /// Number and text.
    pub(crate) severity: (i32, String),
    /// The body, as attributes print their values.
    pub(crate) body: String,
    /// Name of the event, empty for none.
    pub(crate) event: String,
    /// Attributes.
    pub(crate) attributes: Attributes,
    /// Attributes that were left out.
    pub(crate) dropped_attributes: u32,
    /// 32 hex digits, or empty.
    pub(crate) trace_id: String,
    /// 16 hex digits, or empty.
    pub(crate) span_id: String,
    /// W3C flags.
    pub(crate) flags: u32,
    /// Unix time in nanoseconds.
    pub(crate) time: u64,
    /// Unix time in nanoseconds at which the server got it.
    pub(crate) observed: u64,
    /// Whose it is.
    pub(crate) origin: Origin,
}

/// A metric with its points.
#[derive(Clone, Debug)]
pub(crate) struct Metric {
    /// Name.
    pub(crate) name: String,
    /// Unit; guests' have none.
    pub(crate) unit: String,
    /// `counter`, `updown`, `gauge`, `histogram` or `exponential`, with ` delta` where it is no total.
    pub(crate) kind: String,
    /// Its points, in the order of their attributes.
    pub(crate) points: Vec<Point>,
    /// Whose it is.
    pub(crate) origin: Origin,
}

/// One point of a metric.
#[derive(Clone, Debug)]
pub(crate) struct Point {
    /// Attributes.
    pub(crate) attributes: Attributes,
    /// The value as text; of a histogram `count=… sum=… min=… max=…` and the buckets that are not empty, by their upper
    /// end.
    pub(crate) value: String,
    /// Trace id, span id and value of each exemplar.
    pub(crate) exemplars: Vec<(String, String, String)>,
    /// Unix time in nanoseconds, from and to; a gauge has no start.
    pub(crate) time: (u64, u64),
}

/// Log records in the order in which the server got them: the requests that bring them may overtake each other.
pub(crate) fn in_order(records: impl IntoIterator<Item = LogRecord>) -> Vec<LogRecord> {
    let mut records: Vec<_> = records.into_iter().collect();
    records.sort_by_key(|record| record.observed);
    records
}

impl Received {
    /// What came, if it is for a path of logs or metrics and decodes.
    pub(crate) fn decode(arrived: &Arrived) -> Option<Self> {
        let path = arrived.target.split('?').next().unwrap_or_default();
        if path.ends_with("/v1/logs") {
            ExportLogsServiceRequest::decode(arrived.body.clone()).ok().map(Self::Logs)
        } else if path.ends_with("/v1/metrics") {
            ExportMetricsServiceRequest::decode(arrived.body.clone()).ok().map(Self::Metrics)
        } else {
            None
        }
    }

    /// Whether it is of the host's own metrics.
    pub(crate) fn is_hosts(&self) -> bool {
        let Self::Metrics(request) = self else {
            return false;
        };
        let scopes = request.resource_metrics.iter().flat_map(|of_resource| &of_resource.scope_metrics);
        scopes.filter_map(|of_scope| of_scope.scope.as_ref()).any(|scope| scope.name == "pounce")
    }

    /// Its log records.
    pub(crate) fn logs(self) -> Vec<LogRecord> {
        let Self::Logs(request) = self else {
            return Vec::new();
        };
        let mut records = Vec::new();
        for of_resource in request.resource_logs {
            for of_scope in of_resource.scope_logs {
                let origin = Origin::of(of_resource.resource.clone(), of_scope.scope);
                records.extend(of_scope.log_records.into_iter().map(|record| LogRecord::of(record, &origin)));
            }
        }
        records
    }

    /// Its metrics, by name.
    pub(crate) fn metrics(self) -> Vec<Metric> {
        let Self::Metrics(request) = self else {
            return Vec::new();
        };
        let mut found = Vec::new();
        for of_resource in request.resource_metrics {
            for of_scope in of_resource.scope_metrics {
                let origin = Origin::of(of_resource.resource.clone(), of_scope.scope);
                found.extend(of_scope.metrics.into_iter().map(|metric| Metric::of(metric, &origin)));
            }
        }
        found.sort_by(|one: &Metric, other| one.name.cmp(&other.name));
        found
    }
}

impl Origin {
    fn of(resource: Option<Resource>, scope: Option<InstrumentationScope>) -> Self {
        let scope = scope.expect("a scope");
        Origin {
            resource: attributes::read(resource.expect("a resource").attributes),
            scope: scope.name,
            scope_attributes: attributes::read(scope.attributes),
        }
    }
}

impl LogRecord {
    fn of(record: logs::LogRecord, origin: &Origin) -> Self {
        assert!(record.time_unix_nano > 0 && record.time_unix_nano <= record.observed_time_unix_nano);
        let body = KeyValue { key: "body".into(), value: record.body, ..KeyValue::default() };
        LogRecord {
            severity: (record.severity_number, record.severity_text),
            body: attributes::read(vec![body])["body"].to_string(),
            event: record.event_name,
            attributes: attributes::read(record.attributes),
            dropped_attributes: record.dropped_attributes_count,
            trace_id: hex(&record.trace_id),
            span_id: hex(&record.span_id),
            flags: record.flags,
            time: record.time_unix_nano,
            observed: record.observed_time_unix_nano,
            origin: origin.clone(),
        }
    }
}

impl Metric {
    fn of(metric: metrics::Metric, origin: &Origin) -> Self {
        let delta = |temporality: metrics::AggregationTemporality| match temporality {
            metrics::AggregationTemporality::Cumulative => "",
            metrics::AggregationTemporality::Delta => " delta",
            metrics::AggregationTemporality::Unspecified => panic!("{} is of no temporality", metric.name),
        };
        let (kind, mut points): (String, Vec<Point>) = match metric.data.expect("data") {
            Data::Sum(sum) => {
                let kind = if sum.is_monotonic { "counter" } else { "updown" };
                let kind = format!("{kind}{}", delta(sum.aggregation_temporality()));
                (kind, sum.data_points.into_iter().map(Point::of_number).collect())
            }
            Data::Gauge(gauge) => {
                ("gauge".to_owned(), gauge.data_points.into_iter().map(Point::of_number).collect())
            }
            Data::Histogram(histogram) => {
                let kind = format!("histogram{}", delta(histogram.aggregation_temporality()));
                (kind, histogram.data_points.into_iter().map(Point::of_histogram).collect())
            }
            Data::ExponentialHistogram(histogram) => {
                let kind = format!("exponential{}", delta(histogram.aggregation_temporality()));
                (kind, histogram.data_points.into_iter().map(Point::of_exponential).collect())
            }
            other @ Data::Summary(_) => panic!("nobody sends {other:?}"),
        };
        points.sort_by_key(|point| format!("{:?}", point.attributes));
        let twice = points.windows(2).any(|pair| pair[0].attributes == pair[1].attributes);
        assert!(!twice, "{} has two points of the same attributes: {points:?}", metric.name);
        Metric { name: metric.name, unit: metric.unit, kind, points, origin: origin.clone() }
    }

    /// The points as lines `key=value … → value`.
    pub(crate) fn lines(&self) -> Vec<String> {
        let line = |point: &Point| {
            let attributes: Vec<_> =
                point.attributes.iter().map(|(key, value)| format!("{key}={value} ")).collect();
            format!("{}→ {}", attributes.concat(), point.value)
        };
        self.points.iter().map(line).collect()
    }
}

impl Point {
    fn of_number(point: metrics::NumberDataPoint) -> Self {
        let value = match point.value.expect("a value") {
            number_data_point::Value::AsInt(value) => Value::Int(value),
            number_data_point::Value::AsDouble(value) => Value::Double(value),
        };
        Point {
            attributes: attributes::read(point.attributes),
            value: value.to_string(),
            exemplars: point.exemplars.into_iter().map(read_exemplar).collect(),
            time: (point.start_time_unix_nano, point.time_unix_nano),
        }
    }

    fn of_histogram(point: metrics::HistogramDataPoint) -> Self {
        assert_eq!(point.bucket_counts.iter().sum::<u64>(), point.count, "the buckets add up");
        assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
        let ends = point.explicit_bounds.iter().map(f64::to_string).chain(["inf".to_owned()]);
        let buckets = ends.zip(&point.bucket_counts).filter(|(_, count)| **count > 0);
        let buckets: String = buckets.map(|(end, count)| format!(" ≤{end}:{count}")).collect();
        let or_none = |value: Option<f64>| value.map_or("none".to_owned(), |value| value.to_string());
        let (sum, min, max) = (or_none(point.sum), or_none(point.min), or_none(point.max));
        Point {
            attributes: attributes::read(point.attributes),
            value: format!("count={} sum={sum} min={min} max={max}{buckets}", point.count),
            exemplars: point.exemplars.into_iter().map(read_exemplar).collect(),
            time: (point.start_time_unix_nano, point.time_unix_nano),
        }
    }
}

impl Point {
    fn of_exponential(point: metrics::ExponentialHistogramDataPoint) -> Self {
        let counts = |buckets: &Option<metrics::exponential_histogram_data_point::Buckets>| {
            buckets.iter().flat_map(|buckets| &buckets.bucket_counts).sum::<u64>()
        };
        let sum = counts(&point.positive) + counts(&point.negative) + point.zero_count;
        assert_eq!(sum, point.count, "the buckets add up");
        let or_none = |value: Option<f64>| value.map_or("none".to_owned(), |value| value.to_string());
        let (sum, min, max) = (or_none(point.sum), or_none(point.min), or_none(point.max));
        Point {
            attributes: attributes::read(point.attributes),
            value: format!("count={} sum={sum} min={min} max={max} scale={}", point.count, point.scale),
            exemplars: point.exemplars.into_iter().map(read_exemplar).collect(),
            time: (point.start_time_unix_nano, point.time_unix_nano),
        }
    }
}

fn read_exemplar(exemplar: metrics::Exemplar) -> (String, String, String) {
    let value = match exemplar.value.expect("a value") {
        exemplar::Value::AsInt(value) => Value::Int(value),
        exemplar::Value::AsDouble(value) => Value::Double(value),
    };
    (hex(&exemplar.trace_id), hex(&exemplar.span_id), value.to_string())
}
