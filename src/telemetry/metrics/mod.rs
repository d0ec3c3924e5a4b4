//! Metrics, aggregated here: instruments by name, and under each a series for every set of attributes.
//!
//! A guest names instruments and attributes as it likes, so everything is bounded: instruments, series of an
//! instrument, attributes of a point, bytes of all. What is beyond the series goes into one that stands for the rest
//! (`otel.metric.overflow`); what cannot be kept is counted. A series is only atomics: who knows one may hold on to it
//! ([`Metrics::series`]) and record without any look-up.

mod attributes;
mod collect;
mod exemplars;
mod exponential;
mod exposition;
mod fold;
mod handed_over;
pub(crate) mod host;
mod instrument;
mod prometheus;
mod prometheus_names;
pub(super) mod sample;
pub(crate) mod sdk;
mod series;
mod standing;

pub(super) use attributes::AttributeSet;
pub(super) use collect::{Collected, Reader};
pub(crate) use fold::Folds;
pub(crate) use instrument::Kind;
pub(crate) use prometheus::Format;

use super::clock::unix_nanos;
use super::context::SpanContext;
use super::counters::Counters;
use super::methods::Methods;
use super::value::Value;
use crate::config;
use host::Definition;
use instrument::{Buckets, Instrument, Shape};
use series::{Measurement, Series};
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

/// Instruments of one component.
const MAX_INSTRUMENTS: usize = 500;
/// Series of one instrument, the one for the rest included.
const MAX_SERIES: usize = 2000;
/// Bytes of all series of one component, roughly.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// The instruments of one component's guests, or those of the host.
pub(crate) struct Metrics {
    instruments: RwLock<HashMap<Box<str>, Arc<Instrument>>>,
    /// What others count, to be asked before each collection.
    observed: Mutex<Vec<Observed>>,
    exemplars: config::ExemplarFilter,
    histograms: config::HistogramAggregation,
    bytes: AtomicUsize,
    /// What SDKs in guests have collected since the last look.
    handed_over: handed_over::HandedOver,
    /// The same as it stands now, where somebody looks at pages.
    standing: OnceLock<standing::Standing>,
    /// Points that a reader has taken for an export.
    collected: AtomicU64,
    /// The last collection is made.
    is_finished: AtomicBool,
    /// An export takes what SDKs in guests hand over.
    is_exported: bool,
    /// Since when it counts, in nanoseconds of Unix time.
    started: u64,
    pub(super) counters: Arc<Counters>,
    pub(super) ignored: Ignored,
    /// What pages for Prometheus could not show.
    left_out: exposition::LeftOut,
}

/// The host's own instruments, and those of guests.
#[derive(Clone)]
pub(crate) struct Registries {
    pub(crate) host: Arc<host::Host>,
    pub(crate) guests: Arc<Metrics>,
}

impl Registries {
    /// For an export as it is set; where nothing exports them, they are only read.
    pub(super) fn new(otel: &config::Otel, is_exported: bool) -> Self {
        let counters: Arc<Counters> = Arc::default();
        let metrics =
            || Arc::new(Metrics { is_exported, ..Metrics::new(&otel.metrics, Arc::clone(&counters)) });
        let methods = Methods::new(otel.known_methods.as_deref());
        Registries { host: Arc::new(host::Host::new(metrics(), methods)), guests: metrics() }
    }

    /// Has them keep what only pages need, which are asked for here.
    pub(super) fn keep_for_pages(&self) {
        self.guests.standing.get_or_init(Default::default);
    }

    pub(super) fn counters(&self) -> &Arc<Counters> {
        &self.guests.counters
    }

    /// Counts every point that has not arrived as failed.
    pub(super) fn settle(&self) {
        Metrics::settle(&[self.host.metrics(), &self.guests]);
    }
}

/// A sum that somebody else counts.
struct Observed {
    series: Arc<Series>,
    read: Box<dyn Fn() -> Option<u64> + Send + Sync>,
}

/// Measurements that were not recorded or lost something, by reason.
#[derive(Debug, Default)]
pub(super) struct Ignored {
    pub(super) name: AtomicU64,
    pub(super) number: AtomicU64,
    pub(super) kind: AtomicU64,
    pub(super) instruments: AtomicU64,
    pub(super) invocation: AtomicU64,
    pub(super) waiting: AtomicU64,
    pub(super) series: AtomicU64,
    pub(super) overflowed: AtomicU64,
    pub(super) attributes: AtomicU64,
    /// Instruments that pages for Prometheus do not show.
    pub(super) collided: AtomicU64,
    /// Points that SDKs have handed over, which pages show without their attributes or not at all.
    pub(super) unshown: AtomicU64,
}

