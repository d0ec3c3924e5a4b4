//! One series: the numbers that its measurements have come to, all atomics, and the last of them that a trace knows.
//!
//! Recording takes no lock but that of the exemplar, and gives up on it rather than wait. What is read while others
//! record may lack a measurement in one number that it has in another; the count of a histogram is the sum of its
//! buckets, so that those always agree.

use super::attributes::AttributeSet;
use super::instrument::Kind;
use crate::telemetry::clock::unix_nanos;
use crate::telemetry::context::SpanContext;
use crate::telemetry::id::{SpanId, TraceId};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

/// One value, as it was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Measurement {
    Int(i64),
    /// Never infinite, never not-a-number.
    Double(f64),
}

/// A measurement and the span in which it was made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Exemplar {
    pub(super) trace_id: TraceId,
    pub(super) span_id: SpanId,
    pub(super) value: Measurement,
    /// Unix time in nanoseconds.
    pub(super) time: u64,
}

/// What the measurements of one instrument with one set of attributes have come to.
pub(crate) struct Series {
    pub(super) attributes: AttributeSet,
    numbers: Numbers,
    exemplar: Mutex<Kept>,
    /// What deltas have taken so far, for those who look at all since the start.
    taken: Mutex<Option<Reading>>,
    /// Something was recorded since the last delta was taken.
    touched: AtomicBool,
}

/// The last exemplar: taken once for exports, there to be looked at until the next.
#[derive(Default)]
struct Kept {
    last: Option<Exemplar>,
    is_taken: bool,
}

enum Numbers {
    Sum(AtomicI64),
    /// Bits of a double.
    Last(AtomicU64),
    Distribution(Distribution),
}

struct Distribution {
    bounds: &'static [f64],
    /// One more than there are bounds.
    buckets: Box<[AtomicU64]>,
    sum: Double,
    min: Double,
    max: Double,
}

/// What a series says at one moment.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Reading {
    Sum(i64),
    Last(f64),
    Distribution { bounds: &'static [f64], buckets: Vec<u64>, sum: f64, min: f64, max: f64 },
}

impl Series {
    pub(super) fn new(kind: Kind, bounds: &'static [f64], attributes: AttributeSet) -> Self {
        let numbers = match kind {
            Kind::Counter | Kind::UpDownCounter => Numbers::Sum(AtomicI64::new(0)),
            Kind::Gauge => Numbers::Last(AtomicU64::new(0)),
            Kind::Histogram => Numbers::Distribution(Distribution {
                bounds,
                buckets: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(),
                sum: Double::new(0.0),
                min: Double::new(f64::INFINITY),
                max: Double::new(f64::NEG_INFINITY),
            }),
        };
        Series {
            attributes,
            numbers,
            exemplar: Mutex::default(),
            taken: Mutex::default(),
            touched: AtomicBool::new(false),
        }
    }

    /// Memory it takes without its attributes, roughly, its place in the map included.
    pub(super) fn size(kind: Kind, bounds: &[f64]) -> usize {
        let buckets = if kind == Kind::Histogram { (bounds.len() + 1) * size_of::<AtomicU64>() } else { 0 };
        size_of::<Series>() + size_of::<(AttributeSet, usize)>() + buckets
    }

    /// Records a value, made in the span of `context`. A value of the wrong type is not recorded.
    pub(crate) fn record(&self, value: Measurement, context: Option<&SpanContext>) {
        match (&self.numbers, value) {
            (Numbers::Sum(sum), Measurement::Int(value)) => {
                // Never fails: every value has a sum.
                _ = sum.fetch_update(Relaxed, Relaxed, |sum| Some(sum.saturating_add(value)));
            }
            (Numbers::Last(last), Measurement::Double(value)) => last.store(value.to_bits(), Relaxed),
            (Numbers::Distribution(distribution), Measurement::Double(value)) => distribution.record(value),
            (Numbers::Sum(_), Measurement::Double(_)) | (_, Measurement::Int(_)) => return,
        }
        self.touched.store(true, Relaxed);
        if let Some(context) = context.filter(|context| context.is_sampled())
            && let Ok(mut exemplar) = self.exemplar.try_lock()
        {
            let (trace_id, span_id) = (context.trace_id, context.span_id);
            let last = Some(Exemplar { trace_id, span_id, value, time: unix_nanos() });
            *exemplar = Kept { last, is_taken: false };
        }
    }

