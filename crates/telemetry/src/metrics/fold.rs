//! Cumulative points of a guest's SDK as what has come since the last export.
//!
//! Every store has an SDK of its own that counts from its own start, and all go out under one identity: many sums of one
//! name that start anew all the time, of which a backend makes anything but their sum. Differences add up.

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1 as otlp;
use otlp::exponential_histogram_data_point::Buckets;
use otlp::number_data_point::Value as Number;
use prost::Message;
use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::{BuildHasher, Hash, Hasher};

/// Series of one store.
const MAX_SERIES: usize = 1000;
/// Bytes of what is kept of them, roughly.
const MAX_BYTES: usize = 256 * 1024;

/// What cumulative points of one store said last.
#[derive(Debug, Default)]
pub struct Folds {
    /// By a hash with keys of its own, so that a guest can only mix up series of itself, and that by chance.
    series: HashMap<u64, Last>,
    hasher: RandomState,
    bytes: usize,
}

#[derive(Debug)]
struct Last {
    /// Unix time in nanoseconds since when the SDK counts.
    start: u64,
    /// Without attributes and exemplars.
    point: Kept,
}

#[derive(Debug)]
pub(super) enum Kept {
    Number(otlp::NumberDataPoint),
    Histogram(otlp::HistogramDataPoint),
    Exponential(Box<otlp::ExponentialHistogramDataPoint>),
}

/// What is to be handed over.
#[derive(Debug, PartialEq)]
pub(super) enum Folded<P> {
    /// What came since the last point.
    Since(P),
    /// Nothing came.
    Nothing,
    /// It is not what the last point could have become.
    Broken,
    /// There is no room to keep what it says.
    Full,
}

/// A point that may be cumulative.
pub(super) trait Fold: Message + Clone {
    fn attributes(&self) -> &[KeyValue];
    fn times(&mut self) -> (&mut u64, u64);
    /// What is kept of it.
    fn kept(&self) -> Kept;
    /// Makes it what came since `last`.
    fn subtract(&mut self, last: &Kept) -> Option<Change>;
}

/// How a point differs from the last.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Grown,
    None,
    /// It counts from zero again; nothing was subtracted.
    Restarted,
}

impl Folds {
    /// What has come since the last point of these attributes.
    pub(super) fn fold<P: Fold>(&mut self, name: &str, mut point: P) -> Folded<P> {
        let kept = point.kept();
        let mut hasher = self.hasher.build_hasher();
        name.hash(&mut hasher);
        std::mem::discriminant(&kept).hash(&mut hasher);
        point.attributes().iter().for_each(|attribute| attribute.encode_to_vec().hash(&mut hasher));
        let size = kept.size();
        let start = *point.times().0;
        let is_full = self.series.len() >= MAX_SERIES;
        match self.series.entry(hasher.finish()) {
            Entry::Vacant(place) => {
                let bytes = self.bytes + size;
                if is_full || bytes > MAX_BYTES {
                    return Folded::Full;
                }
                self.bytes = bytes;
                place.insert(Last { start, point: kept });
            }
            Entry::Occupied(mut place) => {
                let bytes = self.bytes - place.get().point.size() + size;
                if bytes > MAX_BYTES {
                    return Folded::Full;
                }
                self.bytes = bytes;
                let last = place.insert(Last { start, point: kept });
                // An SDK that starts anew counts from zero, whatever its numbers are.
                if last.start == start {
                    match point.subtract(&last.point) {
                        Some(Change::Grown | Change::Restarted) => {
                            let (from, to) = point.times();
                            *from = last.point.time().min(to);
                        }
                        Some(Change::None) => {
                            // The next one begins where the last that was handed over ends.
                            place.insert(last);
                            return Folded::Nothing;
                        }
                        None => return Folded::Broken,
                    }
                }
            }
        }
        Folded::Since(point)
    }
}

impl Kept {
    /// Memory it takes, roughly.
    fn size(&self) -> usize {
        let numbers = match self {
            Kept::Number(_) => 0,
            Kept::Histogram(point) => point.bucket_counts.len() + point.explicit_bounds.len(),
            Kept::Exponential(point) => {
                size_of::<otlp::ExponentialHistogramDataPoint>() / 8
                    + counts(&point.positive).1.len()
                    + counts(&point.negative).1.len()
            }
        };
        size_of::<(u64, Last)>() + 8 * numbers
    }

    fn time(&self) -> u64 {
        match self {
            Kept::Number(point) => point.time_unix_nano,
            Kept::Histogram(point) => point.time_unix_nano,
            Kept::Exponential(point) => point.time_unix_nano,
        }
    }
}

impl Fold for otlp::NumberDataPoint {
    fn attributes(&self) -> &[KeyValue] {
        &self.attributes
    }

    fn times(&mut self) -> (&mut u64, u64) {
        (&mut self.start_time_unix_nano, self.time_unix_nano)
    }

    fn kept(&self) -> Kept {
        Kept::Number(Self { time_unix_nano: self.time_unix_nano, value: self.value, ..Self::default() })
    }

