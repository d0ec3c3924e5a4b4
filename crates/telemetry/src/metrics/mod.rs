//! Metrics, aggregated here: instruments by name, and under each a series for every set of attributes.
//!
//! A guest names instruments and attributes as it likes, so everything is bounded: instruments, series of an
//! instrument, attributes of a point, bytes of all. What is beyond the series goes into one that stands for the rest
//! (`otel.metric.overflow`); what cannot be kept is counted. A series is only atomics: who knows one may hold on to it
//! ([`Metrics::series`](store::Metrics::series)) and record without any look-up.

mod attributes;
mod collect;
mod cumulative_view;
mod exemplars;
mod exponential;
mod exposition;
mod fold;
pub mod host;
mod instrument;
mod kind;
mod prometheus;
mod prometheus_names;
mod registries;
pub(super) mod sample;
pub mod sdk;
mod sdk_queue;
mod series;
mod store;

pub(super) use collect::{Collected, Reader};
pub use fold::Folds;
pub use prometheus::Format;
pub use registries::Registries;
pub use store::Metrics;

#[cfg(test)]
mod tests;
