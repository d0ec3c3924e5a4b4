//! What the components of a server share: engines, turns, memory, slots for instances, and places to run once more.
//!
//! One engine serves all components of one version of wasi:http, so that there is one pool of instances and one clock that
//! interrupts guests. Of memory and of slots each component has a part for certain (`host/budget`).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;

use super::compiled::{Compiler, Compiling};
use super::component;
use super::engine::{self, Shape, Slots};
use super::retry::Retries;
use super::slots_for;
use crate::config::Config;
use crate::host::{Budget, Turns};

/// What the components of a server share.
pub(crate) struct Commons {
    /// Components that there are, also those that are not loaded.
    count: usize,
    max_in_flight: usize,
    /// Bytes that all instances may hold (`guest.max-total-memory`), and those that are beyond the components' parts.
    memory: (u64, Arc<Budget>),
    turns: Turns,
    engines: Mutex<Vec<Made>>,
    retries: Arc<Semaphore>,
}

/// An engine that is there.
struct Made {
    shape: Shape,
    slots: Slots,
    /// Slots beyond the components' parts.
    rest: Arc<Budget>,
}

impl Commons {
    /// For so many components of a server with these settings.
    pub(crate) fn new(config: &Config, count: usize) -> Self {
        let memory = config.guest.max_total_memory.0;
        Self {
            count,
            max_in_flight: config.http.max_in_flight,
            memory: (memory, Budget::rest_of(memory, count)),
            turns: engine::turns(),
            engines: Mutex::default(),
            retries: Retries::places(config.http.max_in_flight),
        }
    }

    /// Makes the engines that have room for each of these components. What cannot be read is left for when it is loaded.
    ///
    /// # Errors
    /// There is no room for an engine.
    pub(crate) fn prepare(&self, configs: &[Config], compiling: &Compiling) -> anyhow::Result<()> {
        let mut shapes: Vec<Shape> = Vec::new();
        for config in configs {
            let Some(path) = &config.component else { continue };
            let compiler = Compiler::new(&config.guest, compiling.clone());
            let Ok(found) = component::shape(path, &compiler, config.guest.max_memory.0) else { continue };
            match shapes.iter_mut().find(|shape| shape.version == found.version) {
                Some(shape) => *shape = shape.and(found),
                None => shapes.push(found),
            }
        }
        shapes.into_iter().try_for_each(|shape| self.slots(shape).map(drop))
    }

    /// An engine for a component of this shape, and the component's budget of its slots, where it shares them.
    ///
    /// # Errors
    /// There is no room for an engine.
    pub(super) fn slots(&self, shape: Shape) -> anyhow::Result<(Slots, Option<Arc<Budget>>)> {
        let mut engines = self.engines();
        let known = engines.iter().position(|made| made.shape.has_room_for(shape));
        let at = match known {
            Some(at) => at,
            None => {
                let slots = engine::build(&shape, slots_for(self.max_in_flight), self.memory.0, &self.turns)?;
                let rest = Budget::rest_of(slots.count as u64, self.count);
                engines.push(Made { shape, slots, rest });
                engines.len() - 1
            }
        };
        let Made { slots, rest, .. } = &engines[at];
        let own = || Arc::new(Budget::part_of(slots.count as u64, self.count, rest.clone(), u64::MAX));
        Ok((slots.clone(), (self.count > 1).then(own)))
    }

    /// The budget of a component that may have `limit` bytes of memory.
    pub(super) fn memory(&self, limit: u64) -> Arc<Budget> {
        let (whole, rest) = &self.memory;
        Arc::new(match self.count {
            0 | 1 => Budget::new(limit),
            count => Budget::part_of(*whole, count, rest.clone(), limit),
        })
    }

    /// Places for requests that run once more.
    pub(super) fn retries(&self) -> Arc<Semaphore> {
        self.retries.clone()
    }

    fn engines(&self) -> MutexGuard<'_, Vec<Made>> {
        self.engines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
