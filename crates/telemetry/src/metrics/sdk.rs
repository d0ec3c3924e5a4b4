//! What a metric reader of a guest's own SDK has collected: aggregated already, so it goes out as it came, with the next
//! export, under limits of ours.

use super::attributes::{self, AttributeSet};
use super::collect::Collected;
pub use super::exemplars::MAX_EXEMPLARS;
use super::fold::{Fold, Folded, Folds};
use super::instrument::is_name;
use super::sdk_queue::Added;
use super::store::Metrics;
use crate::clock::unix_nanos;
use crate::limits::{MAX_NAME, MAX_VALUE};
use crate::otlp_value::key_value;
use crate::scope::SdkScope;
use crate::value::{Length, Value, shortened};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1 as otlp;
use otlp::exponential_histogram_data_point::Buckets;
use otlp::{AggregationTemporality, exemplar, metric, number_data_point};
use pounce_otlp::Loss;
use pounce_otlp::id::{SpanId, TraceId};
use prost::Message;
use std::collections::HashSet;
use std::sync::atomic::Ordering::Relaxed;

/// Buckets of one point.
const MAX_BUCKETS: usize = 1024;
/// Bytes of what all points of a scope have: half of what a point may.
const MAX_COMMON: usize = attributes::MAX_SIZE / 2;
/// Bytes around a message inside another, at most.
const MAX_FRAME: usize = 16;
/// Bytes of a unit.
const MAX_UNIT: usize = 63;

/// A metric. Its points are made one by one: one whose turn does not come costs nothing.
pub struct Metric<'a> {
    /// Name of the instrument.
    pub name: String,
    /// What it measures.
    pub description: String,
    /// Unit, as UCUM writes it.
    pub unit: String,
    /// What its points are.
    pub kind: Kind,
    /// Unix time in nanoseconds; none where the points are of one moment.
    pub start: Option<u64>,
    /// Unix time in nanoseconds.
    pub time: u64,
    /// Its points.
    pub points: Box<dyn ExactSizeIterator<Item = Point> + 'a>,
}

/// What its points say.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The last value.
    Gauge,
    /// A sum.
    Sum {
        /// Whether it is of what came since the last time, rather than since the start.
        is_delta: bool,
        /// Whether it never shrinks.
        is_monotonic: bool,
    },
    /// A histogram with explicit bounds.
    Histogram {
        /// Whether it is of what came since the last time, rather than since the start.
        is_delta: bool,
    },
    /// A histogram whose bounds grow by a constant factor.
    Exponential {
        /// Whether it is of what came since the last time, rather than since the start.
        is_delta: bool,
    },
}

/// A number; unsigned ones beyond the signed are doubles.
#[derive(Clone, Copy)]
pub enum Number {
    /// A whole number.
    Int(i64),
    /// Any other.
    Double(f64),
}

/// What each point of a scope's metrics has, beside what the guest gives it: what we export has one scope, our own.
pub struct Common(Vec<(KeyValue, usize)>);

/// One point.
pub struct Point {
    /// Attributes of its series.
    pub attributes: Vec<(String, Value)>,
    /// What was measured.
    pub value: PointValue,
    /// Single measurements, with their spans.
    pub exemplars: Vec<Exemplar>,
}

/// What a point has, by the kind of its metric.
pub enum PointValue {
    /// Value of a gauge or a sum.
    Number(Number),
    /// Value of a histogram with explicit bounds.
    Histogram {
        /// What all histograms have.
        distribution: Distribution,
        /// Upper ends of the buckets, without the last, which is open.
        bounds: Vec<f64>,
        /// Measurements in each bucket.
        counts: Vec<u64>,
    },
    /// Value of a histogram with exponential buckets.
    Exponential {
        /// What all histograms have.
        distribution: Distribution,
        /// Resolution: bounds are powers of `2^(2^-scale)`.
        scale: i32,
        /// Measurements that count as zero.
        zero_count: u64,
        /// Largest value that counts as zero.
        zero_threshold: f64,
        /// Offset and counts of positive and of negative values.
        positive: (i32, Vec<u64>),
        /// Buckets below zero, as `positive` has those above.
        negative: (i32, Vec<u64>),
    },
}

/// What both kinds of histogram have.
pub struct Distribution {
    /// Measurements.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// The least, where it is known.
    pub min: Option<f64>,
    /// The greatest, where it is known.
    pub max: Option<f64>,
}

