//! When a response must be over (`http.response-timeout`).
//!
//! The response's body keeps the deadline where it is asked for more. Where it is not, because the peer takes nothing,
//! it is kept by the task of the HTTP/2 stream (`stall`) or by the socket (`idle`).

use std::time::Duration;

use tokio::time::Instant;

/// The moment by which a response must be over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    pub(crate) at: Instant,
    /// From the request's head, for messages.
    pub(crate) after: Duration,
}

impl Deadline {
    /// The deadline of a request whose head has just come, `after` from now.
    pub(crate) fn new(after: Option<Duration>) -> Option<Self> {
        after.map(|after| Self { at: Instant::now() + after, after })
    }

    pub(crate) fn has_passed(&self) -> bool {
        Instant::now() >= self.at
    }
}
