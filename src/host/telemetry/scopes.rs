//! `pounce:telemetry/scopes`: spans that are entered, by keys in place of resources.

use wasmtime::component::Resource;
use wasmtime::{AsContextMut, Result};

use super::span::named;
use super::{GuestSpan, Host, Telemetry, current, invalid, unattributed};
use crate::host::bindings::scopes as wit;
use crate::host::current::enter as enter_span;
use crate::host::state::HostState;

impl wit::Host for &mut HostState {}

impl wit::HostWithStore<HostState> for Telemetry {
    fn enter(mut host: Host<'_>, span: Resource<GuestSpan>) -> Result<u64> {
        // No key is 0: they are counted from 1.
        Ok(enter(&mut host, &span).unwrap_or(0))
    }

    fn leave(mut host: Host<'_>, key: u64) -> Result<()> {
        host.data_mut().requests.leave(key);
        Ok(())
    }
}

/// Makes the span of a handle the innermost of the calling task; the key to leave it with, none where nothing was entered.
pub(super) fn enter(host: &mut Host<'_>, handle: &Resource<GuestSpan>) -> Option<u64> {
    let span = named(host, handle);
    // Telemetry is off, or there was no request: nothing to be parent of.
    let own = span.trace().and_then(|trace| trace.span.context())?;
    let child = span.child().cloned();
    let now = current(host)?;
    // A span of another request is no parent of anything that is done for this one.
    if now.trace.span.context().is_none_or(|this| this != own) {
        unattributed(host);
        return None;
    }
    let key = enter_span(&mut host.as_context_mut(), child);
    if key.is_none() {
        invalid(host);
    }
    key
}
