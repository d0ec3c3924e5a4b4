//! What became of the items of one signal: each is exported, or lost for a reason that is counted.
//!
//! [`Loss`] is the one table of reasons. Whatever shows losses (metrics, a status page, the last words of a process,
//! documentation) iterates over [`Loss::ALL`], so that a new reason is one row here and is shown everywhere.

use crate::condition::Condition;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Declares [`Loss`] with its table.
macro_rules! losses {
    ($( $(#[$meta:meta])* $loss:ident, $name:literal, $stage:ident, $sentence:literal; )+) => {
        /// Reason for which an item (a span, a log record, a data point of a metric) is not with the endpoint.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Loss {
            $( $(#[$meta])* $loss, )+
        }

        impl Loss {
            /// Every reason, in the order in which they are shown.
            pub const ALL: &'static [Loss] = &[$( Loss::$loss ),+];

            /// Name of the reason, as it stands in `error.type` of metrics and in JSON: `queue_full`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $( Loss::$loss => $name, )+ }
            }

            /// Predicate after a count: `3 dropped because the queue was full`.
            #[must_use]
            pub const fn sentence(self) -> &'static str {
                match self { $( Loss::$loss => $sentence, )+ }
            }

            /// Place on the way at which the item is lost.
            #[must_use]
            pub const fn stage(self) -> Stage {
                match self { $( Loss::$loss => Stage::$stage, )+ }
            }
        }
    };
}

losses! {
    /// The endpoint received the item and refused it (`partial_success`).
    Rejected, "rejected", Endpoint, "rejected by the endpoint";
    /// The buffers were full: items come faster than the endpoint takes them, or the endpoint is down.
    QueueFull, "queue_full", Entrance, "dropped because the queue was full";
    /// The item is larger than the buffers take.
    TooLarge, "too_large", Entrance, "dropped as too large";
    /// The item waited outside the buffers for a decision (tail sampling), where too many did.
    HeldFull, "held_full", Entrance, "dropped as too many were held back until their request's end";
    /// The endpoint could not be reached in time, or refused the batch.
    ExportFailed, "export_failed", Endpoint, "dropped because the export failed";
    /// The endpoint finds the item too large by itself.
    TooLargeForEndpoint, "too_large_for_endpoint", Endpoint, "dropped as too large for the endpoint";
    /// The item was not sent before the deadline of the shutdown, or came after it.
    Shutdown, "shutdown", Shutdown, "dropped at shutdown";
    /// The item was among the oldest in the spool when that was full.
    SpoolFull, "spool_full", Endpoint, "dropped from the spool because it was full";
    /// The item was in a file of the spool that could not be read.
    SpoolUnreadable, "spool_unreadable", Endpoint, "dropped from the spool as unreadable";
}

const REASONS: usize = Loss::ALL.len();

/// Place on an item's way at which it is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Before a buffer took the item.
    Entrance,
    /// When the program stopped.
    Shutdown,
    /// On the way to the endpoint, or at the endpoint.
    Endpoint,
}

/// Numbers of lost items, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses([u64; REASONS]);

impl Losses {
    /// Number of items lost for `loss`.
    #[must_use]
    pub fn of(&self, loss: Loss) -> u64 {
        self.0[loss as usize]
    }

    /// Each reason with its number, in the order of [`Loss::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (Loss, u64)> {
        Loss::ALL.iter().map(|loss| (*loss, self.of(*loss)))
    }

    /// Number of items that are not with the endpoint, whatever the reason.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Number of items that the endpoint has not even seen: all but the [rejected](Loss::Rejected) ones.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.total() - self.of(Loss::Rejected)
    }

    /// Number of items lost at `stage`.
    #[must_use]
    pub fn at(&self, stage: Stage) -> u64 {
        self.iter().filter(|(loss, _)| loss.stage() == stage).map(|(_, count)| count).sum()
    }
}

/// Each reason that has lost items, after a comma: `, 3 dropped because the queue was full`.
impl fmt::Display for Losses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter()
            .filter(|(_, count)| *count > 0)
            .try_for_each(|(loss, count)| write!(f, ", {count} {}", loss.sentence()))
    }
}

/// Counts of one signal since the start, and the condition of its endpoint.
///
/// Items that a [`Buffer`](crate::Buffer) took in are counted in the buffer, off the cache lines that threads share.
#[derive(Debug, Default)]
pub struct Counts {
    exported: AtomicU64,
    lost: [AtomicU64; REASONS],
    /// In the spool now.
    spooled: AtomicU64,
    /// In the spool at the start.
    found: AtomicU64,
    /// How the export goes right now.
    pub(crate) condition: Condition,
}

/// Numbers of items in a spool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spooled {
    /// Items that an earlier process left.
    pub found: u64,
    /// Items that are there now.
    pub left: u64,
}

