//! An endpoint in trouble: how long it is left alone, and how much is held for it meanwhile.
//!
//! What is held counts as waiting: the buffers take so much less, so that all together stay within their bound.

use crate::buffer::Buffer;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Waits between attempts double from the first to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// The trouble of one signal's endpoint.
pub(crate) struct Trouble {
    /// None for metrics, which do not wait in buffers.
    buffer: Option<Arc<Buffer>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    quiet_until: Option<Instant>,
    /// Times that all batches were put off, since one arrived.
    postponed: u32,
    /// Load of batches that were tried in vain and will be again.
    held: Load,
    /// Load of batches that were not tried yet.
    behind: Load,
    /// What the buffers were told last.
    told: Load,
}

/// Items, and the bytes that they take.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) items: usize,
    pub(crate) bytes: usize,
}

/// Counts a batch as held until it is dropped.
pub(crate) struct HeldBatch<'a>(&'a Trouble, Load);

impl Trouble {
    pub(crate) fn new(buffer: Option<Arc<Buffer>>) -> Self {
        Trouble { buffer, state: Mutex::default() }
    }

    /// Nothing should be sent before `until`.
    pub(crate) fn leave_alone(&self, until: Instant) {
        let mut state = self.state();
        state.quiet_until = state.quiet_until.max(Some(until));
    }

    /// How long to wait after so many `attempts` more than one.
    pub(crate) fn wait(attempts: u32) -> Duration {
        let wait = FIRST_WAIT.saturating_mul(1 << attempts.min(16)).min(LONGEST_WAIT);
        // Half to one and a half, so that a fleet does not come back at the same moment.
        wait.mul_f64(0.5 + fastrand::f64())
    }

    /// An attempt has failed: none should follow before the time that is given, of any batch. Waits are longer from
    /// time to time.
    pub(crate) fn postpone(&self, now: Instant) -> Instant {
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
    pub(crate) fn is_over(&self) {
        self.state().postponed = 0;
    }

    /// Whether what was put off last has not arrived.
    pub(crate) fn is_down(&self) -> bool {
        self.state().postponed > 0
    }

    /// When something may be sent again; none for now.
    pub(crate) fn quiet_until(&self) -> Option<Instant> {
        self.state().quiet_until.filter(|until| *until > Instant::now())
    }

    /// Whether what is held leaves no room for more.
    pub(crate) fn is_full(&self) -> bool {
        let told = self.state().told;
        self.buffer.as_ref().is_some_and(|buffer| buffer.is_filled_by(told.items, told.bytes))
    }

    /// Whether batches were tried in vain and will be again.
    pub(crate) fn holds(&self) -> bool {
        self.state().held.items > 0
    }

    /// A batch was tried in vain, and will be again.
    pub(crate) fn hold(&self, load: Load) -> HeldBatch<'_> {
        let mut state = self.state();
        state.held = state.held + load;
        self.tell(&mut state);
        HeldBatch(self, load)
    }

    /// Notes what was taken out of the buffers and not yet tried.
    pub(crate) fn behind(&self, load: Load) {
        let mut state = self.state();
        state.behind = load;
        self.tell(&mut state);
    }

    /// Without trouble, what is about to be sent takes no room from what comes.
    fn tell(&self, state: &mut State) {
        let load = if state.held.items > 0 { state.held + state.behind } else { Load::default() };
        if let Some(buffer) = &self.buffer
            && std::mem::replace(&mut state.told, load) != load
        {
            buffer.hold(load.items, load.bytes);
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

    fn taken(buffer: &Buffer) -> u64 {
        (0..100).for_each(|_| _ = buffer.push(|out| out.push(7)));
        buffer.drain(false).iter().map(|chunk| u64::from(chunk.items)).sum()
    }

    #[test]
    fn what_is_held_takes_room_from_what_comes() {
        let buffer = Arc::new(Buffer::new(40, 10));
        let trouble = Trouble::new(Some(Arc::clone(&buffer)));
        trouble.behind(Load { items: 5, bytes: 50 });
        assert_eq!(taken(&buffer), 40, "no trouble yet");
        let one = trouble.hold(Load { items: 10, bytes: 100 });
        assert_eq!(taken(&buffer), 25);
        let two = trouble.hold(Load { items: 30, bytes: 300 });
        assert_eq!(taken(&buffer), 0);
        assert!(trouble.is_full());
        drop(one);
        trouble.behind(Load::default());
        assert_eq!(taken(&buffer), 10);
        assert!(trouble.holds());
        drop(two);
        assert_eq!((taken(&buffer), trouble.holds()), (40, false));
        let _large = trouble.hold(Load { items: 1, bytes: usize::MAX });
        assert_eq!(taken(&buffer), 0, "bytes count, too");
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
