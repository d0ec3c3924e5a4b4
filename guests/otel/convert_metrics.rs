//! From the SDK's types to those of wasi:otel: metrics.

use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::{
    AggregatedMetrics, Exemplar, ExponentialBucket, MetricData, ResourceMetrics,
};

use crate::bindings::metrics::{self as wit, MetricNumber};
use crate::convert::{attributes, resource, scope, time};

/// All that a reader collected.
pub(crate) fn collected(all: &ResourceMetrics) -> wit::ResourceMetrics {
    let metric = |metric: &opentelemetry_sdk::metrics::data::Metric| wit::Metric {
        name: metric.name().to_owned(),
        description: metric.description().to_owned(),
        unit: metric.unit().to_owned(),
        data: match metric.data() {
            AggregatedMetrics::F64(data) => f64_data(data),
            AggregatedMetrics::U64(data) => u64_data(data),
            AggregatedMetrics::I64(data) => s64_data(data),
        },
    };
    let scopes = all.scope_metrics().map(|metrics| wit::ScopeMetrics {
        scope: scope(metrics.scope()),
        metrics: metrics.metrics().map(metric).collect(),
    });
    wit::ResourceMetrics { resource: resource(all.resource()), scope_metrics: scopes.collect() }
}

macro_rules! data {
    ($($name:ident: $from:ty => $number:ident, $gauge:ident, $sum:ident, $histogram:ident, $exponential:ident);* $(;)?) => {$(
        fn $name(data: &MetricData<$from>) -> wit::MetricData {
            let number = |value: $from| MetricNumber::$number(value);
            let exemplar = |exemplar: &Exemplar<$from>| wit::Exemplar {
                filtered_attributes: attributes(exemplar.filtered_attributes()),
                time: time(exemplar.time()),
                value: number(exemplar.value),
                span_id: hex(exemplar.span_id()),
                trace_id: hex(exemplar.trace_id()),
            };
            match data {
                MetricData::Gauge(gauge) => wit::MetricData::$gauge(wit::Gauge {
                    data_points: gauge.data_points().map(|point| wit::GaugeDataPoint {
                        attributes: attributes(point.attributes()),
                        value: number(point.value()),
                        exemplars: point.exemplars().map(exemplar).collect(),
                    }).collect(),
                    start_time: gauge.start_time().map(time),
                    time: time(gauge.time()),
                }),
                MetricData::Sum(sum) => wit::MetricData::$sum(wit::Sum {
                    data_points: sum.data_points().map(|point| wit::SumDataPoint {
                        attributes: attributes(point.attributes()),
                        value: number(point.value()),
                        exemplars: point.exemplars().map(exemplar).collect(),
                    }).collect(),
                    start_time: time(sum.start_time()),
                    time: time(sum.time()),
                    temporality: temporality(sum.temporality()),
                    is_monotonic: sum.is_monotonic(),
                }),
                MetricData::Histogram(histogram) => wit::MetricData::$histogram(wit::Histogram {
                    data_points: histogram.data_points().map(|point| wit::HistogramDataPoint {
                        attributes: attributes(point.attributes()),
                        count: point.count(),
                        bounds: point.bounds().collect(),
                        bucket_counts: point.bucket_counts().collect(),
                        min: point.min().map(number),
                        max: point.max().map(number),
                        sum: number(point.sum()),
                        exemplars: point.exemplars().map(exemplar).collect(),
                    }).collect(),
                    start_time: time(histogram.start_time()),
                    time: time(histogram.time()),
                    temporality: temporality(histogram.temporality()),
                }),
                MetricData::ExponentialHistogram(histogram) => {
                    wit::MetricData::$exponential(wit::ExponentialHistogram {
                        data_points: histogram.data_points().map(|point| wit::ExponentialHistogramDataPoint {
                            attributes: attributes(point.attributes()),
                            count: point.count() as u64,
                            min: point.min().map(number),
                            max: point.max().map(number),
                            sum: number(point.sum()),
                            scale: point.scale(),
                            zero_count: point.zero_count(),
                            positive_bucket: bucket(point.positive_bucket()),
                            negative_bucket: bucket(point.negative_bucket()),
                            zero_threshold: point.zero_threshold(),
                            exemplars: point.exemplars().map(exemplar).collect(),
                        }).collect(),
                        start_time: time(histogram.start_time()),
                        time: time(histogram.time()),
                        temporality: temporality(histogram.temporality()),
                    })
                }
            }
        }
    )*};
}

data! {
    f64_data: f64 => F64, F64Gauge, F64Sum, F64Histogram, F64ExponentialHistogram;
    u64_data: u64 => U64, U64Gauge, U64Sum, U64Histogram, U64ExponentialHistogram;
    s64_data: i64 => S64, S64Gauge, S64Sum, S64Histogram, S64ExponentialHistogram;
}

fn bucket(bucket: &ExponentialBucket) -> wit::ExponentialBucket {
    wit::ExponentialBucket { offset: bucket.offset(), counts: bucket.counts().collect() }
}

fn temporality(temporality: Temporality) -> wit::Temporality {
    match temporality {
        Temporality::Delta => wit::Temporality::Delta,
        Temporality::LowMemory => wit::Temporality::LowMemory,
        _ => wit::Temporality::Cumulative,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