/// A measurement that stands for others.
pub struct Exemplar {
    /// Attributes that its series does not have.
    pub attributes: Vec<(String, Value)>,
    /// When it was made, in nanoseconds of Unix time.
    pub time: u64,
    /// What was measured.
    pub value: Number,
    /// The span in which it was made.
    pub span: Option<(TraceId, SpanId)>,
}

impl Metrics {
    /// What each point of these metrics has. What is over the limits is counted, and so are the `omitted`, which a guest
    /// gave and nobody has looked at.
    pub fn common(&self, scope: SdkScope, service: Option<Value>, omitted: u64) -> Common {
        let service = service.map(|name| (crate::semconv::SERVICE_NAME.to_owned(), name));
        let (mut seen, mut room) = (HashSet::new(), MAX_COMMON);
        let mut common = Vec::new();
        // First the one that people look for.
        for (key, mut value) in service.into_iter().chain(scope.attributes()) {
            value.cut(Length::bytes(MAX_VALUE));
            let size = key.len() + value.size();
            let fits = size <= room && key.len() <= MAX_NAME && common.len() < attributes::MAX_ATTRIBUTES;
            if !fits || !seen.insert(key.clone()) {
                self.ignored.attributes.fetch_add(1, Relaxed);
                continue;
            }
            room -= size;
            common.push((key_value(&key, &value), size));
        }
        self.ignored.attributes.fetch_add(omitted, Relaxed);
        Common(common)
    }

    /// Takes a metric into the next export, and for pages, with `common` attributes on each of its points. `may_take` says of each
    /// point whether its request may still record it; what the points of earlier exports of the same SDK said is in
    /// `folds`.
    pub fn hand_over(
        &self,
        metric: Metric<'_>,
        common: &Common,
        folds: &mut Folds,
        may_take: impl Fn() -> bool,
    ) {
        if !self.is_exported && self.cumulative.get().is_none() {
            return;
        }
        let given = metric.points.len() as u64;
        if !is_name(&metric.name) {
            self.ignored.name.fetch_add(given, Relaxed);
            return;
        }
        let now = unix_nanos();
        let time = metric.time.min(now);
        let start = metric.start.map_or(0, |start| start.min(time));
        let mut message = otlp::Metric {
            name: metric.name,
            description: shortened(&metric.description, MAX_VALUE).to_owned(),
            unit: shortened(&metric.unit, MAX_UNIT).to_owned(),
            ..otlp::Metric::default()
        };
        let (max_points, max_bytes) = self.sdk_queue.room();
        let room = (max_points, max_bytes.saturating_sub(message.encoded_len() + MAX_FRAME));
        let (kind, all) = (metric.kind, metric.points);
        let folds = kind.is_folded().then_some((folds, message.name.as_str()));
        let mut points = Points { metrics: self, common, start, time, now, may_take, room, folds };
        let aggregation_temporality = AggregationTemporality::Delta.into();
        let (data, points) = match kind {
            Kind::Gauge => {
                let data_points = points.of(all, Points::number);
                let count = data_points.len();
                (metric::Data::Gauge(otlp::Gauge { data_points }), count)
            }
            Kind::Sum { is_monotonic, .. } => {
                let data_points = points.of(all, Points::number);
                let count = data_points.len();
                let aggregation_temporality = match kind.is_delta() || is_monotonic {
                    true => aggregation_temporality,
                    false => AggregationTemporality::Cumulative.into(),
                };
                (metric::Data::Sum(otlp::Sum { data_points, aggregation_temporality, is_monotonic }), count)
            }
            Kind::Histogram { .. } => {
                let data_points = points.of(all, Points::histogram);
                let count = data_points.len();
                (metric::Data::Histogram(otlp::Histogram { data_points, aggregation_temporality }), count)
            }
            Kind::Exponential { .. } => {
                let data_points = points.of(all, Points::exponential);
                let count = data_points.len();
                let data = otlp::ExponentialHistogram { data_points, aggregation_temporality };
                (metric::Data::ExponentialHistogram(data), count)
            }
        };
        if points == 0 {
            return;
        }
        message.data = Some(data);
        if self.is_exported {
            self.export(&message, points);
        }
        if let Some(cumulative) = self.cumulative.get() {
            self.tell_unshown(cumulative.add(message));
        }
    }

