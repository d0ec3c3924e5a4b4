//! Log records that carry the trace they belong to.
//!
//! ```no_run
//! use pounce_guest::logs::{self, Severity};
//! use pounce_guest::attributes;
//!
//! logs::emit(Severity::Warn, "the price list is old", attributes! { "age.days" => 9 });
//! ```

use crate::bindings::logs as host;
pub use crate::bindings::logs::Severity;
use crate::value::collect;
use crate::{Attribute, Value};

/// Whether records of this severity are kept: don't otherwise build costly ones.
pub fn is_enabled(severity: Severity) -> bool {
    host::is_enabled(severity)
}

/// Emits a record.
pub fn emit(
    severity: Severity,
    body: impl Into<Value>,
    attributes: impl IntoIterator<Item = impl Into<Attribute>>,
) {
    host::emit(severity, &body.into(), None, &collect(attributes));
}

/// Emits a record of a named event, all of which have the same attributes.
pub fn emit_event(
    severity: Severity,
    event: &str,
    body: impl Into<Value>,
    attributes: impl IntoIterator<Item = impl Into<Attribute>>,
) {
    host::emit(severity, &body.into(), Some(event), &collect(attributes));
}
