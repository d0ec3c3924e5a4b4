//! What one thread alone adds to a series that many threads record to: no locked instruction, and no cache line that
//! another thread writes to. A reader adds up the parts.
//!
//! A thread has parts of the series that it records to most, in a table of its own; one that gives way, or whose thread
//! ends, is folded into what all threads share.

use super::Series;
use super::distribution::Cells;
use crate::metrics::exemplars::Witness;
use crate::metrics::kind::Measurement;
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

/// Series of which a thread has a part; a power of two.
const PLACES: usize = 128;
/// A part gives way to that of another series of the same place which was asked for so often meanwhile.
const PATIENCE: u8 = 32;

/// The numbers of one thread. On cache lines of its own.
#[repr(align(64))]
pub(super) enum Part {
    Sum(AtomicI64),
    Distribution(Cells),
}

/// A part, as its thread has it.
struct Own {
    series: Arc<Series>,
    part: Arc<Part>,
    /// How often another series was asked for since.
    missed: u8,
}

thread_local! {
    static OWN: RefCell<[Option<Own>; PLACES]> = const { RefCell::new([const { None }; PLACES]) };
}

impl Drop for Own {
    fn drop(&mut self) {
        self.series.fold(&self.part);
    }
}

impl Part {
    pub(super) fn sum(&self) -> i64 {
        match self {
            Part::Sum(sum) => sum.load(Relaxed),
            Part::Distribution(_) => 0,
        }
    }

    pub(super) fn cells(&self) -> Option<&Cells> {
        match self {
            Part::Sum(_) => None,
            Part::Distribution(cells) => Some(cells),
        }
    }
}

/// Records a value in this thread's part of `series`, or in what all threads share where it has none.
pub(super) fn record(series: &Arc<Series>, value: Measurement, witness: Option<Witness>) {
    let recorded = OWN.try_with(|own| {
        let slot = &mut own.borrow_mut()[place(series)];
        if let Some(other) = slot.as_mut().filter(|own| !Arc::ptr_eq(&own.series, series)) {
            other.missed += 1;
            if other.missed < PATIENCE {
                return false;
            }
            *slot = None;
        }
        if slot.is_none() {
            *slot = series.part().map(|part| Own { series: Arc::clone(series), part, missed: 0 });
        }
        let Some(own) = slot else { return false };
        own.missed = 0;
        series.record_alone(&own.part, value, witness);
        true
    });
    // A thread that ends has its table no more.
    if !recorded.unwrap_or(false) {
        series.record_by(value, witness);
    }
}

/// By where it is in memory: Fibonacci hashing, of which the upper bits are the good ones.
fn place(series: &Arc<Series>) -> usize {
    let address = Arc::as_ptr(series) as u64;
    (address.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - PLACES.ilog2())) as usize
}

#[cfg(test)]
mod tests {
    use super::super::{Reading, lock};
    use super::*;
    use crate::metrics::attributes::AttributeSet;
    use crate::metrics::kind::{Buckets, Kind, Shape};
    use crate::settings::ExemplarFilter;
    use std::sync::mpsc;

    fn series(kind: Kind) -> Arc<Series> {
        let shape = Shape { kind, buckets: Buckets::Upto(&[1.0, 2.0]), exemplars: ExemplarFilter::AlwaysOff };
        Arc::new(Series::new(shape, AttributeSet::default()))
    }

    /// More series than there are places, so that parts give way; a reader of deltas meanwhile, and threads that end.
    #[test]
    fn nothing_is_lost_or_counted_twice_however_parts_come_and_go() {
        let counters: Vec<_> = (0..PLACES * 2).map(|_| series(Kind::Counter)).collect();
        let values = series(Kind::Histogram);
        let (mut sum, mut buckets, mut total) = (0, [0; 3], 0.0);
        let mut add = || {
            for reading in counters.iter().chain([&values]).filter_map(|series| series.take()) {
                match reading {
                    Reading::Sum(more) => sum += more,
                    Reading::Distribution { buckets: more, sum, .. } => {
                        buckets.iter_mut().zip(more).for_each(|(all, more)| *all += more);
                        total += sum;
                    }
                    other => panic!("{other:?}"),
                }
            }
        };
        std::thread::scope(|threads| {
            let work = |thread: usize| {
                let (counters, values) = (&counters, &values);
                move || {
                    for n in 0..20_000 {
                        // A few often and the others now and then, so that some give way and others do not.
                        let at = if n % 3 == 0 { n / 3 + thread } else { n % 5 };
                        record(&counters[at % counters.len()], Measurement::Int(1), None);
                        record(values, Measurement::Double((n % 3) as f64 + 0.5), None);
                    }
                }
            };
            let working: Vec<_> = (0..4).map(|thread| threads.spawn(work(thread))).collect();
            while working.iter().any(|thread| !thread.is_finished()) {
                add();
            }
            working.into_iter().for_each(|thread| thread.join().unwrap());
        });
        add();
        assert_eq!(sum, 80_000);
        assert_eq!(
            (buckets, total),
            ([26_668, 26_668, 26_664], 26_668.0 * 0.5 + 26_668.0 * 1.5 + 26_664.0 * 2.5)
        );
        for series in counters.iter().chain([&values]) {
            assert_eq!(lock(&series.parts).len(), 0, "its threads are gone");
            assert!(!matches!(series.read(), Some(Reading::Sum(0))), "what is folded is still there");
        }
    }

    #[test]
    fn what_ends_on_another_thread_is_never_less_than_none() {
        let under_way = series(Kind::UpDownCounter);
        let (begin, end) = mpsc::sync_channel(8);
        std::thread::scope(|threads| {
            let series = &under_way;
            threads.spawn(move || {
                for _ in 0..50_000 {
                    record(series, Measurement::Int(1), None);
                    begin.send(()).unwrap();
                }
            });
            let ending =
                threads.spawn(move || end.iter().for_each(|()| record(series, Measurement::Int(-1), None)));
            while !ending.is_finished() {
                match series.read() {
                    Some(Reading::Sum(now)) => assert!((0..=10).contains(&now), "{now}"),
                    none => assert_eq!(none, None),
                }
            }
        });
        assert_eq!(under_way.read(), Some(Reading::Sum(0)));
    }
}
