//! `wasi:otel/metrics`: what a reader of the guest's SDK has collected.

use std::sync::Arc;

use super::bindings::metrics as wit;
use super::convert::{self, attributes, nanos};
use crate::config::GuestParents;
use crate::host::HostState;
use crate::host::telemetry::{Caller, Host, Telemetry};
use pounce_telemetry::metrics::sdk::{
    Distribution, Exemplar, Kind, MAX_EXEMPLARS, Metric, Number, Point, PointValue,
};
use pounce_telemetry::{SpanId, TraceId};

impl wit::Host for &mut HostState {}

impl wit::HostWithStore<HostState> for Telemetry {
    /// Never an error: there is nothing that a guest could do about it.
    fn export(
        mut host: Host<'_>,
        exported: wit::ResourceMetrics,
    ) -> wasmtime::Result<Result<(), wit::Error>> {
        let capabilities = Arc::clone(&host.data_mut().capabilities);
        let Some(metrics) = &capabilities.recorder.signals.metrics else {
            return Ok(Ok(()));
        };
        let caller = Caller::of(&mut host);
        let trace_id = caller.context().map(|context| context.trace_id);
        let state = host.data_mut();
        let traces = match capabilities.guest_parents {
            GuestParents::Adopt => Traces::All,
            _ => Traces::Only(trace_id),
        };
        let quota = caller.quota(&state.quota);
        let service = convert::service(exported.resource);
        for of_scope in exported.scope_metrics {
            let (scope, omitted) = convert::scope(of_scope.scope);
            let common = metrics.common(scope, service.clone(), omitted as u64);
            for found in of_scope.metrics {
                let found = metric(found, traces);
                metrics.hand_over(found, &common, &mut state.folds, || quota.measurement());
            }
        }
        Ok(Ok(()))
    }
}

/// The traces of which an exemplar may be: a guest cannot put what it says beside spans of others.
#[derive(Clone, Copy)]
enum Traces {
    All,
    Only(Option<TraceId>),
}

impl Traces {
    fn has(self, id: TraceId) -> bool {
        match self {
            Traces::All => true,
            Traces::Only(own) => own == Some(id),
        }
    }
}

fn metric(metric: wit::Metric, traces: Traces) -> Metric<'static> {
    use wit::MetricData as Data;
    let (kind, start, time, points): (_, _, _, Box<dyn ExactSizeIterator<Item = Point>>) = match metric.data {
        Data::F64Gauge(gauge) | Data::U64Gauge(gauge) | Data::S64Gauge(gauge) => {
            let point =
                move |p: wit::GaugeDataPoint| number_point(p.attributes, p.value, p.exemplars, traces);
            let points = gauge.data_points.into_iter().map(point);
            (Kind::Gauge, gauge.start_time, gauge.time, Box::new(points))
        }
        Data::F64Sum(sum) | Data::U64Sum(sum) | Data::S64Sum(sum) => {
            // Low memory: what may shrink is cumulative, the rest is delta.
            let is_delta = is_delta(sum.temporality, sum.is_monotonic);
            let kind = Kind::Sum { is_delta, is_monotonic: sum.is_monotonic };
            let point = move |p: wit::SumDataPoint| number_point(p.attributes, p.value, p.exemplars, traces);
            let points = sum.data_points.into_iter().map(point);
            (kind, Some(sum.start_time), sum.time, Box::new(points))
        }
        Data::F64Histogram(found) | Data::U64Histogram(found) | Data::S64Histogram(found) => {
            let is_delta = is_delta(found.temporality, true);
            let points = found.data_points.into_iter().map(move |point| histogram_point(point, traces));
            (Kind::Histogram { is_delta }, Some(found.start_time), found.time, Box::new(points))
        }
        Data::F64ExponentialHistogram(found)
        | Data::U64ExponentialHistogram(found)
        | Data::S64ExponentialHistogram(found) => {
            let is_delta = is_delta(found.temporality, true);
            let points = found.data_points.into_iter().map(move |point| exponential_point(point, traces));
            (Kind::Exponential { is_delta }, Some(found.start_time), found.time, Box::new(points))
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
    traces: Traces,
) -> Point {
    Point {
        attributes: attributes(given),
        value: PointValue::Number(number(value)),
        exemplars: exemplars(given_exemplars, traces),
    }
}

fn histogram_point(point: wit::HistogramDataPoint, traces: Traces) -> Point {
    Point {
        attributes: attributes(point.attributes),
        value: PointValue::Histogram {
            distribution: distribution(point.count, point.sum, point.min, point.max),
            bounds: point.bounds,
            counts: point.bucket_counts,
        },
        exemplars: exemplars(point.exemplars, traces),
    }
}

fn exponential_point(point: wit::ExponentialHistogramDataPoint, traces: Traces) -> Point {
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
        exemplars: exemplars(point.exemplars, traces),
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

/// The exemplars that a point may have; their spans only where they are of `traces`.
fn exemplars(exemplars: Vec<wit::Exemplar>, traces: Traces) -> Vec<Exemplar> {
    let exemplar = |exemplar: wit::Exemplar| Exemplar {
        attributes: attributes(exemplar.filtered_attributes),
        time: nanos(exemplar.time),
        value: number(exemplar.value),
        span: TraceId::from_hex(exemplar.trace_id.as_bytes())
            .filter(|id| traces.has(*id))
            .zip(SpanId::from_hex(exemplar.span_id.as_bytes())),
    };
    let is_number = |exemplar: &wit::Exemplar| number(exemplar.value).finite().is_some();
    exemplars.into_iter().filter(is_number).take(MAX_EXEMPLARS).map(exemplar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exemplars_name_spans_of_their_own_trace_only() {
        let (own, other) = (TraceId([1; 16]), TraceId([2; 16]));
        let given = |trace: u8| wit::Exemplar {
            filtered_attributes: vec![],
            time: super::super::bindings::Datetime { seconds: 1, nanoseconds: 0 },
            value: wit::MetricNumber::S64(trace.into()),
            span_id: "02".repeat(8),
            trace_id: format!("{trace:02x}").repeat(16),
        };
        let kept = |traces| {
            let kept = exemplars(vec![given(1), given(2), given(0)], traces);
            kept.iter().map(|exemplar| exemplar.span.map(|(trace, _)| trace)).collect::<Vec<_>>()
        };
        assert_eq!(kept(Traces::Only(Some(own))), [Some(own), None, None]);
        assert_eq!(kept(Traces::Only(None)), [None, None, None]);
        assert_eq!(kept(Traces::All), [Some(own), Some(other), None]);
    }

    #[test]
    fn points_are_read_one_by_one() {
        let point = |n| wit::GaugeDataPoint {
            attributes: vec![],
            value: wit::MetricNumber::S64(n),
            exemplars: vec![],
        };
        let time = super::super::bindings::Datetime { seconds: 1, nanoseconds: 0 };
        let data_points = (0..5).map(point).collect();
        let gauge = wit::Gauge { data_points, start_time: None, time };
        let given = wit::Metric {
            name: "g".into(),
            description: String::new(),
            unit: String::new(),
            data: wit::MetricData::S64Gauge(gauge),
        };
        let mut points = metric(given, Traces::All).points;
        assert_eq!(points.len(), 5);
        assert!(points.next().is_some() && points.len() == 4);
    }
}
