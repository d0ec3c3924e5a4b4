//! Lines of the log about the same trouble: one a minute.

use std::time::{Duration, Instant};

/// Time between two lines about the same trouble.
const EVERY: Duration = Duration::from_secs(60);

/// Whether a line about some trouble may be told again at `now`; then that is the `last` time.
pub(crate) fn is_due(last: &mut Option<Instant>, now: Instant) -> bool {
    let due = last.is_none_or(|last| now.duration_since(last) >= EVERY);
    if due {
        *last = Some(now);
    }
    due
}
