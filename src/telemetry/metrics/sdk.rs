//! What a metric reader of a guest's own SDK has collected: aggregated already, so it goes out as it came, with the next
//! export, under limits of ours.

use super::Metrics;
use super::attributes::AttributeSet;
use super::collect::Collected;
use super::instrument::is_name;
use crate::telemetry::clock::unix_nanos;
use crate::telemetry::encode::bytes;
use crate::telemetry::id::{SpanId, TraceId};
use crate::telemetry::limits::{MAX_NAME, MAX_VALUE};
use crate::telemetry::otlp_value::key_value;
use crate::telemetry::sdk_span::Scope;
use crate::telemetry::value::{Value, shortened};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1 as otlp;
use otlp::exponential_histogram_data_point::Buckets;
use otlp::{AggregationTemporality, exemplar, metric, number_data_point};
use prost::Message;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Points that wait for an export; further ones are dropped and counted.
const MAX_WAITING: u32 = 10_000;
/// Bytes of all that waits.
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// Buckets of one point.
const MAX_BUCKETS: usize = 1024;
/// Exemplars of one point.
const MAX_EXEMPLARS: usize = 8;
/// Bytes of a unit.
const MAX_UNIT: usize = 63;

/// A metric.
pub(crate) struct Metric {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) unit: String,
    pub(crate) kind: Kind,
    /// Unix time in nanoseconds; none where the points are of one moment.
    pub(crate) start: Option<u64>,
    /// Unix time in nanoseconds.
    pub(crate) time: u64,
    pub(crate) points: Vec<Point>,
}

/// What its points say.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Gauge,
    Sum { is_delta: bool, is_monotonic: bool },
    Histogram { is_delta: bool },
    Exponential { is_delta: bool },
}

/// A number; unsigned ones beyond the signed are doubles.
#[derive(Clone, Copy)]
pub(crate) enum Number {
    Int(i64),
    Double(f64),
}

/// One point.
pub(crate) struct Point {
    pub(crate) attributes: Vec<(String, Value)>,
    pub(crate) value: PointValue,
    pub(crate) exemplars: Vec<Exemplar>,
}

/// What a point has, by the kind of its metric.
pub(crate) enum PointValue {
    Number(Number),
    Histogram {
        distribution: Distribution,
        bounds: Vec<f64>,
        counts: Vec<u64>,
    },
    Exponential {
        distribution: Distribution,
        scale: i32,
        zero_count: u64,
        zero_threshold: f64,
        /// Offset and counts of positive and of negative values.
        positive: (i32, Vec<u64>),
        negative: (i32, Vec<u64>),
    },
}

/// What both kinds of histogram have.
pub(crate) struct Distribution {
    pub(crate) count: u64,
    pub(crate) sum: f64,
    pub(crate) min: Option<f64>,
    pub(crate) max: Option<f64>,
}

/// A measurement that stands for others.
pub(crate) struct Exemplar {
    pub(crate) attributes: Vec<(String, Value)>,
    pub(crate) time: u64,
    pub(crate) value: Number,
    pub(crate) span: Option<(TraceId, SpanId)>,
}

/// Encoded metrics on their way to the next export.
#[derive(Default)]
pub(super) struct HandedOver(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    metrics: Vec<Collected>,
    points: u32,
    bytes: usize,
}

impl HandedOver {
    /// All that waits.
    pub(super) fn take(&self) -> Vec<Collected> {
        std::mem::take(&mut *self.lock()).metrics
    }

