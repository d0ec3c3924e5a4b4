//! The clock that interrupts guests: one thread for all engines of a server, whose ticks move their epochs on. It ticks
//! faster while somebody may wait for a guest at work ([`Turns::is_pressed`]).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use wasmtime::{Engine, EngineWeak};

use crate::host::Turns;

/// How often a guest that computes without pause gives way; also how late it is interrupted.
const TICK: Duration = Duration::from_millis(10);
/// How often it does while others may wait for it: a request that needs less waits for about as long.
const SHORT_TICK: Duration = Duration::from_millis(1);

/// A clock, and the turns that go by it. Cheap to clone. Its thread runs while there are engines.
#[derive(Clone)]
pub(crate) struct Clock {
    pub(crate) turns: Turns,
    /// Engines to tick for. Some may be gone; none at all, and the thread has ended.
    engines: Arc<Mutex<Vec<EngineWeak>>>,
}

impl Clock {
    /// A clock without engines.
    pub(crate) fn new(turns: Turns) -> Self {
        Self { turns, engines: Arc::default() }
    }

    /// Ticks for `engine` as well, until it is gone.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub(crate) fn add(&self, engine: &Engine) -> anyhow::Result<()> {
        let mut engines = self.engines();
        if engines.is_empty() {
            let clock = self.clone();
            std::thread::Builder::new()
                .name("epoch".into())
                .spawn(move || clock.run())
                .context("cannot start the thread that interrupts guests")?;
        }
        engines.push(engine.weak());
        Ok(())
    }

    fn run(&self) {
        self.turns.set_clock();
        let mut last = Instant::now();
        while self.tick() {
            self.turns.tick(last.elapsed());
            last = Instant::now();
            while let Some(left) = self.pause().checked_sub(last.elapsed()).filter(|left| !left.is_zero()) {
                // Unparked where it is pressed now.
                std::thread::park_timeout(left);
            }
        }
    }

    /// Moves all epochs on; false where no engine is left, and the thread ends.
    fn tick(&self) -> bool {
        let mut engines = self.engines();
        engines.retain(|engine| engine.upgrade().inspect(Engine::increment_epoch).is_some());
        !engines.is_empty()
    }

    /// The time between two ticks as things stand.
    fn pause(&self) -> Duration {
        if self.turns.is_pressed() { SHORT_TICK } else { TICK }
    }

    fn engines(&self) -> MutexGuard<'_, Vec<EngineWeak>> {
        self.engines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use wasmtime::{Config, Instance, Module, Store, UpdateDeadline};

    use super::*;

    /// A guest that computes until it has been interrupted three times.
    fn is_interrupted(engine: &Engine) {
        let loops = Module::new(engine, "(module (func (export \"run\") (loop br 0)))").unwrap();
        let mut store = Store::new(engine, ());
        store.set_epoch_deadline(1);
        let ticks = AtomicU64::new(0);
        store.epoch_deadline_callback(move |_| match ticks.fetch_add(1, Ordering::Relaxed) {
            0..3 => Ok(UpdateDeadline::Continue(1)),
            _ => Err(wasmtime::Error::msg("enough")),
        });
        let instance = Instance::new(&mut store, &loops, &[]).unwrap();
        let run = instance.get_typed_func::<(), ()>(&mut store, "run").unwrap();
        run.call(&mut store, ()).unwrap_err();
    }

    #[test]
    fn all_engines_have_one_clock_which_begins_anew_after_the_last() {
        let clock = Clock::new(Turns::new(1));
        let mut config = Config::new();
        config.epoch_interruption(true).gc_support(false).wasm_gc(false);
        let engine = || Engine::new(&config).unwrap();
        for _ in 0..2 {
            let (one, other) = (engine(), engine());
            clock.add(&one).unwrap();
            clock.add(&other).unwrap();
            is_interrupted(&one);
            drop(one);
            is_interrupted(&other);
            drop(other);
            let begun = Instant::now();
            while !clock.engines().is_empty() {
                assert!(begun.elapsed() < Duration::from_secs(60), "engines that are gone are kept");
                std::thread::yield_now();
            }
        }
    }
}
