//! What spans are made with: where they go, in which profile, within which limits.

use super::headers::HeaderFilter;
use super::tail::{KeepRules, Room};
use crate::config::Semconv;
use crate::telemetry::limits::Limits;
use crate::telemetry::path_names::PathNames;
use crate::telemetry::pipeline::Pipeline;
use std::sync::Arc;

/// What spans are made with.
pub(in crate::telemetry) struct Spans {
    pub(in crate::telemetry) pipeline: Arc<Pipeline>,
    pub(in crate::telemetry) profile: Semconv,
    pub(in crate::telemetry) path_names: PathNames,
    pub(in crate::telemetry) request_headers: HeaderFilter,
    pub(in crate::telemetry) response_headers: HeaderFilter,
    pub(in crate::telemetry) limits: Limits,
    pub(in crate::telemetry) keep: KeepRules,
    /// Room for the spans that all requests hold back until their end.
    pub(in crate::telemetry) tail_room: Room,
}
