//! What the components of a server share: engines, their clock, turns, memory, slots for instances, and places to run once more.
//!
//! One engine serves all components of one version of wasi:http, so that there is one pool of instances and one clock that
//! interrupts guests. Of memory and of slots each component has a part for certain (`host/budget`).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;

use super::clock::Clock;
use super::compiled::{Compiler, Compiling};
use super::component;
use super::engine::{self, Shape, Slots};
use super::retry::Retries;
use super::slots_for;
use crate::config::Config;
use crate::host::Budget;

/// The engines of a server, through all reloads: of each version of wasi:http the latest is kept, also while no component
/// uses it, since a pool takes time to make and address space until the last instance in it is gone.
pub(crate) struct Engines {
    clock: Clock,
    made: Mutex<Vec<(Shape, Slots)>>,
}

impl Engines {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self { clock: engine::clock(), made: Mutex::default() }
    }

    /// An engine with room for components of this shape, and the shape that it was made for.
    fn get(&self, shape: Shape, slots: usize, max_total_memory: u64) -> anyhow::Result<(Shape, Slots)> {
        let mut made = lock(&self.made);
        if let Some(known) = made.iter().find(|(known, _)| known.has_room_for(shape)) {
            return Ok(known.clone());
        }
        let slots = engine::build(&shape, slots, max_total_memory, &self.clock)?;
        // Components that are loaded keep theirs.
        made.retain(|(known, _)| known.version != shape.version);
        made.push((shape, slots.clone()));
        Ok((shape, slots))
    }
}

/// What the components of a generation share.
pub(crate) struct Commons {
    /// Components that there are, also those that are not loaded.
    count: usize,
    max_in_flight: usize,
    /// Bytes that all instances may hold (`guest.max-total-memory`), and those that are beyond the components' parts.
    memory: (u64, Arc<Budget>),
    engines: Arc<Engines>,
    /// Slots beyond the components' parts, of each engine.
    rests: Mutex<Vec<(Shape, Arc<Budget>)>>,
    retries: Arc<Semaphore>,
}

impl Commons {
    /// For so many components of a server with these settings.
    pub(crate) fn new(config: &Config, count: usize, engines: Arc<Engines>) -> Self {
        let memory = config.guest.max_total_memory.0;
        Self {
            count,
            max_in_flight: config.http.max_in_flight,
            memory: (memory, Budget::rest_of(memory, count)),
            engines,
            rests: Mutex::default(),
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
        let (made, slots) = self.engines.get(shape, slots_for(self.max_in_flight), self.memory.0)?;
        if self.count < 2 {
            return Ok((slots, None));
        }
        let whole = slots.count as u64;
        let mut rests = lock(&self.rests);
        let known = rests.iter().find(|(of, _)| *of == made).map(|(_, rest)| rest.clone());
        let rest = known.unwrap_or_else(|| {
            let rest = Budget::rest_of(whole, self.count);
            rests.push((made, rest.clone()));
            rest
        });
        Ok((slots, Some(Arc::new(Budget::part_of(whole, self.count, rest, u64::MAX)))))
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
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