    fn subtract(&mut self, last: &Kept) -> Option<Change> {
        let Kept::Number(last) = last else { return None };
        let double = |number| match number {
            Number::AsInt(int) => int as f64,
            Number::AsDouble(double) => double,
        };
        let (value, last) = (self.value?, last.value?);
        if double(value) < double(last) {
            return Some(Change::Restarted);
        }
        let (since, is_none) = match (value, last) {
            (Number::AsInt(value), Number::AsInt(last)) if value < last => return Some(Change::Restarted),
            (Number::AsInt(value), Number::AsInt(last)) => {
                let since = value.saturating_sub(last);
                (Number::AsInt(since), since == 0)
            }
            _ => {
                let since = double(value) - double(last);
                (Number::AsDouble(since.min(f64::MAX)), since == 0.0)
            }
        };
        self.value = Some(since);
        Some(if is_none { Change::None } else { Change::Grown })
    }
}

impl Fold for otlp::HistogramDataPoint {
    fn attributes(&self) -> &[KeyValue] {
        &self.attributes
    }

    fn times(&mut self) -> (&mut u64, u64) {
        (&mut self.start_time_unix_nano, self.time_unix_nano)
    }

    fn kept(&self) -> Kept {
        Kept::Histogram(Self {
            time_unix_nano: self.time_unix_nano,
            count: self.count,
            sum: self.sum,
            bucket_counts: self.bucket_counts.clone(),
            explicit_bounds: self.explicit_bounds.clone(),
            ..Self::default()
        })
    }

    fn subtract(&mut self, last: &Kept) -> Option<Change> {
        let Kept::Histogram(last) = last else { return None };
        let Some(count) = self.count.checked_sub(last.count) else {
            return Some(Change::Restarted);
        };
        let is_alike = self.explicit_bounds == last.explicit_bounds
            && self.bucket_counts.len() == last.bucket_counts.len();
        let bucket_counts = is_alike.then(|| less(&self.bucket_counts, &last.bucket_counts)).flatten()?;
        (self.count, self.bucket_counts) = (count, bucket_counts);
        self.sum = difference(self.sum, last.sum);
        // They are of all values since the start.
        (self.min, self.max) = (None, None);
        Some(if count == 0 { Change::None } else { Change::Grown })
    }
}

impl Fold for otlp::ExponentialHistogramDataPoint {
    fn attributes(&self) -> &[KeyValue] {
        &self.attributes
    }

    fn times(&mut self) -> (&mut u64, u64) {
        (&mut self.start_time_unix_nano, self.time_unix_nano)
    }

    fn kept(&self) -> Kept {
        Kept::Exponential(Box::new(Self {
            attributes: Vec::new(),
            exemplars: Vec::new(),
            time_unix_nano: self.time_unix_nano,
            ..self.clone()
        }))
    }

    fn subtract(&mut self, last: &Kept) -> Option<Change> {
        let Kept::Exponential(last) = last else { return None };
        let Some(count) = self.count.checked_sub(last.count) else {
            return Some(Change::Restarted);
        };
        // A scale only ever goes down, as the values come to span more.
        let coarser = u32::try_from(last.scale.checked_sub(self.scale)?).ok()?;
        if self.zero_threshold.to_bits() != last.zero_threshold.to_bits() {
            return None;
        }
        let zero_count = self.zero_count.checked_sub(last.zero_count)?;
        let positive = less_buckets(&self.positive, &last.positive, coarser)?;
        let negative = less_buckets(&self.negative, &last.negative, coarser)?;
        (self.count, self.zero_count, self.positive, self.negative) = (count, zero_count, positive, negative);
        self.sum = difference(self.sum, last.sum);
        (self.min, self.max) = (None, None);
        Some(if count == 0 { Change::None } else { Change::Grown })
    }
}

fn difference(sum: Option<f64>, last: Option<f64>) -> Option<f64> {
    sum.zip(last).map(|(sum, last)| sum - last).filter(|since| since.is_finite())
}

fn less(counts: &[u64], last: &[u64]) -> Option<Vec<u64>> {
    counts.iter().zip(last).map(|(count, last)| count.checked_sub(*last)).collect()
}

fn counts(buckets: &Option<Buckets>) -> (i32, &[u64]) {
    buckets.as_ref().map_or((0, &[]), |buckets| (buckets.offset, &buckets.bucket_counts))
}

/// `buckets` without `last`, of which each 2 to the power of `coarser` are one of those now.
fn less_buckets(buckets: &Option<Buckets>, last: &Option<Buckets>, coarser: u32) -> Option<Option<Buckets>> {
    let (offset, now) = counts(buckets);
    let (last_offset, last) = counts(last);
    let mut left = now.to_vec();
    for (at, count) in last.iter().enumerate().filter(|(_, count)| **count > 0) {
        let index = i64::from(last_offset) + at as i64;
        let at = (index >> coarser.min(63)) - i64::from(offset);
        let bucket = usize::try_from(at).ok().and_then(|at| left.get_mut(at))?;
        *bucket = bucket.checked_sub(*count)?;
    }
    Some(Some(Buckets { offset, bucket_counts: left }))
}

#[cfg(test)]
mod tests;
