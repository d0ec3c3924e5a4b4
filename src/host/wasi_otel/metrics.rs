//! `wasi:otel/metrics`: what a reader of the guest's SDK has collected.

use std::sync::Arc;

use super::bindings::metrics as wit;
use super::convert::{self, attributes, nanos};
use crate::host::HostState;
use crate::host::telemetry::{Caller, Host, Telemetry};
use crate::telemetry::sdk_metrics::{self, Distribution, Exemplar, Kind, Metric, Number, Point, PointValue};
use crate::telemetry::{SpanId, TraceId};

impl wit::Host for &mut HostState {}

impl wit::HostWithStore<HostState> for Telemetry {
    /// Never an error: there is nothing that a guest could do about it.
    fn export(
        mut host: Host<'_>,
        exported: wit::ResourceMetrics,
    ) -> wasmtime::Result<Result<(), wit::Error>> {
        let recorder = Arc::clone(&host.data_mut().recorder);
        let Some(metrics) = &recorder.signals.metrics else {
            return Ok(Ok(()));
        };
        let caller = Caller::of(&mut host);
        let quota = caller.quota(&host.data_mut().quota);
        let service = convert::service(exported.resource);
        for of_scope in exported.scope_metrics {
            let common = sdk_metrics::common(convert::scope(of_scope.scope), service.clone());
            for found in of_scope.metrics {
                metrics.hand_over(metric(found), &common, || quota.measurement());
            }
        }
        Ok(Ok(()))
    }
}

fn metric(metric: wit::Metric) -> Metric {
    use wit::MetricData as Data;
    let (kind, start, time, points) = match metric.data {
        Data::F64Gauge(gauge) | Data::U64Gauge(gauge) | Data::S64Gauge(gauge) => {
            let point = |p: wit::GaugeDataPoint| number_point(p.attributes, p.value, p.exemplars);
            let points = gauge.data_points.into_iter().map(point).collect();
            (Kind::Gauge, gauge.start_time, gauge.time, points)
        }
        Data::F64Sum(sum) | Data::U64Sum(sum) | Data::S64Sum(sum) => {
            // Low memory: what may shrink is cumulative, the rest is delta.
            let is_delta = is_delta(sum.temporality, sum.is_monotonic);
            let point = |p: wit::SumDataPoint| number_point(p.attributes, p.value, p.exemplars);
            let points = sum.data_points.into_iter().map(point).collect();
            (Kind::Sum { is_delta, is_monotonic: sum.is_monotonic }, Some(sum.start_time), sum.time, points)
        }
        Data::F64Histogram(found) | Data::U64Histogram(found) | Data::S64Histogram(found) => {
            let is_delta = is_delta(found.temporality, true);
            let points = found.data_points.into_iter().map(histogram_point).collect();
            (Kind::Histogram { is_delta }, Some(found.start_time), found.time, points)
        }
        Data::F64ExponentialHistogram(found)
        | Data::U64ExponentialHistogram(found)
        | Data::S64ExponentialHistogram(found) => {
            let is_delta = is_delta(found.temporality, true);
            let points = found.data_points.into_iter().map(exponential_point).collect();
            (Kind::Exponential { is_delta }, Some(found.start_time), found.time, points)
        }
    };
    Metric {
        name: metric.name,
        description: metric.description,
        unit: metric.unit,
        kind,
        start: start.map(nanos),
        time: nanos(time),
        points,
    }
}

fn is_delta(temporality: wit::Temporality, only_grows: bool) -> bool {
    match temporality {
        wit::Temporality::Cumulative => false,
        wit::Temporality::Delta => true,
        wit::Temporality::LowMemory => only_grows,
    }
}

fn number(number: wit::MetricNumber) -> Number {
    match number {
        wit::MetricNumber::F64(double) => Number::Double(double),
        wit::MetricNumber::S64(int) => Number::Int(int),
        wit::MetricNumber::U64(int) => i64::try_from(int).map_or(Number::Double(int as f64), Number::Int),
    }
}

fn double(value: wit::MetricNumber) -> f64 {
    match value {
        wit::MetricNumber::F64(double) => double,
        wit::MetricNumber::S64(int) => int as f64,
        wit::MetricNumber::U64(int) => int as f64,
    }
}

fn number_point(
    given: Vec<super::bindings::types::KeyValue>,
    value: wit::MetricNumber,
    given_exemplars: Vec<wit::Exemplar>,
) -> Point {
    Point {
        attributes: attributes(given),
        value: PointValue::Number(number(value)),
        exemplars: exemplars(given_exemplars),
    }
}

fn histogram_point(point: wit::HistogramDataPoint) -> Point {
    Point {
        attributes: attributes(point.attributes),
        value: PointValue::Histogram {
            distribution: distribution(point.count, point.sum, point.min, point.max),
            bounds: point.bounds,
            counts: point.bucket_counts,
        },
        exemplars: exemplars(point.exemplars),
    }
}

fn exponential_point(point: wit::ExponentialHistogramDataPoint) -> Point {
    let buckets = |bucket: wit::ExponentialBucket| (bucket.offset, bucket.counts);
    Point {
        attributes: attributes(point.attributes),
        value: PointValue::Exponential {
            distribution: distribution(point.count, point.sum, point.min, point.max),
            scale: point.scale.into(),
            zero_count: point.zero_count,
            zero_threshold: point.zero_threshold,
            positive: buckets(point.positive_bucket),
            negative: buckets(point.negative_bucket),
        },
        exemplars: exemplars(point.exemplars),
    }
}

fn distribution(
    count: u64,
    sum: wit::MetricNumber,
    min: Option<wit::MetricNumber>,
    max: Option<wit::MetricNumber>,
) -> Distribution {
    Distribution { count, sum: double(sum), min: min.map(double), max: max.map(double) }
}

fn exemplars(exemplars: Vec<wit::Exemplar>) -> Vec<Exemplar> {
    let exemplar = |exemplar: wit::Exemplar| Exemplar {
        attributes: attributes(exemplar.filtered_attributes),
        time: nanos(exemplar.time),
        value: number(exemplar.value),
        span: TraceId::from_hex(exemplar.trace_id.as_bytes())
            .zip(SpanId::from_hex(exemplar.span_id.as_bytes())),
    };
    exemplars.into_iter().map(exemplar).collect()
}
