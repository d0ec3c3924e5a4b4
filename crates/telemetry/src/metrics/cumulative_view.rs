//! What SDKs in guests have handed over, as it stands now: for pages, which are read again and again.
//!
//! It is put together from the very points that an export takes (`fold`): what adds up is added up, of a gauge and of a
//! sum that may shrink the latest counts, whichever store it is of. So a page says what a backend makes of the exports.
//! Nobody waits for a reader: it only takes hold of the points, and who changes one meanwhile makes a copy.

use super::attributes::AttributeSet;
use super::fold::Fold;
use super::instrument::{MAX_INSTRUMENTS, MAX_SERIES};
use crate::otlp_value::key_value;
use opentelemetry_proto::tonic::common::v1::{KeyValue, KeyValueList};
use opentelemetry_proto::tonic::metrics::v1 as otlp;
use otlp::number_data_point::Value as Number;
use otlp::{AggregationTemporality, metric};
use prost::Message;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of all series, roughly.
const MAX_BYTES: usize = 8 * 1024 * 1024;
/// Memory of an exemplar without attributes, roughly.
const EXEMPLAR: usize = size_of::<otlp::Exemplar>() + 32;

/// The latest of all metrics.
#[derive(Default)]
pub(super) struct CumulativeView(Mutex<All>);

#[derive(Default)]
struct All {
    numbers: Families<otlp::NumberDataPoint>,
    histograms: Families<otlp::HistogramDataPoint>,
    exponentials: Families<otlp::ExponentialHistogramDataPoint>,
    bytes: usize,
}

type Families<P> = BTreeMap<Id, Family<P>>;

/// What tells metrics of one name apart.
#[derive(PartialEq, Eq, PartialOrd, Ord, Clone)]
struct Id {
    name: String,
    unit: String,
    kind: Kind,
}

#[derive(PartialEq, Eq, PartialOrd, Ord, Clone, Copy)]
enum Kind {
    Gauge,
    Counter,
    UpDownCounter,
    Histogram,
}

/// The series of one metric.
#[derive(Clone)]
struct Family<P> {
    /// The first that was given.
    description: String,
    /// By their attributes, encoded: that is shorter than the points' form, and exact.
    series: HashMap<Arc<[u8]>, Arc<P>>,
    /// Stands for all sets of attributes for which there was no room.
    overflow: Option<Arc<P>>,
}

/// A point that can stand for those before it. Its attributes are kept elsewhere.
trait Stand: Fold {
    /// Exemplars that a page can show.
    const EXEMPLARS: usize;

    fn parts(&mut self) -> (&mut Vec<KeyValue>, &mut Vec<otlp::Exemplar>);
    /// Memory of what it has many of.
    fn size(&self) -> usize;
    /// Leaves only what a page shows.
    fn tidy(&mut self, only_grows: bool);
    /// Adds what has come since.
    fn add(&mut self, since: Self);
}

impl CumulativeView {
    /// Takes the points of a metric as they go into an export; for how many there was no room.
    pub(super) fn add(&self, metric: otlp::Metric) -> u64 {
        let otlp::Metric { name, unit, description, data, .. } = metric;
        let all = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.numbers.len() + all.histograms.len() + all.exponentials.len();
        let mut taken =
            Taken { is_full: known >= MAX_INSTRUMENTS, bytes: &mut all.bytes, description, adds: true };
        let id = |kind| Id { name, unit, kind };
        match data {
            Some(metric::Data::Gauge(gauge)) => {
                taken.adds = false;
                taken.put(&mut all.numbers, id(Kind::Gauge), gauge.data_points)
            }
            Some(metric::Data::Sum(sum)) => {
                taken.adds = sum.aggregation_temporality() == AggregationTemporality::Delta;
                let kind = if sum.is_monotonic { Kind::Counter } else { Kind::UpDownCounter };
                taken.put(&mut all.numbers, id(kind), sum.data_points)
            }
            Some(metric::Data::Histogram(histogram)) => {
                taken.put(&mut all.histograms, id(Kind::Histogram), histogram.data_points)
            }
            Some(metric::Data::ExponentialHistogram(histogram)) => {
                taken.put(&mut all.exponentials, id(Kind::Histogram), histogram.data_points)
            }
            Some(metric::Data::Summary(_)) | None => 0,
        }
    }

