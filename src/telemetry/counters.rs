//! What became of the spans: every one that ended is exported, rejected or dropped for a counted reason.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counts since the start. Spans that ended are counted in the buffers, off the shared cache lines.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) exported: AtomicU64,
    pub(super) rejected: AtomicU64,
    pub(super) queue_full: AtomicU64,
    pub(super) export_failed: AtomicU64,
    pub(super) shutdown: AtomicU64,
    pub(super) attributes: AtomicU64,
    pub(super) events: AtomicU64,
    pub(super) links: AtomicU64,
    pub(super) children: AtomicU64,
    pub(super) unended: AtomicU64,
    pub(super) late_writes: AtomicU64,
}

impl Counters {
    pub(super) fn add(counter: &AtomicU64, count: impl Into<u64>) {
        let count = count.into();
        if count > 0 {
            counter.fetch_add(count, Relaxed);
        }
    }

    /// Adds up; `buffered` spans were taken into a buffer.
    pub(super) fn totals(&self, buffered: u64) -> Totals {
        let dropped = Dropped {
            queue_full: self.queue_full.load(Relaxed),
            export_failed: self.export_failed.load(Relaxed),
            shutdown: self.shutdown.load(Relaxed),
        };
        Totals {
            ended: buffered + dropped.queue_full,
            exported: self.exported.load(Relaxed),
            rejected: self.rejected.load(Relaxed),
            dropped,
            attributes_dropped: self.attributes.load(Relaxed),
            events_dropped: self.events.load(Relaxed),
            links_dropped: self.links.load(Relaxed),
            children_dropped: self.children.load(Relaxed),
            unended: self.unended.load(Relaxed),
            late_writes: self.late_writes.load(Relaxed),
        }
    }
}

/// What became of the recorded spans. After a shutdown, `ended = exported + rejected + dropped.spans()`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Spans that ended.
    pub(crate) ended: u64,
    /// Spans that the endpoint has taken, or that were printed.
    pub(crate) exported: u64,
    /// Spans that the endpoint has received and refused (`partial_success`).
    pub(crate) rejected: u64,
    /// Spans that never arrived.
    pub(crate) dropped: Dropped,
    /// Attributes over a limit, on spans and events.
    pub(crate) attributes_dropped: u64,
    /// Events over a limit.
    pub(crate) events_dropped: u64,
    /// Links over a limit.
    pub(crate) links_dropped: u64,
    /// Spans of guests beyond the limit of their request.
    pub(crate) children_dropped: u64,
    /// Spans that a guest's SDK has begun and never ended.
    pub(crate) unended: u64,
    /// Writes to spans that had ended.
    pub(crate) late_writes: u64,
}

/// Spans that never arrived, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Dropped {
    /// The buffers were full: the endpoint is slower than the requests, or down.
    pub(crate) queue_full: u64,
    /// The endpoint could not be reached in time, or refused the batch.
    pub(crate) export_failed: u64,
    /// Not sent before the deadline of the shutdown, or ended after it.
    pub(crate) shutdown: u64,
}

impl Dropped {
    /// All of them.
    pub(crate) fn spans(&self) -> u64 {
        self.queue_full + self.export_failed + self.shutdown
    }
}

impl Totals {
    /// Spans that the endpoint does not have.
    pub(crate) fn lost(&self) -> u64 {
        self.rejected + self.dropped.spans()
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Dropped { queue_full, export_failed, shutdown } = self.dropped;
        write!(f, "{} spans ended, {} exported", self.ended, self.exported)?;
        for (count, what) in [
            (self.rejected, "rejected by the endpoint"),
            (queue_full, "dropped because the queue was full"),
            (export_failed, "dropped because the export failed"),
            (shutdown, "dropped at shutdown"),
        ] {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        Ok(())
    }
}
