//! `pounce:telemetry`: what a guest says about its own request.
//!
//! Every function is total: without a current request, when nothing is recorded or over a limit it does nothing, and
//! counts it. Metrics and log records do without a request.

mod convert;
mod logs;
mod metrics;
mod propagation;
mod recorder;
mod scopes;
mod span;
mod tracing;

pub(crate) use recorder::Recorder;

use std::sync::atomic::{AtomicU64, Ordering};

use wasmtime::AsContextMut;
use wasmtime::component::{Access, HasData, Linker};

use super::bindings;
use super::current::{self, Current};
use super::state::HostState;
pub(super) use logs::emit;
use pounce_telemetry::ServerSpan;
pub(super) use propagation::context_of;
pub(super) use recorder::Caller;
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub use span::GuestSpan;

/// Calls that did nothing, by reason; said at exit.
#[derive(Debug, Default)]
pub(crate) struct Ignored {
    /// No current request: a start function, work after the response, a subtask whose request is not certain.
    pub(crate) unattributed: AtomicU64,
    /// What is not valid, or over a limit of the host: contexts with malformed ids, too many spans entered,
    /// baggage that cannot be set.
    pub(crate) invalid: AtomicU64,
    /// Spans of a guest's own SDK that are of another trace than its request.
    pub(crate) foreign: AtomicU64,
}

/// What `span.enter` gives, where something was entered: the key to leave with.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct GuestScope(u64);

/// Names the host's data to the linker.
pub(crate) struct Telemetry;

impl HasData for Telemetry {
    type Data<'a> = &'a mut HostState;
}

/// Links the whole package.
pub(crate) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    bindings::types::add_to_linker::<HostState, Telemetry>(linker, |state| state)?;
    bindings::tracing::add_to_linker::<HostState, Telemetry>(linker, |state| state)?;
    bindings::scopes::add_to_linker::<HostState, Telemetry>(linker, |state| state)?;
    bindings::propagation::add_to_linker::<HostState, Telemetry>(linker, |state| state)?;
    bindings::metrics::add_to_linker::<HostState, Telemetry>(linker, |state| state)?;
    bindings::logs::add_to_linker::<HostState, Telemetry>(linker, |state| state)
}

pub(super) type Host<'a> = Access<'a, HostState, Telemetry>;

/// What the guest calls for, or a count.
pub(super) fn current(host: &mut Host<'_>) -> Option<Current> {
    let current = current::current(&mut host.as_context_mut());
    if current.is_none() {
        unattributed(host);
    }
    current
}

/// What `call` finds at the server span of the current request, or does to it; else nothing, and a count.
fn on_span<T: Default>(host: &mut Host<'_>, call: impl FnOnce(&ServerSpan) -> T) -> T {
    let done = current::current_trace(&mut host.as_context_mut()).map(|trace| call(&trace.span));
    done.unwrap_or_else(|| {
        unattributed(host);
        T::default()
    })
}

fn unattributed(host: &mut Host<'_>) {
    count(host, |ignored| &ignored.unattributed);
}

fn invalid(host: &mut Host<'_>) {
    count(host, |ignored| &ignored.invalid);
}

/// Counts a call that does nothing.
pub(super) fn count(host: &mut Host<'_>, reason: impl FnOnce(&Ignored) -> &AtomicU64) {
    reason(&host.data_mut().capabilities.ignored).fetch_add(1, Ordering::Relaxed);
}

impl bindings::types::Host for &mut HostState {}