    /// Whether there was room.
    fn add(&self, collected: Collected) -> bool {
        let mut waiting = self.lock();
        let points = waiting.points.saturating_add(collected.points);
        let bytes = waiting.bytes + collected.bytes.len();
        if points > MAX_WAITING || bytes > MAX_BYTES {
            return false;
        }
        (waiting.points, waiting.bytes) = (points, bytes);
        waiting.metrics.push(collected);
        true
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Metrics {
    /// Takes a metric into the next export, with `common` attributes on each of its points. `may_take` says of each
    /// point whether its request may still record it.
    pub(crate) fn hand_over(&self, metric: Metric, common: &[(String, Value)], may_take: impl Fn() -> bool) {
        let given = metric.points.len() as u64;
        if !is_name(&metric.name) {
            self.ignored.name.fetch_add(given, Relaxed);
            return;
        }
        let now = unix_nanos();
        let time = metric.time.min(now);
        let start = metric.start.map_or(0, |start| start.min(time));
        let mut points = Points { metrics: self, common, start, time, now, may_take };
        let (name, kind, all) = (metric.name, metric.kind, metric.points);
        let data = match kind {
            Kind::Gauge => metric::Data::Gauge(otlp::Gauge { data_points: points.of(all, Points::number) }),
            Kind::Sum { is_delta, is_monotonic } => metric::Data::Sum(otlp::Sum {
                data_points: points.of(all, Points::number),
                aggregation_temporality: temporality(is_delta),
                is_monotonic,
            }),
            Kind::Histogram { is_delta } => metric::Data::Histogram(otlp::Histogram {
                data_points: points.of(all, Points::histogram),
                aggregation_temporality: temporality(is_delta),
            }),
            Kind::Exponential { is_delta } => {
                metric::Data::ExponentialHistogram(otlp::ExponentialHistogram {
                    data_points: points.of(all, Points::exponential),
                    aggregation_temporality: temporality(is_delta),
                })
            }
        };
        let points = match &data {
            metric::Data::Gauge(gauge) => gauge.data_points.len(),
            metric::Data::Sum(sum) => sum.data_points.len(),
            metric::Data::Histogram(histogram) => histogram.data_points.len(),
            metric::Data::ExponentialHistogram(histogram) => histogram.data_points.len(),
            metric::Data::Summary(summary) => summary.data_points.len(),
        };
        if points == 0 {
            return;
        }
        let message = otlp::Metric {
            name,
            description: shortened(&metric.description, MAX_VALUE).to_owned(),
            unit: shortened(&metric.unit, MAX_UNIT).to_owned(),
            data: Some(data),
            ..otlp::Metric::default()
        };
        let mut encoded = Vec::new();
        bytes(&mut encoded, 2, &message.encode_to_vec());
        let points = u32::try_from(points).unwrap_or(u32::MAX);
        if !self.handed_over.add(Collected { bytes: encoded, points }) {
            self.ignored.invocation.fetch_add(points.into(), Relaxed);
        }
    }
}

fn temporality(is_delta: bool) -> i32 {
    if is_delta { AggregationTemporality::Delta.into() } else { AggregationTemporality::Cumulative.into() }
}

/// Makes the points of one metric.
struct Points<'a, M> {
    metrics: &'a Metrics,
    common: &'a [(String, Value)],
    start: u64,
    time: u64,
    now: u64,
    may_take: M,
}

impl<M: Fn() -> bool> Points<'_, M> {
    /// Those that are valid and within the limits; the rest is counted.
    fn of<P>(&mut self, points: Vec<Point>, make: impl Fn(&Self, Point) -> Option<P>) -> Vec<P> {
        let ignored = &self.metrics.ignored;
        let mut made = Vec::new();
        for point in points {
            if !(self.may_take)() {
                ignored.invocation.fetch_add(1, Relaxed);
                continue;
            }
            match make(self, point) {
                Some(point) => made.push(point),
                None => drop(ignored.number.fetch_add(1, Relaxed)),
            }
        }
        made
    }

    fn attributes(&self, given: Vec<(String, Value)>) -> Vec<KeyValue> {
        let (set, dropped) = AttributeSet::of_guest(given);
        self.metrics.ignored.attributes.fetch_add(dropped, Relaxed);
        let is_new = |(key, _): &&(String, Value)| set.iter().all(|(known, _)| known != key);
        let common = self.common.iter().filter(is_new).map(|(key, value)| key_value(key, value));
        set.iter().map(|(key, value)| key_value(key, value)).chain(common).collect()
    }

    fn exemplars(&self, exemplars: Vec<Exemplar>) -> Vec<otlp::Exemplar> {
        let finite = |exemplar: &Exemplar| exemplar.value.finite().is_some();
        let message = |exemplar: Exemplar| {
            let (set, _) = AttributeSet::of_guest(exemplar.attributes);
            let (trace_id, span_id) =
                exemplar.span.map(|(trace, span)| (trace.0.to_vec(), span.0.to_vec())).unwrap_or_default();
            otlp::Exemplar {
                filtered_attributes: set.iter().map(|(key, value)| key_value(key, value)).collect(),
                time_unix_nano: exemplar.time.min(self.now),
                span_id,
                trace_id,
                value: Some(match exemplar.value {
                    Number::Int(int) => exemplar::Value::AsInt(int),
                    Number::Double(double) => exemplar::Value::AsDouble(double),
                }),
            }
        };
        exemplars.into_iter().filter(finite).take(MAX_EXEMPLARS).map(message).collect()
    }