    /// All metrics, their points cumulative.
    pub(super) fn now(&self) -> Vec<otlp::Metric> {
        let (numbers, histograms, exponentials) = {
            let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            (all.numbers.clone(), all.histograms.clone(), all.exponentials.clone())
        };
        let aggregation_temporality = AggregationTemporality::Cumulative.into();
        let numbers = numbers.into_iter().map(|(id, family)| {
            let is_monotonic = id.kind == Kind::Counter;
            let is_gauge = id.kind == Kind::Gauge;
            family.metric(id, |data_points| match is_gauge {
                true => metric::Data::Gauge(otlp::Gauge { data_points }),
                false => metric::Data::Sum(otlp::Sum { data_points, aggregation_temporality, is_monotonic }),
            })
        });
        let histograms = histograms.into_iter().map(|(id, family)| {
            family.metric(id, |data_points| {
                metric::Data::Histogram(otlp::Histogram { data_points, aggregation_temporality })
            })
        });
        let exponentials = exponentials.into_iter().map(|(id, family)| {
            family.metric(id, |data_points| {
                let data = otlp::ExponentialHistogram { data_points, aggregation_temporality };
                metric::Data::ExponentialHistogram(data)
            })
        });
        numbers.chain(histograms).chain(exponentials).collect()
    }
}

/// Where the points of one metric go.
struct Taken<'a> {
    /// There are as many metrics as there may be.
    is_full: bool,
    bytes: &'a mut usize,
    description: String,
    /// The points are what has come since the last.
    adds: bool,
}

impl Taken<'_> {
    fn put<P: Stand>(self, families: &mut Families<P>, id: Id, points: Vec<P>) -> u64 {
        let only_grows = id.kind == Kind::Counter;
        if self.is_full && !families.contains_key(&id) {
            return points.len() as u64;
        }
        let size = id.name.len() + id.unit.len() + self.description.len();
        let family = families.entry(id).or_insert_with(|| {
            // As many as there may be metrics: their own limit keeps it small.
            *self.bytes += size;
            Family { description: self.description, series: HashMap::new(), overflow: None }
        });
        let mut without_room = 0;
        for mut point in points {
            let (attributes, exemplars) = point.parts();
            let key = KeyValueList { values: std::mem::take(attributes) }.encode_to_vec();
            exemplars.sort_by_key(|exemplar| exemplar.time_unix_nano);
            exemplars.drain(..exemplars.len().saturating_sub(P::EXEMPLARS));
            exemplars.iter_mut().for_each(|exemplar| exemplar.filtered_attributes = Vec::new());
            point.tidy(only_grows);
            if let Some(known) = family.series.get_mut(&key[..]) {
                update(Arc::make_mut(known), point, self.adds);
                continue;
            }
            let size = key.len() + size_of::<(Arc<[u8]>, P)>() + P::EXEMPLARS * EXEMPLAR + point.size();
            if family.series.len() + 1 < MAX_SERIES && *self.bytes + size <= MAX_BYTES {
                *self.bytes += size;
                family.series.insert(key.into(), Arc::new(point));
                continue;
            }
            without_room += 1;
            match &mut family.overflow {
                Some(rest) => update(Arc::make_mut(rest), point, self.adds),
                none => *none = Some(Arc::new(point)),
            }
        }
        without_room
    }
}

fn update<P: Stand>(known: &mut P, mut point: P, adds: bool) {
    let (time, last) = (point.times().1, known.times().1);
    if !adds && time < last {
        // It was on its way for longer than another store's.
        return;
    }
    if point.parts().1.is_empty() {
        *point.parts().1 = std::mem::take(known.parts().1);
    }
    if adds {
        *known.parts().1 = std::mem::take(point.parts().1);
        known.add(point);
    } else {
        *known = point;
    }
}

impl<P: Stand> Family<P> {
    fn metric(self, id: Id, data: impl FnOnce(Vec<P>) -> metric::Data) -> otlp::Metric {
        let of_point = |attributes: Vec<KeyValue>, point: Arc<P>| {
            let mut point = Arc::unwrap_or_clone(point);
            *point.parts().0 = attributes;
            point
        };
        // What we have encoded can be decoded.
        let decoded = |key: &[u8]| KeyValueList::decode(key).unwrap_or_default().values;
        let series = self.series.into_iter().map(|(key, point)| of_point(decoded(&key), point));
        let rest = self.overflow.map(|point| {
            let attributes = AttributeSet::overflow();
            of_point(attributes.iter().map(|(key, value)| key_value(key, value)).collect(), point)
        });
        otlp::Metric {
            name: id.name,
            unit: id.unit,
            description: self.description,
            data: Some(data(series.chain(rest).collect())),
            ..otlp::Metric::default()
        }
    }
}

impl Stand for otlp::NumberDataPoint {
    const EXEMPLARS: usize = 1;

