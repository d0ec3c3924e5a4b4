//! What spans are made with: where they go, in which profile, within which limits.

use super::headers::HeaderFilter;
use super::tail::{KeepRules, Room};
use crate::limits::Limits;
use crate::path_names::PathNames;
use crate::pipeline::Pipeline;
use crate::settings::Semconv;
use std::sync::Arc;

/// What spans are made with.
pub(crate) struct Spans {
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) profile: Semconv,
    pub(crate) path_names: PathNames,
    pub(crate) request_headers: HeaderFilter,
    pub(crate) response_headers: HeaderFilter,
    pub(crate) limits: Limits,
    pub(crate) keep: KeepRules,
    /// Room for the spans that all requests hold back until their end.
    pub(crate) tail_room: Arc<Room>,
}
