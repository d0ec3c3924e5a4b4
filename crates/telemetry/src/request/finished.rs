//! A request that is over, as the readers of its record see it.

use super::facts::Facts;
use super::outcome::{BodySize, Outcome};
use crate::clock::Clock;
use crate::context::SpanContext;
use std::time::Duration;

/// A request that is over.
pub(crate) struct Finished<'a> {
    pub(crate) facts: &'a Facts,
    pub(crate) outcome: &'a Outcome,
    /// Ids of the request's span, sampled or not; none where there are no spans.
    pub(crate) context: Option<&'a SpanContext>,
    /// The span is on its way to the endpoint, so that others may refer to it.
    pub(crate) is_exported: bool,
    pub(super) clock: &'a Clock,
    /// Time from the request's head to the end of its response.
    pub(crate) lasted: Duration,
    /// Bytes of the request's body that came.
    pub(super) received: u64,
    /// Bytes of the response's body that were sent.
    pub(crate) sent: u64,
}

impl Finished<'_> {
    /// When it ended, in nanoseconds of Unix time.
    pub(crate) fn ended_at(&self) -> u64 {
        self.clock.after(self.lasted)
    }

    /// Bytes of the request's body, where they are known.
    pub(crate) fn request_size(&self) -> Option<u64> {
        self.facts.announced_body.or(match self.outcome.body_size {
            BodySize::Unknown => None,
            BodySize::NoBody => Some(0),
            BodySize::Known(bytes) => Some(bytes),
        })
    }
}
