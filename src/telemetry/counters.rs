//! What became of the spans: every one that ended is exported, rejected or dropped for a counted reason. Log records
//! and metrics likewise.

use super::condition::Condition;
use serde::Serialize;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counts of one signal since the start: of spans, log records, or points of metrics. Spans that ended are counted in the
/// buffers, off the shared cache lines.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) exported: AtomicU64,
    pub(super) rejected: AtomicU64,
    pub(super) queue_full: AtomicU64,
    pub(super) too_large: AtomicU64,
    pub(super) held_full: AtomicU64,
    pub(super) export_failed: AtomicU64,
    pub(super) too_large_for_endpoint: AtomicU64,
    pub(super) shutdown: AtomicU64,
    pub(super) spool_full: AtomicU64,
    pub(super) spool_unreadable: AtomicU64,
    /// In the spool now; the one number here that falls.
    pub(super) spooled: AtomicU64,
    /// In the spool at the start.
    pub(super) found: AtomicU64,
    pub(super) attributes: AtomicU64,
    pub(super) events: AtomicU64,
    pub(super) links: AtomicU64,
    pub(super) children: AtomicU64,
    pub(super) unended: AtomicU64,
    pub(super) late_writes: AtomicU64,
    pub(super) baggage: AtomicU64,
    /// How the export goes right now.
    pub(super) condition: Condition,
}

impl Counters {
    pub(super) fn add(counter: &AtomicU64, count: impl Into<u64>) {
        let count = count.into();
        if count > 0 {
            counter.fetch_add(count, Relaxed);
        }
    }

    /// What never arrived so far.
    pub(super) fn dropped(&self) -> Dropped {
        Dropped {
            queue_full: self.queue_full.load(Relaxed),
            too_large: self.too_large.load(Relaxed),
            held_full: self.held_full.load(Relaxed),
            export_failed: self.export_failed.load(Relaxed),
            too_large_for_endpoint: self.too_large_for_endpoint.load(Relaxed),
            shutdown: self.shutdown.load(Relaxed),
            spool_full: self.spool_full.load(Relaxed),
            spool_unreadable: self.spool_unreadable.load(Relaxed),
        }
    }

    /// Of the items that were taken out of buffers, those whose way is over, or is to be over in another process. What
    /// the spool had at the start was never taken out of a buffer.
    pub(super) fn settled(&self) -> u64 {
        let dropped = self.dropped();
        // Those that never came out of a buffer.
        let before = dropped.queue_full + dropped.too_large + dropped.held_full;
        let SpoolTotals { found, left } = self.spool();
        let arrived = self.exported.load(Relaxed) + self.rejected.load(Relaxed);
        (arrived + dropped.spans() - before + left).saturating_sub(found)
    }

    /// What the spool had and has.
    pub(super) fn spool(&self) -> SpoolTotals {
        SpoolTotals { found: self.found.load(Relaxed), left: self.spooled.load(Relaxed) }
    }

    /// Adds up; `buffered` spans were taken into a buffer.
    pub(super) fn totals(&self, buffered: u64) -> Totals {
        let dropped = self.dropped();
        Totals {
            ended: buffered + dropped.queue_full + dropped.too_large + dropped.held_full,
            exported: self.exported.load(Relaxed),
            rejected: self.rejected.load(Relaxed),
            dropped,
            spool: self.spool(),
            attributes_dropped: self.attributes.load(Relaxed),
            events_dropped: self.events.load(Relaxed),
            links_dropped: self.links.load(Relaxed),
            children_dropped: self.children.load(Relaxed),
            unended: self.unended.load(Relaxed),
            late_writes: self.late_writes.load(Relaxed),
            baggage_dropped: self.baggage.load(Relaxed),
            logs: LogTotals::default(),
            metrics: MetricTotals::default(),
        }
    }
}

