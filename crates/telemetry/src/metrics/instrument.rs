//! One instrument: its name, its kind, and its series.

use super::attributes::AttributeSet;
use super::kind::{DEFAULT_BOUNDS, DURATION_BOUNDS, Kind, Shape};
use super::series::Series;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

/// Instruments of one component.
pub(super) const MAX_INSTRUMENTS: usize = 500;
/// Series of one instrument, the one for the rest included.
pub(super) const MAX_SERIES: usize = 2000;

/// An instrument of one component, or of the host.
pub struct Instrument {
    pub name: Box<str>,
    /// Empty where nobody said it.
    pub unit: &'static str,
    pub description: &'static str,
    pub(super) shape: Shape,
    /// Its sums are counted elsewhere, and asked for.
    pub(super) is_observed: AtomicBool,
    series: RwLock<HashMap<AttributeSet, Arc<Series>>>,
    /// Stands for all sets for which there was no room.
    overflow: OnceLock<Arc<Series>>,
}

impl Instrument {
    pub(super) fn new(name: &str, shape: Shape) -> Self {
        let (series, overflow) = (RwLock::default(), OnceLock::new());
        let is_observed = AtomicBool::new(false);
        Instrument { name: name.into(), unit: "", description: "", shape, is_observed, series, overflow }
    }

    pub(super) fn described(self, unit: &'static str, description: &'static str) -> Self {
        Instrument { unit, description, ..self }
    }

    /// Upper ends of the buckets of a histogram that says no more of itself than its name.
    pub(super) fn default_bounds(name: &str) -> &'static [f64] {
        if name.ends_with(".duration") { DURATION_BOUNDS } else { DEFAULT_BOUNDS }
    }

    pub fn kind(&self) -> Kind {
        self.shape.kind
    }

    /// The series of these attributes; the one for the rest, and true, where there is no room for it among `max_series`
    /// or the `max_bytes` that all instruments share.
    pub(super) fn series(
        &self,
        attributes: AttributeSet,
        max_series: usize,
        bytes: &AtomicUsize,
        max_bytes: usize,
    ) -> (Arc<Series>, bool) {
        let size = attributes.size() + Series::size(self.shape);
        let known = self.series.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.get(&attributes) {
            return (Arc::clone(found), false);
        }
        // Neither ever becomes less: once full, nobody waits for the others.
        if known.len() + 1 >= max_series || bytes.load(Relaxed).saturating_add(size) > max_bytes {
            return (self.rest(), true);
        }
        drop(known);
        let mut series = self.series.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = series.get(&attributes) {
            return (Arc::clone(found), false);
        }
        let fits = |taken: usize| taken.checked_add(size).filter(|sum| *sum <= max_bytes);
        if series.len() + 1 >= max_series || bytes.fetch_update(Relaxed, Relaxed, fits).is_err() {
            return (self.rest(), true);
        }
        let made = Arc::new(Series::new(self.shape, attributes.clone()));
        series.insert(attributes, Arc::clone(&made));
        (made, false)
    }

    /// The series for the rest.
    fn rest(&self) -> Arc<Series> {
        let rest = || Arc::new(Series::new(self.shape, AttributeSet::overflow()));
        Arc::clone(self.overflow.get_or_init(rest))
    }

    /// All series, the one for the rest last.
    pub fn all_series(&self) -> Vec<Arc<Series>> {
        let series = self.series.read().unwrap_or_else(PoisonError::into_inner);
        series.values().chain(self.overflow.get()).cloned().collect()
    }
}

/// The grammar of instrument names: 1 to 255 of ASCII letters, digits and `_.-/`, a letter first.
pub(super) fn is_name(name: &str) -> bool {
    let is_rest = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-/".contains(&byte);
    name.len() <= 255 && name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.bytes().all(is_rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::kind::Buckets;
    use crate::settings::ExemplarFilter;
    use crate::value::Value;
    use std::time::Duration;

    fn set(n: i64) -> AttributeSet {
        AttributeSet::of_guest(vec![("n".into(), Value::Int(n))]).0
    }

    /// Others read, as measurements do all the time: whoever asked for the write lock would wait.
    #[test]
    fn once_full_no_lock_is_taken_that_others_wait_for() {
        for (max_series, max_bytes) in [(3, usize::MAX), (100, 1500)] {
            let shape = Shape {
                kind: Kind::Counter,
                buckets: Buckets::Upto(&[]),
                exemplars: ExemplarFilter::TraceBased,
            };
            let (instrument, bytes) = (Arc::new(Instrument::new("c", shape)), Arc::<AtomicUsize>::default());
            let count = |n| instrument.series(set(n), max_series, &bytes, max_bytes).1;
            let overflowed = (0..20).filter(|n| count(*n)).count();
            assert!((1..20).contains(&overflowed), "{overflowed}");
            let readers = instrument.series.read().unwrap();
            let (sender, receiver) = std::sync::mpsc::channel();
            let (instrument, bytes) = (Arc::clone(&instrument), Arc::clone(&bytes));
            std::thread::spawn(move || {
                sender.send(instrument.series(set(99), max_series, &bytes, max_bytes).1)
            });
            assert_eq!(receiver.recv_timeout(Duration::from_secs(10)), Ok(true));
            drop(readers);
        }
    }
}
