//! The processor time of requests that share an instance of 0.3, each told apart by the task whose code runs.
//!
//! wasmtime tells when guest code begins and ends to run. A call to the host is the guest's time as well, as long as
//! it does not wait: that, and giving way to others, is what [`Meter::pause`] takes out.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use wasmtime::{CallHook, Store, StoreContextMut};

use super::current::running;
use super::limits::Refused;
use super::scope::RequestScope;
use super::state::HostState;

/// The meter of one store; cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meter(Arc<Running>);

#[derive(Debug, Default)]
struct Running {
    /// Whether somebody is charged; read without the lock, on each return from the host.
    charging: AtomicBool,
    who: Mutex<Option<Charged>>,
    /// Who was charged last.
    last: Mutex<Weak<RequestScope>>,
}

/// A request whose code runs.
#[derive(Clone, Debug)]
pub(crate) struct Charged {
    scope: Weak<RequestScope>,
    /// None where nobody looks at the time.
    since: Option<Instant>,
}

impl Meter {
    /// Has the meter of `store` run, if it has one.
    pub(crate) fn install(store: &mut Store<HostState>) {
        if let Some(meter) = store.data().meter.clone() {
            store.call_hook(move |store, event| {
                meter.on(store, event);
                Ok(())
            });
        }
    }

    fn on(&self, mut store: StoreContextMut<'_, HostState>, event: CallHook) {
        match event {
            CallHook::CallingWasm => self.begin(&mut store),
            CallHook::ReturningFromWasm => drop(self.pause()),
            // It was taken out because others ran meanwhile.
            CallHook::ReturningFromHost if !self.0.charging.load(Ordering::Relaxed) => {
                self.begin(&mut store);
            }
            CallHook::CallingHost | CallHook::ReturningFromHost => {}
        }
    }

    fn begin(&self, store: &mut StoreContextMut<'_, HostState>) {
        self.charge(
            running(store)
                .map(|(scope, is_recorded)| Charged { scope, since: is_recorded.then(Instant::now) }),
        );
    }

    /// Goes on charging who was before a pause.
    pub(crate) fn resume(&self, before: Option<Charged>) {
        self.charge(
            before.map(|charged| Charged { since: charged.since.map(|_| Instant::now()), ..charged }),
        );
    }

    fn charge(&self, next: Option<Charged>) {
        self.0.charging.store(next.is_some(), Ordering::Relaxed);
        let before = std::mem::replace(&mut *self.lock(), next);
        settle(before.as_ref());
    }

    /// Nobody is charged until guest code runs again; gives who was.
    pub(crate) fn pause(&self) -> Option<Charged> {
        if !self.0.charging.swap(false, Ordering::Relaxed) {
            return None;
        }
        let charged = self.lock().take();
        if let Some(charged) = &charged {
            self.0.last.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&charged.scope);
        }
        settle(charged.as_ref());
        charged
    }

    /// The request whose code ran last.
    pub(crate) fn last(&self) -> Option<Arc<RequestScope>> {
        self.0.last.lock().unwrap_or_else(PoisonError::into_inner).upgrade()
    }

    /// The request whose code runs was refused memory.
    pub(super) fn refused(&self, refused: Refused) {
        if let Some(scope) = self.lock().as_ref().and_then(|charged| charged.scope.upgrade()) {
            scope.set_refused(refused);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Charged>> {
        self.0.who.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn settle(charged: Option<&Charged>) {
    if let Some(Charged { scope, since: Some(since) }) = charged
        && let Some(scope) = scope.upgrade()
    {
        scope.spend(since.elapsed());
    }
}