    fn number(&self, point: Point) -> Option<otlp::NumberDataPoint> {
        let PointValue::Number(number) = point.value else { return None };
        Some(otlp::NumberDataPoint {
            value: Some(match number.finite()? {
                Number::Int(int) => number_data_point::Value::AsInt(int),
                Number::Double(double) => number_data_point::Value::AsDouble(double),
            }),
            attributes: self.attributes(point.attributes),
            start_time_unix_nano: self.start,
            time_unix_nano: self.time,
            exemplars: self.exemplars(point.exemplars),
            ..otlp::NumberDataPoint::default()
        })
    }

    fn histogram(&self, point: Point) -> Option<otlp::HistogramDataPoint> {
        let PointValue::Histogram { distribution, bounds, counts } = point.value else { return None };
        let is_whole = counts.len() == bounds.len() + 1 || (counts.is_empty() && bounds.is_empty());
        let is_sorted = bounds.iter().all(|bound| bound.is_finite()) && bounds.is_sorted();
        if !is_whole || !is_sorted || counts.len() > MAX_BUCKETS {
            return None;
        }
        let Distribution { count, sum, min, max } = distribution.finite()?;
        Some(otlp::HistogramDataPoint {
            attributes: self.attributes(point.attributes),
            start_time_unix_nano: self.start,
            time_unix_nano: self.time,
            count,
            sum: Some(sum),
            bucket_counts: counts,
            explicit_bounds: bounds,
            exemplars: self.exemplars(point.exemplars),
            min,
            max,
            ..otlp::HistogramDataPoint::default()
        })
    }

    fn exponential(&self, point: Point) -> Option<otlp::ExponentialHistogramDataPoint> {
        let PointValue::Exponential { distribution, scale, zero_count, zero_threshold, positive, negative } =
            point.value
        else {
            return None;
        };
        if positive.1.len() > MAX_BUCKETS || negative.1.len() > MAX_BUCKETS || !zero_threshold.is_finite() {
            return None;
        }
        let buckets = |(offset, bucket_counts): (i32, Vec<u64>)| Some(Buckets { offset, bucket_counts });
        let Distribution { count, sum, min, max } = distribution.finite()?;
        Some(otlp::ExponentialHistogramDataPoint {
            attributes: self.attributes(point.attributes),
            start_time_unix_nano: self.start,
            time_unix_nano: self.time,
            count,
            sum: Some(sum),
            scale,
            zero_count,
            zero_threshold,
            positive: buckets(positive),
            negative: buckets(negative),
            exemplars: self.exemplars(point.exemplars),
            min,
            max,
            ..otlp::ExponentialHistogramDataPoint::default()
        })
    }
}

impl Number {
    fn finite(self) -> Option<Self> {
        match self {
            Number::Double(double) if !double.is_finite() => None,
            number => Some(number),
        }
    }
}

impl Distribution {
    /// None where the sum is no number; a least or greatest value that is none is left out.
    fn finite(self) -> Option<Self> {
        let finite = |number: &f64| number.is_finite();
        self.sum.is_finite().then(|| Distribution {
            min: self.min.filter(finite),
            max: self.max.filter(finite),
            ..self
        })
    }
}

/// What each point of a scope's metrics has, beside what the guest gives it: what we export has one scope, our own.
pub(crate) fn common(scope: Scope, service: Option<Value>) -> Vec<(String, Value)> {
    let mut common: Vec<_> = scope.attributes().collect();
    common.extend(service.map(|name| (crate::telemetry::semconv::SERVICE_NAME.to_owned(), name)));
    common.retain(|(key, _)| key.len() <= MAX_NAME);
    common.iter_mut().for_each(|(_, value)| value.cut(MAX_VALUE));
    let mut seen = std::collections::HashSet::new();
    common.retain(|(key, _)| seen.insert(key.clone()));
    common.truncate(super::attributes::MAX_ATTRIBUTES);
    common
}

#[cfg(test)]
mod tests;
