//! The instruments of one component's guests, or those of the host: found by name, and collected.

use super::attributes::AttributeSet;
use super::host::definitions::Definition;
use super::instrument::{Instrument, MAX_INSTRUMENTS, MAX_SERIES, is_name};
use super::kind::{Buckets, Kind, Measurement, Shape};
use super::series::Series;
use super::{cumulative_view, sdk_queue};
use crate::clock::unix_nanos;
use crate::context::SpanContext;
use crate::counters::Ignored;
use crate::settings::{ExemplarFilter, HistogramAggregation, MetricsSettings};
use crate::value::Value;
use pounce_otlp::{Counts, Loss};
use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

/// Bytes of all series of one component, roughly.
pub(super) const MAX_BYTES: usize = 16 * 1024 * 1024;

/// The instruments of one component's guests, or those of the host.
pub struct Metrics {
    pub(super) instruments: RwLock<HashMap<Box<str>, Arc<Instrument>>>,
    /// What others count, to be asked before each collection.
    pub(super) observed: Mutex<Vec<Observed>>,
    pub(super) exemplars: ExemplarFilter,
    pub(super) histograms: HistogramAggregation,
    pub(super) bytes: AtomicUsize,
    /// Metrics that SDKs in guests have collected since the last export.
    pub(super) sdk_queue: sdk_queue::SdkQueue,
    /// Their cumulative values, where pages for Prometheus show them.
    pub(super) cumulative: OnceLock<cumulative_view::CumulativeView>,
    /// Points that a reader has taken for an export.
    pub(super) collected: AtomicU64,
    /// The last collection is made.
    pub(super) is_finished: AtomicBool,
    /// An export takes what SDKs in guests hand over.
    pub(super) is_exported: bool,
    /// Since when it counts, in nanoseconds of Unix time.
    pub(super) started: u64,
    pub(crate) counters: Arc<Counts>,
    pub(crate) ignored: Ignored,
    /// What pages for Prometheus could not show, each counted and told once: scope and name.
    pub(super) unshown: Mutex<BTreeSet<(String, String)>>,
}

/// A sum that is counted elsewhere.
pub(super) struct Observed {
    series: Arc<Series>,
    read: Box<dyn Fn() -> Option<u64> + Send + Sync>,
}

impl Metrics {
    /// What becomes of points is counted in `counters`, which several may share.
    pub(crate) fn new(settings: &MetricsSettings, counters: Arc<Counts>) -> Self {
        Metrics {
            instruments: RwLock::default(),
            observed: Mutex::default(),
            exemplars: settings.exemplars,
            histograms: settings.histograms,
            bytes: AtomicUsize::new(0),
            sdk_queue: sdk_queue::SdkQueue::default(),
            cumulative: OnceLock::new(),
            collected: AtomicU64::new(0),
            is_finished: AtomicBool::new(false),
            is_exported: true,
            started: unix_nanos(),
            counters,
            ignored: Ignored::default(),
            unshown: Mutex::default(),
        }
    }

    /// An empty store with default settings.
    #[cfg(test)]
    pub(super) fn plain() -> Self {
        Self::new(&MetricsSettings::default(), Arc::default())
    }

    /// Adds to a sum that only grows.
    pub fn add_counter(
        &self,
        name: &str,
        value: u64,
        attributes: Vec<(String, Value)>,
        context: Option<&SpanContext>,
    ) {
        // OTLP has signed numbers only.
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        self.record(Kind::Counter, name, Measurement::Int(value), attributes, context);
    }

    /// Adds to a sum that may also shrink.
    pub fn add_up_down(
        &self,
        name: &str,
        value: i64,
        attributes: Vec<(String, Value)>,
        context: Option<&SpanContext>,
    ) {
        self.record(Kind::UpDownCounter, name, Measurement::Int(value), attributes, context);
    }

    /// Records a value of a distribution.
    pub fn record_histogram(
        &self,
        name: &str,
        value: f64,
        attributes: Vec<(String, Value)>,
        context: Option<&SpanContext>,
    ) {
        self.record(Kind::Histogram, name, Measurement::Double(value), attributes, context);
    }

    /// Sets the value as it is now.
    pub fn set_gauge(
        &self,
        name: &str,
        value: f64,
        attributes: Vec<(String, Value)>,
        context: Option<&SpanContext>,
    ) {
        self.record(Kind::Gauge, name, Measurement::Double(value), attributes, context);
    }

    /// A measurement was not looked at: its request has made as many as it may.
    pub fn refuse(&self) {
        self.ignored.invocation.fetch_add(1, Relaxed);
    }

    fn record(
        &self,
        kind: Kind,
        name: &str,
        value: Measurement,
        attributes: Vec<(String, Value)>,
        context: Option<&SpanContext>,
    ) {
        if let Measurement::Double(double) = value
            && !double.is_finite()
        {
            self.ignored.number.fetch_add(1, Relaxed);
            return;
        }
        let (attributes, dropped) = AttributeSet::of_guest(attributes);
        self.ignored.attributes.fetch_add(dropped, Relaxed);
        if let Some(series) = self.series(kind, name, attributes) {
            series.record(value, context);
        }
    }

    /// The series of an instrument with these attributes, made if there is room, else the one for the rest; none where
    /// the name is invalid or means another kind, or there are too many instruments already.
    ///
    /// A caller that records often does this once and keeps the series.
    pub fn series(&self, kind: Kind, name: &str, attributes: AttributeSet) -> Option<Arc<Series>> {
        self.series_of(&*self.instrument(kind, name)?, attributes).into()
    }

