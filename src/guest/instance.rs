//! One instance: a store with its limits, and the component instantiated in it.

use std::sync::Arc;
use std::time::Instant;

use wasmtime::{Engine, Store, UpdateDeadline};

use super::error::{SLOTS_REACHED, classify_instantiation};
use crate::host::{
    Budget, Capabilities, Failure, HostState, Limits, MAX_HOSTCALL_BYTES, Meter, Serving, Trace, Turns,
    install_hooks, let_others_go_on,
};

/// Makes the instances of a component.
pub(crate) struct InstanceFactory {
    pub(crate) engine: Engine,
    /// Turns of guests that compute for long.
    pub(crate) turns: Turns,
    pub(crate) capabilities: Arc<Capabilities>,
    pub(crate) budget: Arc<Budget>,
    /// Slots that the component may take, where it shares them with others.
    pub(crate) slots: Option<Arc<Budget>>,
    /// Bytes of linear memory of one instance (`guest.max-memory`).
    pub(crate) max_memory: u64,
}

impl InstanceFactory {
    /// Instances that take up a slot now.
    pub(crate) fn instances(&self) -> u64 {
        if let Some(slots) = &self.slots {
            return slots.used();
        }
        match (self.engine.pooling_allocator_metrics(), &self.capabilities.metrics) {
            (Some(pool), _) => pool.component_instances(),
            // Made on demand.
            (None, Some(metrics)) => metrics.live(),
            (None, None) => 0,
        }
    }

    /// A store with every limit in force.
    fn store(&self, serving: Serving) -> wasmtime::Result<Store<HostState>> {
        let limits = Limits::new(self.max_memory, self.budget.clone());
        let mut store = Store::new(&self.engine, HostState::new(&self.capabilities, limits, serving)?);
        store.limiter(|state| &mut state.limits);
        store.set_hostcall_fuel(MAX_HOSTCALL_BYTES);
        // Computing guests give way at each tick, so that timers and other requests get their turn; what ends them is
        // the drop of their future.
        store.set_epoch_deadline(1);
        let turns = self.turns.clone();
        store.epoch_deadline_callback(move |store| {
            let state = store.data();
            let line = state.only_request().map(|request| (turns.clone(), request.clone()));
            Ok(UpdateDeadline::YieldCustom(1, Box::pin(give_way(state.meter.clone(), line))))
        });
        install_hooks(&mut store);
        Ok(store)
    }

    /// Runs `instantiate` in a new store and notes how long it took.
    pub(crate) async fn instance<P>(
        &self,
        serving: Serving,
        instantiate: impl AsyncFnOnce(&mut Store<HostState>) -> wasmtime::Result<P>,
    ) -> Result<(Store<HostState>, P), Failure> {
        let start = Instant::now();
        let slot = match &self.slots {
            Some(slots) => Some(slots.hold_one().ok_or_else(|| Failure::overloaded(SLOTS_REACHED))?),
            None => None,
        };
        let mut store = self.store(serving).map_err(|error| classify_instantiation(&error, None))?;
        store.data_mut().slot = slot;
        match instantiate(&mut store).await {
            Ok(instance) => {
                store.data_mut().instantiated(start.elapsed());
                Ok((store, instance))
            }
            Err(error) => Err(classify_instantiation(&error, Some(store.data()))),
        }
    }
}

/// Lets others run, sockets and timers first, and where the guest works on one request also who is before it in line; it is
/// not charged for that.
async fn give_way(meter: Option<Meter>, line: Option<(Turns, Trace)>) {
    let running = meter.as_ref().and_then(Meter::pause);
    match line {
        Some((turns, request)) => request.go_on_in_turn(&turns).await,
        None => let_others_go_on().await,
    }
    if let Some(meter) = meter {
        meter.resume(running);
    }
}
