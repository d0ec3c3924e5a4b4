//! `pounce:telemetry`: what a guest says about its own request.
//!
//! Every function is total: without a current request, when nothing is recorded or over a limit it does nothing, and
//! counts it. Metrics and log records do without a request. Child spans are linked and do nothing yet; that is counted
//! too.

mod convert;
mod logs;
mod metrics;
mod propagation;
mod recorder;
mod tracing;

pub(crate) use recorder::Recorder;

use std::sync::atomic::{AtomicU64, Ordering};

use wasmtime::AsContextMut;
use wasmtime::component::{Access, HasData, Linker};

use super::bindings;
use super::scope::Trace;
use super::state::{HostState, current_request};
use crate::telemetry::ServerSpan;

/// Calls that did nothing, by reason; said at exit.
#[derive(Debug, Default)]
pub(crate) struct Ignored {
    /// No current request: a start function, work after the response, a subtask whose request is not certain.
    pub(crate) unattributed: AtomicU64,
    /// Child spans and baggage, which this version does not record yet.
    pub(crate) unsupported: AtomicU64,
}

/// A handle on a span: the server span of a request, or a child span, which is not recorded yet.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct GuestSpan {
    trace: Option<Trace>,
    child: bool,
}

/// What `span.enter` gives.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct GuestScope;

/// Names the host's data to the linker.
pub(crate) struct Telemetry;

impl HasData for Telemetry {
    type Data<'a> = &'a mut HostState;
}

/// Links the whole package.
pub(crate) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    bindings::types::add_to_linker::<HostState, Telemetry>(linker, |state| state)?;
    bindings::tracing::add_to_linker::<HostState, Telemetry>(linker, |state| state)?;
    bindings::propagation::add_to_linker::<HostState, Telemetry>(linker, |state| state)?;
    bindings::metrics::add_to_linker::<HostState, Telemetry>(linker, |state| state)?;
    bindings::logs::add_to_linker::<HostState, Telemetry>(linker, |state| state)
}

type Host<'a> = Access<'a, HostState, Telemetry>;

/// The trace of the current request, or a count.
fn current(host: &mut Host<'_>) -> Option<Trace> {
    let trace = current_request(&mut host.as_context_mut()).map(|scope| scope.trace.clone());
    if trace.is_none() {
        host.data_mut().ignored.unattributed.fetch_add(1, Ordering::Relaxed);
    }
    trace
}

/// The server span of the current request; one that is off where there is none.
fn span(host: &mut Host<'_>) -> ServerSpan {
    current(host).map_or_else(ServerSpan::off, |trace| trace.span)
}

fn unsupported(host: &mut Host<'_>) {
    host.data_mut().ignored.unsupported.fetch_add(1, Ordering::Relaxed);
}

impl bindings::types::Host for &mut HostState {}
