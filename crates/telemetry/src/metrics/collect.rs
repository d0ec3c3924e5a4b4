//! From series to the messages of OTLP, at each interval.

use super::exemplars::Exemplar;
use super::exponential::{self, Exponential};
use super::instrument::Instrument;
use super::kind::{Buckets, Kind, Measurement};
use super::series::{Reading, Series};
use super::store::Metrics;
use crate::clock::unix_nanos;
use crate::otlp_value::key_value;
use crate::settings::Temporality;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1 as otlp;
use otlp::{AggregationTemporality, exemplar, metric, number_data_point};
use pounce_otlp::wire::bytes;
use prost::Message;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// Bytes of points in one message; an instrument with more is sent in several, which may travel apart.
const MAX_MESSAGE: usize = 1024 * 1024;

/// Reads all metrics, again and again; there is one reader, since a delta can be taken but once.
pub(crate) struct Reader {
    metrics: Arc<Metrics>,
    temporality: Temporality,
    /// The last collection, for deltas, in nanoseconds of Unix time.
    last: u64,
}

/// A `Metric`, as an entry of `ScopeMetrics.metrics`.
#[derive(Debug)]
pub(crate) struct Collected {
    pub(crate) bytes: Vec<u8>,
    pub(crate) points: u32,
}

/// The time that points speak of.
#[derive(Clone, Copy)]
pub(super) struct Span {
    pub(super) from: u64,
    pub(super) to: u64,
}

impl Reader {
    pub(crate) fn new(metrics: Arc<Metrics>, temporality: Temporality) -> Self {
        Reader { last: metrics.started, metrics, temporality }
    }

    /// What the metrics say now; nothing where nothing was recorded.
    pub(crate) fn collect(&mut self) -> Vec<Collected> {
        self.metrics.look();
        // The clock may be set back; a point must not end before it begins.
        let now = unix_nanos().max(self.last);
        let mut collected = self.metrics.sdk_queue.take();
        for instrument in self.metrics.instruments() {
            // As the specification has it: what may shrink is cumulative in any case.
            let is_delta = instrument.kind() != Kind::UpDownCounter
                && match self.temporality {
                    Temporality::Cumulative => false,
                    Temporality::Delta => true,
                    Temporality::LowMemory => !instrument.is_observed.load(Relaxed),
                };
            let from = if is_delta { self.last } else { self.metrics.started };
            let span = Span { from, to: now };
            Points { instrument: &instrument, is_delta, is_export: true, span }.write(&mut collected);
        }
        self.last = now;
        let points = collected.iter().map(|part| u64::from(part.points)).sum();
        self.metrics.collected.fetch_add(points, Relaxed);
        collected
    }

    /// Points of the last collection, after which none are counted as never collected.
    pub(crate) fn finish(&mut self) -> Vec<Collected> {
        let collected = self.collect();
        self.metrics.is_finished.store(true, Relaxed);
        collected
    }
}

pub(super) struct Points<'a> {
    pub(super) instrument: &'a Instrument,
    pub(super) is_delta: bool,
    /// Exemplars are told once.
    pub(super) is_export: bool,
    pub(super) span: Span,
}

impl Points<'_> {
    pub(super) fn write(&self, out: &mut Vec<Collected>) {
        match self.instrument.kind() {
            Kind::Histogram if self.instrument.shape.buckets == Buckets::Exponential => {
                self.write_all(out, exponential, |data_points| {
                    let aggregation_temporality = self.temporality().into();
                    let data = otlp::ExponentialHistogram { data_points, aggregation_temporality };
                    metric::Data::ExponentialHistogram(data)
                })
            }
            Kind::Histogram => self.write_all(out, distribution, |data_points| {
                let aggregation_temporality = self.temporality().into();
                metric::Data::Histogram(otlp::Histogram { data_points, aggregation_temporality })
            }),
            Kind::Gauge => {
                self.write_all(out, number, |data_points| metric::Data::Gauge(otlp::Gauge { data_points }))
            }
            Kind::Counter | Kind::UpDownCounter | Kind::Seconds => {
                self.write_all(out, number, |data_points| {
                    metric::Data::Sum(otlp::Sum {
                        data_points,
                        aggregation_temporality: self.temporality().into(),
                        is_monotonic: self.instrument.kind() != Kind::UpDownCounter,
                    })
                })
            }
        }
    }

    fn temporality(&self) -> AggregationTemporality {
        if self.is_delta { AggregationTemporality::Delta } else { AggregationTemporality::Cumulative }
    }

    fn write_all<P: Message>(
        &self,
        out: &mut Vec<Collected>,
        point: impl Fn(Reading, Common) -> Option<P>,
        data: impl Fn(Vec<P>) -> metric::Data,
    ) {
        let (mut points, mut size) = (Vec::new(), 0);
        let mut finish = |points: &mut Vec<P>| {
            let count = u32::try_from(points.len()).unwrap_or(u32::MAX);
            let metric = otlp::Metric {
                name: self.instrument.name.to_string(),
                unit: self.instrument.unit.to_owned(),
                description: self.instrument.description.to_owned(),
                data: Some(data(std::mem::take(points))),
                ..otlp::Metric::default()
            };
            let mut message = Vec::new();
            bytes(&mut message, 2, &metric.encode_to_vec());
            out.push(Collected { bytes: message, points: count });
        };
        for series in self.instrument.all_series() {
            let reading = if self.is_delta { series.take() } else { series.read() };
            if let Some(point) =
                reading.and_then(|reading| point(reading, Common::of(&series, self.span, self.is_export)))
            {
                let len = point.encoded_len();
                if size + len > MAX_MESSAGE && !points.is_empty() {
                    finish(&mut points);
                    size = 0;
                }
                size += len;
                points.push(point);
            }
        }
        if !points.is_empty() {
            finish(&mut points);
        }
    }
}

