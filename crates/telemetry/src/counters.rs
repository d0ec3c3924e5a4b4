//! What became of what was recorded: what was sent or lost on its way is counted by `pounce-otlp`, what was left out
//! before is counted here.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counts of what was left out of spans or log records, and of what was not recorded, since the start.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) attributes: AtomicU64,
    pub(super) events: AtomicU64,
    pub(super) links: AtomicU64,
    pub(super) children: AtomicU64,
    pub(super) unended: AtomicU64,
    pub(super) late_writes: AtomicU64,
    pub(super) baggage: AtomicU64,
}

impl Counters {
    pub(super) fn add(counter: &AtomicU64, count: impl Into<u64>) {
        let count = count.into();
        if count > 0 {
            counter.fetch_add(count, Relaxed);
        }
    }

    /// Adds up, with what became of the items themselves.
    pub(super) fn totals(&self, spans: pounce_otlp::Totals) -> Totals {
        Totals {
            spans,
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

/// What became of spans, log records and metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Spans that ended.
    pub spans: pounce_otlp::Totals,
    /// Attributes over a limit, on spans and events.
    pub attributes_dropped: u64,
    /// Events over a limit.
    pub events_dropped: u64,
    /// Links over a limit.
    pub links_dropped: u64,
    /// Spans of guests beyond the limit of their request.
    pub children_dropped: u64,
    /// Spans that a guest's SDK has begun and never ended.
    pub unended: u64,
    /// Writes to spans that had ended.
    pub late_writes: u64,
    /// Members of incoming baggage that were malformed or over a limit.
    pub baggage_dropped: u64,
    /// Log records.
    pub logs: LogTotals,
    /// Guests' metrics.
    pub metrics: MetricTotals,
}

/// What became of the log records that were to be exported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogTotals {
    /// Records emitted by guests and by the host, without those beyond what an invocation may emit.
    pub records: pounce_otlp::Totals,
    /// Records not looked at: their request had emitted as many as it may, or their instance within a minute, for no
    /// request.
    pub over_limit: u64,
    /// Attributes over a limit.
    pub attributes_dropped: u64,
}

/// What became of the metrics. Points are sent again and again, measurements are made once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MetricTotals {
    /// Points that were sent; how many there were is not counted.
    pub points: pounce_otlp::Totals,
    /// Measurements of an instrument without a valid name.
    pub invalid_name: u64,
    /// Measurements that are infinite or not a number.
    pub invalid_number: u64,
    /// Measurements of an instrument that is of another kind.
    pub kind_conflict: u64,
    /// Measurements of an instrument beyond those that a component may have.
    pub instruments_full: u64,
    /// Not looked at: their request had made as many as it may, or their instance within a minute, for no request.
    pub over_limit: u64,
    /// Points of guests' SDKs beyond those that may wait for the next export.
    pub waiting_full: u64,
    /// Cumulative points of guests' SDKs, of more series than an instance may have.
    pub series_full: u64,
    /// Measurements whose attributes were left out, for want of room for another series.
    pub overflowed: u64,
    /// Attributes over a limit.
    pub attributes_dropped: u64,
}

impl Totals {
    /// Spans, log records and measurements that the endpoint does not have, and points that it never had.
    pub fn lost(&self) -> u64 {
        let (logs, metrics) = (&self.logs, &self.metrics);
        let sent = [&self.spans, &logs.records, &metrics.points];
        let lost: u64 = sent.iter().map(|sent| sent.losses.total()).sum();
        lost + logs.over_limit + metrics.measurements_dropped()
    }
}

impl MetricTotals {
    /// Measurements that count nowhere.
    pub fn measurements_dropped(&self) -> u64 {
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

/// What was lost, and what the spool had and has, each after a comma.
fn write_ends(f: &mut fmt::Formatter<'_>, totals: &pounce_otlp::Totals) -> fmt::Result {
    let pounce_otlp::Totals { losses, spool, .. } = totals;
    write!(f, "{losses}")?;
    let counts = [
        (spool.found, "found in the spool at the start"),
        (spool.left, "left in the spool for the next start"),
    ];
    write_counts(f, &counts)
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} spans ended, {} exported", self.spans.ended, self.spans.exported)?;
        write_ends(f, &self.spans)?;
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

impl fmt::Display for LogTotals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} log records emitted, {} exported", self.records.ended, self.records.exported)?;
        write_ends(f, &self.records)?;
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
        write!(f, "{} points of metrics exported", self.points.exported)?;
        write_ends(f, &self.points)?;
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
