//! The metrics that are sent to see whether metrics arrive: one of each kind that an endpoint may refuse, made as all are.

use super::attributes::AttributeSet;
use super::collect::{Collected, Reader};
use super::host::Definition;
use super::kind::{DURATION_BOUNDS, Kind, Measurement};
use super::store::Metrics;
use crate::settings::MetricsSettings;
use std::sync::Arc;

const fn sample(name: &'static str, kind: Kind) -> Definition {
    let description = "Sent by pounce doctor to see whether it arrives";
    Definition { name, unit: "{test}", description, kind, bounds: DURATION_BOUNDS, attributes: &[] }
}

const COUNTER: Definition = sample("pounce.doctor.counter", Kind::Counter);
const HISTOGRAM: Definition = sample("pounce.doctor.histogram", Kind::Histogram);
const GAUGE: Definition = sample("pounce.doctor.gauge", Kind::Gauge);

/// A monotonic sum, a histogram and a gauge of a point each, in the temporality and with the buckets that are set.
pub(crate) fn collect(settings: &MetricsSettings) -> Vec<Collected> {
    let metrics = Arc::new(Metrics::new(settings, Arc::default()));
    for (definition, value) in [
        (COUNTER, Measurement::Int(1)),
        (HISTOGRAM, Measurement::Double(1.0)),
        (GAUGE, Measurement::Double(1.0)),
    ] {
        metrics.series_as(&definition, AttributeSet::default()).record(value, None);
    }
    Reader::new(metrics, settings.temporality).collect()
}
