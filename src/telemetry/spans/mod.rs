//! Spans that guests write to: their request's, those of their own, and those of their outgoing requests.

pub(in crate::telemetry) mod annotations;
pub(in crate::telemetry) mod call;
pub(in crate::telemetry) mod child;
pub(in crate::telemetry) mod client;
pub(in crate::telemetry) mod family;
pub(in crate::telemetry) mod open;
pub(in crate::telemetry) mod sdk;
pub(in crate::telemetry) mod span;
