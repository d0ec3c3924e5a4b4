//! The processor time of requests that share an instance of 0.3, each told apart by the task whose code runs.
//!
//! wasmtime tells when guest code begins and ends to run. A call to the host is the guest's time as well, as long as
//! it does not wait: that, and giving way to others, is what [`Meter::pause`] takes out.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use wasmtime::{CallHook, StoreContextMut};

use super::current::current_trace;
use super::limits::Refused;
use super::scope::Trace;
use super::state::HostState;

/// The meter of one store; cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meter(Arc<Running>);

/// What the hook of a store and the watch of its worker share. Both run in the worker's task, one after the other, so that
/// what is read and written back needs no lock on the bus.
#[derive(Debug, Default)]
struct Running {
    /// Whether somebody is charged; read without the lock, on each return from the host.
    charging: AtomicBool,
    /// Calls to the host that have not come back; those of a fiber that was dropped stay counted, which costs a look.
    in_host: AtomicUsize,
    /// Calls back into the guest, by the host on its behalf (for memory), that are under way for who is charged.
    nested: AtomicUsize,
    who: Mutex<Who>,
}

#[derive(Debug, Default)]
struct Who {
    /// Who is charged; while nobody is, who was last.
    trace: Option<Trace>,
    /// None where nobody is charged, or nobody looks at the time.
    since: Option<Instant>,
}

/// Who was charged before a pause.
#[derive(Debug)]
pub(crate) struct Paused(Trace);

impl Meter {
    /// Guest code begins or ends to run.
    pub(super) fn on(&self, mut store: StoreContextMut<'_, HostState>, event: CallHook) {
        let Running { charging, in_host, nested, .. } = &*self.0;
        match event {
            CallHook::CallingWasm => {
                let next = current_trace(&mut store);
                // Each list and text that a host function returns comes with such calls: the clock need not be read for
                // them. Somebody else may run now as well, where who is charged waits in the host.
                if self.charge(next) {
                    nested.store(nested.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
                }
            }
            CallHook::ReturningFromWasm => match nested.load(Ordering::Relaxed) {
                0 => self.stop(),
                calls => nested.store(calls - 1, Ordering::Relaxed),
            },
            CallHook::CallingHost => in_host.store(in_host.load(Ordering::Relaxed) + 1, Ordering::Relaxed),
            CallHook::ReturningFromHost => {
                let calls = in_host.load(Ordering::Relaxed).saturating_sub(1);
                in_host.store(calls, Ordering::Relaxed);
                // It was taken out because others ran meanwhile, or one of those is charged while it waits as well.
                if calls > 0 || !charging.load(Ordering::Relaxed) {
                    let next = current_trace(&mut store);
                    self.charge(next);
                }
            }
        }
    }

    /// From now on `next` is charged; true where it is already.
    fn charge(&self, next: Option<&Trace>) -> bool {
        let mut who = self.lock();
        let is_charged = self.0.charging.load(Ordering::Relaxed);
        let is_same = |next: &Trace| who.trace.as_ref().is_some_and(|trace| trace.is_same(next));
        let is_known = next.is_some_and(is_same);
        if is_charged && is_known {
            return true;
        }
        who.settle();
        if let Some(next) = next {
            if !is_known {
                who.trace = Some(next.clone());
            }
            who.since = next.span.wants_costs().then(Instant::now);
        }
        self.0.nested.store(0, Ordering::Relaxed);
        self.0.charging.store(next.is_some(), Ordering::Relaxed);
        false
    }

    /// Nobody is charged until guest code runs again.
    pub(crate) fn stop(&self) {
        if self.0.charging.load(Ordering::Relaxed) {
            self.0.charging.store(false, Ordering::Relaxed);
            self.0.nested.store(0, Ordering::Relaxed);
            self.lock().settle();
        }
    }

    /// Nobody is charged until [`Meter::resume`]; gives who was.
    pub(crate) fn pause(&self) -> Option<Paused> {
        let is_charged = self.0.charging.load(Ordering::Relaxed);
        self.stop();
        if is_charged { self.lock().trace.clone().map(Paused) } else { None }
    }

    /// Goes on charging who was before a pause.
    pub(crate) fn resume(&self, before: Option<Paused>) {
        self.charge(before.as_ref().map(|Paused(trace)| trace));
    }

    /// The request whose code ran last.
    pub(crate) fn last(&self) -> Option<Trace> {
        self.lock().trace.clone()
    }

    /// The request whose code runs was refused memory.
    pub(super) fn refused(&self, refused: Refused) {
        if let Some(trace) = self.lock().trace.as_ref().filter(|_| self.0.charging.load(Ordering::Relaxed)) {
            trace.set_refused(refused);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Who> {
        self.0.who.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Who {
    /// What has run until now is charged.
    fn settle(&mut self) {
        if let (Some(since), Some(trace)) = (self.since.take(), &self.trace) {
            trace.spend(since.elapsed());
        }
    }
}
