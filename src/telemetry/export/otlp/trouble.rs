//! An endpoint in trouble: how long it is left alone, and how much is held for it meanwhile.
//!
//! What is held counts as waiting: the buffers take so much less, so that all together stay within their bound.

use crate::telemetry::pipeline::Pipeline;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Waits between attempts double from the first to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// The trouble of one signal's endpoint.
pub(super) struct Trouble {
    /// None for metrics, which do not wait in buffers.
    pipeline: Option<Arc<Pipeline>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    quiet_until: Option<Instant>,
    /// Times that all batches were put off, since one arrived.
    postponed: u32,
    /// Of batches that were tried in vain and will be again.
    held: Load,
    /// Of batches that were not tried yet.
    behind: Load,
    /// What the buffers were told last.
    told: Load,
}

/// Items, and the bytes that they take.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) items: usize,
    pub(super) bytes: usize,
}

/// Counts a batch as held until it is dropped.
pub(super) struct HeldBatch<'a>(&'a Trouble, Load);

impl Trouble {
    pub(super) fn new(pipeline: Option<Arc<Pipeline>>) -> Self {
        Trouble { pipeline, state: Mutex::default() }
    }

    /// Nothing should be sent before `until`.
    pub(super) fn leave_alone(&self, until: Instant) {
        let mut state = self.state();
        state.quiet_until = state.quiet_until.max(Some(until));
    }

    /// How long to wait after so many `attempts` more than one.
    pub(super) fn wait(attempts: u32) -> Duration {
        let wait = FIRST_WAIT.saturating_mul(1 << attempts.min(16)).min(LONGEST_WAIT);
        // Half to one and a half, so that a fleet does not come back at the same moment.
        wait.mul_f64(0.5 + fastrand::f64())
    }

    /// An attempt has failed: none should follow before the time that is given, of any batch. Waits are longer from
    /// time to time.
    pub(super) fn postpone(&self, now: Instant) -> Instant {
        let mut state = self.state();
        match state.quiet_until {
            // Others that failed with it.
            Some(until) if until > now => until,
            _ => {
                let until = now + Self::wait(state.postponed);
                state.postponed = state.postponed.saturating_add(1);
                *state.quiet_until.insert(until)
            }
        }
    }

    /// A batch arrived.
    pub(super) fn is_over(&self) {
        self.state().postponed = 0;
    }

    /// Whether what was put off last has not arrived.
    pub(super) fn is_down(&self) -> bool {
        self.state().postponed > 0
    }

    /// When something may be sent again; none for now.
    pub(super) fn quiet_until(&self) -> Option<Instant> {
        self.state().quiet_until.filter(|until| *until > Instant::now())
    }

    /// Whether what is held leaves no room for more.
    pub(super) fn is_full(&self) -> bool {
        let told = self.state().told;
        self.pipeline.as_ref().is_some_and(|pipeline| pipeline.is_filled_by(told.items, told.bytes))
    }

    /// Whether batches were tried in vain and will be again.
    pub(super) fn holds(&self) -> bool {
        self.state().held.items > 0
    }

    /// A batch was tried in vain, and will be again.
    pub(super) fn hold(&self, load: Load) -> HeldBatch<'_> {
        let mut state = self.state();
        state.held = state.held + load;
        self.tell(&mut state);
        HeldBatch(self, load)
    }

    /// So much was taken out of the buffers and not yet tried.
    pub(super) fn behind(&self, load: Load) {
        let mut state = self.state();
        state.behind = load;
        self.tell(&mut state);
    }

    /// Without trouble, what is about to be sent takes no room from what comes.
    fn tell(&self, state: &mut State) {
        let load = if state.held.items > 0 { state.held + state.behind } else { Load::default() };
        if let Some(pipeline) = &self.pipeline
            && std::mem::replace(&mut state.told, load) != load
        {
            pipeline.hold(load.items, load.bytes);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for HeldBatch<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.held.items -= self.1.items;
        state.held.bytes -= self.1.bytes;
        self.0.tell(&mut state);
    }
}

impl std::ops::Add for Load {
    type Output = Load;

    fn add(self, other: Load) -> Load {
        Load { items: self.items + other.items, bytes: self.bytes + other.bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn taken(pipeline: &Pipeline) -> u64 {
        (0..100).for_each(|_| pipeline.push(|out| out.push(7)));
        pipeline.drain(false).iter().map(|chunk| u64::from(chunk.spans)).sum()
    }

    #[test]
    fn what_is_held_takes_room_from_what_comes() {
        let pipeline = Arc::new(Pipeline::new(40, 10));
        let trouble = Trouble::new(Some(Arc::clone(&pipeline)));
        trouble.behind(Load { items: 5, bytes: 50 });
        assert_eq!(taken(&pipeline), 40, "no trouble yet");
        let one = trouble.hold(Load { items: 10, bytes: 100 });
        assert_eq!(taken(&pipeline), 25);
        let two = trouble.hold(Load { items: 30, bytes: 300 });
        assert_eq!(taken(&pipeline), 0);
        assert!(trouble.is_full());
        drop(one);
        trouble.behind(Load::default());
        assert_eq!(taken(&pipeline), 10);
        assert!(trouble.holds());
        drop(two);
        assert_eq!((taken(&pipeline), trouble.holds()), (40, false));
        let _large = trouble.hold(Load { items: 1, bytes: usize::MAX });
        assert_eq!(taken(&pipeline), 0, "bytes count, too");
    }

    #[tokio::test]
    async fn the_longest_wait_counts_until_it_is_over() {
        let trouble = Trouble::new(None);
        let now = Instant::now();
        let at = |hundredths: u64| now + Duration::from_millis(10 * hundredths);
        assert_eq!(trouble.quiet_until(), None);
        trouble.leave_alone(at(9));
        trouble.leave_alone(at(3));
        assert_eq!(trouble.quiet_until(), Some(at(9)));
        tokio::time::sleep_until(at(9)).await;
        assert_eq!(trouble.quiet_until(), None);
    }
}
