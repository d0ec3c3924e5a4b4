//! One series: the numbers that its measurements have come to, all atomics, and examples of them that a trace knows.
//!
//! Recording takes no lock but that of an exemplar, and gives up on it rather than wait; what many threads record to all
//! the time, each of them counts by itself ([`part`]), and a reader adds up. What is read while others record may lack a
//! measurement in one number that it has in another; the count of a histogram is the sum of its buckets, so that those
//! always agree. All numbers are since the start: what came since the last delta is told by subtraction, so that several
//! may read, of whom one alone takes deltas.

mod distribution;
mod part;

use super::attributes::AttributeSet;
use super::exemplars::{Exemplar, Exemplars, Witness};
use super::exponential::Exponential;
use super::kind::{Buckets, Kind, Measurement, Shape};
use crate::context::SpanContext;
use distribution::{Cells, Distribution, Told};
use part::Part;
use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What the measurements of one instrument with one set of attributes have come to.
pub struct Series {
    pub(crate) attributes: AttributeSet,
    /// What threads without a part of their own have come to.
    numbers: Numbers,
    parts: Mutex<Vec<Arc<Part>>>,
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

/// What a series says at one moment.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading {
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

impl Reading {
    fn of(bounds: &'static [f64], Told { buckets, sum, min, max }: Told) -> Self {
        Reading::Distribution { bounds, buckets, sum, min, max }
    }
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
            Numbers::Distribution(distribution) => distribution.bounds.len() + 1,
            _ => 1,
        };
        let exemplars = Exemplars::new(shape.exemplars, slots);
        Series { attributes, numbers, parts: Mutex::default(), exemplars, touched: AtomicU8::new(NEVER) }
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
    pub fn record(&self, value: Measurement, context: Option<&SpanContext>) {
        self.record_by(value, self.exemplars.witness(context));
    }

    /// Records a value in this thread's part, for a series to which many threads record all the time, and where it is known
    /// already whether there is an exemplar in it.
    pub(super) fn record_often(self: &Arc<Self>, value: Measurement, witness: Option<Witness>) {
        part::record(self, value, witness);
    }

    /// Records a value in what all threads share.
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
        self.recorded(slot, value, witness);
    }

    /// A part for a thread; none where it would have no use.
    fn part(&self) -> Option<Arc<Part>> {
        let part = Arc::new(match &self.numbers {
            Numbers::Sum(_) | Numbers::Seconds(_) => Part::Sum(AtomicI64::new(0)),
            Numbers::Distribution(distribution) => Part::Distribution(Cells::new(distribution.bounds)),
            Numbers::Last(_) | Numbers::Exponential(_) => return None,
        });
        lock(&self.parts).push(Arc::clone(&part));
        Some(part)
    }

    /// Records a value in a part that is the calling thread's.
    fn record_alone(&self, part: &Part, value: Measurement, witness: Option<Witness>) {
        let mut slot = 0;
        match (part, &self.numbers, value) {
            (Part::Sum(sum), _, Measurement::Int(value)) => {
                sum.store(sum.load(Relaxed).saturating_add(value), Relaxed);
            }
            (Part::Distribution(cells), Numbers::Distribution(distribution), Measurement::Double(value)) => {
                slot = distribution.record_alone(cells, value);
            }
            _ => return,
        }
        self.recorded(slot, value, witness);
    }

    /// Takes over a part that nobody writes to any more. The lock keeps a reader from seeing it twice, or not at all.
    fn fold(&self, part: &Arc<Part>) {
        let mut parts = lock(&self.parts);
        match (&self.numbers, &**part) {
            (Numbers::Sum(sum) | Numbers::Seconds(sum), Part::Sum(more)) => sum.add(more.load(Relaxed)),
            (Numbers::Distribution(distribution), Part::Distribution(cells)) => distribution.fold(cells),
            _ => {}
        }
        parts.retain(|one| !Arc::ptr_eq(one, part));
    }

    fn recorded(&self, slot: usize, value: Measurement, witness: Option<Witness>) {
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
    pub fn read(&self) -> Option<Reading> {
        if self.touched.load(Relaxed) == NEVER {
            return None;
        }
        let parts = lock(&self.parts);
        Some(match &self.numbers {
            Numbers::Sum(sum) => Reading::Sum(sum.read(&parts)),
            Numbers::Seconds(sum) => Reading::Seconds(seconds(sum.read(&parts))),
            Numbers::Last(last) => Reading::Last(f64::from_bits(last.load(Relaxed))),
            Numbers::Distribution(distribution) => {
                Reading::of(distribution.bounds, distribution.read(&parts))
            }
            Numbers::Exponential(buckets) => Reading::Exponential(Box::new(lock(buckets).clone())),
        })
    }

    /// What came since the last call; none if nothing did. For one reader.
    pub(super) fn take(&self) -> Option<Reading> {
        if self.touched.load(Relaxed) != SINCE {
            return None;
        }
        self.touched.store(BEFORE, Relaxed);
        let parts = lock(&self.parts);
        match &self.numbers {
            Numbers::Sum(sum) => Some(Reading::Sum(sum.take(&parts))),
            Numbers::Seconds(sum) => Some(Reading::Seconds(seconds(sum.take(&parts)))),
            Numbers::Last(last) => Some(Reading::Last(f64::from_bits(last.load(Relaxed)))),
            Numbers::Distribution(distribution) => {
                distribution.take(&parts).map(|told| Reading::of(distribution.bounds, told))
            }
            Numbers::Exponential(buckets) => Some(Reading::Exponential(Box::new(lock(buckets).take())))
                .filter(|taken| match taken {
                    Reading::Exponential(taken) => taken.count() > 0,
                    _ => true,
                }),
        }
    }

    /// Measurements within recorded traces, the last of each bucket; with `new` those since the last such call.
    pub fn exemplars(&self, new: bool) -> Vec<Exemplar> {
        self.exemplars.read(new)
    }
}

/// Locks what nobody leaves broken: whoever panics in here has written nothing yet, or all.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
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

    fn read(&self, parts: &[Arc<Part>]) -> i64 {
        let now = self.now.load(Relaxed);
        if parts.is_empty() {
            return now;
        }
        let all = parts.iter().fold(now, |sum, part| sum.saturating_add(part.sum()));
        // What began in one part and ended in another, both since the first was read, looks like an end without a start:
        // there are parts of what the host counts only, which is never less than none.
        all.max(0)
    }

    fn take(&self, parts: &[Arc<Part>]) -> i64 {
        let now = self.read(parts);
        now.saturating_sub(self.taken.swap(now, Relaxed))
    }
}
