//! What became of what was recorded: what was sent or lost on its way is counted by `pounce-otlp`, what was left out
//! before is counted here.
//!
//! Each `reasons!` is one table: the counters, the metric `pounce.telemetry.dropped` and the words at exit are made of it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// How much is gone of what a reason counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All of it.
    Whole,
    /// A part of a span, a log record or a metric.
    Part,
    /// A part of what a request brought, which was not to be sent.
    Brought,
}

/// Declares reasons for which something is left out: each with its name in metrics, how much of it is gone, and the words
/// that follow its count.
macro_rules! reasons {
    (
        $(#[$counters_meta:meta])* $counters:ident;
        $(#[$totals_meta:meta])* $totals:ident;
        $( $(#[$meta:meta])* $field:ident = $name:literal, $extent:ident, $words:literal; )+
    ) => {
        $(#[$counters_meta])*
        #[derive(Debug, Default)]
        pub(crate) struct $counters { $( pub(crate) $field: AtomicU64, )+ }

        $(#[$totals_meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $totals { $( $(#[$meta])* pub $field: u64, )+ }

        impl $counters {
            /// Each reason's name in metrics, and where it is counted.
            pub(crate) const REASONS: &[(&'static str, fn(&Self) -> &AtomicU64)] =
                &[$( ($name, |counters| &counters.$field) ),+];

            /// Adds all of `more`.
            #[allow(dead_code, reason = "requests count first what is left out of them, and measurements do not")]
            pub(crate) fn count(&self, more: $totals) {
                $( add(&self.$field, more.$field); )+
            }

            /// Counts so far.
            pub(crate) fn totals(&self) -> $totals {
                $totals { $( $field: self.$field.load(Relaxed), )+ }
            }
        }

        impl $totals {
            /// Nothing.
            pub const NONE: Self = $totals { $( $field: 0, )+ };

            /// Adds all of `more`.
            pub fn add(&mut self, more: Self) {
                $( self.$field += more.$field; )+
            }

            /// Each count, and the words that follow it.
            pub fn counts(&self) -> impl Iterator<Item = (u64, &'static str)> {
                [$( (self.$field, $words) ),+].into_iter()
            }

            /// Counts of what is gone to this extent, and the words that follow each.
            pub fn counts_of(&self, extent: Extent) -> impl Iterator<Item = (u64, &'static str)> {
                let extents = [$( Extent::$extent ),+];
                self.counts().zip(extents).filter(move |(_, of)| *of == extent).map(|(count, _)| count)
            }

            /// Count of what is gone as a whole.
            pub fn whole(&self) -> u64 {
                self.counts_of(Extent::Whole).map(|(count, _)| count).sum()
            }
        }
    };
}

reasons! {
    /// Counts of what was left out of spans and log records.
    Counters;
    /// What was left out of spans and log records.
    LeftOut;
    /// Attributes over a limit, on spans, events, links and log records.
    attributes = "attributes", Part, "attributes dropped: over a limit, or names that guests may not set";
    /// Events over a limit.
    events = "events", Part, "span events dropped: over a limit";
    /// Links over a limit.
    links = "links", Part, "span links dropped: over a limit";
    /// Spans of guests beyond the limit of their request.
    children = "children", Part, "spans under requests dropped: over a limit";
    /// Spans that a guest's SDK has begun and never ended.
    unended = "unended", Part, "spans that an SDK in a guest began and never ended";
    /// Writes to spans that had ended.
    late_writes = "late_writes", Part, "writes to spans that had ended";
    /// Members of incoming baggage that were malformed or over a limit.
    baggage = "baggage", Brought, "members of baggage dropped, malformed or over a limit";
}

reasons! {
    /// Counts of measurements that were not recorded or lost something.
    Ignored;
    /// Measurements that were not recorded or lost something.
    IgnoredTotals;
    /// Measurements of an instrument without a valid name.
    name = "invalid_name", Whole, "measurements dropped for an invalid name";
    /// Measurements that are infinite or not a number.
    number = "invalid_number", Whole, "measurements dropped as infinite or not a number";
    /// Measurements of an instrument that is of another kind.
    kind = "kind_conflict", Whole, "measurements dropped as their name is of another kind of instrument";
    /// Measurements of an instrument beyond those that a component may have.
    instruments = "instruments_full", Whole, "measurements dropped for too many instruments";
    /// Measurements not looked at: their request had made as many as it may, or their instance within a minute, for no
    /// request.
    invocation = "over_limit", Whole,
        "measurements dropped beyond what a request may make, or an instance in a minute without one";
    /// Points of guests' SDKs beyond those that may wait for the next export.
    waiting = "waiting_full", Whole, "points of guests' SDKs dropped as too many waited for the next export";
    /// Cumulative points of guests' SDKs, of more series than an instance may have.
    series = "series_full", Whole,
        "cumulative points of guests' SDKs dropped for too many series in an instance";
    /// Measurements whose attributes were left out, for want of room for another series.
    overflowed = "overflowed", Part, "measurements without their attributes for too many series";
    /// Attributes over a limit.
    attributes = "attributes", Part, "of their attributes dropped";
    /// Instruments that pages for Prometheus do not show, since another has their name there.
    collided = "name_collision", Part, "instruments not on pages for Prometheus, since another has their name";
    /// Points that SDKs have handed over, which pages show without their attributes or not at all.
    unshown = "page_full", Part, "points of guests' SDKs not shown whole on pages for Prometheus";
}

/// Adds to a count.
pub(crate) fn add(counter: &AtomicU64, count: impl Into<u64>) {
    let count = count.into();
    if count > 0 {
        counter.fetch_add(count, Relaxed);
    }
}

/// A write to a span that had ended.
pub(crate) const LATE_WRITE: LeftOut = LeftOut { late_writes: 1, ..LeftOut::NONE };

/// What became of spans, log records and metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Spans that ended.
    pub spans: pounce_otlp::Totals,
    /// What was left out of them, and of requests' baggage.
    pub left_out: LeftOut,
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
    /// Measurements that were not recorded or lost something.
    pub ignored: IgnoredTotals,
}

impl Totals {
    /// Spans, log records and measurements that the endpoint does not have, and points that it never had.
    pub fn lost(&self) -> u64 {
        let (logs, metrics) = (&self.logs, &self.metrics);
        let sent = [&self.spans, &logs.records, &metrics.points];
        let lost: u64 = sent.iter().map(|sent| sent.losses.total()).sum();
        lost + logs.over_limit + metrics.ignored.whole()
    }
}

/// Writes each of `counts` that is not zero, after a comma.
fn write_counts(
    f: &mut fmt::Formatter<'_>,
    counts: impl IntoIterator<Item = (u64, &'static str)>,
) -> fmt::Result {
    let mut counts = counts.into_iter().filter(|(count, _)| *count > 0);
    counts.try_for_each(|(count, words)| write!(f, ", {count} {words}"))
}

/// What was lost, and what the spool had and has, each after a comma.
fn write_ends(f: &mut fmt::Formatter<'_>, totals: &pounce_otlp::Totals) -> fmt::Result {
    let pounce_otlp::Totals { losses, spool, .. } = totals;
    write!(f, "{losses}")?;
    let counts = [
        (spool.found, "found in the spool at the start"),
        (spool.left, "left in the spool for the next start"),
    ];
    write_counts(f, counts)
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} spans ended, {} exported", self.spans.ended, self.spans.exported)?;
        write_ends(f, &self.spans)?;
        write_counts(f, self.left_out.counts_of(Extent::Brought))?;
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
        let over_limit =
            "more dropped beyond what a request may emit, or an instance in a minute without one";
        let attributes = "of their attributes dropped";
        write_counts(f, [(self.over_limit, over_limit), (self.attributes_dropped, attributes)])
    }
}

impl fmt::Display for MetricTotals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} points of metrics exported", self.points.exported)?;
        write_ends(f, &self.points)?;
        write_counts(f, self.ignored.counts())
    }
}