    /// All since the start; none before anything was recorded.
    pub(super) fn read(&self) -> Option<Reading> {
        if !self.touched.load(Relaxed) {
            return None;
        }
        Some(match &self.numbers {
            Numbers::Sum(sum) => Reading::Sum(sum.load(Relaxed)),
            Numbers::Last(last) => Reading::Last(f64::from_bits(last.load(Relaxed))),
            Numbers::Distribution(distribution) => distribution.read(),
        })
    }

    /// All since the start, whatever deltas have taken; none before anything was recorded.
    pub(super) fn look(&self) -> Option<Reading> {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        match (&*taken, self.read()) {
            (Some(taken), Some(since)) => Some(taken.plus(&since)),
            (Some(taken), None) => Some(taken.clone()),
            (None, since) => since,
        }
    }

    /// What came since the last call; none if nothing did.
    pub(super) fn take(&self) -> Option<Reading> {
        // Held throughout, so that who looks sees each measurement once.
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let since = self.take_numbers()?;
        *taken = Some(taken.as_ref().map_or_else(|| since.clone(), |taken| taken.plus(&since)));
        Some(since)
    }

    fn take_numbers(&self) -> Option<Reading> {
        if !self.touched.swap(false, Relaxed) {
            return None;
        }
        match &self.numbers {
            Numbers::Sum(sum) => Some(Reading::Sum(sum.swap(0, Relaxed))),
            Numbers::Last(last) => Some(Reading::Last(f64::from_bits(last.load(Relaxed)))),
            Numbers::Distribution(distribution) => distribution.take(),
        }
    }

    /// The last measurement within a recorded trace since the last call.
    pub(super) fn take_exemplar(&self) -> Option<Exemplar> {
        let mut kept = self.exemplar.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::replace(&mut kept.is_taken, true) { None } else { kept.last }
    }

    /// The last measurement within a recorded trace.
    pub(super) fn exemplar(&self) -> Option<Exemplar> {
        self.exemplar.lock().unwrap_or_else(PoisonError::into_inner).last
    }
}

impl Reading {
    /// What two say of the same series, `later` being what came after.
    fn plus(&self, later: &Reading) -> Reading {
        match (self, later) {
            (Reading::Sum(one), Reading::Sum(other)) => Reading::Sum(one.saturating_add(*other)),
            (
                Reading::Distribution { bounds, buckets, sum, min, max },
                Reading::Distribution { buckets: more, sum: other, min: least, max: most, .. },
            ) => Reading::Distribution {
                bounds,
                buckets: buckets.iter().zip(more).map(|(one, other)| one + other).collect(),
                sum: (sum + other).clamp(f64::MIN, f64::MAX),
                min: min.min(*least),
                max: max.max(*most),
            },
            (_, later) => later.clone(),
        }
    }
}

impl Distribution {
    fn record(&self, value: f64) {
        // Upper ends belong to their bucket.
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        self.sum.update(|sum| (sum + value).clamp(f64::MIN, f64::MAX));
        self.min.update(|min| min.min(value));
        self.max.update(|max| max.max(value));
        self.buckets[bucket].fetch_add(1, Relaxed);
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
        let buckets: Vec<_> = self.buckets.iter().map(|bucket| bucket.swap(0, Relaxed)).collect();
        // A value on its way in was taken with the last reading; a sum without a count would be lost.
        buckets.iter().any(|count| *count > 0).then(|| Reading::Distribution {
            bounds: self.bounds,
            buckets,
            sum: self.sum.swap(0.0),
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
