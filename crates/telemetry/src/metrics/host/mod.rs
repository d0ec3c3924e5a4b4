//! The host's own metrics, in a scope of their own beside those of guests.
//!
//! What happens here is counted here, on series that are bound once (`Host::request_ended` for what each request costs);
//! what is counted elsewhere anyway is asked for before each collection ([`Host::observe`]), so that nothing has two
//! counts.

mod bound;
pub(crate) mod definitions;
mod outgoing;
mod request;

pub use definitions::*;
pub use outgoing::{OutgoingEnd, OutgoingRequest};

use super::attributes::AttributeSet;
use super::kind::Measurement;
use super::series::{Reading, Series};
use super::store::Metrics;
use crate::context::SpanContext;
use crate::methods::Methods;
use crate::semconv;
use crate::value::Value;
use bound::Bound;
use std::sync::Arc;
use std::time::Duration;

/// The host's own instruments.
pub struct Host {
    metrics: Arc<Metrics>,
    /// Methods that may appear in `http.request.method`; others are recorded as `_OTHER`.
    methods: Methods,
    requests: Bound,
    live: Arc<Series>,
    created: Arc<Series>,
    reused: Arc<Series>,
    instantiate: Arc<Series>,
    cpu: Arc<Series>,
    memory_peak: Arc<Series>,
}

/// An instance that there is; until it is dropped.
pub struct Live(Arc<Series>);

impl Drop for Live {
    fn drop(&mut self) {
        self.0.record(Measurement::Int(-1), None);
    }
}

impl Host {
    pub(crate) fn new(metrics: Arc<Metrics>, methods: Methods) -> Self {
        let series = |definition| metrics.series_as(definition, AttributeSet::default());
        let counted = |definition| {
            let series = series(definition);
            // Told from the start: what begins with its first event has no increase to alert on.
            series.observe(0);
            series
        };
        Host {
            requests: Bound::new(&metrics, methods.clone()),
            live: counted(&definitions::INSTANCE_LIVE),
            created: counted(&definitions::INSTANCE_CREATED),
            reused: counted(&definitions::INSTANCE_REUSED),
            instantiate: series(&definitions::INSTANTIATE_DURATION),
            cpu: counted(&definitions::GUEST_CPU_TIME),
            memory_peak: series(&definitions::GUEST_MEMORY_PEAK),
            metrics,
            methods,
        }
    }

    /// Where all instruments are.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Asks `read` before each collection what a sum has come to, which is counted elsewhere; while it says nothing,
    /// the sum stays.
    pub fn observe(
        &self,
        definition: &Definition,
        attributes: &[(&'static str, &str)],
        read: impl Fn() -> Option<u64> + Send + Sync + 'static,
    ) {
        let attributes = attributes.iter().map(|(key, value)| (*key, Value::Text((*value).to_owned())));
        self.metrics.observe(definition, AttributeSet::of_host(attributes), read);
    }

    /// An instance was made; it lives as long as what is returned.
    pub fn instance(&self) -> Live {
        self.created.record(Measurement::Int(1), None);
        self.live.record(Measurement::Int(1), None);
        Live(Arc::clone(&self.live))
    }

    /// Instances that there are.
    pub fn live(&self) -> u64 {
        match self.live.read() {
            Some(Reading::Sum(live)) => u64::try_from(live).unwrap_or(0),
            _ => 0,
        }
    }

    /// How long it took to make an instance.
    pub fn instantiated(&self, time: Duration) {
        self.instantiate.record(Measurement::Double(time.as_secs_f64()), None);
    }

    /// An instance that had served others has taken a request.
    pub fn reused(&self) {
        self.reused.record(Measurement::Int(1), None);
    }

    /// What a guest has cost until it was done with a request: its time on a processor, and the most memory in bytes
    /// that its instance has had.
    pub fn spent(&self, cpu: Duration, memory_peak: Option<u64>, context: Option<&SpanContext>) {
        let nanos = i64::try_from(cpu.as_nanos()).unwrap_or(i64::MAX);
        self.cpu.record(Measurement::Int(nanos), None);
        if let Some(bytes) = memory_peak {
            self.memory_peak.record_by(Measurement::Double(bytes as f64), self.witness(context));
        }
    }

    /// A guest failed a request: it trapped, or did not come to answer.
    pub fn guest_trapped(&self, error_type: &str, context: Option<&SpanContext>) {
        let attributes = [(semconv::ERROR_TYPE, Value::Text(error_type.to_owned()))];
        let series = self.metrics.series_as(&definitions::GUEST_TRAPS, AttributeSet::of_host(attributes));
        series.record_by(Measurement::Int(1), self.witness(context));
    }
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Host")
    }
}

#[cfg(test)]
mod tests;