    fn export(&self, message: &otlp::Metric, points: usize) {
        let mut encoded = Vec::new();
        prost::encoding::message::encode(2, message, &mut encoded);
        let points = u32::try_from(points).unwrap_or(u32::MAX);
        match self.sdk_queue.add(Collected { bytes: encoded, points }) {
            Added::Yes => {}
            Added::Full => drop(self.ignored.waiting.fetch_add(points.into(), Relaxed)),
            Added::Closed => self.counters.lose(Loss::ExportFailed, points),
        }
    }

    fn tell_unshown(&self, points: u64) {
        if points > 0 && self.ignored.unshown.fetch_add(points, Relaxed) == 0 {
            tracing::warn!(
                "there are more metrics of guests' SDKs than /metrics shows: further series are in one that says \
                 `otel_metric_overflow`, further metrics are left out (exports have them all)"
            );
        }
    }
}

impl Kind {
    fn is_delta(self) -> bool {
        match self {
            Kind::Gauge => true,
            Kind::Sum { is_delta, .. } | Kind::Histogram { is_delta } | Kind::Exponential { is_delta } => {
                is_delta
            }
        }
    }

    /// Whether its points count all since their start, which each store has of its own: what goes out, under one identity
    /// for all, is what has come since the last.
    fn is_folded(self) -> bool {
        let may_shrink = matches!(self, Kind::Sum { is_monotonic: false, .. });
        !self.is_delta() && !may_shrink
    }
}

/// Makes the points of one metric.
struct Points<'a, M> {
    metrics: &'a Metrics,
    common: &'a Common,
    start: u64,
    time: u64,
    now: u64,
    may_take: M,
    /// Points and bytes.
    room: (u32, usize),
    /// Earlier points and the metric's name, where its points are cumulative and go out as what has come since.
    folds: Option<(&'a mut Folds, &'a str)>,
}

impl<M: Fn() -> bool> Points<'_, M> {
    /// The points that are valid and within the limits; the rest is counted.
    fn of<P: Fold>(
        &mut self,
        mut points: Box<dyn ExactSizeIterator<Item = Point> + '_>,
        make: impl Fn(&Self, Point) -> Option<P>,
    ) -> Vec<P> {
        let ignored = &self.metrics.ignored;
        let mut made = Vec::new();
        while points.len() > 0 {
            if !(self.may_take)() {
                ignored.invocation.fetch_add(points.len() as u64, Relaxed);
                break;
            }
            let Some(point) = points.next() else { break };
            let Some(point) = make(self, point) else {
                ignored.number.fetch_add(1, Relaxed);
                continue;
            };
            // With the key and the length of the field. What has come since is never longer.
            let size = point.encoded_len() + MAX_FRAME;
            let (left, bytes) = self.room;
            if left == 0 || size > bytes {
                ignored.waiting.fetch_add(1 + points.len() as u64, Relaxed);
                break;
            }
            let point = match &mut self.folds {
                Some((folds, name)) => match folds.fold(name, point) {
                    Folded::Since(point) => point,
                    Folded::Nothing => continue,
                    Folded::Broken => {
                        ignored.number.fetch_add(1, Relaxed);
                        continue;
                    }
                    Folded::Full => {
                        ignored.series.fetch_add(1, Relaxed);
                        continue;
                    }
                },
                None => point,
            };
            self.room = (left - 1, bytes - size);
            made.push(point);
        }
        made
    }

    fn attributes(&self, given: Vec<(String, Value)>) -> Vec<KeyValue> {
        let (set, mut dropped) = AttributeSet::of_guest(given);
        let mut left = attributes::MAX_SIZE.saturating_sub(set.content());
        let mut all: Vec<_> = set.iter().map(|(key, value)| key_value(key, value)).collect();
        for (attribute, size) in &self.common.0 {
            if set.iter().any(|(known, _)| *known == attribute.key) {
                continue;
            }
            match left.checked_sub(*size) {
                Some(less) => {
                    left = less;
                    all.push(attribute.clone());
                }
                None => dropped += 1,
            }
        }
        self.metrics.ignored.attributes.fetch_add(dropped, Relaxed);
        all
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
    /// The number, unless it is infinite or not a number.
    pub fn finite(self) -> Option<Self> {
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

#[cfg(test)]
mod tests;
