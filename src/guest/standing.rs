//! What is counted of a component through all reloads: its guests of now, those of generations that still have requests,
//! and those that are gone.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pounce_telemetry::metrics::host as host_metrics;

use super::retry::OUTCOMES;
use super::{Guests, Losses};

/// What is counted of a component through all reloads.
#[derive(Default)]
pub(crate) struct Standing(Mutex<State>);

#[derive(Default)]
struct State {
    /// The latest stands last.
    live: Vec<Arc<Guests>>,
    /// Losses of generations that are gone.
    gone: Losses,
}

impl Standing {
    /// Counts these guests from now on.
    pub(crate) fn add(&self, guests: Arc<Guests>) {
        self.state().live.push(guests);
    }

    /// Lets go of guests that nobody but this knows any more, as their generation is gone.
    pub(crate) fn settle(&self) {
        let mut gone = Vec::new();
        let mut state = self.state();
        let State { live, gone: losses } = &mut *state;
        live.retain(|guests| {
            let is_known = Arc::strong_count(guests) > 1;
            if !is_known {
                *losses = Losses::sum([*losses, guests.losses()].into_iter());
                gone.push(guests.clone());
            }
            is_known
        });
        drop(state);
        // Here, where nobody waits for the lock: an engine may go with them.
        drop(gone);
    }

    /// What guests were refused or lost since the start.
    pub(crate) fn losses(&self) -> Losses {
        let state = self.state();
        Losses::sum(state.live.iter().map(|guests| guests.losses()).chain([state.gone]))
    }

    /// Sums what `read` finds in all guests that there are.
    fn sum(&self, read: impl Fn(&Guests) -> u64) -> u64 {
        self.state().live.iter().map(|guests| read(guests)).sum()
    }

    /// What `read` finds in the latest, if there are any.
    fn latest(&self, read: impl Fn(&Guests) -> u64) -> Option<u64> {
        self.state().live.last().map(|guests| read(guests))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the metrics tell what is counted here, for as long as it is there: guests hold the metrics.
    pub(crate) fn observe(self: &Arc<Self>, metrics: &host_metrics::Host) {
        use host_metrics as names;
        let sum = |definition, read: fn(&Guests) -> u64| {
            let standing = Arc::downgrade(self);
            metrics.observe(definition, &[], move || standing.upgrade().map(|standing| standing.sum(read)));
        };
        sum(&names::GUEST_MEMORY_USED, |guests| guests.memory().0);
        let latest = |definition, read: fn(&Guests) -> u64| {
            let standing = Arc::downgrade(self);
            metrics.observe(definition, &[], move || {
                standing.upgrade().and_then(|standing| standing.latest(read))
            });
        };
        latest(&names::GUEST_MEMORY_LIMIT, |guests| guests.memory().1);
        latest(&names::POOL_SLOTS_USED, |guests| guests.slots().0);
        latest(&names::POOL_SLOTS_LIMIT, |guests| guests.slots().1);
        let lost = |read: fn(&Losses) -> u64| {
            let standing = Arc::downgrade(self);
            move || standing.upgrade().map(|standing| read(&standing.losses()))
        };
        metrics.observe(&names::OUTBOUND_REFUSED, &[], lost(|losses| losses.outgoing_requests));
        metrics.observe(&names::OUTPUT_DROPPED, &[], lost(|losses| losses.output_lines));
        metrics.observe_loss("guests", "unattributed", lost(|losses| losses.telemetry_unattributed));
        metrics.observe_loss("guests", "invalid", lost(|losses| losses.telemetry_invalid));
        metrics.observe_loss("guests", "foreign", lost(|losses| losses.telemetry_foreign));
        let retries: [fn(&Losses) -> u64; OUTCOMES.len()] =
            [|losses| losses.retries[0], |losses| losses.retries[1], |losses| losses.retries[2]];
        for (outcome, read) in OUTCOMES.into_iter().zip(retries) {
            metrics.observe(&names::GUEST_RETRIES, &[("outcome", outcome)], lost(read));
        }
    }
}