/// What became of the items of one signal. After a shutdown,
/// `ended + spool.found == exported + losses.total() + spool.left`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Items that were handed over.
    pub ended: u64,
    /// Items that the endpoint has taken.
    pub exported: u64,
    /// Items that the endpoint does not have.
    pub losses: Losses,
    /// Items that waited, and wait, on the disk.
    pub spool: Spooled,
}

impl Counts {
    /// Counts `items` as lost.
    pub fn lose(&self, loss: Loss, items: impl Into<u64>) {
        add(&self.lost[loss as usize], items);
    }

    /// Counts `items` as taken by the endpoint.
    pub fn export(&self, items: impl Into<u64>) {
        add(&self.exported, items);
    }

    /// Number of items that the endpoint has taken.
    #[must_use]
    pub fn exported(&self) -> u64 {
        self.exported.load(Relaxed)
    }

    /// Number of items lost for one reason.
    #[must_use]
    pub fn lost(&self, loss: Loss) -> u64 {
        self.lost[loss as usize].load(Relaxed)
    }

    /// Numbers of lost items.
    #[must_use]
    pub fn losses(&self) -> Losses {
        Losses(std::array::from_fn(|at| self.lost[at].load(Relaxed)))
    }

    /// Numbers of items in the spool.
    #[must_use]
    pub fn spool(&self) -> Spooled {
        Spooled { found: self.found.load(Relaxed), left: self.spooled.load(Relaxed) }
    }

    /// The condition of the endpoint.
    #[must_use]
    pub fn condition(&self) -> &Condition {
        &self.condition
    }

    /// Number of items that were taken out of buffers and whose way is over, or goes on in another process.
    #[must_use]
    pub fn settled(&self) -> u64 {
        let losses = self.losses();
        let Spooled { found, left } = self.spool();
        let over = self.exported() + losses.total() - losses.at(Stage::Entrance);
        // What the spool had at the start was never taken out of a buffer.
        (over + left).saturating_sub(found)
    }

    /// What became of all items, of which buffers took in `buffered`.
    #[must_use]
    pub fn totals(&self, buffered: u64) -> Totals {
        let losses = self.losses();
        Totals {
            ended: buffered + losses.at(Stage::Entrance),
            exported: self.exported(),
            losses,
            spool: self.spool(),
        }
    }

    /// The spool had so many `items` at the start.
    pub(crate) fn found(&self, items: u64) {
        self.found.store(items, Relaxed);
        self.spooled.store(items, Relaxed);
    }

    /// The spool has so many `items` more.
    pub(crate) fn spooled(&self, items: u32) {
        add(&self.spooled, items);
    }

    /// The spool has so many `items` fewer.
    pub(crate) fn unspooled(&self, items: u32) {
        self.spooled.fetch_sub(items.into(), Relaxed);
    }
}

fn add(counter: &AtomicU64, count: impl Into<u64>) {
    let count = count.into();
    if count > 0 {
        counter.fetch_add(count, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn reasons_have_names_of_their_own_and_are_counted_apart() {
        let names: HashSet<_> = Loss::ALL.iter().map(|loss| loss.name()).collect();
        assert_eq!(names.len(), REASONS);
        let counts = Counts::default();
        Loss::ALL.iter().zip(1u32..).for_each(|(loss, count)| counts.lose(*loss, count));
        let losses = counts.losses();
        assert!(losses.iter().map(|(_, count)| count).eq(1..=REASONS as u64));
        assert_eq!(losses.total(), losses.dropped() + losses.of(Loss::Rejected));
        let stages = [Stage::Entrance, Stage::Shutdown, Stage::Endpoint];
        assert_eq!(stages.map(|stage| losses.at(stage)).iter().sum::<u64>(), losses.total());
    }

    #[test]
    fn losses_are_told_after_commas_and_only_where_there_are_some() {
        let counts = Counts::default();
        assert_eq!(counts.losses().to_string(), "");
        counts.lose(Loss::Shutdown, 2u32);
        counts.lose(Loss::Rejected, 1u32);
        assert_eq!(counts.losses().to_string(), ", 1 rejected by the endpoint, 2 dropped at shutdown");
    }

    #[test]
    fn what_the_spool_had_at_the_start_was_in_no_buffer() {
        let counts = Counts::default();
        counts.found(10);
        counts.unspooled(4);
        counts.export(4u32);
        assert_eq!(counts.settled(), 0);
        counts.lose(Loss::QueueFull, 3u32);
        counts.export(5u32);
        assert_eq!(counts.settled(), 5);
        let totals = counts.totals(5);
        assert_eq!(
            totals.ended + totals.spool.found,
            totals.exported + totals.losses.total() + totals.spool.left
        );
    }
}
