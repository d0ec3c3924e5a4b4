//! One series: the numbers that its measurements have come to, all atomics, and examples of them that a trace knows.
//!
//! Recording takes no lock but that of an exemplar, and gives up on it rather than wait. What is read while others
//! record may lack a measurement in one number that it has in another; the count of a histogram is the sum of its
//! buckets, so that those always agree. All numbers are since the start: what came since the last delta is told by
//! subtraction, so that several may read, of whom one alone takes deltas.

use super::attributes::AttributeSet;
use super::exemplars::{Exemplar, Exemplars, Witness};
use super::exponential::Exponential;
use super::instrument::{Buckets, Kind, Shape};
use crate::telemetry::context::SpanContext;
use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One value, as it was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Measurement {
    Int(i64),
    /// Never infinite, never not-a-number.
    Double(f64),
}

/// What the measurements of one instrument with one set of attributes have come to.
pub(crate) struct Series {
    pub(in crate::telemetry) attributes: AttributeSet,
    numbers: Numbers,
    exemplars: Exemplars,
    touched: AtomicU8,
}

/// Whether something was recorded: never, since the last delta was taken, or before that only.
const NEVER: u8 = 0;
const SINCE: u8 = 1;
const BEFORE: u8 = 2;

enum Numbers {
    Sum(Sum),
    /// Nanoseconds, which are told as seconds.
    Seconds(Sum),
    /// Bits of a double.
    Last(AtomicU64),
    Distribution(Distribution),
    Exponential(Mutex<Exponential>),
}

#[derive(Default)]
struct Sum {
    now: AtomicI64,
    /// What deltas have told of it.
    taken: AtomicI64,
}

struct Distribution {
    bounds: &'static [f64],
    /// One more than there are bounds.
    buckets: Box<[AtomicU64]>,
    sum: Double,
    /// Of all, or where deltas are taken, since the last.
    min: Double,
    max: Double,
    /// What deltas have told of it.
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    buckets: Vec<u64>,
    sum: f64,
}

/// What a series says at one moment.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Reading {
    Sum(i64),
    /// A sum, too.
    Seconds(f64),
    Last(f64),
    Distribution {
        bounds: &'static [f64],
        buckets: Vec<u64>,
        sum: f64,
        min: f64,
        max: f64,
    },
    Exponential(Box<Exponential>),
}

impl Series {
    pub(super) fn new(shape: Shape, attributes: AttributeSet) -> Self {
        let numbers = match shape.kind {
            Kind::Counter | Kind::UpDownCounter => Numbers::Sum(Sum::default()),
            Kind::Seconds => Numbers::Seconds(Sum::default()),
            Kind::Gauge => Numbers::Last(AtomicU64::new(0)),
            Kind::Histogram => match shape.buckets {
                Buckets::Exponential => Numbers::Exponential(Mutex::default()),
                Buckets::Upto(bounds) => Numbers::Distribution(Distribution::new(bounds)),
            },
        };
        let slots = match &numbers {
            Numbers::Distribution(distribution) => distribution.buckets.len(),
            _ => 1,
        };
        let exemplars = Exemplars::new(shape.exemplars, slots);
        Series { attributes, numbers, exemplars, touched: AtomicU8::new(NEVER) }
    }

    /// Memory it takes without its attributes, roughly, its place in the map included.
    pub(super) fn size(shape: Shape) -> usize {
        let (buckets, slots) = match (shape.kind, shape.buckets) {
            (Kind::Histogram, Buckets::Upto(bounds)) => (bounds.len() + 1, bounds.len() + 1),
            (Kind::Histogram, Buckets::Exponential) => (Exponential::MAX_BUCKETS, 1),
            _ => (0, 1),
        };
        size_of::<Series>()
            + size_of::<(AttributeSet, usize)>()
            + buckets * size_of::<AtomicU64>()
            + Exemplars::size(slots)
    }

    /// Records a value, made in the span of `context`. A value of the wrong type is not recorded.
    pub(crate) fn record(&self, value: Measurement, context: Option<&SpanContext>) {
        self.record_by(value, self.exemplars.witness(context));
    }

    /// The same where it is known already whether there is an exemplar in it.
    pub(super) fn record_by(&self, value: Measurement, witness: Option<Witness>) {
        let mut slot = 0;
        match (&self.numbers, value) {
            (Numbers::Sum(sum) | Numbers::Seconds(sum), Measurement::Int(value)) => sum.add(value),
            (Numbers::Last(last), Measurement::Double(value)) => last.store(value.to_bits(), Relaxed),
            (Numbers::Distribution(distribution), Measurement::Double(value)) => {
                slot = distribution.record(value);
            }
            (Numbers::Exponential(buckets), Measurement::Double(value)) => lock(buckets).record(value),
            (_, Measurement::Double(_) | Measurement::Int(_)) => return,
        }
        self.touch();
        if let Some(witness) = witness {
            self.exemplars.offer(slot, value, witness);
        }
    }

