//! Measurements, aggregated by the host. Names and attributes are low in cardinality; beyond the host's limits they
//! are dropped and counted.
//!
//! ```no_run
//! use pounce_guest::{attributes, metrics};
//!
//! metrics::add_counter("orders.placed", 1, attributes! { "order.kind" => "express" });
//! metrics::record_histogram("price.duration", 0.012, attributes! {});
//! metrics::set_gauge("queue.depth", 3.0, attributes! {});
//! ```

use crate::Attribute;
use crate::bindings::metrics as host;
use crate::value::collect;

/// Adds to a counter, which only grows.
pub fn add_counter(name: &str, value: u64, attributes: impl IntoIterator<Item = impl Into<Attribute>>) {
    host::add_counter(name, value, &collect(attributes));
}

/// Adds to a sum that may also shrink.
pub fn add_up_down(name: &str, value: i64, attributes: impl IntoIterator<Item = impl Into<Attribute>>) {
    host::add_up_down(name, value, &collect(attributes));
}

/// Records one value of a distribution.
pub fn record_histogram(name: &str, value: f64, attributes: impl IntoIterator<Item = impl Into<Attribute>>) {
    host::record_histogram(name, value, &collect(attributes));
}

/// Sets a gauge: the value as it is now.
pub fn set_gauge(name: &str, value: f64, attributes: impl IntoIterator<Item = impl Into<Attribute>>) {
    host::set_gauge(name, value, &collect(attributes));
}