impl Metrics {
    /// What becomes of points is counted in `counters`, which several may share.
    pub(super) fn new(export: &config::MetricsExport, counters: Arc<Counters>) -> Self {
        Metrics {
            instruments: RwLock::default(),
            observed: Mutex::default(),
            exemplars: export.exemplars,
            histograms: export.histograms,
            bytes: AtomicUsize::new(0),
            handed_over: handed_over::HandedOver::default(),
            standing: OnceLock::new(),
            collected: AtomicU64::new(0),
            is_finished: AtomicBool::new(false),
            is_exported: true,
            started: unix_nanos(),
            counters,
            ignored: Ignored::default(),
            left_out: exposition::LeftOut::default(),
        }
    }

    /// As nobody has set it.
    #[cfg(test)]
    fn plain() -> Self {
        Self::new(&config::MetricsExport::default(), Arc::default())
    }

    /// Adds to a sum that only grows.
    pub(crate) fn add_counter(
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
    pub(crate) fn add_up_down(
        &self,
        name: &str,
        value: i64,
        attributes: Vec<(String, Value)>,
        context: Option<&SpanContext>,
    ) {
        self.record(Kind::UpDownCounter, name, Measurement::Int(value), attributes, context);
    }

    /// Records a value of a distribution.
    pub(crate) fn record_histogram(
        &self,
        name: &str,
        value: f64,
        attributes: Vec<(String, Value)>,
        context: Option<&SpanContext>,
    ) {
        self.record(Kind::Histogram, name, Measurement::Double(value), attributes, context);
    }

    /// Sets the value as it is now.
    pub(crate) fn set_gauge(
        &self,
        name: &str,
        value: f64,
        attributes: Vec<(String, Value)>,
        context: Option<&SpanContext>,
    ) {
        self.record(Kind::Gauge, name, Measurement::Double(value), attributes, context);
    }

    /// A measurement was not looked at: its request has made as many as it may.
    pub(crate) fn refuse(&self) {
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
    /// Whoever records often does this once and keeps the series.
    pub(crate) fn series(&self, kind: Kind, name: &str, attributes: AttributeSet) -> Option<Arc<Series>> {
        self.series_of(&*self.instrument(kind, name)?, attributes).into()
    }

    fn series_of(&self, instrument: &Instrument, attributes: AttributeSet) -> Arc<Series> {
        let (series, overflowed) = instrument.series(attributes, MAX_SERIES, &self.bytes, MAX_BYTES);
        self.ignored.overflowed.fetch_add(overflowed.into(), Relaxed);
        series
    }

    /// The series of an instrument of the host's own.
    pub(super) fn series_as(&self, definition: &Definition, attributes: AttributeSet) -> Arc<Series> {
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
        let Definition { name, unit, description, kind, bounds } = *definition;
        Instrument::new(name, self.shape(kind, bounds)).described(unit, description)
    }

    fn shape(&self, kind: Kind, bounds: &'static [f64]) -> Shape {
        let buckets = match self.histograms {
            config::HistogramAggregation::Explicit => Buckets::Upto(bounds),
            config::HistogramAggregation::Exponential => Buckets::Exponential,
        };
        Shape { kind, buckets, exemplars: self.exemplars }
    }

    /// Asks `read` before each collection what a sum has come to, which somebody else counts; while it says nothing,
    /// the sum stays.
    pub(super) fn observe(
        &self,
        definition: &Definition,
        attributes: AttributeSet,
        read: impl Fn() -> Option<u64> + Send + Sync + 'static,
    ) {
        let instrument = self.instrument_as(definition);
        instrument.is_observed.store(true, Relaxed);
        let series = self.series_of(&instrument, attributes);
        let mut observed = self.observed.lock().unwrap_or_else(PoisonError::into_inner);
        observed.push(Observed { series, read: Box::new(read) });
    }

    /// Brings all sums up to date that others count.
    pub(crate) fn look(&self) {
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
        if !instrument::is_name(name) {
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
    fn unsent(&self) -> u64 {
        let mut unsent = self.collected.load(Relaxed) + u64::from(self.handed_over.close());
        if !self.is_finished.swap(true, Relaxed) {
            let said = |instrument: &Arc<Instrument>| {
                instrument.all_series().iter().filter(|series| series.read().is_some()).count() as u64
            };
            unsent += self.instruments().iter().map(said).sum::<u64>();
        }
        unsent
    }

    /// Counts every point that has not arrived as failed, of all these, who share their counters.
    pub(super) fn settle(all: &[&Metrics]) {
        let Some(counters) = all.first().map(|first| &first.counters) else { return };
        let taken: u64 = all.iter().map(|metrics| metrics.unsent()).sum();
        Counters::add(&counters.export_failed, taken.saturating_sub(counters.settled()));
    }

    /// All instruments, in the order of their names.
    pub(crate) fn instruments(&self) -> Vec<Arc<Instrument>> {
        let instruments = self.instruments.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = instruments.values().cloned().collect();
        all.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        all
    }
}

#[cfg(test)]
mod tests;