/// What became of the recorded spans. After a shutdown,
/// `ended + spool.found = exported + rejected + dropped.spans() + spool.left`.
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
    /// Spans that waited, and wait, on the disk.
    pub(crate) spool: SpoolTotals,
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
    /// Members of incoming baggage that were malformed or over a limit.
    pub(crate) baggage_dropped: u64,
    /// The same of log records.
    pub(crate) logs: LogTotals,
    /// And of guests' metrics.
    pub(crate) metrics: MetricTotals,
}

/// What became of the log records that were to be exported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogTotals {
    /// Emitted by guests and by the host, those beyond what an invocation may emit left out.
    pub(crate) emitted: u64,
    /// Taken by the endpoint.
    pub(crate) exported: u64,
    /// Received by the endpoint and refused.
    pub(crate) rejected: u64,
    /// Never arrived.
    pub(crate) dropped: Dropped,
    /// Waited, and wait, on the disk.
    pub(crate) spool: SpoolTotals,
    /// Not looked at: their request had emitted as many as it may, or their instance within a minute, for no request.
    pub(crate) over_limit: u64,
    /// Attributes over a limit.
    pub(crate) attributes_dropped: u64,
}

/// What became of the metrics. Points are sent again and again, measurements are made once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MetricTotals {
    /// Points that the endpoint took.
    pub(crate) exported: u64,
    /// Points that it refused.
    pub(crate) rejected: u64,
    /// Points that did not arrive.
    pub(crate) failed: u64,
    /// Points that the endpoint found too large, each by itself.
    pub(crate) too_large_for_endpoint: u64,
    /// Points that were lost in the spool.
    pub(crate) spool_dropped: u64,
    /// Points that waited, and wait, on the disk.
    pub(crate) spool: SpoolTotals,
    /// Measurements of an instrument without a valid name.
    pub(crate) invalid_name: u64,
    /// Measurements that are infinite or not a number.
    pub(crate) invalid_number: u64,
    /// Measurements of an instrument that is of another kind.
    pub(crate) kind_conflict: u64,
    /// Measurements of an instrument beyond those that a component may have.
    pub(crate) instruments_full: u64,
    /// Not looked at: their request had made as many as it may, or their instance within a minute, for no request.
    pub(crate) over_limit: u64,
    /// Points of guests' SDKs beyond those that may wait for the next export.
    pub(crate) waiting_full: u64,
    /// Cumulative points of guests' SDKs, of more series than an instance may have.
    pub(crate) series_full: u64,
    /// Measurements whose attributes were left out, for want of room for another series.
    pub(crate) overflowed: u64,
    /// Attributes over a limit.
    pub(crate) attributes_dropped: u64,
}

/// Spans that never arrived, by reason; `/status` has them by these names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Dropped {
    /// The buffers were full: the endpoint is slower than the requests, or down.
    pub(crate) queue_full: u64,
    /// Larger than the buffers take.
    pub(crate) too_large: u64,
    /// Of a request that was kept in the end, and had more of them than are held back so long.
    pub(crate) held_full: u64,
    /// The endpoint could not be reached in time, or refused the batch.
    pub(crate) export_failed: u64,
    /// The endpoint found each of them too large by itself.
    pub(crate) too_large_for_endpoint: u64,
    /// Not sent before the deadline of the shutdown, or ended after it.
    pub(crate) shutdown: u64,
    /// The oldest in the spool when it was full.
    pub(crate) spool_full: u64,
    /// In files of the spool that could not be read.
    pub(crate) spool_unreadable: u64,
}

/// What a spool had and has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SpoolTotals {
    /// Left there by an earlier process.
    pub(crate) found: u64,
    /// There now.
    pub(crate) left: u64,
}

impl Dropped {
    /// All of them.
    pub(crate) fn spans(&self) -> u64 {
        self.queue_full
            + self.too_large
            + self.held_full
            + self.export_failed
            + self.too_large_for_endpoint
            + self.shutdown
            + self.spool_full
            + self.spool_unreadable
    }
}