/// What points of all kinds have.
struct Common {
    attributes: Vec<KeyValue>,
    span: Span,
    exemplars: Vec<otlp::Exemplar>,
}

impl Common {
    fn of(series: &Series, span: Span, is_export: bool) -> Self {
        let attributes = series.attributes.iter().map(|(key, value)| key_value(key, value)).collect();
        let exemplars = series.exemplars(is_export).into_iter().map(message_of).collect();
        Common { attributes, span, exemplars }
    }
}

fn message_of(exemplar: Exemplar) -> otlp::Exemplar {
    let span = exemplar.witness.span;
    let (trace_id, span_id) =
        span.map(|(trace, span)| (trace.0.to_vec(), span.0.to_vec())).unwrap_or_default();
    otlp::Exemplar {
        filtered_attributes: Vec::new(),
        time_unix_nano: exemplar.witness.time,
        span_id,
        trace_id,
        value: Some(match exemplar.value {
            Measurement::Int(value) => exemplar::Value::AsInt(value),
            Measurement::Double(value) => exemplar::Value::AsDouble(value),
        }),
    }
}

/// A point of a sum or a gauge.
fn number(reading: Reading, common: Common) -> Option<otlp::NumberDataPoint> {
    let (value, from) = match reading {
        Reading::Sum(sum) => (number_data_point::Value::AsInt(sum), common.span.from),
        Reading::Seconds(sum) => (number_data_point::Value::AsDouble(sum), common.span.from),
        // A gauge is of one moment.
        Reading::Last(last) => (number_data_point::Value::AsDouble(last), 0),
        Reading::Distribution { .. } | Reading::Exponential(_) => return None,
    };
    Some(otlp::NumberDataPoint {
        attributes: common.attributes,
        start_time_unix_nano: from,
        time_unix_nano: common.span.to,
        exemplars: common.exemplars,
        value: Some(value),
        ..otlp::NumberDataPoint::default()
    })
}

/// A point of a histogram.
fn distribution(reading: Reading, common: Common) -> Option<otlp::HistogramDataPoint> {
    let Reading::Distribution { bounds, buckets, sum, min, max } = reading else {
        return None;
    };
    let count = buckets.iter().sum();
    Some(otlp::HistogramDataPoint {
        attributes: common.attributes,
        start_time_unix_nano: common.span.from,
        time_unix_nano: common.span.to,
        count,
        // The specification: no sum where it may shrink.
        sum: (min >= 0.0).then_some(sum),
        bucket_counts: buckets,
        explicit_bounds: bounds.to_vec(),
        exemplars: common.exemplars,
        min: min.is_finite().then_some(min),
        max: max.is_finite().then_some(max),
        ..otlp::HistogramDataPoint::default()
    })
}

/// A point of a histogram whose buckets are as fine as its values allow.
fn exponential(reading: Reading, common: Common) -> Option<otlp::ExponentialHistogramDataPoint> {
    let Reading::Exponential(reading) = reading else { return None };
    let count = reading.count();
    let Exponential { scale, zero, positive, negative, sum, min, max, .. } = *reading;
    let buckets = |exponential::Buckets { offset, counts }: exponential::Buckets| {
        otlp::exponential_histogram_data_point::Buckets { offset, bucket_counts: counts }
    };
    Some(otlp::ExponentialHistogramDataPoint {
        attributes: common.attributes,
        start_time_unix_nano: common.span.from,
        time_unix_nano: common.span.to,
        count,
        sum: (min >= 0.0).then_some(sum),
        scale,
        zero_count: zero,
        positive: Some(buckets(positive)),
        negative: Some(buckets(negative)),
        exemplars: common.exemplars,
        min: min.is_finite().then_some(min),
        max: max.is_finite().then_some(max),
        ..otlp::ExponentialHistogramDataPoint::default()
    })
}
