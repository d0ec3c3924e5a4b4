//! A request that is over, as the readers of its record see it.

use super::facts::Facts;
use super::outcome::{BodySize, Outcome};
use crate::telemetry::clock::Clock;
use crate::telemetry::context::SpanContext;
use std::time::Duration;

/// A request that is over.
pub(in crate::telemetry) struct Finished<'a> {
    pub(in crate::telemetry) facts: &'a Facts,
    pub(in crate::telemetry) outcome: &'a Outcome,
    /// Ids of the request's span, sampled or not; none where there are no spans.
    pub(in crate::telemetry) context: Option<&'a SpanContext>,
    /// The span is on its way to the endpoint, so that others may refer to it.
    pub(in crate::telemetry) is_exported: bool,
    pub(super) clock: &'a Clock,
    /// Time from the request's head to the end of its response.
    pub(in crate::telemetry) lasted: Duration,
    /// Bytes of the request's body that came.
    pub(super) received: u64,
    /// Bytes of the response's body that were sent.
    pub(in crate::telemetry) sent: u64,
}

impl Finished<'_> {
    /// When it ended, in nanoseconds of Unix time.
    pub(in crate::telemetry) fn ended_at(&self) -> u64 {
        self.clock.after(self.lasted)
    }

    /// Bytes of the request's body, where they are known.
    pub(in crate::telemetry) fn request_size(&self) -> Option<u64> {
        self.facts.announced_body.or(match self.outcome.body_size {
            BodySize::Unknown => None,
            BodySize::NoBody => Some(0),
            BodySize::Known(bytes) => Some(bytes),
        })
    }
}