impl Totals {
    /// Spans, log records and measurements that the endpoint does not have, and points that it never had.
    pub(crate) fn lost(&self) -> u64 {
        let (logs, metrics) = (&self.logs, &self.metrics);
        self.rejected
            + self.dropped.spans()
            + logs.rejected
            + logs.dropped.spans()
            + logs.over_limit
            + metrics.rejected
            + metrics.failed
            + metrics.too_large_for_endpoint
            + metrics.spool_dropped
            + metrics.measurements_dropped()
    }
}

impl MetricTotals {
    /// Measurements that count nowhere.
    pub(crate) fn measurements_dropped(&self) -> u64 {
        self.invalid_name
            + self.invalid_number
            + self.kind_conflict
            + self.instruments_full
            + self.over_limit
            + self.waiting_full
            + self.series_full
    }
}

/// Those of `counts` that are not zero, each after a comma.
fn write_counts(f: &mut fmt::Formatter<'_>, counts: &[(u64, &str)]) -> fmt::Result {
    let mut counts = counts.iter().filter(|(count, _)| *count > 0);
    counts.try_for_each(|(count, what)| write!(f, ", {count} {what}"))
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} spans ended, {} exported", self.ended, self.exported)?;
        write_counts(f, &[(self.rejected, "rejected by the endpoint")])?;
        self.dropped.fmt(f)?;
        self.spool.fmt(f)?;
        write_counts(f, &[(self.baggage_dropped, "members of baggage dropped, malformed or over a limit")])?;
        if self.logs != LogTotals::default() {
            write!(f, "; {}", self.logs)?;
        }
        if self.metrics != MetricTotals::default() {
            write!(f, "; {}", self.metrics)?;
        }
        Ok(())
    }
}

/// Each reason after a comma.
impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = [
            (self.queue_full, "dropped because the queue was full"),
            (self.too_large, "dropped as too large"),
            (self.held_full, "dropped as too many were held back until their request's end"),
            (self.export_failed, "dropped because the export failed"),
            (self.too_large_for_endpoint, "dropped as too large for the endpoint"),
            (self.shutdown, "dropped at shutdown"),
            (self.spool_full, "dropped from the spool because it was full"),
            (self.spool_unreadable, "dropped from the spool as unreadable"),
        ];
        write_counts(f, &counts)
    }
}

/// Each after a comma.
impl fmt::Display for SpoolTotals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = [
            (self.found, "found in the spool at the start"),
            (self.left, "left in the spool for the next start"),
        ];
        write_counts(f, &counts)
    }
}

impl fmt::Display for LogTotals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} log records emitted, {} exported", self.emitted, self.exported)?;
        write_counts(f, &[(self.rejected, "rejected by the endpoint")])?;
        self.dropped.fmt(f)?;
        self.spool.fmt(f)?;
        let counts = [
            (
                self.over_limit,
                "more dropped beyond what a request may emit, or an instance in a minute without one",
            ),
            (self.attributes_dropped, "of their attributes dropped"),
        ];
        write_counts(f, &counts)
    }
}

impl fmt::Display for MetricTotals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} points of metrics exported", self.exported)?;
        let counts = [
            (self.rejected, "rejected by the endpoint"),
            (self.failed, "not exported because the export failed"),
            (self.too_large_for_endpoint, "not exported as too large for the endpoint"),
            (self.spool_dropped, "dropped from the spool as it was full, or unreadable"),
        ];
        write_counts(f, &counts)?;
        self.spool.fmt(f)?;
        let counts = [
            (self.invalid_name, "measurements dropped for an invalid name"),
            (self.invalid_number, "measurements dropped as infinite or not a number"),
            (self.kind_conflict, "measurements dropped as their name is of another kind of instrument"),
            (self.instruments_full, "measurements dropped for too many instruments"),
            (
                self.over_limit,
                "measurements dropped beyond what a request may make, or an instance in a minute without one",
            ),
            (self.waiting_full, "points of guests' SDKs dropped as too many waited for the next export"),
            (
                self.series_full,
                "cumulative points of guests' SDKs dropped for too many series in an instance",
            ),
            (self.overflowed, "measurements without their attributes for too many series"),
            (self.attributes_dropped, "of their attributes dropped"),
        ];
        write_counts(f, &counts)
    }
}