    /// Sets a sum to what somebody else has counted.
    pub(super) fn observe(&self, sum: i64) {
        if let Numbers::Sum(series) | Numbers::Seconds(series) = &self.numbers {
            let before = series.now.swap(sum, Relaxed);
            if before != sum || self.touched.load(Relaxed) == NEVER {
                self.touch();
            }
        }
    }

    fn touch(&self) {
        // Most of the time it is so already, and others read it.
        if self.touched.load(Relaxed) != SINCE {
            self.touched.store(SINCE, Relaxed);
        }
    }

    /// All since the start; none before anything was recorded.
    pub(crate) fn read(&self) -> Option<Reading> {
        if self.touched.load(Relaxed) == NEVER {
            return None;
        }
        Some(match &self.numbers {
            Numbers::Sum(sum) => Reading::Sum(sum.now.load(Relaxed)),
            Numbers::Seconds(sum) => Reading::Seconds(seconds(sum.now.load(Relaxed))),
            Numbers::Last(last) => Reading::Last(f64::from_bits(last.load(Relaxed))),
            Numbers::Distribution(distribution) => distribution.read(),
            Numbers::Exponential(buckets) => Reading::Exponential(Box::new(lock(buckets).clone())),
        })
    }

    /// What came since the last call; none if nothing did. For one reader.
    pub(super) fn take(&self) -> Option<Reading> {
        if self.touched.load(Relaxed) != SINCE {
            return None;
        }
        self.touched.store(BEFORE, Relaxed);
        match &self.numbers {
            Numbers::Sum(sum) => Some(Reading::Sum(sum.take())),
            Numbers::Seconds(sum) => Some(Reading::Seconds(seconds(sum.take()))),
            Numbers::Last(last) => Some(Reading::Last(f64::from_bits(last.load(Relaxed)))),
            Numbers::Distribution(distribution) => distribution.take(),
            Numbers::Exponential(buckets) => Some(Reading::Exponential(Box::new(lock(buckets).take())))
                .filter(|taken| match taken {
                    Reading::Exponential(taken) => taken.count() > 0,
                    _ => true,
                }),
        }
    }

    /// Measurements within recorded traces, the last of each bucket; with `new` those since the last such call.
    pub(crate) fn exemplars(&self, new: bool) -> Vec<Exemplar> {
        self.exemplars.read(new)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn seconds(nanos: i64) -> f64 {
    nanos as f64 / 1e9
}

impl Sum {
    fn add(&self, value: i64) {
        // Never fails: every value has a sum.
        _ = self.now.fetch_update(Relaxed, Relaxed, |sum| Some(sum.saturating_add(value)));
    }

    fn take(&self) -> i64 {
        let now = self.now.load(Relaxed);
        now.saturating_sub(self.taken.swap(now, Relaxed))
    }
}

impl Distribution {
    fn new(bounds: &'static [f64]) -> Self {
        Distribution {
            bounds,
            buckets: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(),
            sum: Double::new(0.0),
            min: Double::new(f64::INFINITY),
            max: Double::new(f64::NEG_INFINITY),
            taken: Mutex::default(),
        }
    }

    /// Gives the number of the bucket.
    fn record(&self, value: f64) -> usize {
        // Upper ends belong to their bucket.
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        self.sum.update(|sum| (sum + value).clamp(f64::MIN, f64::MAX));
        self.min.update(|min| min.min(value));
        self.max.update(|max| max.max(value));
        self.buckets[bucket].fetch_add(1, Relaxed);
        bucket
    }

    fn read(&self) -> Reading {
        Reading::Distribution {
            bounds: self.bounds,
            buckets: self.buckets.iter().map(|bucket| bucket.load(Relaxed)).collect(),
            sum: self.sum.get(),
            min: self.min.get(),
            max: self.max.get(),
        }
    }

    fn take(&self) -> Option<Reading> {
        let mut taken = lock(&self.taken);
        let now: Vec<_> = self.buckets.iter().map(|bucket| bucket.load(Relaxed)).collect();
        taken.buckets.resize(now.len(), 0);
        let since: Vec<_> = now.iter().zip(&taken.buckets).map(|(now, taken)| now - taken).collect();
        // A value on its way in was taken with the last reading; a sum without a count would be lost.
        if since.iter().all(|count| *count == 0) {
            return None;
        }
        let sum = self.sum.get();
        let before = std::mem::replace(&mut *taken, Taken { buckets: now, sum });
        Some(Reading::Distribution {
            bounds: self.bounds,
            buckets: since,
            sum: sum - before.sum,
            min: self.min.swap(f64::INFINITY),
            max: self.max.swap(f64::NEG_INFINITY),
        })
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
