//! `wasi:otel`: what an OpenTelemetry SDK inside a guest hands over.
//!
//! Ids, times and values are the guest's word, and may be anything: no call traps or fails. What cannot be kept is
//! counted. Whose request it is, whether it is recorded and to whom it is said we are: the host's.

mod bindings;
mod convert;
mod logs;
mod metrics;
mod tracing;

use wasmtime::component::Linker;

use super::state::HostState;
use super::telemetry::Telemetry;

/// Links the whole package, under the release candidate's names and those that are to come.
pub(super) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    bindings::types::add_to_linker::<HostState, Telemetry>(linker, |state| state)?;
    bindings::tracing::add_to_linker::<HostState, Telemetry>(linker, |state| state)?;
    bindings::metrics::add_to_linker::<HostState, Telemetry>(linker, |state| state)?;
    bindings::logs::add_to_linker::<HostState, Telemetry>(linker, |state| state)
}

impl bindings::types::Host for &mut HostState {}
