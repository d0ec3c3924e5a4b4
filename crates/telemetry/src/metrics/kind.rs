//! Kinds of instruments: what they measure, and what becomes of it.

use crate::settings::ExemplarFilter;

/// Boundaries that OpenTelemetry gives every histogram that does not ask for others.
pub(super) const DEFAULT_BOUNDS: &[f64] =
    &[0.0, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1000.0, 2500.0, 5000.0, 7500.0, 10000.0];
/// Boundaries that the semantic conventions give durations, which are in seconds.
pub(super) const DURATION_BOUNDS: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// What an instrument does with its measurements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Adds them up; they are not negative.
    Counter,
    /// Adds them up.
    UpDownCounter,
    /// Adds up times; they are given in nanoseconds and told in seconds.
    Seconds,
    /// Counts them by size.
    Histogram,
    /// Keeps the last.
    Gauge,
}

impl Kind {
    /// What OpenTelemetry calls such an instrument.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter | Self::Seconds => "counter",
            Self::UpDownCounter => "up-down counter",
            Self::Histogram => "histogram",
            Self::Gauge => "gauge",
        }
    }
}

/// How large the buckets of a histogram are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Buckets {
    /// Upper ends, without the last, which is open.
    Upto(&'static [f64]),
    /// As fine as the values allow.
    Exponential,
}

/// What each series of an instrument is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) kind: Kind,
    pub(super) buckets: Buckets,
    pub(super) exemplars: ExemplarFilter,
}

/// One value, as it was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measurement {
    Int(i64),
    /// Never infinite, never not-a-number.
    Double(f64),
}