    fn series_of(&self, instrument: &Instrument, attributes: AttributeSet) -> Arc<Series> {
        let (series, overflowed) = instrument.series(attributes, MAX_SERIES, &self.bytes, MAX_BYTES);
        self.ignored.overflowed.fetch_add(overflowed.into(), Relaxed);
        series
    }

    /// The series of an instrument of the host's own.
    pub(crate) fn series_as(&self, definition: &Definition, attributes: AttributeSet) -> Arc<Series> {
        // The page of metrics says what is declared.
        debug_assert!(
            attributes.iter().all(|(key, _)| definition.attributes.contains(&key)),
            "{} has an attribute that it does not declare: {attributes:?}",
            definition.name
        );
        self.series_of(&self.instrument_as(definition), attributes)
    }

    fn instrument_as(&self, definition: &Definition) -> Arc<Instrument> {
        let known = {
            let instruments = self.instruments.read().unwrap_or_else(PoisonError::into_inner);
            instruments.get(definition.name).cloned()
        };
        known.unwrap_or_else(|| {
            let mut instruments = self.instruments.write().unwrap_or_else(PoisonError::into_inner);
            let made = || Arc::new(self.made(definition));
            Arc::clone(instruments.entry(definition.name.into()).or_insert_with(made))
        })
    }

    fn made(&self, definition: &Definition) -> Instrument {
        let Definition { name, unit, description, kind, bounds, .. } = *definition;
        Instrument::new(name, self.shape(kind, bounds)).described(unit, description)
    }

    fn shape(&self, kind: Kind, bounds: &'static [f64]) -> Shape {
        let buckets = match self.histograms {
            HistogramAggregation::Explicit => Buckets::Upto(bounds),
            HistogramAggregation::Exponential => Buckets::Exponential,
        };
        Shape { kind, buckets, exemplars: self.exemplars }
    }

    /// Asks `read` before each collection what a sum has come to, which is counted elsewhere; while it says nothing,
    /// the sum stays.
    pub(crate) fn observe(
        &self,
        definition: &Definition,
        attributes: AttributeSet,
        read: impl Fn() -> Option<u64> + Send + Sync + 'static,
    ) {
        self.instrument_as(definition).is_observed.store(true, Relaxed);
        let series = self.series_as(definition, attributes);
        let mut observed = self.observed.lock().unwrap_or_else(PoisonError::into_inner);
        observed.push(Observed { series, read: Box::new(read) });
    }

    /// Brings all sums up to date that others count.
    pub fn look(&self) {
        for Observed { series, read } in &*self.observed.lock().unwrap_or_else(PoisonError::into_inner) {
            if let Some(sum) = read() {
                series.observe(i64::try_from(sum).unwrap_or(i64::MAX));
            }
        }
    }

    fn instrument(&self, kind: Kind, name: &str) -> Option<Arc<Instrument>> {
        // Names are told apart without regard to case; the first spelling is the one that is sent.
        let key = match name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            true => Cow::Owned(name.to_ascii_lowercase()),
            false => Cow::Borrowed(name),
        };
        let of_kind = |instrument: &Arc<Instrument>| {
            if instrument.kind() == kind {
                return Some(Arc::clone(instrument));
            }
            self.ignored.kind.fetch_add(1, Relaxed);
            None
        };
        if let Some(found) = self.instruments.read().unwrap_or_else(PoisonError::into_inner).get(key.as_ref())
        {
            return of_kind(found);
        }
        if !is_name(name) {
            self.ignored.name.fetch_add(1, Relaxed);
            return None;
        }
        let mut instruments = self.instruments.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = instruments.get(key.as_ref()) {
            return of_kind(found);
        }
        if instruments.len() >= MAX_INSTRUMENTS {
            self.ignored.instruments.fetch_add(1, Relaxed);
            return None;
        }
        let instrument = Arc::new(Instrument::new(name, self.shape(kind, Instrument::default_bounds(name))));
        instruments.insert(key.into(), Arc::clone(&instrument));
        Some(instrument)
    }

    /// Points that were taken for an export and not sent, and those that never will be: those that wait, and where no
    /// last collection was made, those that it would have had.
    pub(super) fn unsent(&self) -> u64 {
        let mut unsent = self.collected.load(Relaxed) + u64::from(self.sdk_queue.close());
        if !self.is_finished.swap(true, Relaxed) {
            let said = |instrument: &Arc<Instrument>| {
                instrument.all_series().iter().filter(|series| series.read().is_some()).count() as u64
            };
            unsent += self.instruments().iter().map(said).sum::<u64>();
        }
        unsent
    }

    /// Counts every point that has not arrived as failed, of all these, who share their counters.
    pub(crate) fn settle(all: &[&Metrics]) {
        let Some(counters) = all.first().map(|first| &first.counters) else { return };
        let taken: u64 = all.iter().map(|metrics| metrics.unsent()).sum();
        counters.lose(Loss::ExportFailed, taken.saturating_sub(counters.settled()));
    }

    /// All instruments, in the order of their names.
    pub fn instruments(&self) -> Vec<Arc<Instrument>> {
        let instruments = self.instruments.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = instruments.values().cloned().collect();
        all.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        all
    }
}