    fn parts(&mut self) -> (&mut Vec<KeyValue>, &mut Vec<otlp::Exemplar>) {
        (&mut self.attributes, &mut self.exemplars)
    }

    fn size(&self) -> usize {
        0
    }

    fn tidy(&mut self, only_grows: bool) {
        self.value = self.value.map(|value| match value {
            Number::AsInt(int) if only_grows => Number::AsInt(int.max(0)),
            Number::AsDouble(double) if only_grows => Number::AsDouble(double.max(0.0)),
            value => value,
        });
    }

    fn add(&mut self, since: Self) {
        let double = |number| match number {
            Number::AsInt(int) => int as f64,
            Number::AsDouble(double) => double,
        };
        self.time_unix_nano = self.time_unix_nano.max(since.time_unix_nano);
        self.value = match (self.value, since.value) {
            (Some(Number::AsInt(sum)), Some(Number::AsInt(since))) => {
                Some(Number::AsInt(sum.saturating_add(since)))
            }
            (Some(sum), Some(since)) => Some(Number::AsDouble(plus(double(sum), double(since)))),
            (sum, since) => sum.or(since),
        };
    }
}

impl Stand for otlp::HistogramDataPoint {
    const EXEMPLARS: usize = super::exemplars::MAX_EXEMPLARS;

    fn parts(&mut self) -> (&mut Vec<KeyValue>, &mut Vec<otlp::Exemplar>) {
        (&mut self.attributes, &mut self.exemplars)
    }

    fn size(&self) -> usize {
        8 * (self.explicit_bounds.len() + self.bucket_counts.len())
    }

    fn tidy(&mut self, _only_grows: bool) {
        let mut bounds = self.explicit_bounds.clone();
        bounds.dedup();
        regroup(self, bounds);
        self.sum = growing(self.sum, self.min);
        (self.min, self.max) = (None, None);
    }

    /// Adds a distribution. Where bounds differ, the bounds that both have stay: of these the counts are exact.
    fn add(&mut self, mut since: Self) {
        self.time_unix_nano = self.time_unix_nano.max(since.time_unix_nano);
        if self.explicit_bounds != since.explicit_bounds {
            let mut common = self.explicit_bounds.clone();
            common.retain(|bound| since.explicit_bounds.contains(bound));
            regroup(&mut since, common.clone());
            regroup(self, common);
        }
        for (count, since) in self.bucket_counts.iter_mut().zip(&since.bucket_counts) {
            *count = count.saturating_add(*since);
        }
        self.count = self.count.saturating_add(since.count);
        self.sum = self.sum.zip(since.sum).map(|(sum, since)| plus(sum, since));
    }
}

/// Makes the buckets of a point those of `wanted`, which are some of its own bounds.
fn regroup(point: &mut otlp::HistogramDataPoint, wanted: Vec<f64>) {
    let mut counts = vec![0u64; wanted.len() + 1];
    for (at, count) in point.bucket_counts.iter().enumerate() {
        let end = point.explicit_bounds.get(at).copied().unwrap_or(f64::INFINITY);
        let to = &mut counts[wanted.partition_point(|bound| *bound < end)];
        *to = to.saturating_add(*count);
    }
    (point.explicit_bounds, point.bucket_counts) = (wanted, counts);
}

/// A page shows but its totals: its buckets would be other series all the time.
impl Stand for otlp::ExponentialHistogramDataPoint {
    const EXEMPLARS: usize = 1;

    fn parts(&mut self) -> (&mut Vec<KeyValue>, &mut Vec<otlp::Exemplar>) {
        (&mut self.attributes, &mut self.exemplars)
    }

    fn size(&self) -> usize {
        0
    }

    fn tidy(&mut self, _only_grows: bool) {
        (self.positive, self.negative) = (None, None);
        self.sum = growing(self.sum, self.min);
        (self.min, self.max) = (None, None);
    }

    fn add(&mut self, since: Self) {
        self.time_unix_nano = self.time_unix_nano.max(since.time_unix_nano);
        self.count = self.count.saturating_add(since.count);
        self.sum = self.sum.zip(since.sum).map(|(sum, since)| plus(sum, since));
    }
}

fn plus(sum: f64, since: f64) -> f64 {
    (sum + since).clamp(f64::MIN, f64::MAX)
}

/// The sum of a histogram, unless it may shrink.
fn growing(sum: Option<f64>, min: Option<f64>) -> Option<f64> {
    sum.filter(|sum| *sum >= 0.0 && min.is_none_or(|min| min >= 0.0))
}

#[cfg(test)]
mod tests;
