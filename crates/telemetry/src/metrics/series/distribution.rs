//! Measurements counted by buckets, with their sum and their ends.

use super::lock;
use super::part::Part;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

/// Number of bounds up to which comparing each is faster than searching.
const FEW: usize = 32;

/// A histogram: what threads without a part of their own have come to, and what deltas have told of all.
pub(super) struct Distribution {
    pub(super) bounds: &'static [f64],
    cells: Cells,
    taken: Mutex<(Vec<u64>, f64)>,
}

/// The numbers of a histogram, or of one thread's part of it.
pub(super) struct Cells {
    /// One more than there are bounds.
    buckets: Box<[AtomicU64]>,
    sum: Double,
    /// The least and the greatest value so far or, where deltas are taken, since the last one.
    min: Double,
    max: Double,
}

/// What a histogram says at one moment.
pub(super) struct Told {
    pub(super) buckets: Vec<u64>,
    pub(super) sum: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

impl Distribution {
    pub(super) fn new(bounds: &'static [f64]) -> Self {
        Distribution { bounds, cells: Cells::new(bounds), taken: Mutex::default() }
    }

    /// Gives the number of the bucket.
    pub(super) fn record(&self, value: f64) -> usize {
        let bucket = self.bucket(value);
        let Cells { buckets, sum, .. } = &self.cells;
        sum.update(|sum| added(sum, value));
        self.cells.widen(value, value);
        buckets[bucket].fetch_add(1, Relaxed);
        bucket
    }

    /// Records a value in a part that no other thread writes to, and gives the number of the bucket.
    pub(super) fn record_alone(&self, part: &Cells, value: f64) -> usize {
        let bucket = self.bucket(value);
        part.sum.set(added(part.sum.get(), value));
        part.widen(value, value);
        let count = &part.buckets[bucket];
        count.store(count.load(Relaxed) + 1, Relaxed);
        bucket
    }

    fn bucket(&self, value: f64) -> usize {
        // Upper ends belong to their bucket.
        let is_below = |bound: &f64| *bound < value;
        if self.bounds.len() <= FEW {
            // All at once: a search waits for each comparison before the next.
            self.bounds.iter().map(|bound| usize::from(is_below(bound))).sum()
        } else {
            self.bounds.partition_point(is_below)
        }
    }

    /// Takes over a part that nobody writes to any more.
    pub(super) fn fold(&self, part: &Cells) {
        for (bucket, more) in self.cells.buckets.iter().zip(&part.buckets) {
            bucket.fetch_add(more.load(Relaxed), Relaxed);
        }
        self.cells.sum.update(|sum| added(sum, part.sum.get()));
        self.cells.widen(part.min.get(), part.max.get());
    }

    pub(super) fn read(&self, parts: &[Arc<Part>]) -> Told {
        let mut told = Told {
            buckets: vec![0; self.bounds.len() + 1],
            sum: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
        };
        for cells in self.all(parts) {
            for (bucket, more) in told.buckets.iter_mut().zip(&cells.buckets) {
                *bucket += more.load(Relaxed);
            }
            told.sum = added(told.sum, cells.sum.get());
            told.min = told.min.min(cells.min.get());
            told.max = told.max.max(cells.max.get());
        }
        told
    }

    /// What came since the last call; none if nothing did.
    pub(super) fn take(&self, parts: &[Arc<Part>]) -> Option<Told> {
        let mut taken = lock(&self.taken);
        let now = self.read(parts);
        let (before, sum) = &*taken;
        let since = now.buckets.iter().enumerate().map(|(at, now)| now - before.get(at).unwrap_or(&0));
        let since: Vec<_> = since.collect();
        // A value on its way in was taken with the last reading; a sum without a count would be lost.
        if since.iter().all(|count| *count == 0) {
            return None;
        }
        let sum = now.sum - sum;
        let min = self.all(parts).map(|cells| cells.min.swap(f64::INFINITY)).fold(f64::INFINITY, f64::min);
        let max =
            self.all(parts).map(|cells| cells.max.swap(f64::NEG_INFINITY)).fold(f64::NEG_INFINITY, f64::max);
        *taken = (now.buckets, now.sum);
        Some(Told { buckets: since, sum, min, max })
    }

    fn all<'a>(&'a self, parts: &'a [Arc<Part>]) -> impl Iterator<Item = &'a Cells> {
        std::iter::once(&self.cells).chain(parts.iter().filter_map(|part| part.cells()))
    }
}

fn added(sum: f64, value: f64) -> f64 {
    (sum + value).clamp(f64::MIN, f64::MAX)
}

impl Cells {
    pub(super) fn new(bounds: &[f64]) -> Self {
        Cells {
            buckets: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(),
            sum: Double::new(0.0),
            min: Double::new(f64::INFINITY),
            max: Double::new(f64::NEG_INFINITY),
        }
    }

    /// A reader of deltas resets the ends, so that they have more than one writer even in a thread's own part.
    fn widen(&self, low: f64, high: f64) {
        self.min.update(|min| min.min(low));
        self.max.update(|max| max.max(high));
    }
}

/// An atomic double.
struct Double(AtomicU64);

impl Double {
    fn new(value: f64) -> Self {
        Double(AtomicU64::new(value.to_bits()))
    }

    fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Relaxed))
    }

    fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Relaxed);
    }

    fn swap(&self, value: f64) -> f64 {
        f64::from_bits(self.0.swap(value.to_bits(), Relaxed))
    }

    fn update(&self, change: impl Fn(f64) -> f64) {
        let change = |bits| {
            let new = change(f64::from_bits(bits)).to_bits();
            // Most values are neither a new minimum nor a new maximum: nothing to write.
            (new != bits).then_some(new)
        };
        // An error only says that there was nothing to write.
        _ = self.0.fetch_update(Relaxed, Relaxed, change);
    }
}
