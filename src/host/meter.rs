//! The processor time of requests that share an instance of 0.3, each told apart by the task whose code runs.
//!
//! wasmtime tells when guest code begins and ends to run. A call to the host is the guest's time as well, as long as
//! it does not wait: that, and giving way to others, is what [`Meter::pause`] takes out.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
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

#[derive(Debug, Default)]
struct Running {
    /// Whether somebody is charged; read without the lock, on each return from the host.
    charging: AtomicBool,
    /// Calls to the host that have not come back; those of a fiber that was dropped stay counted, which costs a look.
    in_host: AtomicUsize,
    /// Calls back into the guest, by the host on its behalf (for memory), that are under way for who is charged.
    nested: AtomicU32,
    who: Mutex<Who>,
}

#[derive(Debug, Default)]
struct Who {
    charged: Option<Charged>,
    /// Who was charged before a pause.
    last: Option<Trace>,
}

/// A request whose code runs.
#[derive(Clone, Debug)]
pub(crate) struct Charged {
    trace: Trace,
    /// None where nobody looks at the time.
    since: Option<Instant>,
}

impl Meter {
    /// Guest code begins or ends to run.
    pub(super) fn on(&self, mut store: StoreContextMut<'_, HostState>, event: CallHook) {
        match event {
            CallHook::CallingWasm => {
                let next = current_trace(&mut store);
                // Each list and text that a host function returns comes with such calls: the clock need not be read for
                // them. Somebody else may run now as well, where who is charged waits in the host.
                if self.is_charged(next) {
                    self.0.nested.fetch_add(1, Ordering::Relaxed);
                } else {
                    self.begin(next);
                }
            }
            CallHook::ReturningFromWasm if self.0.nested.load(Ordering::Relaxed) > 0 => {
                self.0.nested.fetch_sub(1, Ordering::Relaxed);
            }
            CallHook::ReturningFromWasm => drop(self.pause()),
            CallHook::CallingHost => drop(self.0.in_host.fetch_add(1, Ordering::Relaxed)),
            CallHook::ReturningFromHost => {
                let alone = self.0.in_host.fetch_sub(1, Ordering::Relaxed) == 1;
                // It was taken out because others ran meanwhile, or one of those is charged while it waits as well.
                if !alone || !self.0.charging.load(Ordering::Relaxed) {
                    let next = current_trace(&mut store);
                    if !self.is_charged(next) {
                        self.begin(next);
                    }
                }
            }
        }
    }

    fn begin(&self, next: Option<&Trace>) {
        self.charge(next.map(|trace| Charged {
            trace: trace.clone(),
            since: trace.span.wants_costs().then(Instant::now),
        }));
    }

    /// Goes on charging who was before a pause.
    pub(crate) fn resume(&self, before: Option<Charged>) {
        self.charge(
            before.map(|charged| Charged { since: charged.since.map(|_| Instant::now()), ..charged }),
        );
    }

    fn charge(&self, next: Option<Charged>) {
        self.0.nested.store(0, Ordering::Relaxed);
        self.0.charging.store(next.is_some(), Ordering::Relaxed);
        let before = std::mem::replace(&mut self.lock().charged, next);
        settle(before.as_ref());
    }

    /// Nobody is charged until guest code runs again; gives who was.
    pub(crate) fn pause(&self) -> Option<Charged> {
        if !self.0.charging.swap(false, Ordering::Relaxed) {
            return None;
        }
        self.0.nested.store(0, Ordering::Relaxed);
        let mut who = self.lock();
        let charged = who.charged.take();
        who.last = charged.as_ref().map(|charged| charged.trace.clone()).or_else(|| who.last.take());
        drop(who);
        settle(charged.as_ref());
        charged
    }

    fn is_charged(&self, trace: Option<&Trace>) -> bool {
        self.0.charging.load(Ordering::Relaxed)
            && trace.is_some_and(|trace| {
                self.lock().charged.as_ref().is_some_and(|charged| charged.trace.is_same(trace))
            })
    }

    /// The request whose code ran last.
    pub(crate) fn last(&self) -> Option<Trace> {
        let who = self.lock();
        who.charged.as_ref().map(|charged| &charged.trace).or(who.last.as_ref()).cloned()
    }

    /// The request whose code runs was refused memory.
    pub(super) fn refused(&self, refused: Refused) {
        if let Some(charged) = &self.lock().charged {
            charged.trace.set_refused(refused);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Who> {
        self.0.who.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn settle(charged: Option<&Charged>) {
    if let Some(Charged { trace, since: Some(since) }) = charged {
        trace.spend(since.elapsed());
    }
}
